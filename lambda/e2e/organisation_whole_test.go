package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// inRealTime plans each minute for twelve minutes, as the schedule does: six slots of each
// registry.
func (w *organisation) inRealTime(t *testing.T) {
	t.Helper()
	const minutes = 12
	victim := w.members[w.shape.regions] // the largest
	vanishing := w.find(func(m *member) bool { return m.vanishes })[0]
	var vanished, killed func() bool
	w.begin(t)
	series, images := 0, 0
	for _, m := range w.members {
		series += len(w.series(m))
		images += m.registry.Totals().TaggedImages
	}
	fmt.Fprintf(os.Stderr, "%d registries, %d tagged images, %d series: ready after %s\n", len(w.members), images, series, time.Since(w.began).Round(time.Second))
	first := time.Now().Truncate(time.Minute).Add(time.Minute)
	for minute := range minutes {
		slot := first.Add(time.Duration(minute) * time.Minute)
		time.Sleep(time.Until(slot))
		w.plan(t, slot)
		switch minute {
		case 1:
			// Both halves of the registries have their first slot.
			w.await(t, "the first slots", w.shape.timeout, func() bool { return w.drained(t) })
			w.check(t, first)
			w.change()
		case 2:
			vanished, killed = w.vanish(vanishing), w.crashDuringPush(victim, 3)
			w.change()
		case 4, 5, 6:
			w.change()
		}
		fmt.Fprintf(os.Stderr, "minute %d: %d messages delivered\n", minute, len(w.mapping.deliveries()))
	}
	w.await(t, "the last slot", w.shape.timeout, func() bool { return w.drained(t) })
	if !vanished() || !killed() {
		t.Fatalf("a role vanished: %v, a worker was killed: %v", vanished(), killed())
	}
	w.check(t, first.Add((minutes-2)*time.Minute))
	fmt.Fprintf(os.Stderr, "%+v\n", w.checkRuns(t))
}
