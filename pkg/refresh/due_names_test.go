package refresh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

func (w *world) wantDueNames(want ...string) {
	w.Helper()
	if diff := cmp.Diff(want, w.known.DueNames, cmpopts.EquateEmpty()); diff != "" {
		w.Errorf("due names (-want +got):\n%s", diff)
	}
}

// A repository that an event reported and that cannot be read is read in the next run, and
// makes no series until then.
func TestDueNames(t *testing.T) {
	t.Parallel()
	denied := ecrtest.Fault{Status: 400, Code: "AccessDeniedException"}
	scanned := refresh.Event{Repository: "new", Digest: inventory.Digest{1}, Scan: &inventory.Scan{Status: inventory.WordOf("COMPLETE")}}
	for _, text := range []string{"", "{}", `{"repositories":[]}`} {
		bubble(t, "new, response "+text, func(t *testing.T) {
			w := newWorld(t, 1, 1)
			w.run(0)
			w.check(w.registry.PutRepository(ecrtest.Repository{Name: "new"}))
			w.put("new", "v1")
			time.Sleep(5 * time.Second)
			fault := ecrtest.Fault{Status: 200, Body: text}
			if text == "" {
				fault = denied
			}
			w.server.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, ecrtest.Always, fault)
			for _, event := range []refresh.Event{changed("new"), scanned} {
				event.At = time.Now()
				if result := w.apply(event); result.Err == nil || len(w.known.Repositories) != 1 {
					t.Errorf("error %v, %d repositories", result.Err, len(w.known.Repositories))
				}
				w.wantDueNames("new")
			}
			if !w.known.Unsaved.Any {
				t.Error("the name is not saved")
			}
			time.Sleep(2 * time.Minute)
			if result := w.run(0); result.Err == nil {
				t.Error("the run that cannot read it succeeds")
			}
			w.wantDueNames("new")
			w.server.ClearFaults()
			time.Sleep(2 * time.Minute)
			w.server.ResetObserved()
			w.want(w.run(0), refresh.Result{Listed: true, Due: 1, Refreshed: 1}, "")
			w.wantCalls(map[string]int{"DescribeRepositories": 1, "DescribeImages": 1})
			w.wantDueNames()
			if len(w.tags("new")) != 1 {
				t.Errorf("tags %v", w.tags("new"))
			}
		})
	}
	bubble(t, "settings", func(t *testing.T) {
		w := newWorld(t, 2, 1)
		w.run(0)
		time.Sleep(time.Minute)
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: "repo-1", TagMutability: "IMMUTABLE"}))
		w.answer("DescribeRepositories", 1, "{}")
		event := refresh.Event{Repository: "repo-1", At: time.Now(), Settings: true}
		if result := w.apply(event); result.Err == nil || w.known.Find("repo-1").TagMutability == "IMMUTABLE" {
			t.Errorf("error %v", result.Err)
		}
		w.wantDueNames("repo-1")
		w.server.ResetObserved()
		w.want(w.run(0), refresh.Result{Listed: true}, "")
		w.wantCalls(map[string]int{"DescribeRepositories": 1})
		w.wantDueNames()
		if got := w.known.Find("repo-1").TagMutability; got != "IMMUTABLE" {
			t.Errorf("tag mutability %s", got)
		}
	})
	bubble(t, "known to the stored state, which could not be loaded: its images are due too", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.run(0)
		stored := w.known
		w.restart()
		w.known = &inventory.Registry{}
		time.Sleep(time.Minute)
		w.put("repo-0", "new")
		w.server.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, 1, denied)
		w.apply(changed("repo-0"))
		w.wantDueNames("repo-0")
		if !w.known.Merge(stored) {
			t.Fatal("not merged")
		}
		w.run(0)
		if len(w.tags("repo-0")) != 2 {
			t.Errorf("tags %v", w.tags("repo-0"))
		}
		w.wantDueNames()
	})
	bubble(t, "gone", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.run(0)
		time.Sleep(time.Minute)
		w.server.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, 1, denied)
		w.apply(changed("never-was"))
		w.wantDueNames("never-was")
		w.want(w.run(0), refresh.Result{}, "")
		w.wantDueNames()
	})
	// More names than are read one by one are read by one listing, also those for which there
	// was no room.
	bubble(t, "many", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.run(0)
		time.Sleep(time.Minute)
		w.server.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, ecrtest.Always, denied)
		const n = 130
		for i := 0; i < n; i += 10 {
			var events []refresh.Event
			for j := range 10 {
				name := fmt.Sprint("new-", i+j)
				w.check(w.registry.PutRepository(ecrtest.Repository{Name: name}))
				events = append(events, changed(name))
			}
			w.apply(events...)
		}
		if len(w.known.DueNames) != 100 {
			t.Errorf("%d due names, want 100", len(w.known.DueNames))
		}
		w.server.ClearFaults()
		w.server.ResetObserved()
		w.want(w.run(0), refresh.Result{Listed: true, Due: n, Refreshed: n}, "")
		w.wantCalls(map[string]int{"DescribeRepositories": 1, "DescribeImages": n})
		w.wantDueNames()
	})
	bubble(t, "many at once", func(t *testing.T) {
		w := newWorld(t, 1, 1)
		w.run(0)
		time.Sleep(time.Minute)
		var events []refresh.Event
		for i := range 21 {
			w.check(w.registry.PutRepository(ecrtest.Repository{Name: fmt.Sprint("new-", i)}))
			events = append(events, changed(fmt.Sprint("new-", i)))
		}
		w.server.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, 1, denied)
		w.apply(events...)
		w.want(w.run(0), refresh.Result{Listed: true, Due: 21, Refreshed: 21}, "")
		w.wantDueNames()
	})
}
