package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
)

// aboutAllImages are the queries whose answers differ if idle images have no series. All
// others, and so all about what runs, have the same answer.
var aboutAllImages = []string{
	"alerts.yaml: ImageNeverScanned",
	"alerts.yaml: ScanFailing",
	"waste.json: Images not pulled for 90 days",
	"waste.json: Kinds of artifacts",
	"vulnerabilities.json: Vulnerable images",
	"vulnerabilities.json: Images without a complete scan",
	"vulnerabilities.json: New since yesterday",
	"vulnerabilities.json: Scan coverage",
	"vulnerabilities.json: Why there are no findings",
	"docs: may-delete",
	"docs: compare-exporters",
	"docs: largest-repositories",
	"docs: why-no-findings",
}

// checkWithoutIdle runs the queries on the same series without those of images that no pod
// has, as IDLE_IMAGES=never would push them: of now, a day ago and a week ago.
func checkWithoutIdle(t *testing.T, prometheus *tsdbtest.Prometheus, queries []mixinQuery, running []tsdbtest.Series, now time.Time) {
	t.Helper()
	used := map[string]bool{} // digests and references that pods name
	for _, s := range running {
		for _, label := range []string{"image", "image_id", "image_spec"} {
			_, digest, _ := strings.Cut(s.Labels.Get(label), "@")
			used[s.Labels.Get(label)], used[digest] = true, true
		}
	}
	delete(used, "")
	all, some := tsdbtest.Start(t, tsdbtest.Options{NoSocket: true}), tsdbtest.Start(t, tsdbtest.Options{NoSocket: true})
	for _, at := range []time.Time{now.Add(-7 * 24 * time.Hour).Add(time.Minute), now.Add(-24 * time.Hour), now} {
		live, err := prometheus.Live(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		for _, key := range slices.Sorted(maps.Keys(live)) {
			fmt.Fprintf(&text, "%s %v\n", key, live[key])
		}
		series, err := tsdbtest.ParseText([]byte(text.String()))
		if err != nil {
			t.Fatal(err)
		}
		scrape(t, all, at, series)
		scrape(t, some, at, slices.DeleteFunc(slices.Clone(series), func(s tsdbtest.Series) bool {
			ofImage := strings.HasPrefix(s.Labels.Get(model.MetricNameLabel), "aws_ecr_") && s.Labels.Has("digest")
			return ofImage && !used[s.Labels.Get("digest")] && !used[s.Labels.Get("image")]
		}))
	}
	differ := slices.Clone(aboutAllImages)
	for _, q := range queries {
		want, err := all.Instant(t.Context(), q.expr, now)
		if err != nil {
			t.Errorf("%s: %v", q.name, err)
		}
		got, err := some.Instant(t.Context(), q.expr, now)
		if err != nil {
			t.Errorf("%s without idle images: %v", q.name, err)
		}
		i := slices.Index(differ, q.name)
		diff := cmp.Diff(want, got)
		if (i < 0) != (diff == "") {
			t.Errorf("%s: listed as about all images: %t; with idle images (-), without (+):\n%s", q.name, i >= 0, diff)
		}
		if i >= 0 {
			differ = slices.Delete(differ, i, i+1)
		}
	}
	if len(differ) > 0 {
		t.Errorf("there are no queries %q", differ)
	}
}
