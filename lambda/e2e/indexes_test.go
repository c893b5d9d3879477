package e2e

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// functionRole is the role of the function as the simulated registry lists it: GetCallerIdentity
// has no path.
const functionRole = "arn:aws:iam::" + account + ":role/service-role/ecr-remote-write"

// indexRegistry is a registry in which 60 % of the tagged images are indexes.
func indexRegistry(t *testing.T, scanning string) *ecrtest.Registry {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	if err := registry.SetScanning(ecrtest.Scanning{Type: scanning}); err != nil {
		t.Fatal(err)
	}
	shape := ecrtest.RealisticShape(6, 1_500, time.Now().Add(-48*time.Hour))
	shape.Indexes = 0.6
	if err := registry.Generate(seed, shape); err != nil {
		t.Fatal(err)
	}
	return registry
}

// readIndexes returns the number of indexes to read of each repository: also those without a
// tag are, since their children are no images of their own.
func readIndexes(registry *ecrtest.Registry) map[string]int {
	n := map[string]int{}
	for _, repository := range registry.Repositories() {
		for _, image := range registry.Images(repository.Name) {
			if image.Status == "ACTIVE" && isIndex(image) {
				n[repository.Name]++
			}
		}
	}
	return n
}

func isIndex(image ecrtest.Image) bool {
	return strings.Contains(image.ManifestMediaType, "index") || strings.Contains(image.ManifestMediaType, "list")
}

// untaggedSeries are the series of the images without a tag that a pod may run: the newest 20
// of each repository that were pushed or pulled within 30 days and are nothing that an index
// lists, that is about another image or a Helm chart.
func untaggedSeries(registry *ecrtest.Registry, at time.Time) tsdbtest.Vector {
	want := tsdbtest.Vector{}
	since := at.Add(-30 * 24 * time.Hour)
	scans := contracttest.IndexScansAt(registry, at)
	for _, repository := range registry.Repositories() {
		images := registry.Images(repository.Name)
		listed := map[string]bool{}
		for _, image := range images {
			for _, child := range image.Children {
				listed[child.Digest] = true
			}
		}
		images = slices.DeleteFunc(images, func(image ecrtest.Image) bool {
			return len(image.Tags) > 0 || image.Status != "ACTIVE" || listed[image.Digest] || image.SubjectDigest != "" || strings.Contains(image.ArtifactMediaType, "helm") ||
				image.PushedAt.Before(since) && image.PulledAt.Before(since)
		})
		slices.SortFunc(images, func(a, b ecrtest.Image) int { return b.PushedAt.Compare(a.PushedAt) })
		for _, image := range images[:min(20, len(images))] {
			labels := []string{"digest", image.Digest, "name", repository.Name, "registry_id", account}
			want[tsdbtest.KeyOf("aws_ecr_untagged_image_pushed_at_timestamp_seconds", labels...)] = float64(image.PushedAt.Unix())
			scan, _ := scans(repository.Name, image)
			for severity, count := range scan.Counts {
				want[tsdbtest.KeyOf("aws_ecr_untagged_image_scan_severity_count", append(labels, "severity", severity)...)] = float64(count)
			}
		}
	}
	return want
}

// checkUntagged compares the series of untagged images at the time of a run.
func checkUntagged(t *testing.T, prometheus *tsdbtest.Prometheus, s summary, want tsdbtest.Vector) {
	t.Helper()
	live, err := prometheus.Instant(t.Context(), `{__name__=~"aws_ecr_untagged_.+"}`, s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	checkVector(t, "untagged images", want, live)
}

// pullTimes returns when each image was last pulled.
func pullTimes(registry *ecrtest.Registry) map[string]time.Time {
	times := map[string]time.Time{}
	for _, repository := range registry.Repositories() {
		for _, image := range registry.Images(repository.Name) {
			times[repository.Name+"@"+image.Digest] = image.PulledAt
		}
	}
	return times
}

func checkPullTimes(t *testing.T, registry *ecrtest.Registry, before map[string]time.Time) {
	t.Helper()
	moved := 0
	for image, at := range pullTimes(registry) {
		if !at.Equal(before[image]) {
			moved++
		}
	}
	if moved > 0 {
		t.Errorf("the pull times of %d images moved", moved)
	}
}

// TestIndexes: with the function's role among the pull-time update exclusions each tag of an
// index has what the scans of its platforms' images add up to. Each index is read once, 100 of
// a repository by a call, also across a cold start, and no pull time moves.
func TestIndexes(t *testing.T) {
	t.Parallel()
	for _, scanning := range []string{"BASIC", "ENHANCED"} {
		t.Run(scanning, func(t *testing.T) {
			t.Parallel()
			registry := indexRegistry(t, scanning)
			if err := registry.SetPullTimeExclusions(functionRole); err != nil {
				t.Fatal(err)
			}
			before := pullTimes(registry)
			calls, most := 0, map[string]int{}
			for repository, n := range readIndexes(registry) {
				most[repository] = (n + 99) / 100
				calls += most[repository]
			}
			if calls < 8 {
				t.Fatalf("indexes of %v calls", most)
			}
			server := ecrtest.Start(t, registry)
			prometheus := tsdbtest.Start(t, tsdbtest.Options{})
			stored := "STATE_URL=file://" + filepath.Join(t.TempDir(), "state")
			want := func() tsdbtest.Vector {
				return expectation{registry: registry, scan: final(contracttest.IndexScansAt(registry, time.Now())), durable: true}.series()
			}
			f := startFunction(t, server, prometheus.URL(), fastScans, stored)

			first := f.invoke(t, "schedule-rule.json", invocationTimeout)
			checkPushed(t, prometheus, first, want())
			untagged := untaggedSeries(registry, time.Now())
			if len(untagged) < 20 {
				t.Errorf("%d series of untagged images", len(untagged))
			}
			if scanning == "BASIC" { // else children that Inspector sees in use have series too
				checkUntagged(t, prometheus, first, untagged)
			}
			if first.Calls["BatchGetImage"] != calls || first.Scans.Left+first.Scans.Pending > 0 {
				t.Errorf("calls %v, want %d of BatchGetImage; scans: %+v", first.Calls, calls, first.Scans)
			}
			for _, r := range server.Requests() {
				if r.Operation == "BatchGetImage" {
					most[r.RepositoryName]--
				}
			}
			for repository, left := range most {
				if left != 0 {
					t.Errorf("repository %s: BatchGetImage was called %d times more or less than needed", repository, left)
				}
			}
			for range 2 {
				f.stop(t) // a cold start
				f = startFunction(t, server, prometheus.URL(), fastScans, stored)
				s := f.invoke(t, "schedule-rule.json", invocationTimeout)
				checkPushed(t, prometheus, s, want())
				if scanning == "BASIC" {
					checkUntagged(t, prometheus, s, untagged)
				}
				if len(s.Calls) > 0 {
					t.Errorf("calls after a cold start: %v", s.Calls)
				}
			}
			checkPullTimes(t, registry, before)
		})
	}
}

// TestIndexesNotExcluded: while the role is no exclusion, no index is read, and the log says
// why.
func TestIndexesNotExcluded(t *testing.T) {
	t.Parallel()
	for name, exclusions := range map[string][]string{
		"none":            nil,
		"of another role": {functionRole + "-2", "arn:aws:iam::210987654321:role/ecr-remote-write", "arn:aws:iam::" + account + ":user/ecr-remote-write"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := indexRegistry(t, "BASIC")
			if err := registry.SetPullTimeExclusions(exclusions...); err != nil {
				t.Fatal(err)
			}
			before := pullTimes(registry)
			server := ecrtest.Start(t, registry)
			prometheus := tsdbtest.Start(t, tsdbtest.Options{})
			f := startFunction(t, server, prometheus.URL(), fastScans)
			for range 2 {
				s := f.invoke(t, "schedule-rule.json", invocationTimeout)
				checkPushed(t, prometheus, s, expectation{registry: registry, scan: scansAt(registry, time.Now())}.series())
				checkUntagged(t, prometheus, s, nil) // each repository has an index that is not read
				unread := tsdbtest.KeyOf("aws_ecr_exporter_indexes_unread", "reason", "not_excluded", "region", region, "registry_id", account)
				live, err := prometheus.Instant(t.Context(), everything, s.Timestamp)
				if indexes := sumOf(readIndexes(registry)); err != nil || live[unread] != float64(indexes) {
					t.Errorf("%d indexes, %s is %v, error %v", indexes, unread, live[unread], err)
				}
			}
			if n := server.Calls()["BatchGetImage"]; n != 0 {
				t.Errorf("%d calls of BatchGetImage", n)
			}
			f.stop(t)
			if log := f.log.String(); strings.Count(log, "multi-architecture images have no scan results") != 1 || !strings.Contains(log, "not_excluded") {
				t.Error("the log does not have one warning with the reason")
			}
			checkPullTimes(t, registry, before)
		})
	}
}

func sumOf(counts map[string]int) (total int) {
	for _, n := range counts {
		total += n
	}
	return total
}
