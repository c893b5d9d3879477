package refresh_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

const (
	manifests  = "BatchGetImage"
	exclusions = "ListPullTimeUpdateExclusions"
	// notRead is part of the warning that indexes are not read.
	notRead = "multi-architecture images have no scan results"
)

// movesNoPullTime lets the caller read manifests without moving pull times.
func (w *world) movesNoPullTime() {
	w.check(w.registry.SetPullTimeExclusions("arn:aws:iam::123456789012:role/ecr-remote-write"))
}

// index puts an index of children, which are pushed with it, a platform each.
func (w *world) index(repository, tag string, children ...string) {
	w.Helper()
	var list []ecrtest.Child
	for i, name := range children {
		w.check(w.registry.PutImage(repository, ecrtest.Image{Digest: ecrtest.Digest(repository + name), PushedAt: time.Now()}))
		list = append(list, ecrtest.Child{Digest: ecrtest.Digest(repository + name), Platform: []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}[i]})
	}
	w.check(w.registry.PutImage(repository, ecrtest.Image{
		Digest: ecrtest.Digest(repository + tag), Tags: []string{tag}, PushedAt: time.Now(), ManifestMediaType: inventory.OCIIndex.String(), Children: list,
	}))
	w.scan(repository, tag, ecrtest.ScanState{At: time.Now(), Status: "UNSUPPORTED_IMAGE"})
}

func (w *world) wantIndexes(got refresh.Result, want refresh.IndexCounts) {
	w.Helper()
	if diff := cmp.Diff(want, got.Indexes); diff != "" {
		w.Errorf("indexes (-want +got):\n%s", diff)
	}
}

// wantPullTimes checks that no pull time moved.
func (w *world) wantPullTimes() {
	w.Helper()
	for _, repository := range w.registry.Repositories() {
		for _, image := range w.registry.Images(repository.Name) {
			if !image.PulledAt.IsZero() {
				w.Errorf("%s@%s was pulled at %v", repository.Name, image.Digest, image.PulledAt)
			}
		}
	}
}

func TestIndexes(t *testing.T) {
	t.Parallel()
	bubble(t, "the scans of an index's children add up to its own", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.movesNoPullTime()
		before := time.Now().Add(-time.Hour)
		w.index("repo-0", "v1", "amd64", "arm64")
		w.check(w.registry.PutImage("repo-0", ecrtest.Image{Digest: ecrtest.Digest("untagged"), ManifestMediaType: inventory.OCIIndex.String()}))
		w.check(w.registry.PutImage("repo-0", ecrtest.Image{Digest: ecrtest.Digest("archived"), Tags: []string{"old"}, Status: "ARCHIVED", ManifestMediaType: inventory.OCIIndex.String()}))
		w.scan("repo-0", "amd64", done(before, "CRITICAL", 1, "LOW", 5))
		w.scan("repo-0", "arm64", done(before.Add(time.Minute), "HIGH", 2, "LOW", 4))
		w.scanning(refresh.ScanAuto)
		result := w.run(0)
		if result.Err != nil || result.Scans.Answered != 2 || w.known.ScansPending != 0 || !result.Changed() {
			t.Errorf("%+v, %d pending", result, w.known.ScansPending)
		}
		w.wantIndexes(result, refresh.IndexCounts{Due: 1, Read: 1})
		w.wantScan("repo-0", "v1", "COMPLETE CRITICAL=1 HIGH=2 LOW=5")
		if calls := w.server.Calls(); calls[manifests] != 1 || calls[findings] != 2 || calls[exclusions] != 1 {
			t.Errorf("calls %v", calls)
		}
		// It is never read again, also not by a new environment.
		w.server.ResetObserved()
		for range 50 {
			time.Sleep(interval)
			w.scanning(refresh.ScanAuto)
			w.run(0)
		}
		if calls := w.server.Calls(); calls[manifests]+calls[exclusions] != 0 {
			t.Errorf("calls %v", calls)
		}
		w.wantPullTimes()
	})
	bubble(t, "children of two indexes, tagged ones, deleted ones, deleted indexes", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.movesNoPullTime()
		w.index("repo-0", "v1", "amd64", "arm64")
		w.index("repo-0", "v2", "amd64", "new")
		w.check(w.registry.Tag("repo-0", ecrtest.Digest("repo-0arm64"), "arm64"))
		w.scan("repo-0", "amd64", done(time.Now().Add(-time.Hour), "LOW", 5))
		w.scan("repo-0", "arm64", done(time.Now().Add(-time.Hour), "LOW", 7))
		w.scan("repo-0", "new", done(time.Now().Add(-time.Hour), "LOW", 1))
		w.scanning(refresh.ScanFindings)
		time.Sleep(time.Second)
		if result := w.run(0); result.Scans.Answered != 3 {
			t.Errorf("%+v", result.Scans)
		}
		if calls := w.server.Calls(); calls[manifests] != 1 || calls[findings] != 3 {
			t.Errorf("calls %v", calls)
		}
		w.wantScan("repo-0", "v1", "COMPLETE LOW=7")
		w.wantScan("repo-0", "v2", "COMPLETE LOW=5")
		w.wantScan("repo-0", "arm64", "COMPLETE LOW=7")
		time.Sleep(interval)
		w.registry.DeleteImage("repo-0", ecrtest.Digest("repo-0amd64"))
		w.registry.DeleteImage("repo-0", ecrtest.Digest("repo-0v1"))
		w.run(0)
		w.wantScan("repo-0", "v2", "COMPLETE LOW=1")
		w.wantScan("repo-0", "v1", "no image")
		w.wantScan("repo-0", "arm64", "COMPLETE LOW=7")
	})
	bubble(t, "a digest in two repositories is read once, and at most 100 a call", func(t *testing.T) {
		w := newWorld(t, 3, 0)
		w.movesNoPullTime()
		for i := range 250 {
			w.index("repo-0", fmt.Sprint("v", i), "amd64")
			time.Sleep(time.Second)
		}
		copied := func(to string) {
			for _, image := range w.registry.Images("repo-0") {
				w.check(w.registry.PutImage(to, image))
			}
		}
		copied("repo-1")
		var asked []string
		w.server.Before(ecrtest.Match{Operation: manifests}, ecrtest.Always, func(r ecrtest.Request) { asked = append(asked, r.RepositoryName) })
		w.scanning(refresh.ScanFindings)
		w.wantIndexes(w.run(0), refresh.IndexCounts{Due: 500, Read: 500})
		if len(asked) != 3 || len(slices.Compact(asked)) != 1 {
			t.Errorf("calls about %v", asked)
		}
		time.Sleep(interval)
		copied("repo-2")
		w.wantIndexes(w.run(0), refresh.IndexCounts{})
		if len(asked) != 3 {
			t.Errorf("calls about %v", asked)
		}
	})
	bubble(t, "only indexes that are shown, the newest first, over several runs", func(t *testing.T) {
		w := newWorld(t, 8, 0)
		w.movesNoPullTime()
		for i := range 8 {
			for n := range 3 {
				w.index(fmt.Sprint("repo-", i), fmt.Sprint("v", n), fmt.Sprint("amd64-", n))
				time.Sleep(time.Second)
			}
			time.Sleep(time.Minute)
		}
		var asked []string
		w.server.Before(ecrtest.Match{Operation: manifests}, ecrtest.Always, func(r ecrtest.Request) { asked = append(asked, r.RepositoryName) })
		w.server.SetLatency(manifests, 2*time.Second, 0)
		w.atOnce = 1
		w.scanning(refresh.ScanFindings, func(o *refresh.ScanOptions) { o.Newest = 2 })
		// Calls begin in half of the time. In the rest the scans of the children are requested.
		result := w.run(9 * time.Second)
		if result.Indexes.Read != 3*2 || result.Indexes.Left != 8*2-3*2 || result.Scans.Answered == 0 {
			t.Errorf("%+v, scans %+v", result.Indexes, result.Scans)
		}
		if pending := w.known.ScansPending; pending != result.Indexes.Left {
			t.Errorf("%d scans pending, %d indexes left", pending, result.Indexes.Left)
		}
		time.Sleep(time.Minute)
		w.wantIndexes(w.run(0), refresh.IndexCounts{Due: 10, Read: 10})
		if diff := cmp.Diff([]string{"repo-7", "repo-6", "repo-5"}, asked[:3]); diff != "" || w.known.ScansPending != 0 {
			t.Errorf("order %v, %d pending", asked, w.known.ScansPending)
		}
	})
	bubble(t, "turned off: an index is an image like others", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.movesNoPullTime()
		w.index("repo-0", "v1", "amd64")
		w.scan("repo-0", "amd64", done(time.Now().Add(-time.Hour), "LOW", 5))
		w.scanning(refresh.ScanFindings)
		w.run(0)
		w.wantScan("repo-0", "v1", "COMPLETE LOW=5")
		w.index("repo-0", "v2", "amd64")
		w.server.ResetObserved()
		time.Sleep(interval)
		w.scanning(refresh.ScanFindings, func(o *refresh.ScanOptions) { o.Indexes = false })
		w.wantIndexes(w.run(0), refresh.IndexCounts{Unread: 1, Off: inventory.IndexesDisabled})
		w.wantScan("repo-0", "v1", "UNSUPPORTED_IMAGE")
		w.wantScan("repo-0", "v2", "UNSUPPORTED_IMAGE")
		if calls := w.server.Calls(); calls[manifests]+calls[exclusions] != 0 || w.log.Len() > 0 {
			t.Errorf("calls %v, log:\n%s", calls, &w.log)
		}
	})
	for _, source := range []refresh.ScanSource{refresh.ScanSummary, refresh.ScanNone} {
		bubble(t, "no scans are read: "+string(source), func(t *testing.T) {
			w := newWorld(t, 1, 0)
			w.movesNoPullTime()
			w.index("repo-0", "v1", "amd64")
			w.scanning(source)
			w.run(0)
			if calls := w.server.Calls(); calls[manifests]+calls[exclusions] != 0 {
				t.Errorf("calls %v", calls)
			}
		})
	}
	bubble(t, "Inspector's lists have the children, and wait until these are known", func(t *testing.T) {
		w := newWorld(t, 20, 0)
		w.movesNoPullTime()
		w.enhanced()
		for i := range 20 {
			w.index(fmt.Sprint("repo-", i), "v1", "amd64", "arm64")
			w.scan(fmt.Sprint("repo-", i), "amd64", done(time.Now().Add(-time.Hour), "CRITICAL", 3, "LOW", 1))
			w.scan(fmt.Sprint("repo-", i), "arm64", done(time.Now().Add(-time.Hour), "CRITICAL", 2, "LOW", 4))
		}
		w.server.SetLatency(manifests, 2*time.Second, 0)
		w.scanning(refresh.ScanAuto)
		for runs := 1; ; runs++ {
			result := w.run(11 * time.Second)
			if (result.Indexes.Left == 0) != result.Scans.Listed || runs > 5 {
				t.Fatalf("run %d: %+v, lists read: %t", runs, result.Indexes, result.Scans.Listed)
			}
			if result.Scans.Listed {
				break
			}
			time.Sleep(2 * time.Minute)
		}
		w.wantScan("repo-7", "v1", "ACTIVE CRITICAL=3 LOW=4")
		if calls := w.server.Calls(); calls[findings] != 0 || calls[manifests] != 20 || w.known.ScansPending != 0 {
			t.Errorf("calls %v, %d pending", calls, w.known.ScansPending)
		}
	})
}

func TestIndexFaults(t *testing.T) {
	t.Parallel()
	bubble(t, "the caller is not excluded: no call, one warning", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.index("repo-0", "v1", "amd64")
		w.scanning(refresh.ScanFindings)
		for range 10 {
			result := w.run(0)
			w.wantIndexes(result, refresh.IndexCounts{Unread: 1, Off: inventory.IndexesNotExcluded})
			if result.Err != nil || w.known.ScansPending != 0 {
				t.Errorf("%+v, %d pending", result, w.known.ScansPending)
			}
			time.Sleep(interval / 2)
		}
		w.wantScan("repo-0", "v1", "UNSUPPORTED_IMAGE")
		if calls := w.server.Calls(); calls[manifests] != 0 || calls[exclusions] != 5 || strings.Count(w.log.String(), notRead) != 1 ||
			!strings.Contains(w.log.String(), "reason=not_excluded") || !strings.Contains(w.log.String(), "pull-time update exclusions") {
			t.Errorf("calls %v, log:\n%s", calls, &w.log)
		}
		w.wantPullTimes()
		w.movesNoPullTime()
		w.scan("repo-0", "amd64", done(time.Now().Add(-time.Hour), "LOW", 5))
		w.wantIndexes(w.run(0), refresh.IndexCounts{Due: 1, Read: 1})
		w.wantScan("repo-0", "v1", "COMPLETE LOW=5")
	})
	deny := func(w *world, action, resource string) {
		policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*"},
			{"Effect":"Deny","Action":"` + action + `","Resource":"` + resource + `"}]}`))
		w.check(err)
		w.server.SetPolicy(policy)
	}
	for action, most := range map[string]int{"ecr:BatchGetImage": 2 * (3 + 4), "ecr:ListPullTimeUpdateExclusions": 0} {
		bubble(t, "missing permission: "+action, func(t *testing.T) {
			w := newWorld(t, 9, 0)
			w.movesNoPullTime()
			for i := range 9 {
				w.index(fmt.Sprint("repo-", i), "v1", "amd64")
			}
			deny(w, action, "*")
			w.scanning(refresh.ScanFindings)
			for range 30 {
				result := w.run(0)
				if result.Err != nil || result.Indexes.Off != inventory.IndexesDenied || result.Indexes.Left != 0 {
					t.Errorf("%+v", result)
				}
				time.Sleep(2 * time.Minute)
			}
			w.wantScan("repo-3", "v1", "UNSUPPORTED_IMAGE")
			if calls := w.server.Calls(); calls[manifests] > most || strings.Count(w.log.String(), notRead) != 1 || !strings.Contains(w.log.String(), action) {
				t.Errorf("calls %v, log:\n%s", calls, &w.log)
			}
		})
	}
	bubble(t, "ECR does not know exclusions in the Region: no index is read, with one warning", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.index("repo-0", "v1", "amd64")
		w.server.Fail(ecrtest.Match{Operation: exclusions}, ecrtest.Always, ecrtest.Fault{Status: http.StatusBadRequest, Code: "UnknownOperationException"})
		w.scanning(refresh.ScanFindings)
		for range 10 {
			if result := w.run(0); result.Err != nil || result.Indexes.Off != inventory.IndexesUnknown || result.Indexes.Left != 0 {
				t.Errorf("%+v", result)
			}
			time.Sleep(2 * time.Minute)
		}
		if calls := w.server.Calls(); calls[manifests] != 0 || calls[exclusions] > 10 || strings.Count(w.log.String(), notRead) != 1 {
			t.Errorf("calls %v, log:\n%s", calls, &w.log)
		}
	})
	bubble(t, "one repository is denied: the others are read", func(t *testing.T) {
		w := newWorld(t, 9, 0)
		w.movesNoPullTime()
		for i := range 9 {
			w.index(fmt.Sprint("repo-", i), "v1", "amd64")
		}
		deny(w, "ecr:BatchGetImage", w.registry.ARN("repo-3"))
		w.scanning(refresh.ScanFindings)
		result := w.run(0)
		w.wantIndexes(result, refresh.IndexCounts{Due: 9, Read: 8, Failed: 1, Unread: 1})
		if result.Err == nil || !strings.Contains(result.Err.Error(), "permission denied") {
			t.Errorf("error %v", result.Err)
		}
	})
	bubble(t, "an index that cannot be read is tried after 10, 20, 40 minutes, and is an image meanwhile", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.movesNoPullTime()
		w.index("repo-0", "v1", "amd64")
		w.index("repo-0", "v2", "amd64")
		w.check(w.registry.PutImage("repo-0", ecrtest.Image{
			Digest: ecrtest.Digest("repo-0v2"), Tags: []string{"v2"}, PushedAt: time.Now(), ManifestMediaType: inventory.OCIIndex.String(), Manifest: "{}",
		}))
		w.scan("repo-0", "v2", ecrtest.ScanState{At: time.Now(), Status: "UNSUPPORTED_IMAGE"})
		w.scanning(refresh.ScanFindings)
		var minutes []int
		for minute := range 80 {
			result := w.run(0)
			if result.Err != nil || result.Indexes.Unread != 1 {
				t.Errorf("%+v", result)
			}
			if result.Indexes.Failed > 0 {
				minutes = append(minutes, minute)
			}
			time.Sleep(time.Minute)
		}
		if diff := cmp.Diff([]int{0, 10, 30, 70}, minutes); diff != "" {
			t.Errorf("tried in minutes (-want +got):\n%s", diff)
		}
		w.wantScan("repo-0", "v1", inventory.ScanNotFound.String())
		w.wantScan("repo-0", "v2", "UNSUPPORTED_IMAGE")
		if !strings.Contains(w.log.String(), "multi-architecture image not read") {
			t.Errorf("log:\n%s", &w.log)
		}
	})
	bubble(t, "errors of requests", func(t *testing.T) {
		w := newWorld(t, 2, 0)
		w.movesNoPullTime()
		w.index("repo-0", "v1", "amd64")
		w.index("repo-1", "v1", "amd64")
		w.scanning(refresh.ScanFindings)
		w.server.Fail(ecrtest.Match{Operation: manifests}, 16, ecrtest.FaultServer)
		result := w.run(0)
		w.wantIndexes(result, refresh.IndexCounts{Due: 2, Failed: 2, Unread: 2})
		if result.Err == nil {
			t.Error("no error")
		}
		time.Sleep(10 * time.Minute)
		w.server.Before(ecrtest.Match{Operation: manifests, RepositoryName: "repo-1"}, 1, func(ecrtest.Request) { w.registry.DeleteRepository("repo-1") })
		result = w.run(0)
		w.wantIndexes(result, refresh.IndexCounts{Due: 2, Read: 1, Failed: 1, Unread: 1})
		if result.Err != nil {
			t.Error(result.Err)
		}
	})
	bubble(t, "the caller is not known", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.movesNoPullTime()
		w.index("repo-0", "v1", "amd64")
		w.scanning(refresh.ScanFindings)
		w.server.Fail(ecrtest.Match{Operation: "GetCallerIdentity"}, 8, ecrtest.FaultServer)
		w.wantIndexes(w.run(0), refresh.IndexCounts{Unread: 1, Off: inventory.IndexesUnknown})
		time.Sleep(10 * time.Minute)
		w.wantIndexes(w.run(0), refresh.IndexCounts{Due: 1, Read: 1})
	})
}

func TestIndexEvents(t *testing.T) {
	t.Parallel()
	w := func(t *testing.T) *world {
		w := newWorld(t, 1, 1)
		w.movesNoPullTime()
		w.scanning(refresh.ScanFindings)
		w.run(0)
		time.Sleep(5 * time.Minute)
		w.server.ResetObserved()
		return w
	}
	scanned := func(t *testing.T, name string, counts inventory.Severities) refresh.Event {
		digest, err := inventory.ParseDigest(ecrtest.Digest("repo-0" + name))
		if err != nil {
			t.Fatal(err)
		}
		return refresh.Event{Repository: "repo-0", At: time.Now(), Digest: digest, Scan: &inventory.Scan{
			Status: inventory.WordOf("COMPLETE"), CompletedAt: inventory.TimeOf(time.Now()), Severities: inventory.CountsOf(counts),
		}}
	}
	bubble(t, "an index was pushed, its children are scanned, the scan of the index itself fails", func(t *testing.T) {
		w := w(t)
		w.index("repo-0", "new", "amd64", "arm64")
		result := w.apply(changed("repo-0"))
		w.wantIndexes(result.Result, refresh.IndexCounts{Due: 1, Read: 1})
		w.wantCalls(map[string]int{"DescribeImages": 1, "GetCallerIdentity": 1, exclusions: 1, manifests: 1})
		w.wantScan("repo-0", "new", "unknown")
		time.Sleep(30 * time.Second)
		w.apply(scanned(t, "amd64", inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 2}}))
		w.wantScan("repo-0", "new", " HIGH=2")
		time.Sleep(time.Second)
		failed := scanned(t, "new", nil)
		failed.Scan.Status = inventory.WordOf("FAILED")
		if result := w.apply(scanned(t, "arm64", inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 3}}), failed); result.Ignored != 1 {
			t.Errorf("%+v", result)
		}
		w.wantScan("repo-0", "new", "COMPLETE HIGH=3")
		w.wantCalls(nil)
	})
	bubble(t, "a child is deleted", func(t *testing.T) {
		w := w(t)
		w.index("repo-0", "new", "amd64", "arm64")
		w.apply(changed("repo-0"))
		w.apply(scanned(t, "amd64", inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 2}}), scanned(t, "arm64", inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 3}}))
		w.wantScan("repo-0", "new", "COMPLETE HIGH=3")
		time.Sleep(5 * time.Second)
		w.registry.DeleteImage("repo-0", ecrtest.Digest("repo-0arm64"))
		w.apply(changed("repo-0"))
		w.wantScan("repo-0", "new", "COMPLETE HIGH=2")
	})
}

// Untagged images are shown and scanned as the selection says, which depends on what indexes
// list and on what Inspector sees in use.
func TestUntagged(t *testing.T) {
	t.Parallel()
	untagged := func(w *world) (digests []string) {
		for _, image := range w.known.Find("repo-0").Images {
			if !image.Excluded && len(image.Tags) == 0 {
				digests = append(digests, image.Digest.String())
			}
		}
		return digests
	}
	bubble(t, "a child in use, and images that lost their tag", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.movesNoPullTime()
		w.enhanced()
		before := time.Now().Add(-time.Hour)
		w.index("repo-0", "v1", "amd64", "arm64")
		w.check(w.registry.SetScan("repo-0", ecrtest.Digest("repo-0amd64"), ecrtest.Scan{States: []ecrtest.ScanState{done(before, "LOW", 5)}, LastInUseAt: before, InUseCount: 2}))
		w.scan("repo-0", "arm64", done(before, "LOW", 6))
		w.check(w.registry.PutImage("repo-0", ecrtest.Image{Digest: ecrtest.Digest("repo-0lost"), PushedAt: time.Now()}))
		w.scan("repo-0", "lost", done(before, "HIGH", 1))
		w.check(w.registry.PutImage("repo-0", ecrtest.Image{Digest: ecrtest.Digest("repo-0old"), PushedAt: time.Now().Add(-31 * 24 * time.Hour)}))
		w.selects(inventory.Shape{UntaggedImages: 20, UntaggedWithin: 30 * 24 * time.Hour})
		w.scanning(refresh.ScanAuto)
		if result := w.run(0); result.Err != nil || w.known.ScansPending != 0 {
			t.Errorf("%+v, %d pending", result, w.known.ScansPending)
		}
		want := []string{ecrtest.Digest("repo-0amd64"), ecrtest.Digest("repo-0lost")}
		slices.Sort(want)
		if diff := cmp.Diff(want, untagged(w)); diff != "" {
			t.Errorf("untagged images (-want +got):\n%s", diff)
		}
		w.wantScan("repo-0", "amd64", "ACTIVE LOW=5")
		w.wantScan("repo-0", "lost", "ACTIVE HIGH=1")
		w.wantScan("repo-0", "old", "unknown")
	})
	bubble(t, "an untagged index is read, and its children are no images of their own", func(t *testing.T) {
		w := newWorld(t, 1, 0)
		w.movesNoPullTime()
		w.index("repo-0", "v1", "amd64")
		w.check(w.registry.Untag("repo-0", "v1"))
		w.scan("repo-0", "amd64", done(time.Now().Add(-time.Hour), "LOW", 5))
		w.selects(inventory.Shape{UntaggedImages: 20})
		w.scanning(refresh.ScanFindings)
		w.wantIndexes(w.run(0), refresh.IndexCounts{Due: 1, Read: 1})
		w.wantScan("repo-0", "v1", "COMPLETE LOW=5")
		if diff := cmp.Diff([]string{ecrtest.Digest("repo-0v1")}, untagged(w)); diff != "" {
			t.Errorf("untagged images (-want +got):\n%s", diff)
		}
		if n := w.calls(findings); n != 1 {
			t.Errorf("%d calls", n)
		}
	})
}
