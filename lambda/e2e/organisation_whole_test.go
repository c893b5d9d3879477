package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"
)

// organisationVariable is set for TestWholeOrganisation, by make organisation.
const organisationVariable = "E2E_ORGANISATION"

// TestWholeOrganisation reads 200 registries of 50 accounts for twelve minutes, with the
// template's intervals and timeouts: every series of every registry is right, no sample is out
// of order or sent twice, runs of a registry do not overlap, and a killed worker's registry is
// right again with the next slot but one.
func TestWholeOrganisation(t *testing.T) {
	if os.Getenv(organisationVariable) == "" {
		t.Skip("it takes 12 minutes: make organisation")
	}
	w := newOrganisation(t, organisationShape{
		accounts: 50, regions: 4, largest: 20_000, median: 100, denied: 3, roleless: 2, concurrency: 10,
		interval: 2 * time.Minute, timeout: 110 * time.Second, visibility: 115 * time.Second, maxSeries: 5_000,
	})
	stop := w.mapping.run(t, w.shape.concurrency)
	w.begin(t)
	series, images := 0, 0
	for _, m := range w.members {
		series += len(w.series(m))
		images += m.registry.Totals().TaggedImages
	}
	say := func(format string, values ...any) { fmt.Fprintf(os.Stderr, format+"\n", values...) }
	say("%d registries, %d tagged images, %d series of the contract: ready after %s", len(w.members), images, series, time.Since(w.began).Round(time.Second))

	const minutes = 12
	victim := w.members[w.shape.regions] // the largest
	vanishing := w.find(func(m *member) bool { return m.vanishes })[0]
	var vanished, killed func() bool
	first := time.Now().Truncate(time.Minute).Add(time.Minute)
	minute := func(n int) time.Time { return first.Add(time.Duration(n) * time.Minute) }
	drained := func() bool { return w.drained(t) }
	for n := range minutes {
		time.Sleep(time.Until(minute(n)))
		w.plan(t, minute(n))
		switch n {
		case 1: // each registry has had a slot
			w.await(t, "the first slots", w.shape.interval, drained)
			w.check(t, first)
			w.change()
			vanished, killed = w.vanish(vanishing), w.crashDuringPush(victim, 3)
			// A registry whose responses are slow.
			w.members[1].server.SetLatency("", 10*time.Second, 0)
		case 2: // while registries are read
			w.change()
		case 7: // the next slot but one of the killed worker's
			w.await(t, "the next slots but one", w.shape.interval, drained)
			w.check(t, minute(n-1))
			if !vanished() || !killed() {
				t.Fatalf("a role vanished: %v, a worker was killed: %v", vanished(), killed())
			}
			w.change()
		}
		say("minute %d: %d messages delivered", n, len(w.mapping.deliveries()))
	}
	w.await(t, "the last slot", w.shape.interval, drained)
	w.check(t, minute(minutes-2))
	figures, spans := w.checkRuns(t)
	w.checkMadeUp(t, spans)
	stop()
	say("%+v, %d MB of memory at most", figures, w.mapping.peak>>20)
}
