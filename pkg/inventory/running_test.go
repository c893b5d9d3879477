package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

const hour = inventory.Time(3_600_000)

// The state is saved for what is new, and once an hour.
func TestSawRunning(t *testing.T) {
	t.Parallel()
	r := &inventory.Registry{}
	saves := func(what string, want bool, do func()) {
		t.Helper()
		r.Unsaved = inventory.Unsaved{}
		if do(); r.Unsaved.Any != want {
			t.Errorf("%s: to be saved %v, want %v", what, r.Unsaved.Any, want)
		}
	}
	see := func(text string, at inventory.Time) func() {
		return func() {
			if !r.SawRunning(text, at) {
				t.Errorf("%s does not fit", text)
			}
		}
	}
	saves("new", true, see("h/a:v1", hour))
	saves("the same", false, see("h/a:v1", 2*hour-1))
	saves("an hour later", true, see("h/a:v1", 2*hour))
	saves("none", false, see(strings.Repeat("x", 2000)+"/a:v1", hour))
	saves("the first answer", true, func() { r.RunningAnswered(hour) })
	saves("another one", false, func() { r.RunningAnswered(hour + 1) })
	saves("nothing to forget", false, func() { r.ForgetRunning(27 * hour) })
	saves("forgotten", true, func() { r.ForgetRunning(27*hour + 1) })
	if len(r.Running.Seen) > 0 {
		t.Errorf("left: %v", r.Running.Seen)
	}
	for i := range inventory.MaxRunning {
		if !r.SawRunning(fmt.Sprint("h/a:", i), hour) {
			t.Fatal("no room for", i)
		}
	}
	if r.Running.AnsweredAt = hour; !r.Running.Known(hour) || r.SawRunning("h/a:more", hour) || r.Running.Known(hour) || !r.SawRunning("h/a:1", 3*hour) || len(r.Running.Seen) != inventory.MaxRunning {
		t.Errorf("%d are kept", len(r.Running.Seen))
	}
}

func TestMergeRunning(t *testing.T) {
	t.Parallel()
	running := func(at inventory.Time, seen map[string]inventory.Time) *inventory.Registry {
		return &inventory.Registry{ID: "1", Running: inventory.Running{AnsweredAt: at, Seen: seen}}
	}
	want := inventory.Running{AnsweredAt: 3, Seen: map[string]inventory.Time{"a": 5, "b": 6, "c": 7}}
	for _, r := range []*inventory.Registry{running(3, map[string]inventory.Time{"a": 4, "b": 6}), running(2, want.Seen)} {
		r.Merge(running(3, map[string]inventory.Time{"a": 5, "b": 1, "c": 7}))
		if diff := cmp.Diff(want, r.Running); diff != "" {
			t.Errorf("merged (-want +got):\n%s", diff)
		}
	}
	r := running(0, nil)
	if r.Merge(running(3, want.Seen)); r.Running.AnsweredAt != 3 || len(r.Running.Seen) != 3 {
		t.Errorf("merged into nothing: %v", r.Running)
	}
}
