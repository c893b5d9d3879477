package ecrtest

import (
	"encoding/json"
	"maps"
	"slices"
	"sync"
	"time"
)

// Request is one request to a server.
type Request struct {
	// ID is the x-amzn-RequestId of the response.
	ID string
	// At is the time of arrival, by the server's clock, and Done that of the end, which is
	// before the client has all of the response; zero before it.
	At, Done time.Time
	// Account and Region are those of the server's registry, and AccessKey is what the
	// request is signed with; empty if it is not.
	Account, Region, AccessKey string
	// Operation is the name of the operation, even if the server does not know it.
	Operation string
	// RepositoryName, MaxResults and NextToken are the parameters of those names;
	// empty or 0 if absent.
	RepositoryName string
	MaxResults     int32
	NextToken      string
	// Status is the HTTP status of the response; 0 before it, or if there was none.
	Status int
	// Code is the type of the error; "HTTP 429" and the like for one without a type;
	// "reset", "damaged" or "cancelled" for failures of the transfer; empty for a success.
	Code string
}

// newRequest returns the record of a request with the parameters of its body.
func newRequest(id string, op *operation, body []byte) Request {
	var in struct {
		RepositoryName string `json:"repositoryName"`
		MaxResults     int32  `json:"maxResults"`
		NextToken      string `json:"nextToken"`
	}
	// The operation refuses an invalid body.
	_ = json.Unmarshal(body, &in)
	return Request{ID: id, Operation: op.name, RepositoryName: in.RepositoryName, MaxResults: in.MaxResults, NextToken: in.NextToken}
}

// keptRequests bounds the result of Requests: a benchmark makes millions.
const keptRequests = 10_000

// observed are the recorded requests of a server.
type observed struct {
	mu          sync.Mutex
	calls       map[string]int
	errors      map[string]int
	requests    []*Request // the last ones, a ring buffer when full
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

// end records the result of a request. It can be called again, with that of writing.
func (o *observed) end(r *Request, out response, at time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if r.Done.IsZero() {
		r.Done = at
		o.inFlight--
	}
	r.Status, r.Code = out.status, out.code
	if out.code != "" {
		o.errors[out.code]++
	}
}

// Calls returns the number of requests by operation, including failed ones.
func (s *Server) Calls() map[string]int {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	return maps.Clone(s.observed.calls)
}

// Errors returns the number of failed requests by [Request.Code].
func (s *Server) Errors() map[string]int {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	return maps.Clone(s.observed.errors)
}

// Requests returns the last requests, at most 10,000, in the order of arrival.
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

// MaxInFlight returns the largest number of concurrent requests.
func (s *Server) MaxInFlight() int {
	s.observed.mu.Lock()
	defer s.observed.mu.Unlock()
	return s.observed.maxInFlight
}

// ResetObserved clears all counts and requests, except for those in flight.
func (s *Server) ResetObserved() {
	o := &s.observed
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls, o.errors = make(map[string]int), make(map[string]int)
	o.requests, o.oldest, o.maxInFlight = nil, 0, o.inFlight
}
