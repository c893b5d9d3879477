package e2e

import (
	"maps"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/google/go-cmp/cmp"
)

// TestEverySeries invokes the function on a registry of 500 repositories, compares
// every series in Prometheus with the registry, invokes it again, and evaluates the
// queries and alerts of users. Prometheus is as strict as Amazon Managed Service for
// Prometheus.
func TestEverySeries(t *testing.T) {
	t.Parallel()
	registry := generatedRegistry(t, 500, 3_000)
	w := workloadOf(t, registry)
	want := wantSeries(registry)
	checkRealistic(t, registry, want)

	server := ecrtest.Start(t, registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{Path: tsdbtest.AMPPath, OutOfOrderWindow: tsdbtest.AMPOutOfOrderWindow})
	f := startFunction(t, server, prometheus.URL(), scansFromSummary, "REMOTE_WRITE_AUTH=sigv4")

	first := f.invoke(t, "schedule-rule.json", invocationTimeout)
	checkPushed(t, prometheus, first, want)
	totals := registry.Totals()
	if first.Registry != account || first.Repositories != totals.Repositories || first.Images != totals.Images {
		t.Errorf("the summary reports registry %s with %d repositories and %d images; want %s, %d, %d",
			first.Registry, first.Repositories, first.Images, account, totals.Repositories, totals.Images)
	}
	if first.Due != totals.Repositories || first.Refreshed != totals.Repositories || first.Left != 0 {
		t.Errorf("%d repositories were due, %d refreshed, %d left; want all of %d refreshed", first.Due, first.Refreshed, first.Left, totals.Repositories)
	}
	if first.Batches < 2 || first.Retries != 0 {
		t.Errorf("%d batches and %d retries; want several batches and no retry", first.Batches, first.Retries)
	}
	calls := server.Calls()
	if diff := cmp.Diff(calls, first.Calls); diff != "" {
		t.Errorf("calls that ECR received (-) and that the summary reports (+):\n%s", diff)
	}

	// The second invocation pushes everything again, without calling ECR.
	second := f.invoke(t, "scheduler.json", invocationTimeout)
	if !second.Timestamp.After(first.Timestamp) {
		t.Errorf("the second run is of %s, the first of %s", second.Timestamp, first.Timestamp)
	}
	checkPushed(t, prometheus, second, want)
	if len(second.Calls) > 0 || !maps.Equal(calls, server.Calls()) {
		t.Errorf("the second invocation called ECR: %v", second.Calls)
	}

	scrape(t, prometheus, second.Timestamp, scrapeKubeStateMetrics(t, w))
	checkQueries(t, prometheus, second.Timestamp, w.queryResults())
	for name, of := range runningAlerts {
		alerts := documentedAlerts(t, prometheus, name)
		for _, after := range []time.Duration{0, 59 * time.Second, 60 * time.Second} {
			at := second.Timestamp.Add(after)
			checkAlerts(t, prometheus, alerts, at, wantAlerts(w, of(w), second.Timestamp, after >= time.Minute))
		}
	}
}

// checkRealistic checks that the generated registry has every kind of image and
// repository that the test is about, so that a change of the generator cannot weaken it.
func checkRealistic(t *testing.T, registry *ecrtest.Registry, want tsdbtest.Vector) {
	t.Helper()
	var multiTag, missingSize, noEncryption, noScanning, scanned, clean int
	for _, repository := range registry.Repositories() {
		if repository.Encryption == nil {
			noEncryption++
		}
		if repository.ScanOnPush == nil {
			noScanning++
		}
		for _, i := range registry.Images(repository.Name) {
			if i.Status != "ACTIVE" || len(i.Tags) == 0 {
				continue
			}
			if len(i.Tags) > 1 {
				multiTag++
			}
			if i.SizeBytes == nil {
				missingSize++
			}
			if i.Scan != nil {
				scanned++
				if len(i.Scan.Counts) == 0 {
					clean++
				}
			}
		}
	}
	totals := registry.Totals()
	for what, n := range map[string]int{
		"repositories without encryption":  noEncryption,
		"repositories without scanning":    noScanning,
		"images with several tags":         multiTag,
		"tagged images without a size":     missingSize,
		"tagged images with a scan":        scanned,
		"tagged images without a scan":     totals.TaggedImages - scanned,
		"tagged images with a clean scan":  clean,
		"images without a tag":             totals.Untagged,
		"images in the archive":            totals.Archived,
		"series beyond one batch of 5,000": max(0, len(want)-5_000),
	} {
		if n == 0 {
			t.Errorf("the generated registry has no %s", what)
		}
	}
}
