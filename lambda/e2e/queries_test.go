package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// TestExampleQueries evaluates the queries that users already have on series written by
// hand from the contract: what must be found and what must not.
func TestExampleQueries(t *testing.T) {
	t.Parallel()
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	registry := handWrittenRegistry(t)
	w := handWrittenWorkload(t, registry)

	push(t, prometheus, start, registry)
	scrape(t, prometheus, start.Add(15*time.Second), scrapeKubeStateMetrics(t, w))
	checkQueries(t, prometheus, start.Add(time.Minute), w.queryResults())
}

// TestExampleQueriesFollowTheContainers checks that only the queries about running
// containers have no results after the containers have stopped.
func TestExampleQueriesFollowTheContainers(t *testing.T) {
	t.Parallel()
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	registry := handWrittenRegistry(t)
	w := handWrittenWorkload(t, registry)
	scraped := scrapeKubeStateMetrics(t, w)

	push(t, prometheus, start, registry)
	scrape(t, prometheus, start, scraped)
	scrape(t, prometheus, start.Add(time.Minute), stopContainers(scraped))
	want := w.queryResults()
	for name := range want {
		if strings.HasPrefix(name, "running-") {
			want[name] = tsdbtest.Vector{}
		}
	}
	checkQueries(t, prometheus, start.Add(time.Minute), want)
}

// TestExampleQueriesWithoutScans checks that images without scan results give no result,
// rather than 0, and no error.
func TestExampleQueriesWithoutScans(t *testing.T) {
	t.Parallel()
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	registry := handWrittenRegistry(t)
	w := handWrittenWorkload(t, registry)
	registry = slices.DeleteFunc(registry, func(s tsdbtest.Series) bool {
		return strings.HasPrefix(s.Labels.Get(model.MetricNameLabel), "aws_ecr_image_scan_")
	})

	push(t, prometheus, start, registry)
	scrape(t, prometheus, start, scrapeKubeStateMetrics(t, w))
	want := w.queryResults()
	for query := range want {
		want[query] = tsdbtest.Vector{}
	}
	delete(want, "pods-unknown") // all of them
	checkQueries(t, prometheus, start, want)
}

// TestMovedTag shows why the series of an image that lost its tag must be ended at once:
// until then, `image` names two digests and the queries that join on it fail.
func TestMovedTag(t *testing.T) {
	t.Parallel()
	registry := handWrittenRegistry(t)
	w := handWrittenWorkload(t, registry)
	isRunning := func(s tsdbtest.Series) bool { return s.Labels.Get("image") == w.Running.Ref() }

	// The same tag, now on the image that the search pod waits for.
	moved := slices.Clone(registry)
	var ended []tsdbtest.Series
	for i, s := range moved {
		if !isRunning(s) {
			continue
		}
		ended = append(ended, tsdbtest.Series{Labels: s.Labels, Value: tsdbtest.StaleMarker()})
		b := labels.NewBuilder(s.Labels)
		b.Set("digest", w.Waiting.Digest)
		moved[i].Labels = b.Labels()
	}
	if len(ended) == 0 {
		t.Fatalf("no series of %s", w.Running.Ref())
	}

	tests := []struct {
		name   string
		second []tsdbtest.Series
		// wantErr is empty if the queries must succeed.
		wantErr string
	}{
		{"no staleness marker", moved, "found duplicate series for the match group"},
		{"staleness marker", slices.Concat(moved, ended), ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			prometheus := tsdbtest.Start(t, tsdbtest.Options{})
			scrape(t, prometheus, start, scrapeKubeStateMetrics(t, w))
			push(t, prometheus, start, registry)
			at := start.Add(2 * time.Minute)
			push(t, prometheus, at, test.second)

			if test.wantErr == "" {
				checkQueries(t, prometheus, at, w.resultsByImage())
				return
			}
			for name := range w.resultsByImage() {
				query := documented(t).queries[name]
				if got, err := prometheus.Instant(t.Context(), query, at); err == nil || !strings.Contains(err.Error(), test.wantErr) {
					t.Errorf("%s: %v, %v; want an error with %q", name, got, err, test.wantErr)
				}
			}
		})
	}
}

// checkQueries evaluates the documented queries with a wanted result and compares the whole
// result.
func checkQueries(t *testing.T, prometheus *tsdbtest.Prometheus, at time.Time, want map[string]tsdbtest.Vector) {
	t.Helper()
	for name, result := range want {
		query, ok := documented(t).queries[name]
		if !ok {
			t.Errorf("no page has the query %s", name)
			continue
		}
		got, err := prometheus.Instant(t.Context(), query, at)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if diff := cmp.Diff(result, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
