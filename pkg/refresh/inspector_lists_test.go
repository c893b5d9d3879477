package refresh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// An image without a tag is of no use and not kept. While Inspector's lists are read, which
// takes several runs, it gets a tag and is listed: its row was passed over before. That it is
// not among what the lists had does not mean that it was never scanned.
func TestTaggedWhileListsAreRead(t *testing.T) {
	t.Parallel()
	for want, counts := range map[string][]any{"ACTIVE": nil, "ACTIVE HIGH=2": {"HIGH", 2}} {
		bubble(t, want, func(t *testing.T) {
			w := newWorld(t, 1, 900)
			w.enhanced()
			const name = "was-untagged-2"
			put := func(tags ...string) {
				t.Helper()
				w.check(w.registry.PutImage("repo-0", ecrtest.Image{Digest: ecrtest.Digest("repo-0" + name), Tags: tags, PushedAt: time.Unix(2, 0)}))
			}
			put()
			w.scan("repo-0", name, done(time.Now(), counts...))
			for i := range 900 {
				w.scan("repo-0", fmt.Sprint("v", i), done(time.Now(), "LOW", 1))
			}
			w.server.SetLatency(coverage, 2*time.Second, 0)
			w.keeps = func(*inventory.Image, time.Time) bool { return false }
			w.scanning(refresh.ScanAuto)
			if result := w.run(5 * time.Second); result.Scans.Listed || w.calls(coverage) == 0 || w.known.Find("repo-0").Rest.Untagged.Images != 1 {
				t.Fatalf("the lists are not begun and unfinished, or the image is kept: %+v", result)
			}
			put("now-tagged")
			listed := false
			for range 5 {
				time.Sleep(interval)
				listed = w.run(10*time.Second).Scans.Listed || listed
				if got := w.knownScan("repo-0", name); got == inventory.ScanNotFound.String() {
					t.Errorf("it is said to have no scan; lists complete: %t", listed)
				}
			}
			if !listed {
				t.Error("the lists are not complete")
			}
			w.wantScan("repo-0", name, want)
			w.wantScan("repo-0", "v0", "ACTIVE LOW=1")
			if n := w.calls(findings); n != 1 {
				t.Errorf("%d calls for findings, want the one for the image", n)
			}
		})
	}
}
