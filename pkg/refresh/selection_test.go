package refresh_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// exclude makes a new refresher, which excludes repositories.
func (w *world) exclude(names ...string) {
	w.selects(inventory.Shape{Repositories: inventory.Filter{Exclude: strings.Join(names, "|")}})
	w.restart()
}

func (w *world) selects(shape inventory.Shape) {
	var err error
	w.selection, err = selection.New(shape)
	w.check(err)
}

// listed are the repositories whose images were listed since the last call of listed.
func (w *world) listed() []string {
	var names []string
	for _, request := range w.server.Requests() {
		if request.Operation == "DescribeImages" {
			names = append(names, request.RepositoryName)
		}
	}
	w.server.ResetObserved()
	slices.Sort(names)
	return names
}

func (w *world) wantListed(want ...string) {
	w.Helper()
	if got := w.listed(); !slices.Equal(got, want) {
		w.Errorf("listed the images of %v, want %v", got, want)
	}
}

func TestIncludes(t *testing.T) {
	t.Parallel()
	bubble(t, "an excluded repository is not listed, and its age does not count", func(t *testing.T) {
		w := newWorld(t, 3, 2)
		w.exclude("repo-1")
		w.want(w.run(0), refresh.Result{Listed: true, Due: 2, Refreshed: 2, Selected: true}, "")
		w.wantListed("repo-0", "repo-2")
		if repository := w.known.Find("repo-1"); !repository.Excluded || !repository.ImagesReadAt.IsZero() {
			t.Errorf("excluded: %+v", repository)
		}
		if w.known.OldestRead() != inventory.TimeOf(time.Now()) {
			t.Errorf("oldest record of %v", w.known.OldestRead().Time())
		}
		time.Sleep(time.Minute)
		result := w.run(0)
		w.want(result, refresh.Result{}, "")
		if result.Changed() {
			t.Error("changed")
		}
	})
	bubble(t, "a repository that is included again is due at once", func(t *testing.T) {
		w := newWorld(t, 3, 1)
		w.run(0)
		time.Sleep(time.Minute)
		w.exclude("repo-1")
		result := w.run(0)
		w.want(result, refresh.Result{Selected: true}, "")
		if !result.Changed() {
			t.Error("the change would not be saved")
		}
		w.server.ResetObserved()
		w.put("repo-1", "new")
		w.put("repo-0", "unseen")
		time.Sleep(time.Minute)
		w.exclude()
		w.server.Fail(ecrtest.Match{RepositoryName: "repo-1"}, ecrtest.Always, ecrtest.FaultServer)
		if result := w.run(10 * time.Second); result.Due != 1 || result.Refreshed != 0 {
			t.Errorf("result %+v", result)
		}
		w.server.ClearFaults()
		w.server.ResetObserved()
		time.Sleep(time.Minute)
		w.want(w.run(0), refresh.Result{Due: 1, Refreshed: 1}, "")
		w.wantListed("repo-1")
		if diff := cmp.Diff([]string{"new", "v0"}, w.tags("repo-1")); diff != "" {
			t.Errorf("tags (-want +got):\n%s", diff)
		}
		time.Sleep(time.Minute)
		w.want(w.run(0), refresh.Result{}, "")
	})
	bubble(t, "also if the first run is for events about others", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.run(0)
		time.Sleep(time.Minute)
		w.exclude("repo-1")
		w.run(0)
		time.Sleep(time.Minute)
		w.exclude()
		w.server.ResetObserved()
		w.apply(changed("repo-0"))
		w.wantListed("repo-0")
		time.Sleep(time.Minute)
		w.run(0)
		w.wantListed("repo-1")
	})
}

func TestApplyExcluded(t *testing.T) {
	t.Parallel()
	bubble(t, "events are ignored", func(t *testing.T) {
		w := newWorld(t, 3, 1)
		w.exclude("repo-1", "new")
		w.run(0)
		time.Sleep(5 * time.Minute)
		w.server.ResetObserved()
		result := w.apply(
			changed("repo-1"), changed("new"), changed("repo-2"),
			refresh.Event{Repository: "repo-1", At: time.Now(), Settings: true, Scans: true},
			refresh.Event{Repository: "repo-1", At: time.Now(), Scan: &inventory.Scan{Status: inventory.WordOf("COMPLETE")}},
		)
		if diff := cmp.Diff([]string{"repo-2"}, result.Repositories); diff != "" || result.Ignored != 4 || result.Due != 1 || result.Err != nil {
			t.Errorf("result %+v, repositories (-want +got):\n%s", result, diff)
		}
		w.wantCalls(map[string]int{"DescribeImages": 1})
	})
	bubble(t, "a new repository is selected in the run for its event", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.exclude("another")
		w.run(0)
		time.Sleep(5 * time.Minute)
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: "new"}))
		w.put("new", "v0")
		result := w.apply(changed("new"))
		repository := w.known.Find("new")
		if repository.Excluded || len(repository.Images) != 1 || repository.Images[0].Excluded {
			t.Errorf("result %+v, repository %+v", result, repository)
		}
	})
}

// The scans of selected images are read in the run that selects them.
func TestScansOfExcluded(t *testing.T) {
	t.Parallel()
	bubble(t, "one by one", func(t *testing.T) {
		w := newWorld(t, 2, 0)
		for _, tag := range []string{"v0", "v1", "v2"} {
			time.Sleep(time.Second)
			w.put("repo-0", tag)
			w.put("repo-1", tag)
		}
		w.selects(inventory.Shape{NewestImages: 2, Repositories: inventory.Filter{Include: "repo-0"}})
		w.scanning(refresh.ScanFindings)
		result := w.run(0)
		if diff := cmp.Diff(refresh.ScanResult{Due: 2, Answered: 2}, result.Scans); diff != "" || w.calls(findings) != 2 {
			t.Errorf("scans (-want +got):\n%s", diff)
		}
		w.wantScan("repo-0", "v0", "unknown")
		w.wantScan("repo-0", "v2", inventory.ScanNotFound.String())
		if w.known.ScansPending != 0 {
			t.Errorf("%d pending", w.known.ScansPending)
		}
		// A newer image replaces the older of the two.
		time.Sleep(interval)
		w.put("repo-0", "v3")
		if result = w.run(0); result.Scans.Due != 1 || w.calls(findings) != 1 {
			t.Errorf("scans %+v", result.Scans)
		}
		w.wantScan("repo-0", "v3", inventory.ScanNotFound.String())
	})
	bubble(t, "not of images that were listed before they were excluded", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.run(0)
		w.exclude("repo-1")
		w.scanning(refresh.ScanFindings)
		if result := w.run(0); result.Scans.Due != 1 {
			t.Errorf("result %+v", result)
		}
		w.wantScan("repo-1", "v0", "unknown")
	})
	bubble(t, "Inspector's lists do not wait for an excluded repository", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.enhanced()
		for _, name := range []string{"repo-0", "repo-1"} {
			w.scan(name, "v0", done(time.Now(), "CRITICAL", 3))
		}
		w.exclude("repo-1")
		w.scanning(refresh.ScanAuto)
		if result := w.run(0); !result.Scans.Listed || result.Err != nil {
			t.Errorf("result %+v", result)
		}
		w.wantScan("repo-0", "v0", "ACTIVE CRITICAL=3")
		if w.known.ScansPending != 0 {
			t.Errorf("%d pending", w.known.ScansPending)
		}
	})
}
