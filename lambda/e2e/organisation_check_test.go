package e2e

import (
	"cmp"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
)

var (
	keysAccount = regexp.MustCompile(`[{,]registry_id="(\d+)"`)
	keysRegion  = regexp.MustCompile(`[{,]region="([^"]+)"`)
)

// registryOfKey is the registry of a series, ACCOUNT/REGION; empty if it is of none.
func registryOfKey(key string) string {
	id, name := keysAccount.FindStringSubmatch(key), keysRegion.FindStringSubmatch(key)
	if id == nil || name == nil {
		return ""
	}
	return id[1] + "/" + name[1]
}

// check checks that Prometheus has every series of every registry as it should be, pushed since
// a time, and that the others have ended.
func (w *organisation) check(t *testing.T, since time.Time) {
	t.Helper()
	samples, err := w.prometheus.Samples(t.Context(), everything, w.began, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	have, up := map[string]map[string]contracttest.Last{}, map[string]float64{}
	for key, points := range samples {
		last, registry := points[len(points)-1], registryOfKey(key)
		if strings.HasPrefix(key, "aws_ecr_exporter_target_up{") {
			up[registry] = last.Value
		}
		if !isCounted(key) {
			continue
		}
		if registry == "" && key != contracttest.Up {
			t.Errorf("%s has no registry and Region", key)
		}
		value := last.Value
		if last.Stale {
			value = tsdbtest.StaleMarker()
		}
		if have[registry] == nil {
			have[registry] = map[string]contracttest.Last{}
		}
		have[registry][key] = contracttest.Last{At: last.At.UnixMilli(), Value: value}
	}
	if planner := have[""]; planner[contracttest.Up].Value != 1 {
		t.Errorf("the planner pushed %v, want %s alone", planner, contracttest.Up)
	}
	series := 0
	for _, m := range w.members {
		want := w.series(m)
		series += len(want)
		differences := contracttest.Check(want, have[m.String()])
		for i, d := range differences {
			if i == maxDiffs {
				t.Errorf("%s: … and %d more", m, len(differences)-i)
				break
			}
			t.Errorf("%s: %s %s %s", m, d.Fault, d.Key, d.Text)
		}
		var at int64
		for _, last := range have[m.String()] {
			at = max(at, last.At)
		}
		if len(want) > 0 && at < since.UnixMilli() {
			t.Errorf("%s was last pushed %s before the slot", m, since.Sub(time.UnixMilli(at)))
		}
		readable := 1.0
		if m.denied || m.roleless || m.want != nil {
			readable = 0
		}
		if got, ok := up[m.String()]; !ok || got != readable {
			t.Errorf("%s: target_up is %v (known: %v), want %v", m, got, ok, readable)
		}
		delete(have, m.String())
	}
	delete(have, "")
	if len(have) > 0 {
		t.Errorf("series of registries that are no targets: %q", slices.Collect(maps.Keys(have)))
	}
	w.checkFleet(t)
	if _, dead := w.queue.left(t); dead > 0 {
		t.Errorf("%d messages are in the dead-letter queue", dead)
	}
	w.arrivals.mu.Lock()
	defer w.arrivals.mu.Unlock()
	for i, fault := range w.arrivals.faults {
		if i == maxDiffs {
			break
		}
		t.Errorf("receiver: %s", fault)
	}
	t.Logf("%d series of %d registries are right, %s after the start", series, len(w.members), time.Since(w.began).Round(time.Millisecond))
}

// checkFleet checks what the planner pushes about all registries.
func (w *organisation) checkFleet(t *testing.T) {
	t.Helper()
	all := float64(len(w.members))
	for query, want := range map[string]float64{
		`sum(aws_ecr_exporter_targets{state="active"})`:   all,
		`sum(aws_ecr_exporter_targets{state="starting"})`: 0,
		`min(aws_ecr_exporter_targets_valid)`:             1,
		// Each registry's own series have the name of its account from the planner's.
		`count(aws_ecr_exporter_target_up * on (registry_id, region) group_left (account_name) aws_ecr_exporter_target_info)`: all,
	} {
		got, err := w.prometheus.Instant(t.Context(), query, time.Now())
		if err != nil || got["{}"] != want {
			t.Errorf("%s is %v, want %v: %v", query, got, want, err)
		}
	}
}

// slot is the minute that a delivery's message was planned for.
func (d *delivery) slot(t *testing.T) time.Time {
	t.Helper()
	var message struct{ Time time.Time }
	if err := json.Unmarshal([]byte(d.message), &message); err != nil {
		t.Fatal(err)
	}
	return message.Time
}

// checkMadeUp checks that the registry whose environment was killed was pushed again for the
// next slot but one at the latest. Its message comes back, and is left out if its slot has passed.
func (w *organisation) checkMadeUp(t *testing.T, spans map[*delivery]*span) {
	t.Helper()
	deliveries := w.mapping.deliveries()
	killed := slices.IndexFunc(deliveries, func(d *delivery) bool { return d.killed })
	if killed < 0 {
		t.Fatal("no environment was killed")
	}
	of := deliveries[killed]
	for _, d := range deliveries[killed+1:] {
		if d.group != of.group {
			continue
		}
		if d.receives > 1 {
			t.Logf("the message of a killed run came back after %s; left out: %v", d.begin.Sub(of.begin).Round(time.Second), spans[d].begin.IsZero())
		}
		if spans[d].begin.IsZero() {
			continue
		}
		if later := d.slot(t).Sub(of.slot(t)); later > 2*w.shape.interval {
			t.Errorf("the killed slot of %s is made up for %s later", d.group, later)
		}
		return
	}
	t.Errorf("%s was not pushed again", of.group)
}

// runFigures are what deliveries and requests amount to.
type runFigures struct {
	deliveries, killed int
	again              int // messages that were received again
	atOnce             int // deliveries at most
	environments       int
	samples, calls     int
}

// span is the time from the first request of a delivery to the end of the last, by the clocks
// of the services.
type span struct {
	delivery   *delivery
	begin, end time.Time
	at         int64 // of the samples
}

func (s *span) extend(begin, end time.Time) {
	if s.begin.IsZero() || begin.Before(s.begin) {
		s.begin = begin
	}
	if begin.After(s.end) {
		s.end = begin
	}
	if end.After(s.end) {
		s.end = end
	}
}

// checkRuns checks that each request of an environment is about the registry of the message that
// it has, and that the requests of two runs of a registry do not overlap, by the clocks of the
// simulated AWS and of the receiver.
func (w *organisation) checkRuns(t *testing.T) (runFigures, map[*delivery]*span) {
	t.Helper()
	deliveries := w.mapping.deliveries()
	figures := runFigures{deliveries: len(deliveries), environments: w.mapping.started}
	spans := map[*delivery]*span{}
	byEnvironment := map[int][]*delivery{}
	type edge struct {
		at   time.Time
		step int
	}
	var edges []edge
	for _, d := range deliveries {
		byEnvironment[d.environment] = append(byEnvironment[d.environment], d)
		spans[d] = &span{delivery: d}
		edges = append(edges, edge{d.begin, 1}, edge{d.end, -1})
		if d.killed {
			figures.killed++
		}
		if d.receives > 1 {
			figures.again++
		}
		if !d.killed && !d.succeeded() {
			t.Errorf("the message of %s failed in environment %d: %v %s", d.group, d.environment, d.result.FunctionError, d.result.Payload)
		}
	}
	slices.SortFunc(edges, func(a, b edge) int { return a.at.Compare(b.at) })
	running := 0
	for _, e := range edges {
		running += e.step
		figures.atOnce = max(figures.atOnce, running)
	}
	of := func(environment int, registry string, begin time.Time) *span {
		for _, d := range byEnvironment[environment] {
			if begin.Before(d.begin) || begin.After(d.end) {
				continue
			}
			if d.group != registry {
				t.Errorf("environment %d has a request about %s while it has the message of %s", environment, registry, d.group)
			}
			return spans[d]
		}
		t.Errorf("environment %d has a request about %s without a message", environment, registry)
		return &span{}
	}
	for _, r := range w.Requests() {
		environment, known := w.keys[w.FunctionKey(r.AccessKey)]
		switch {
		case !known:
			t.Errorf("%s of %s/%s has the key %q of no environment", r.Operation, r.Account, r.Region, r.AccessKey)
		case environment != plannersNumber && r.Operation != "AssumeRole" && r.Operation != "GetCallerIdentity":
			figures.calls++
			of(environment, r.Account+"/"+r.Region, r.At).extend(r.At, r.Done)
		}
	}
	for _, a := range w.arrivals.runs {
		figures.samples += a.series
		if a.environment == plannersNumber {
			continue
		}
		s := of(a.environment, a.registry, a.begin)
		s.extend(a.begin, a.end)
		if s.at != 0 && s.at != a.at {
			t.Errorf("%s: a run has samples of %d and %d", a.registry, s.at, a.at)
		}
		s.at = a.at
	}
	groups := map[string][]*span{}
	for d, s := range spans {
		if !s.begin.IsZero() { // not left out
			groups[d.group] = append(groups[d.group], s)
		}
	}
	for group, runs := range groups {
		slices.SortFunc(runs, func(a, b *span) int { return cmp.Or(a.begin.Compare(b.begin), a.end.Compare(b.end)) })
		for i := 1; i < len(runs); i++ {
			if before := runs[i-1]; !runs[i].begin.After(before.end) || runs[i].at <= before.at {
				t.Errorf("%s: a run from %s to %s and one from %s to %s overlap, with samples of %d and %d",
					group, before.begin, before.end, runs[i].begin, runs[i].end, before.at, runs[i].at)
			}
		}
	}
	return figures, spans
}
