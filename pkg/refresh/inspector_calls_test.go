package refresh_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// Inspector's lists have everything about the images of an enhanced registry, whatever they
// are: images with findings of any severity, clean ones, unsupported ones, ones that were
// never scanned, and indexes. No image costs a call of its own, also while the repositories
// are listed, which here takes several runs.
func TestInspectorCalls(t *testing.T) {
	t.Parallel()
	now := time.Date(1999, time.December, 1, 0, 0, 0, 0, time.UTC) // a month before the bubble's begin
	realistic := ecrtest.RealisticShape(200, 2000, now)
	indexes, unscanned, rescanned, large := realistic, realistic, realistic, ecrtest.RealisticShape(500, 5_000, now)
	indexes.Indexes, unscanned.Scanned, rescanned.Rescanned = 0.9, 0.3, 1
	for name, shape := range map[string]ecrtest.Shape{"500 repositories": large, "indexes": indexes, "unscanned": unscanned, "rescanned": rescanned} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, 0, 0)
			w.check(w.registry.Generate(7, shape))
			w.enhanced()
			w.scanning(refresh.ScanAuto)
			w.server.SetLatency("DescribeImages", 200*time.Millisecond, 0)
			listed := 0
			for run := 0; run < 10 && listed == 0; run++ {
				if w.run(40 * time.Second).Scans.Listed {
					listed++
				}
				time.Sleep(2 * time.Minute)
			}
			digests, tagged := 0, 0
			for _, repository := range w.registry.Repositories() {
				for _, image := range w.registry.Images(repository.Name) {
					if digests++; len(image.Tags) > 0 && (image.Status == "" || image.Status == "ACTIVE") {
						tagged++
					}
				}
			}
			if tagged != shape.TaggedImages || w.known.ScansPending != 0 || listed != 1 {
				t.Fatalf("%d tagged images, %d pending, listed %d times", tagged, w.known.ScansPending, listed)
			}
			calls := w.server.Calls()
			if most := (digests+99)/100 + (digests+199)/200 + 2; calls[findings] > 0 || calls[coverage]+calls[aggregations] > most {
				t.Errorf("%d digests: calls %v, want at most %d of lists and none for findings", digests, calls, most)
			}
			if shape.Rescanned == 0 { // else some were scanned again since
				w.wantGenerated()
			}

			if shape.TaggedImages > 2000 {
				return
			}
			// Six hours later it is the same again.
			w.server.ResetObserved()
			time.Sleep(6 * time.Hour)
			if result := w.run(0); result.Err != nil || !result.Scans.Listed {
				t.Errorf("%+v", result)
			}
			if calls := w.server.Calls(); calls[findings] > 0 {
				t.Errorf("calls %v", calls)
			}
			if shape.Rescanned == 0 { // else some were scanned again since
				w.wantGenerated()
			}
		})
	}
}

// wantGenerated compares the scans of all tagged images with the registry.
func (w *world) wantGenerated() {
	w.Helper()
	wrong := 0
	for _, repository := range w.known.Repositories {
		for i := range repository.Images {
			image := &repository.Images[i]
			if !image.Tagged() {
				continue
			}
			want := inventory.ScanNotFound.String()
			if state, ok := w.registry.Scan(repository.Name, image.Digest.String(), time.Now()); ok {
				want = text(&state)
			}
			got := image.Scan.Status.String()
			for _, s := range image.Scan.Severities.List() {
				got += fmt.Sprintf(" %s=%d", s.Severity, s.Count)
			}
			if got != want {
				if wrong++; wrong < 5 {
					w.Errorf("%s@%s: %s, want %s", repository.Name, image.Digest, got, want)
				}
			}
		}
	}
}

func text(state *ecrtest.ScanState) string {
	out := state.Status
	for _, severity := range []string{"CRITICAL", "HIGH", "INFORMATIONAL", "LOW", "MEDIUM", "UNTRIAGED"} {
		if n := state.Counts[severity]; n > 0 {
			out += fmt.Sprintf(" %s=%d", severity, n)
		}
	}
	return out
}

// Of an image with rows for several architectures, each severity has the highest count.
func TestInspectorArchitectures(t *testing.T) {
	t.Parallel()
	const amd, arm = `"all":6,"critical":1,"high":2,"medium":0,"low":3,"informational":0,"untriaged":0`, `"all":5,"critical":0,"high":4,"medium":1,"low":0,"informational":0,"untriaged":0`
	for name, tc := range map[string]struct {
		rows []string
		want string
		call bool
	}{
		"both":               {[]string{amd, arm}, "ACTIVE CRITICAL=1 HIGH=4 LOW=3 MEDIUM=1", false},
		"in the other order": {[]string{arm, amd}, "ACTIVE CRITICAL=1 HIGH=4 LOW=3 MEDIUM=1", false},
		"one":                {[]string{amd}, "ACTIVE CRITICAL=1 HIGH=2 LOW=3", false},
		"twice the same":     {[]string{arm, arm}, "ACTIVE HIGH=4 MEDIUM=1", false},
		"one without low":    {[]string{amd, `"all":9,"critical":5,"high":0,"medium":0`}, "ACTIVE CRITICAL=7", true},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			w.enhanced()
			w.scan("repo-0", "v0", done(time.Now().Add(-time.Hour), "CRITICAL", 7))
			var rows []string
			for i, counts := range tc.rows {
				rows = append(rows, fmt.Sprintf(`{"awsEcrContainerAggregation":{"resourceId":"x","architecture":"a%d","repository":"repo-0","imageSha":%q,"severityCounts":{%s}}}`,
					i, ecrtest.Digest("repo-0v0"), counts))
			}
			w.server.Fail(ecrtest.Match{Operation: aggregations}, 1, ecrtest.Fault{Body: `{"responses":[` + strings.Join(rows, ",") + `]}`})
			w.scanning(refresh.ScanAuto)
			w.run(0)
			w.wantScan("repo-0", "v0", tc.want)
			if called := w.calls(findings) > 0; called != tc.call {
				t.Errorf("the image was requested: %v", called)
			}
		})
	}
}

// An image that is not in Inspector's lists has no scan, and one that no longer is, is
// requested once. Lists without any image, as of another account's registry, say nothing.
func TestNotInInspectorsLists(t *testing.T) {
	t.Parallel()
	bubble(t, "not covered", func(t *testing.T) {
		w := newWorld(t, 1, 3)
		w.enhanced()
		w.scan("repo-0", "v0", done(time.Now().Add(-time.Hour), "LOW", 1))
		w.scan("repo-0", "v1", done(time.Now().Add(-time.Hour), "LOW", 1))
		time.Sleep(time.Minute)
		w.scanning(refresh.ScanAuto)
		w.run(0)
		w.wantScan("repo-0", "v2", inventory.ScanNotFound.String())
		if n := w.calls(findings); n != 0 {
			t.Errorf("%d calls", n)
		}
		w.check(w.registry.SetScan("repo-0", ecrtest.Digest("repo-0v1"), ecrtest.Scan{}))
		for range 24 {
			time.Sleep(interval)
			w.run(0)
		}
		w.wantScan("repo-0", "v0", "ACTIVE LOW=1")
		w.wantScan("repo-0", "v1", inventory.ScanNotFound.String())
		if n := w.calls(findings); n != 1 {
			t.Errorf("%d calls, want one for the image that is no longer covered", n)
		}
	})
	bubble(t, "no image is covered", func(t *testing.T) {
		w := newWorld(t, 1, 3)
		w.scan("repo-0", "v0", done(time.Now().Add(-time.Hour), "LOW", 1)) // basic
		time.Sleep(time.Minute)
		w.scanning(refresh.ScanInspector)
		w.run(0)
		w.wantScan("repo-0", "v0", "COMPLETE LOW=1")
		if n := w.calls(findings); n != 3 {
			t.Errorf("%d calls, want one an image", n)
		}
	})
}
