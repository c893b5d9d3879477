package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// change changes each registry a little, but those whose scans are read one by one, and the one
// that vanishes.
func (w *organisation) change() {
	for _, m := range w.members {
		if !m.findings && !m.vanishes {
			for range 3 {
				m.registry.Mutate(w.rng, time.Now())
			}
		}
	}
}

// vanish deletes a member's role while its registry is being read, and returns what tells that
// it has happened.
func (w *organisation) vanish(m *member) (happened func() bool) {
	m.want = w.series(m) // as last read
	var mu sync.Mutex
	done := false
	m.server.Before(ecrtest.Match{Operation: "DescribeImages"}, 1, func(ecrtest.Request) {
		w.DeleteRole(m.registry.ID(), leavingRole)
		mu.Lock()
		defer mu.Unlock()
		done = true
	})
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return done
	}
}

// planSummary is the part of a plan's summary that these tests read.
type planSummary struct {
	Slot                         time.Time
	Targets, Starting, Due, Sent int
	Valid                        bool
}

// plan invokes the planner for a slot.
func (w *organisation) plan(t *testing.T, slot time.Time) planSummary {
	t.Helper()
	event := fmt.Sprintf(`{"version":"0","id":"%x","source":"aws.events","detail-type":"Scheduled Event","account":%q,"region":%q,"time":%q,"resources":[],"detail":{}}`,
		slot.Unix(), account, region, slot.UTC().Format(time.RFC3339))
	result, err := w.planner.Invoke(t.Context(), []byte(event), w.shape.timeout)
	if err != nil || result.FunctionError != nil {
		t.Fatalf("plan %s: %v, %v", slot, err, result.FunctionError)
	}
	var s planSummary
	if err := json.Unmarshal(result.Payload, &s); err != nil {
		t.Fatal(err)
	}
	if !s.Slot.Equal(slot) || s.Sent != s.Due || s.Starting != 0 || !s.Valid {
		t.Errorf("planned %s: %+v", slot, s)
	}
	return s
}

// begin plans slots of the past until the planner knows the Regions of all accounts. What it
// sends for them is left out: no environment reads or pushes anything.
func (w *organisation) begin(t *testing.T) {
	t.Helper()
	slot := time.Now().Truncate(time.Minute).Add(-10 * time.Minute)
	for n := 0; w.plan(t, slot.Add(time.Duration(n)*time.Minute)).Targets < len(w.members); n++ {
		if n == 5 {
			t.Fatal("the planner does not know all registries")
		}
	}
	w.await(t, "slots of the past", w.shape.timeout, func() bool { return w.drained(t) })
	for _, r := range w.Requests() {
		if w.keys[w.FunctionKey(r.AccessKey)] != plannersNumber {
			t.Errorf("%s was requested of %s/%s for a slot that has passed", r.Operation, r.Account, r.Region)
		}
	}
}

// await waits until something is so.
func (w *organisation) await(t *testing.T, what string, atMost time.Duration, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(atMost); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not after %s", what, atMost)
		}
	}
}

// drained reports whether no message is left.
func (w *organisation) drained(t *testing.T) bool {
	t.Helper()
	messages, _ := w.queue.left(t)
	return messages == 0
}

// crashDuringPush kills the environment that pushes a registry, before its n-th request, and
// returns what tells that it has happened.
func (w *organisation) crashDuringPush(m *member, n int) (happened func() bool) {
	var mu sync.Mutex
	done := false
	w.arrivals.mu.Lock()
	defer w.arrivals.mu.Unlock()
	w.arrivals.before = func(a *arrival) {
		if a.registry != m.String() {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			w.mapping.crash(a.environment)
			done = true
		}
	}
	return func() bool {
		mu.Lock()
		defer mu.Unlock()
		return done
	}
}

// event pushes an image into the function's own registry and sends its event as the rule of the
// template does, to the group of that registry. Its series are there without a slot.
func (w *organisation) event(t *testing.T) {
	t.Helper()
	own := w.members[0].registry
	name := own.Repositories()[0].Name
	addImage(t, own, name, 12_345)
	digest := ecrtest.Digest(name + ":v12345")
	w.queue.send(t, own.ID()+"/"+own.Region(), string(own.PushEvent(name, digest, "v12345", time.Now())))
	w.await(t, "an event", w.shape.timeout, func() bool { return w.drained(t) })
	got, err := w.prometheus.Instant(t.Context(), fmt.Sprintf("%s{digest=%q,registry_id=%q,region=%q}", contracttest.ImageSize, digest, own.ID(), own.Region()), time.Now())
	if err != nil || len(got) != 1 {
		t.Errorf("after the event of an image: %v, %v", got, err)
	}
}

// find returns the members of which is is true.
func (w *organisation) find(is func(*member) bool) []*member {
	return slices.DeleteFunc(slices.Clone(w.members), func(m *member) bool { return !is(m) })
}

// TestOrganisation reads a small organisation: see TestWholeOrganisation.
func TestOrganisation(t *testing.T) {
	t.Parallel()
	w := newOrganisation(t, organisationShape{
		accounts: 6, regions: 2, largest: 400, median: 20, denied: 1, roleless: 1, concurrency: 3,
		interval: time.Minute, timeout: 11 * time.Second, visibility: 12 * time.Second, maxSeries: 500,
	})
	w.mapping.run(t, w.shape.concurrency)
	w.begin(t)
	before := len(w.mapping.deliveries())
	// Slots that have not begun: the test is faster than the clock.
	slot := time.Now().Truncate(time.Minute).Add(5 * time.Minute)
	all := len(w.members)
	delivered := func(n int) func() bool { return func() bool { return len(w.mapping.deliveries()) == before+n } }
	const soon = 20 * time.Second

	at := time.Now()
	w.plan(t, slot)
	w.await(t, "the first slot", soon, delivered(all))
	w.check(t, at)

	time.Sleep(refreshedEach) // until everything is due
	victim := w.members[w.shape.regions]
	vanished := w.vanish(w.find(func(m *member) bool { return m.vanishes })[0])
	killed := w.crashDuringPush(victim, 3)
	// The next slot's message comes while this registry is being read.
	w.members[1].server.SetLatency("", 500*time.Millisecond, 0)
	w.change()
	at = time.Now()
	w.plan(t, slot.Add(time.Minute))
	w.plan(t, slot.Add(2*time.Minute))
	// The others do not wait for the message that is not visible yet.
	w.await(t, "the slots of the others", w.shape.visibility-time.Second, delivered(3*all-1))
	w.await(t, "the victim's", w.shape.visibility+soon, func() bool { return w.drained(t) })
	if !vanished() || !killed() {
		t.Fatalf("a role vanished: %v, a worker was killed: %v", vanished(), killed())
	}
	w.check(t, at)

	w.event(t)
	figures, spans := w.checkRuns(t)
	w.checkMadeUp(t, spans)
	if figures.killed != 1 || figures.again != 1 || figures.atOnce < 2 {
		t.Errorf("%+v: the test tests nothing", figures)
	}
}
