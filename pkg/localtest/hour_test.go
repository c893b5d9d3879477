//go:build unix

package localtest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
)

// Two processes have the same world, and it is another one after the hour.
func TestWorldHour(t *testing.T) {
	t.Parallel()
	end := time.Date(2026, time.November, 30, 12, 0, 0, 123_456_789, time.UTC)
	series := func(w *World, at time.Time) map[string]float64 {
		all := map[string]float64{}
		for s := range contracttest.Of(w.Registry.Registry, contracttest.IndexScansAt(w.Registry.Registry, at)) {
			all[s.Key()] = s.Value
		}
		return all
	}
	var after [2]map[string]float64
	for i := range after {
		w, err := NewWorld(end)
		if err != nil {
			t.Fatal(err)
		}
		before := series(w, end.Add(-time.Hour))
		var times []time.Time
		events := 0
		for n := range HourPushes {
			at, happened, err := w.Step(n)
			if err != nil {
				t.Fatal(err)
			}
			times, events = append(times, at), events+len(happened)
		}
		if events != len(rescans) {
			t.Errorf("%d events, want one of each of %d rescans", events, len(rescans))
		}
		if first, last := times[0], times[len(times)-1]; end.Sub(first).Round(time.Second) != time.Hour || end.Sub(last).Round(time.Second) != 2*time.Minute {
			t.Errorf("pushes %s, want them in the hour before %s", times, end)
		}
		if after[i] = series(w, end); cmp.Equal(before, after[i]) {
			t.Error("nothing changed in the hour")
		}
	}
	if diff := cmp.Diff(after[0], after[1]); diff != "" {
		t.Errorf("the same hour twice (-first +second):\n%s", diff)
	}
}
