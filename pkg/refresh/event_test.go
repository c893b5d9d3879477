package refresh_test

import (
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

func (w *world) apply(events ...refresh.Event) refresh.EventResult {
	w.Helper()
	return w.refresher.Apply(w.Context(), w.known, events, time.Now())
}

// changed is an event about a change of a repository's images now.
func changed(repository string) refresh.Event {
	return refresh.Event{Repository: repository, At: time.Now().Truncate(time.Second), Images: true}
}

func (w *world) wantCalls(want map[string]int) {
	w.Helper()
	if diff := cmp.Diff(want, w.server.Calls(), cmpopts.EquateEmpty()); diff != "" {
		w.Errorf("calls (-want +got):\n%s", diff)
	}
	w.server.ResetObserved()
}

func TestApply(t *testing.T) {
	t.Parallel()
	bubble(t, "an image was pushed", func(t *testing.T) {
		w := newWorld(t, 3, 1)
		w.run(0)
		w.server.ResetObserved()
		time.Sleep(5 * time.Minute)
		w.put("repo-1", "new")
		w.put("repo-2", "unseen")
		result := w.apply(changed("repo-1"))
		if diff := cmp.Diff([]string{"repo-1"}, result.Repositories); diff != "" || result.Err != nil {
			t.Errorf("repositories (-want +got):\n%s%v", diff, result.Err)
		}
		w.wantCalls(map[string]int{"DescribeImages": 1})
		if len(w.tags("repo-1")) != 2 || len(w.tags("repo-2")) != 1 {
			t.Errorf("tags %v and %v", w.tags("repo-1"), w.tags("repo-2"))
		}
	})
	bubble(t, "many events about one repository need one listing", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.run(0)
		w.server.ResetObserved()
		time.Sleep(5 * time.Minute)
		burst := []refresh.Event{changed("repo-1"), changed("repo-0"), changed("repo-1"), changed("repo-1")}
		time.Sleep(2 * time.Second)
		w.apply(burst...)
		w.wantCalls(map[string]int{"DescribeImages": 2})
		// The rest of the burst is in the next batch, after the listing.
		time.Sleep(2 * time.Second)
		result := w.apply(burst...)
		w.wantCalls(nil)
		if result.Ignored != 4 {
			t.Errorf("%d ignored, want 4", result.Ignored)
		}
	})
	bubble(t, "an event in the second of the listing can be later than the listing", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		time.Sleep(500 * time.Millisecond)
		w.run(0)
		w.server.ResetObserved()
		time.Sleep(200 * time.Millisecond)
		w.put("repo-0", "new")
		w.apply(changed("repo-0")) // its time, truncated to the second, is before the listing
		w.wantCalls(map[string]int{"DescribeImages": 1})
		if len(w.tags("repo-0")) != 2 {
			t.Errorf("tags %v", w.tags("repo-0"))
		}
	})
	bubble(t, "about an unknown repository", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.run(0)
		w.server.ResetObserved()
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: "brand/new", TagMutability: "IMMUTABLE"}))
		w.put("brand/new", "v1")
		result := w.apply(changed("brand/new"))
		w.wantCalls(map[string]int{"DescribeRepositories": 1, "DescribeImages": 1})
		if result.Err != nil || len(w.tags("brand/new")) != 1 || w.known.Find("brand/new").TagMutability != "IMMUTABLE" {
			t.Errorf("%+v, tags %v", result, w.tags("brand/new"))
		}
	})
	bubble(t, "about a deleted repository", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.run(0)
		w.known.Pushed(inventory.TimeOf(time.Now()), inventory.Shape{}, true, nil)
		time.Sleep(time.Minute)
		w.registry.DeleteRepository("repo-1")
		result := w.apply(changed("repo-1"), changed("never-was"))
		if result.Err != nil || w.known.Find("repo-1") != nil || len(w.known.Previous) == 0 {
			t.Errorf("%+v, previous %v", result, w.known.Previous)
		}
	})
	bubble(t, "a failed listing stays due", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.run(0)
		time.Sleep(time.Minute)
		w.put("repo-0", "new")
		w.server.Fail(ecrtest.Match{Operation: "DescribeImages"}, 8, ecrtest.FaultServer)
		if result := w.apply(changed("repo-0")); result.Err == nil || !w.known.Find("repo-0").Due {
			t.Errorf("%+v", result)
		}
		time.Sleep(time.Minute)
		w.want(w.run(0), refresh.Result{Due: 1, Refreshed: 1}, "")
		if len(w.tags("repo-0")) != 2 || w.known.Find("repo-0").Due {
			t.Errorf("tags %v", w.tags("repo-0"))
		}
	})
	bubble(t, "settings changed, so scans are due", func(t *testing.T) {
		w := newWorld(t, 1, 2)
		w.scanning(refresh.ScanFindings)
		w.run(0)
		w.server.ResetObserved()
		time.Sleep(5 * time.Minute)
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: "repo-0", CreatedAt: time.Unix(1, 0), TagMutability: "IMMUTABLE"}))
		w.apply(refresh.Event{Repository: "repo-0", At: time.Now(), Settings: true, Scans: true})
		w.wantCalls(map[string]int{"DescribeRepositories": 1})
		if w.known.Find("repo-0").TagMutability != "IMMUTABLE" || len(w.tags("repo-0")) != 2 {
			t.Errorf("known %+v", w.known.Find("repo-0"))
		}
		time.Sleep(2 * time.Minute)
		w.run(0)
		w.wantCalls(map[string]int{"DescribeImageScanFindings": 2})
	})
}

func TestApplyScans(t *testing.T) {
	t.Parallel()
	scanned := func(at time.Time, tag string, scan inventory.Scan) refresh.Event {
		d, err := inventory.ParseDigest(ecrtest.Digest("repo-0" + tag))
		if err != nil {
			t.Fatal(err)
		}
		return refresh.Event{Repository: "repo-0", At: at, Digest: d, Scan: &scan}
	}
	critical := inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: 7, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("CRITICAL"), Count: 3}})}
	bubble(t, "a result in the second of the known one is newer, also when inventories are merged", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		time.Sleep(300 * time.Millisecond)
		w.scanning(refresh.ScanFindings)
		w.run(0)
		before := *w.known.Find("repo-0").Images[0].Scan
		w.apply(scanned(time.Now().Truncate(time.Second), "v0", critical))
		w.wantScan("repo-0", "v0", "COMPLETE CRITICAL=3")
		if after := w.known.Find("repo-0").Images[0].Scan; after.AskedAt <= before.AskedAt {
			t.Errorf("read at %d, the result before at %d", after.AskedAt, before.AskedAt)
		}
	})
	bubble(t, "of two results of one second the second counts", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.scanning(refresh.ScanFindings)
		w.run(0)
		time.Sleep(5 * time.Minute)
		at, second := time.Now(), critical
		second.Severities = inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("CRITICAL"), Count: 2}})
		events := []refresh.Event{scanned(at, "v0", critical), scanned(at, "v0", second)}
		for range 2 { // the second time they are delivered again
			w.apply(events...)
			w.wantScan("repo-0", "v0", "COMPLETE CRITICAL=2")
		}
		w.apply(scanned(at, "v0", critical)) // in a batch of its own
		w.wantScan("repo-0", "v0", "COMPLETE CRITICAL=3")
	})
	bubble(t, "counts are used without a request", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.scanning(refresh.ScanFindings)
		w.run(0)
		w.server.ResetObserved()
		time.Sleep(5 * time.Minute)
		at := time.Now()
		result := w.apply(scanned(at, "v0", critical))
		w.wantCalls(nil)
		w.wantScan("repo-0", "v0", "COMPLETE CRITICAL=3")
		if scan := w.known.Find("repo-0").Images[0].Scan; scan.CompletedAt != 7 || scan.AskedAt != inventory.TimeOf(at) || result.Ignored != 0 {
			t.Errorf("scan %+v, result %+v", scan, result)
		}
		// The same event again, and an older one.
		older := critical
		older.Severities = ""
		if result = w.apply(scanned(at, "v0", critical), scanned(at.Add(-time.Minute), "v0", older)); result.Ignored != 2 {
			t.Errorf("%+v", result)
		}
		w.wantScan("repo-0", "v0", "COMPLETE CRITICAL=3")
		time.Sleep(23 * time.Hour)
		w.known.ListedAt, w.known.Find("repo-0").ImagesReadAt = inventory.TimeOf(time.Now()), inventory.TimeOf(time.Now())
		w.run(0)
		w.wantCalls(nil)
	})
	bubble(t, "about an unknown image", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.run(0)
		w.server.ResetObserved()
		time.Sleep(time.Minute)
		w.put("repo-0", "new")
		w.apply(scanned(time.Now(), "new", critical))
		w.wantCalls(map[string]int{"DescribeImages": 1})
		w.wantScan("repo-0", "new", "COMPLETE CRITICAL=3")
	})
	bubble(t, "about an image of a repository that could not be listed", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.scan("repo-0", "v0", done(time.Now(), "LOW", 1))
		w.scanning(refresh.ScanFindings)
		w.run(0)
		stored := w.known // which the next environment cannot load
		w.scanning(refresh.ScanFindings)
		w.known = &inventory.Registry{}
		time.Sleep(time.Minute)
		w.scan("repo-0", "v0", done(time.Now(), "CRITICAL", 3))
		w.server.Fail(ecrtest.Match{Operation: "DescribeImages"}, 8, ecrtest.FaultServer)
		if result := w.apply(scanned(time.Now(), "v0", critical)); result.Failed != 1 {
			t.Errorf("%+v", result)
		}
		if !w.known.Merge(stored) {
			t.Fatal("not merged")
		}
		w.run(0)
		w.wantScan("repo-0", "v0", "COMPLETE CRITICAL=3")
	})
	bubble(t, "about a missing image", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.run(0)
		time.Sleep(time.Minute)
		if result := w.apply(scanned(time.Now(), "never", critical)); result.Err != nil {
			t.Errorf("%+v", result)
		}
	})
	bubble(t, "Inspector's counts are partial, and completed by the next run", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.enhanced()
		w.scan("repo-0", "v0", done(time.Now(), "CRITICAL", 3, "LOW", 2))
		w.scanning(refresh.ScanAuto)
		w.run(0)
		time.Sleep(time.Minute)
		partial := inventory.Scan{Status: inventory.WordOf("ACTIVE"), Severities: critical.Severities, Partial: true, Total: 9}
		w.apply(scanned(time.Now(), "v0", partial))
		if got := w.knownScan("repo-0", "v0"); !strings.HasSuffix(got, "…") || !strings.Contains(got, "CRITICAL=3") {
			t.Errorf("scan %q", got)
		}
		time.Sleep(time.Minute)
		w.run(0)
		w.wantScan("repo-0", "v0", "ACTIVE CRITICAL=3 LOW=2")
	})
}

// Events of another registry change nothing. While this one's account is unknown, the
// repository's record is read first, which names it.
func TestForeignEvents(t *testing.T) {
	t.Parallel()
	const ours, theirs = "123456789012", "210987654321"
	scanned := func(t *testing.T, account, region string) refresh.Event {
		digest, err := inventory.ParseDigest(ecrtest.Digest("repo-0v0"))
		if err != nil {
			t.Fatal(err)
		}
		return refresh.Event{
			Account: account, Region: region, Repository: "repo-0", At: time.Now(),
			Digest: digest, Scan: &inventory.Scan{Status: inventory.WordOf("COMPLETE"), Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("CRITICAL"), Count: 99}})},
		}
	}
	inRegion := func(t *testing.T) *world {
		w := newWorld(t, 1, 1)
		w.refresher = refresh.New(w.source(), refresh.Options{Interval: interval, Region: "eu-west-1", Logger: slog.New(slog.NewTextHandler(&w.log, nil))})
		return w
	}
	for _, c := range []struct {
		name, account, region string
		known                 bool
		applied               bool
		calls                 map[string]int
	}{
		{"this registry", ours, "eu-west-1", true, true, nil},
		{"another account", theirs, "eu-west-1", true, false, nil},
		{"another Region", ours, "us-east-1", true, false, nil},
		{"another Region, before the account is known", ours, "us-east-1", false, false, nil},
		{"another account, before this one's is known", theirs, "eu-west-1", false, false, map[string]int{"DescribeRepositories": 1, "DescribeImages": 1}},
		{"this registry, before its account is known", ours, "eu-west-1", false, true, map[string]int{"DescribeRepositories": 1, "DescribeImages": 1}},
	} {
		bubble(t, c.name, func(t *testing.T) {
			w := inRegion(t)
			if c.known {
				w.run(0)
				w.server.ResetObserved()
			}
			time.Sleep(time.Minute)
			event := scanned(t, c.account, c.region)
			result := w.apply(event)
			w.wantCalls(c.calls)
			applied := false
			if repository := w.known.Find("repo-0"); repository != nil {
				for _, image := range repository.Images {
					applied = applied || image.Scan != nil
				}
			}
			if ignored := !c.applied; applied != c.applied || (result.Ignored == 1) != ignored ||
				strings.Contains(w.log.String(), "event of another registry ignored\" repository=repo-0 account="+c.account) != ignored {
				t.Errorf("applied %t, %d ignored, log:\n%s", applied, result.Ignored, &w.log)
			}
		})
	}
	bubble(t, "pushes of another account", func(t *testing.T) {
		w := inRegion(t)
		w.run(0)
		w.server.ResetObserved()
		time.Sleep(time.Minute)
		event := changed("repo-0")
		event.Account = theirs
		if result := w.apply(event, event); result.Ignored != 2 || len(result.Repositories) != 0 {
			t.Errorf("%+v", result)
		}
		w.wantCalls(nil)
	})
	bubble(t, "a scan of the future", func(t *testing.T) {
		w := inRegion(t)
		w.run(0)
		event := scanned(t, ours, "eu-west-1")
		event.At = time.Now().Add(365 * 24 * time.Hour)
		event.Scan.CompletedAt = inventory.TimeOf(event.At)
		w.apply(event)
		if scan := w.known.Find("repo-0").Images[0].Scan; scan == nil || scan.CompletedAt.Time().After(time.Now()) {
			t.Errorf("scan %+v", scan)
		}
	})
}
