package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/lambdatest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// storm is one storm: the registry, the services and the queue, which outlive every
// environment of the function.
type storm struct {
	*testing.T
	rng      *rand.Rand
	registry *ecrtest.Registry
	aws      *ecrtest.Server
	receiver *remotewritetest.Receiver
	endpoint string
	env      []string
	servers  []*httptest.Server
	function *function         // nil if none runs
	queue    []json.RawMessage // events that are not acknowledged
	images   int               // so far, for digests and tags
	schedule strings.Builder
	counts   stormCounts

	mu     sync.Mutex // guards the plan, and during an invocation all of the above
	plan   plan
	kill   func()
	seen   int        // requests of the invocation
	active int        // requests to servers in progress
	idle   *sync.Cond // signalled when one ends
}

// plan is what happens during an invocation, by the number of a request counted from 1; 0 is
// never.
type plan struct {
	faults   [2]fault // by service
	changeAt int
	killAt   int
	after    bool          // killed after the request instead of before it
	killIn   time.Duration // killed after a time instead
}

// fault is what happens to the next requests of a service.
type fault struct {
	what string
	left int
}

// The services that can fail. S3 cannot: what an environment pushed and could not save is
// allowed to be forgotten.
const (
	ofECR = iota
	ofReceiver
)

var stormFaults = [2][]string{
	ofECR:      {"503", "throttled", "no response", "half a response", "{}"},
	ofReceiver: {"503", "429", "no response", "stored, then 500"},
}

// always is more requests than an invocation makes.
const always = 1 << 30

// stormSteps is the number of invocations of a storm.
const stormSteps = 14

func (s *storm) logf(format string, args ...any) {
	fmt.Fprintf(&s.schedule, format+"\n", args...)
}

// step changes the registry, and invokes the function by schedule or for events.
func (s *storm) step() {
	s.mu.Lock()
	for range s.rng.IntN(3) {
		s.change()
	}
	var p plan
	for service, faults := range stormFaults {
		if s.rng.IntN(5) < 2 {
			p.faults[service] = fault{pick(s.rng, faults...), pick(s.rng, 1, 2, 4, always)}
		}
	}
	if s.rng.IntN(3) == 0 {
		p.changeAt = 1 + s.rng.IntN(10)
	}
	switch s.rng.IntN(6) {
	case 0, 1:
		p.killAt, p.after = 1+s.rng.IntN(14), s.rng.IntN(2) == 0
	case 2:
		p.killIn = time.Duration(1+s.rng.IntN(200)) * time.Millisecond
	}
	scheduled, dies := len(s.queue) == 0 || s.rng.IntN(2) == 0, s.rng.IntN(6) == 0
	s.mu.Unlock()
	if scheduled {
		s.run(p)
	} else {
		s.deliver(p)
	}
	if dies {
		s.stop()
	}
}

// run makes a scheduled run and returns its summary; nil if it was killed.
func (s *storm) run(p plan) *summary {
	result, _ := s.invoke("scheduled run", []byte(`{}`), p)
	return result
}

// deliver delivers the first events, and removes those that are acknowledged.
func (s *storm) deliver(p plan) {
	batch := s.queue[:min(len(s.queue), 10)]
	result, response := s.invoke(fmt.Sprintf("%d of %d events", len(batch), len(s.queue)), sqsBatch(s, batch...), p)
	if result == nil {
		return
	}
	acknowledged := len(batch) - bytes.Count(response, []byte("itemIdentifier"))
	s.counts.Returned += len(batch) - acknowledged
	s.queue = s.queue[acknowledged:] // the failed ones are the last ones
}

// invoke makes an invocation, in a new environment if there is none. The summary is nil if
// the environment ended.
func (s *storm) invoke(what string, payload []byte, p plan) (*summary, []byte) {
	s.Helper()
	if s.function == nil {
		what += ", cold start"
		s.counts.ColdStarts++
		s.function = startFunction(s, s.aws, s.endpoint, s.env...)
	}
	f := s.function
	ctx, cancel := context.WithCancelCause(s.Context())
	defer cancel(nil)
	s.mu.Lock()
	s.counts.Invocations++
	s.logf("%d: %s, plan %+v", s.counts.Invocations, what, p)
	s.seen, s.plan = 0, p
	s.kill = func() {
		cancel(errCrash)
		<-f.Exited()
	}
	s.mu.Unlock()
	if p.killIn > 0 {
		defer time.AfterFunc(p.killIn, func() { cancel(errCrash) }).Stop()
	}
	timeout := 30 * time.Second
	if p.faults[ofReceiver].left == always {
		timeout = 5 * time.Second // the push tries until the end
	}
	result, err := f.Invoke(ctx, payload, timeout)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.plan, s.kill = plan{}, nil
	// A machine that is too busy for the deadline is one more way to be killed.
	timedOut := result.FunctionError != nil && result.FunctionError.Type == lambdatest.TypeTimedOut
	if errors.Is(err, errCrash) || timedOut {
		s.counts.Kills++
		s.logf("  killed (timed out: %t) at request %d", timedOut, s.seen)
		s.ended()
		return nil, nil
	}
	if err != nil {
		s.Fatalf("invoke: %v\n%s", err, s.schedule.String())
	}
	var sum summary
	if err := json.Unmarshal(f.log.summary(s, result.RequestID), &sum); err != nil {
		s.Fatal(err)
	}
	s.account(sum)
	return &sum, result.Payload
}

// account checks a summary against what the receiver stored.
func (s *storm) account(sum summary) {
	dropped, stored := 0, 0
	for _, n := range sum.Dropped {
		dropped += n
	}
	for _, series := range s.receiver.All() {
		at := func(sample remotewritetest.Sample) bool { return sample.Timestamp == sum.Timestamp.UnixMilli() }
		if isCounted(series.String()) && slices.ContainsFunc(series.Samples, at) {
			stored++
		}
	}
	s.logf("  due %d refreshed %d left %d; series %d accepted %d unconfirmed %d not sent %d ended %d stored %d; errors %v",
		sum.Due, sum.Refreshed, sum.Left, sum.Series, sum.Accepted, sum.Unconfirmed, sum.NotSent, sum.Ended, stored, sum.Errors)
	if sum.Accepted+sum.Refused+sum.Unconfirmed+sum.NotSent+dropped != sum.Series || stored < sum.Accepted || stored > sum.Accepted+sum.Unconfirmed {
		s.Errorf("invocation %d: of %d series %d accepted, %d refused, %d unconfirmed, %d not sent, %d dropped; %d stored",
			s.counts.Invocations, sum.Series, sum.Accepted, sum.Refused, sum.Unconfirmed, sum.NotSent, dropped, stored)
	}
}

// stop ends the environment between two invocations.
func (s *storm) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.function != nil {
		s.logf("the environment ends")
		s.ended()
	}
}

// ended waits until nothing of the environment is on the way any more.
func (s *storm) ended() {
	s.function.stop(s)
	s.function = nil
	s.mu.Unlock()
	for _, server := range s.servers {
		server.CloseClientConnections()
	}
	s.mu.Lock()
	for s.active > 0 {
		s.idle.Wait()
	}
}

// serve starts a server in front of a service and returns its URL.
func (s *storm) serve(service int, next http.Handler) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		s.active++
		s.mu.Unlock()
		defer func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.active--
			s.idle.Broadcast()
		}()
		s.requestBegins(r)
		defer s.requestEnds(r)
		if r.Context().Err() != nil {
			return // killed before it
		}
		what := s.faultOf(service)
		switch what {
		case "503", "429":
			w.WriteHeader(map[string]int{"503": http.StatusServiceUnavailable, "429": http.StatusTooManyRequests}[what])
			return
		case "throttled":
			w.Header().Set("X-Amzn-Errortype", "ThrottlingException")
			w.WriteHeader(http.StatusBadRequest)
			return
		case "{}":
			_, _ = w.Write([]byte(what))
			return
		}
		recorder := httptest.NewRecorder()
		next.ServeHTTP(recorder, r)
		switch what {
		case "no response":
			panic(http.ErrAbortHandler)
		case "stored, then 500":
			w.WriteHeader(http.StatusInternalServerError)
			return
		}
		for name, values := range recorder.Header() {
			w.Header()[name] = values
		}
		body := recorder.Body.Bytes()
		w.Header().Set("Content-Length", fmt.Sprint(len(body)))
		w.WriteHeader(recorder.Code)
		if what == "half a response" {
			_, _ = w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		}
		_, _ = w.Write(body) // to a client that may be killed
	}))
	s.Cleanup(server.Close)
	s.servers = append(s.servers, server)
	return server.URL
}

// requestBegins counts a request. It may be where the registry changes or the program is
// killed.
func (s *storm) requestBegins(*http.Request) {
	s.mu.Lock()
	s.seen++
	n := s.seen
	if s.kill != nil && n == s.plan.changeAt {
		s.change()
	}
	s.mu.Unlock()
	s.killAt(n, false)
}

func (s *storm) requestEnds(*http.Request) {
	s.mu.Lock()
	n := s.seen
	s.mu.Unlock()
	s.killAt(n, true)
}

// killAt kills the program if that is planned before or after request n.
func (s *storm) killAt(n int, after bool) {
	s.mu.Lock()
	kill := s.kill
	if n != s.plan.killAt || after != s.plan.after {
		kill = nil
	}
	s.mu.Unlock()
	if kill != nil {
		kill()
	}
}

// faultOf returns the fault that a request to a service meets, empty for none.
func (s *storm) faultOf(service int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := &s.plan.faults[service]
	if f.left == 0 {
		return ""
	}
	f.left--
	s.counts.Faults++
	return f.what
}
