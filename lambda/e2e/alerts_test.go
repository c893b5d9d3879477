package e2e

import (
	"cmp"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	gocmp "github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// TestExampleAlerts evaluates the alerts about running images from the first push to the
// end of the lookback after the last one.
func TestExampleAlerts(t *testing.T) {
	t.Parallel()
	for name, of := range runningAlerts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testExampleAlert(t, name, of)
		})
	}
}

// runningAlerts are the alerts that an image is running, by name, and those that a workload
// raises.
var runningAlerts = map[string]func(workload) []map[string]string{
	"running-critical": workload.alertsByDigest, "running-critical-by-image": workload.alertsByImage,
}

func testExampleAlert(t *testing.T, name string, of func(workload) []map[string]string) {
	t.Helper()
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	registry := handWrittenRegistry(t)
	w := handWrittenWorkload(t, registry)
	scraped := scrapeKubeStateMetrics(t, w)
	stopped := stopContainers(scraped)
	alerts := documentedAlerts(t, prometheus, name)

	steps := []struct {
		after     time.Duration
		pods      []tsdbtest.Series
		push      bool
		active    bool
		activeFor time.Duration
		firing    bool
	}{
		{after: 0, pods: scraped},
		{after: 30 * time.Second, pods: scraped, push: true, active: true},
		{after: 60 * time.Second, pods: scraped, active: true, activeFor: 30 * time.Second},
		{after: 89 * time.Second, active: true, activeFor: 59 * time.Second},
		{after: 90 * time.Second, active: true, activeFor: 60 * time.Second, firing: true},
		{after: 120 * time.Second, pods: stopped},
		{after: 150 * time.Second, pods: scraped, push: true, active: true},
		{after: 240 * time.Second, pods: scraped, active: true, activeFor: 90 * time.Second, firing: true},
		// The pods still exist, but nothing is pushed.
		{after: 449 * time.Second, pods: scraped, active: true, activeFor: 299 * time.Second, firing: true},
		{after: 450 * time.Second, pods: scraped},
	}
	for _, step := range steps {
		at := start.Add(step.after)
		scrape(t, prometheus, at, step.pods)
		if step.push {
			push(t, prometheus, at, registry)
		}
		var want []tsdbtest.Alert
		if step.active {
			want = wantAlerts(w, of(w), at.Add(-step.activeFor), step.firing)
		}
		checkAlerts(t, prometheus, alerts, at, want)
	}
}

// wantAlerts are the complete alerts with some labels, active since a time.
func wantAlerts(w workload, all []map[string]string, since time.Time, firing bool) []tsdbtest.Alert {
	critical := map[string]float64{
		w.Running.Ref(): w.Running.Critical, w.Running.Name + "@" + w.Running.Digest: w.Running.Critical, w.Sidecar.Ref(): w.Sidecar.Critical,
	}
	var want []tsdbtest.Alert
	for _, ls := range all {
		subject := cmp.Or(ls["image"], ls["name"]+"@"+ls["digest"])
		want = append(want, tsdbtest.Alert{
			Labels: ls,
			Annotations: map[string]string{
				"summary": ":skull_and_crossbones: An image is running with *CRITICAL* vulnerabilities in: *" + ls["namespace"] + "*",
				"description": "Image: " + subject + " is running with *CRITICAL* vulnerabilities. " +
					"The base image should be reviewed and updated as required.",
			},
			Firing:   firing,
			Value:    critical[subject],
			ActiveAt: since,
		})
	}
	return want
}

// checkAlerts evaluates the rules once and compares the alerts that are active,
// in any order.
func checkAlerts(t *testing.T, prometheus *tsdbtest.Prometheus, alerts *tsdbtest.Alerts, at time.Time, want []tsdbtest.Alert) {
	t.Helper()
	got, err := alerts.Eval(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	byLabels := func(all []tsdbtest.Alert) map[string]tsdbtest.Alert {
		m := map[string]tsdbtest.Alert{}
		for _, a := range all {
			m[tsdbtest.Key(labels.FromMap(a.Labels))] = a
		}
		return m
	}
	if diff := gocmp.Diff(byLabels(want), byLabels(got)); diff != "" {
		t.Errorf("alerts at %s (-want +got):\n%s", at.Format(time.TimeOnly), diff)
	}
}
