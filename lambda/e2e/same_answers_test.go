package e2e

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/podtest"
)

// TestSameAnswers: from the second run after any change of what is in the registry or of what
// runs, queries about what runs have the same answers with IDLE_IMAGES=push and never.
func TestSameAnswers(t *testing.T) {
	t.Parallel()
	images := podImages()
	kinds := podtest.Pods(&images)
	registry := oldImages(t, &images)
	server := ecrtest.Start(t, registry)
	all, some := tsdbtest.Start(t, tsdbtest.Options{}), tsdbtest.Start(t, tsdbtest.Options{})
	const refreshed = "CACHE_REFRESH_INTERVAL=1s"
	push := startFunction(t, server, all.URL(), scansFromSummary, refreshed)
	never := startFunction(t, server, some.URL(), scansFromSummary, refreshed, "IDLE_IMAGES=never", "QUERY_URL="+some.QueryURL())
	// Runs and listings of the two functions are at times of their own.
	queries := slices.DeleteFunc(mixinQueries(t, images.Plain.Digest), func(q mixinQuery) bool {
		return slices.Contains(aboutAllImages, q.name) || strings.Contains(q.expr, "aws_ecr_exporter_") || strings.Contains(q.expr, "_refreshed_timestamp_seconds")
	})
	queries = append(queries, mixinQuery{name: "the series of what runs", expr: `{__name__=~"aws_ecr_image_.+"} and on (digest)
		label_replace({__name__=~"kube_pod_(init_)?container_info"}, "digest", "$1", "image_id", ".*@(.*)")`})
	rng := rand.New(rand.NewPCG(seed, 13))
	old := time.Now().Add(-100 * 24 * time.Hour)
	// That of the first kind runs always: what a digest is can be asked of what runs only.
	running := map[string]podtest.Pod{kinds[0].Pod + kinds[0].ClusterName(): kinds[0]} // by name
	ended := map[string]podtest.Pod{}                                                  // their series are to end
	answers := 0
	for step := range 24 {
		what := ""
		switch n := rng.IntN(6); n {
		case 0, 1, 2:
			p := kinds[1+rng.IntN(len(kinds)-1)]
			if _, runs := running[p.Pod+p.ClusterName()]; runs && n == 0 {
				delete(running, p.Pod+p.ClusterName())
				ended[p.Pod+p.ClusterName()] = p
				what = "ends: " + p.Kind
				break
			}
			running[p.Pod+p.ClusterName()] = p
			delete(ended, p.Pod+p.ClusterName())
			what = "runs: " + p.Kind
		case 3: // a tag moves to an idle image, or back
			stored := registry.Images(images.Plain.Name)
			to := stored[rng.IntN(len(stored))].Digest
			if err := registry.Tag(images.Plain.Name, to, images.OtherTag); err != nil {
				t.Fatal(err)
			}
			what = "moves to " + to
		case 4:
			tag := fmt.Sprint("pushed-", step)
			if err := registry.PutImage(images.Plain.Name, ecrtest.Image{
				Digest: ecrtest.Digest(tag), Tags: []string{tag}, PushedAt: old,
				Scan: &ecrtest.ScanSummary{CompletedAt: old, Counts: map[string]int32{"CRITICAL": 1}},
			}); err != nil {
				t.Fatal(err)
			}
			what = "pushed " + tag
		case 5:
			if err := registry.UpdateImage(images.Plain.Name, images.Plain.Digest, func(image *ecrtest.Image) {
				image.Scan = &ecrtest.ScanSummary{CompletedAt: old, Counts: map[string]int32{"CRITICAL": int32(step + 1)}}
			}); err != nil {
				t.Fatal(err)
			}
			what = "scanned"
		}
		if strings.HasPrefix(what, "moves") || strings.HasPrefix(what, "pushed") || what == "scanned" {
			time.Sleep(time.Second) // until the repository is due
		}
		var at time.Time
		for range 2 {
			now := time.Now()
			var series []tsdbtest.Series
			for _, p := range running {
				of, err := tsdbtest.ParseText([]byte(podtest.Metrics([]podtest.Pod{p})))
				if err != nil {
					t.Fatal(err)
				}
				series = append(series, of...)
			}
			for _, p := range ended {
				of, err := tsdbtest.ParseText([]byte(podtest.Metrics([]podtest.Pod{p})))
				if err != nil {
					t.Fatal(err)
				}
				for _, s := range of {
					series = append(series, tsdbtest.Series{Labels: s.Labels, Value: tsdbtest.StaleMarker()})
				}
			}
			scrape(t, all, now, series)
			scrape(t, some, now, series)
			a := push.invoke(t, "schedule-rule.json", invocationTimeout)
			at = never.invoke(t, "schedule-rule.json", invocationTimeout).Timestamp
			if a.Timestamp.After(at) {
				at = a.Timestamp
			}
		}
		for _, q := range queries {
			want, err := all.Instant(t.Context(), q.expr, at)
			if err != nil {
				t.Fatalf("step %d (%s): %s: %v", step, what, q.name, err)
			}
			got, err := some.Instant(t.Context(), q.expr, at)
			if err != nil {
				t.Fatalf("step %d (%s): %s: %v", step, what, q.name, err)
			}
			answers += len(want)
			checkVector(t, fmt.Sprintf("step %d (%s): %s", step, what, q.name), want, got)
		}
		if t.Failed() {
			return
		}
	}
	if answers == 0 {
		t.Error("no query has an answer")
	}
}
