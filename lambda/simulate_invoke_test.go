package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"slices"
	"time"

	"github.com/aws/aws-lambda-go/events"

	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
)

// environment is an execution environment: the function as it started with the settings of
// the time.
type environment struct {
	s        *simulation
	n        int
	function *function
	log      bytes.Buffer
	dead     bool // killed: nothing that its goroutines still do has an effect
}

// invocation is one invocation in progress.
type invocation struct {
	n        int
	start    time.Time
	deadline time.Time
	cancel   context.CancelFunc
	kill     *crash
	// seen counts requests by service, and by service and operation.
	seen map[string]int
	// calls counts the requests that reached an AWS API, by operation.
	calls map[string]int
	// failed are the faults that requests met, by service.
	failed map[string]int
	// stored are the series that were stored, without the run metrics, and unanswered is set
	// if a response of the receiver did not arrive.
	stored     map[*track]int64
	unanswered bool
	// saved is set if an object was written and the response arrived, saveFailed if a write
	// failed.
	saved, saveFailed bool
	killed            bool
	files             [2][]byte // of the state, when it was killed
	retries           map[string]retry
}

// crash is where an invocation is killed: before or after the service handles its nth
// request, counted from 1.
type crash struct {
	service string
	n       int
	after   bool
}

// serve invokes the function as the schedule and the queue do, one invocation at a time,
// until a moment.
func (s *simulation) serve(until time.Time) {
	tick := s.begin
	for tick.Before(time.Now()) {
		tick = tick.Add(schedule)
	}
	for {
		s.mu.Lock()
		next, message := tick, s.queue.next()
		s.mu.Unlock()
		if !message.IsZero() && message.Before(next) {
			next = message
		}
		if next.After(until) {
			time.Sleep(time.Until(until))
			return
		}
		if wait := time.Until(next); wait > 0 {
			timer := time.NewTimer(wait)
			select {
			case <-timer.C:
			case <-s.queue.arrived:
			}
			timer.Stop()
			continue
		}
		if !tick.After(time.Now()) {
			s.run()
			for !tick.After(time.Now()) { // a run that is late replaces those it missed
				tick = tick.Add(schedule)
			}
			continue
		}
		s.deliver()
	}
}

// run makes a scheduled run and returns its Summary; nil if there was none.
func (s *simulation) run() *exporter.Summary {
	summary, _, _ := s.invoke("run", []byte("{}"))
	return summary
}

// deliveryTime is how long a message takes to the function.
const deliveryTime = 20 * time.Millisecond

// deliver delivers a batch of messages, if there is one.
func (s *simulation) deliver() {
	time.Sleep(deliveryTime)
	s.mu.Lock()
	batch := s.queue.receive()
	s.mu.Unlock()
	if len(batch) == 0 {
		return
	}
	var event struct{ Records []events.SQSMessage }
	what := "messages"
	for _, m := range batch {
		event.Records = append(event.Records, events.SQSMessage{MessageId: m.id, EventSource: "aws:sqs", Body: m.body})
		what += " " + m.id
	}
	payload, err := json.Marshal(event)
	must(err)
	_, answer, inv := s.invoke(what, payload)
	s.mu.Lock()
	defer s.mu.Unlock()
	response, ok := answer.(events.SQSEventResponse)
	returned := 0
	for _, m := range batch {
		if !ok || slices.ContainsFunc(response.BatchItemFailures, func(f events.SQSBatchItemFailure) bool { return f.ItemIdentifier == m.id }) {
			returned++
			continue
		}
		s.queue.remove(m)
	}
	s.totals.returned += returned
	if returned > 0 {
		s.logf("  %d of %d messages go back", returned, len(batch))
	}
	if returned > 0 && !inv.killed && inv.failed[serviceS3] == 0 && !s.settings.file {
		s.find(ruleReturned, "message returned", "%d of %d messages of invocation %d were returned, though no save failed; faults %v", returned, len(batch), inv.n, inv.failed)
	}
}

// invoke makes one invocation, in a new environment if there is none. The Summary is the one
// that was logged, and nil if the invocation was killed.
func (s *simulation) invoke(what string, payload []byte) (*exporter.Summary, any, *invocation) {
	s.mu.Lock()
	if s.changedAt > 0 && time.Since(s.begin) >= s.changedAt {
		s.changedAt = 0
		s.settings = s.changed
		s.logf("settings change")
		s.die()
		s.observe()
	}
	cold := ""
	if s.environment == nil {
		cold = ", cold start"
		s.environs++
		s.environment = &environment{s: s, n: s.environs}
		e := s.environment
		e.function = newFunctionOver(e, s.settings.environ(s.stateFile), &e.log)
	}
	env := s.environment
	s.invocations++
	s.totals.invocations++
	ctx, cancel := context.WithTimeout(context.Background(), s.queue.limits.timeout)
	defer cancel()
	now := time.Now()
	inv := &invocation{
		n: s.invocations, start: now, deadline: now.Add(s.queue.limits.timeout), cancel: cancel,
		seen: map[string]int{}, calls: map[string]int{}, failed: map[string]int{}, stored: map[*track]int64{},
		retries: map[string]retry{},
	}
	if !s.calm && s.chance("killed", inv.n) < s.killed {
		inv.kill = s.drawCrash(inv.n)
	}
	s.invocation = inv
	s.logf("invocation %d: %s%s", inv.n, what, cold)
	env.log.Reset()
	s.mu.Unlock()

	answer, err := env.function.handle(ctx, payload)

	s.mu.Lock()
	defer s.mu.Unlock()
	s.invocation = nil
	if !inv.killed && time.Now().After(inv.deadline) {
		s.find(ruleDeadline, "deadline", "invocation %d took %v", inv.n, time.Since(inv.start))
	}
	if inv.killed {
		s.logf("  killed; faults %v", inv.failed)
		s.totals.kills++
		s.saved(inv)
		if s.settings.file { // what the killed process wrote after its end did not happen
			s.writeState(inv.files)
		}
		s.die()
		return nil, nil, inv
	}
	summary := s.logged(env)
	s.account(inv, summary, answer, err)
	if !s.calm && s.chance("dies", inv.n) < s.dies {
		s.totals.deaths++
		s.logf("environment %d dies", env.n)
		s.die()
	}
	return summary, answer, inv
}

// readState returns the files of the state, nil for one that does not exist.
func (s *simulation) readState() (files [2][]byte) {
	for i, path := range s.stateFiles() {
		files[i], _ = os.ReadFile(path)
	}
	return files
}

func (s *simulation) writeState(files [2][]byte) {
	for i, path := range s.stateFiles() {
		if files[i] == nil {
			os.Remove(path)
		} else {
			must(os.WriteFile(path, files[i], 0o600))
		}
	}
}

// stateFiles are the whole and the changes.
func (s *simulation) stateFiles() [2]string {
	return [2]string{s.stateFile, s.stateFile + ".changes"}
}

// die ends the environment. What it had not saved is forgotten.
func (s *simulation) die() {
	if s.environment == nil {
		return
	}
	s.environment.dead = true
	s.environment = nil
	s.lost = append(s.lost, [2]int{s.savedAfter, s.invocations})
	for _, n := range s.unsaved {
		s.forgotten[n] = true
	}
	for n := 1; s.settings.memory && n <= s.invocations; n++ {
		s.forgotten[n] = true
	}
	s.unsaved = nil
}

// drawCrash chooses where an invocation is killed.
func (s *simulation) drawCrash(n int) *crash {
	after := s.chance("crash after", n) < 0.6
	draw := func(most int) int { return 1 + int(s.chance("crash request", n)*float64(most)) }
	switch p := s.chance("crash", n); {
	case p < 0.15:
		return &crash{serviceECR, draw(6), after}
	case p < 0.55:
		return &crash{serviceReceiver, draw(4), after}
	}
	return &crash{serviceS3, draw(6), after} // reads, and writes before and after the push
}

// logged returns the Summary of the last run in the environment's log.
func (s *simulation) logged(env *environment) *exporter.Summary {
	var summary *exporter.Summary
	for line := range bytes.Lines(env.log.Bytes()) {
		var entry struct{ Summary *exporter.Summary }
		if bytes.Contains(line, []byte(`"summary"`)) && json.Unmarshal(line, &entry) == nil && entry.Summary != nil {
			summary = entry.Summary
		}
	}
	return summary
}
