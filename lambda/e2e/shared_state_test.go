package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/lambdatest"
)

// TestTwoEnvironments invokes two environments that share a state at the same time. Each
// gets events that the other does not, while the other pushes older data. After a further
// run of both, queries see exactly what the registry has, and the state contains what
// either learned.
func TestTwoEnvironments(t *testing.T) {
	t.Parallel()
	s3 := sync.OnceValue(func() *moto { return &moto{url: startMoto(t)} })
	tests := []struct {
		name  string
		state func(t *testing.T) []string
	}{
		{"S3", func(t *testing.T) []string {
			const bucket = "two-environments"
			return []string{"AWS_ENDPOINT_URL_S3=" + s3().bucket(t, bucket).url, "STATE_URL=s3://" + bucket + "/state"}
		}},
		{"file", func(t *testing.T) []string {
			return []string{"STATE_URL=file://" + filepath.Join(t.TempDir(), "state")}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			w := &twoEnvironments{newTrackedRegistry(t, "BASIC", 100), nil}
			server := ecrtest.Start(t, w.Registry)
			// As strict as Amazon Managed Service for Prometheus.
			prometheus := tsdbtest.Start(t, tsdbtest.Options{Path: tsdbtest.AMPPath, OutOfOrderWindow: tsdbtest.AMPOutOfOrderWindow})
			// Every change is saved at once.
			env := append(test.state(t), fastScans, "STATE_SAVE_INTERVAL=0")
			a := startFunction(t, server, prometheus.URL(), env...)
			first := a.invoke(t, "schedule-rule.json", invocationTimeout)
			checkPushed(t, prometheus, first, w.series())
			b := startFunction(t, server, prometheus.URL(), env...)
			if s := b.invoke(t, "schedule-rule.json", invocationTimeout); s.Refreshed+s.Scans.Answered > 0 {
				t.Errorf("the second environment read again: %d lists, %d scans", s.Refreshed, s.Scans.Answered)
			}

			for round := range 4 {
				eventsA, eventsB := w.change(t, busyRepository, round), w.change(t, "web/frontend", round)
				// In odd rounds B pushes data that A is about to replace.
				w.concurrently(t, round, a, b, eventsA, eventsB)
				if round%2 == 1 {
					w.check(t, b.deliver(t, eventsB...))
				}
				for _, f := range []*function{a, b} {
					s := f.invoke(t, "schedule-rule.json", invocationTimeout)
					w.check(t, s)
					if f == b {
						checkLive(t, prometheus, s, w.series())
					}
				}
			}
			a.stop(t)
			b.stop(t)

			server.ResetObserved()
			server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultUnavailable)
			c := startFunction(t, server, prometheus.URL(), env...)
			checkPushed(t, prometheus, c.invoke(t, "schedule-rule.json", invocationTimeout), w.series())
			if calls := server.Calls(); len(calls) > 0 {
				t.Errorf("what the two environments knew was requested again: %v", calls)
			}
			w.checkEnds(t, prometheus)
		})
	}
}

// twoEnvironments is a registry with the scans that its functions know.
type twoEnvironments struct {
	*trackedRegistry
	ended []string // keys of series that must have ended
}

// series are the expected ones with a durable state.
func (w *twoEnvironments) series() tsdbtest.Vector {
	want := w.trackedRegistry.series()
	want[tsdbtest.KeyOf(stateAvailable, "region", region)] = 1
	return want
}

// change deletes an image of a repository, moves a tag and scans an image again, and
// returns the events.
func (w *twoEnvironments) change(t *testing.T, repository string, round int) []json.RawMessage {
	t.Helper()
	before := w.series()
	tag := func(n int) string { return "v" + strconv.Itoa(3*round+n) }
	deleted := tagged(t, w.trackedRegistry, repository, tag(0))
	if err := w.DeleteImage(repository, deleted); err != nil {
		t.Fatal(err)
	}
	events := []json.RawMessage{w.DeleteEvent(repository, deleted, tag(0), time.Now())}
	rescanned := tagged(t, w.trackedRegistry, repository, tag(1))
	events = append(events, w.scanned(t, repository, rescanned, map[string]int32{"CRITICAL": int32(10 + round)}))

	digest := w.push(t, repository, tag(2))
	events = append(events,
		w.PushEvent(repository, digest, tag(2), time.Now()),
		w.scanned(t, repository, digest, map[string]int32{"MEDIUM": 2}))
	after := w.series()
	for key := range before {
		if _, still := after[key]; !still {
			w.ended = append(w.ended, key)
		}
	}
	return events
}

// concurrently invokes both environments at the same time: A for events, B for events of
// its own or for a scheduled run.
//
// A receiver accepts one value for a timestamp. If both runs have the same millisecond,
// which only serial runs can rule out, the samples of one may be refused; SQS then
// delivers the events again.
func (w *twoEnvironments) concurrently(t *testing.T, round int, a, b *function, eventsA, eventsB []json.RawMessage) {
	t.Helper()
	functions := []*function{a, b}
	payloads := [][]byte{sqsBatch(t, eventsA...), sqsBatch(t, eventsB...)}
	if round%2 == 1 {
		payloads[1] = []byte(`{}`)
	}
	var results [2]lambdatest.Result
	var errs [2]error
	var both sync.WaitGroup
	for i, f := range functions {
		both.Go(func() { results[i], errs[i] = f.Invoke(t.Context(), payloads[i], invocationTimeout) })
	}
	both.Wait()
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatalf("invoke: %v", err)
	}
	var at [2]time.Time
	for i, f := range functions {
		var s summary
		if err := json.Unmarshal(f.log.summary(t, results[i].RequestID), &s); err != nil {
			t.Fatal(err)
		}
		at[i] = s.Timestamp
	}
	for i, f := range functions {
		if results[i].FunctionError == nil && !bytes.Contains(results[i].Payload, []byte("itemIdentifier")) {
			continue
		}
		if !at[0].Equal(at[1]) {
			t.Errorf("the run of %s failed beside that of %s: %v %s", at[i], at[1-i], results[i].FunctionError, results[i].Payload)
		}
		s, failure := f.send(t, payloads[i], invocationTimeout)
		if w.check(t, s); failure != nil {
			t.Errorf("delivered again: %v", failure)
		}
	}
}

// check checks that nothing of a run was refused.
func (w *twoEnvironments) check(t *testing.T, s summary) {
	t.Helper()
	if s.Accepted != s.Series || len(s.Errors) > 0 {
		t.Errorf("%d of %d series were accepted, errors %v", s.Accepted, s.Series, s.Errors)
	}
}

// checkEnds checks that the last sample of each ended series is a marker.
func (w *twoEnvironments) checkEnds(t *testing.T, prometheus *tsdbtest.Prometheus) {
	t.Helper()
	samples, err := prometheus.Samples(t.Context(), everything, time.Now().Add(-time.Hour), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range w.ended {
		if points := samples[key]; len(points) < 2 || !points[len(points)-1].Stale {
			t.Errorf("%s has the samples %v, want the last to be a staleness marker", key, points)
		}
	}
}
