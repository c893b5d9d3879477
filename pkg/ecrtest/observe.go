package ecrtest

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"
)

// Request is one request as a server saw it.
type Request struct {
	// ID is what the client got as x-amzn-RequestId.
	ID string
	// At is when it had arrived, by the server's clock.
	At time.Time
	// Operation is the name of the operation; of a request that names none that
	// the server knows, what it named instead.
	Operation string
	// RepositoryName, MaxResults and NextToken are the parameters of those names;
	// empty or 0 if absent.
	RepositoryName string
	MaxResults     int32
	NextToken      string
	// Status is the answer's HTTP status; 0 while there is none, or if none was
	// sent.
	Status int
	// Code is the type of the error that was answered; "HTTP 429" and the like for
	// one that had none; "reset", "damaged" or "cancelled" for what went wrong below
	// the API; empty for a success.
	Code string
}

// newRequest records a request, with what its body says as far as it is readable.
func newRequest(id string, op *operation, body []byte) Request {
	var in struct {
		RepositoryName string `json:"repositoryName"`
		MaxResults     int32  `json:"maxResults"`
		NextToken      string `json:"nextToken"`
	}
	// A body of another shape is the operation's to refuse.
	_ = json.Unmarshal(body, &in)
	return Request{ID: id, Operation: op.name, RepositoryName: in.RepositoryName, MaxResults: in.MaxResults, NextToken: in.NextToken}
}

// keptRequests bounds what Requests returns: a benchmark makes millions.
const keptRequests = 10_000

// observed is what a server noticed.
type observed struct {
	mu          sync.Mutex
	calls       map[string]int
	errors      map[string]int
	requests    []*Request // the last ones, a ring once it is full
	oldest      int
	inFlight    int
	maxInFlight int
}

func (o *observed) begin(r Request) *Request {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.calls == nil {
		o.calls, o.errors = make(map[string]int), make(map[string]int)
	}
	o.calls[r.Operation]++
	o.inFlight++
	o.maxInFlight = max(o.maxInFlight, o.inFlight)
	if len(o.requests) < keptRequests {
		o.requests = append(o.requests, &r)
	} else {
		o.requests[o.oldest] = &r
		o.oldest = (o.oldest + 1) % keptRequests
	}
	return &r
}

func (o *observed) end(r *Request, out outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	r.Status, r.Code = out.status, out.code
	o.inFlight--
	if out.code != "" {
		o.errors[out.code]++
	}
}

// Calls returns the number of requests by operation, whatever was answered.
func (s *Server) Calls() map[string]int {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	return maps.Clone(s.observed.calls)
}

// Errors returns the number of answers by [Request.Code], successes left out.
func (s *Server) Errors() map[string]int {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	return maps.Clone(s.observed.errors)
}

// Requests returns the last requests, at most 10,000, in the order they arrived.
func (s *Server) Requests() []Request {
	o := &s.observed
	o.mu.Lock()
	defer o.mu.Unlock()
	all := make([]Request, 0, len(o.requests))
	for _, r := range slices.Concat(o.requests[o.oldest:], o.requests[:o.oldest]) {
		all = append(all, *r)
	}
	return all
}

// MaxInFlight returns the largest number of requests that were being answered at
// one moment.
func (s *Server) MaxInFlight() int {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	return s.observed.maxInFlight
}

// ResetObserved forgets all counts and requests, those in flight excepted.
func (s *Server) ResetObserved() {
	o := &s.observed
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls, o.errors = make(map[string]int), make(map[string]int)
	o.requests, o.oldest, o.maxInFlight = nil, 0, o.inFlight
}
