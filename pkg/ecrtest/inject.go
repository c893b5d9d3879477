package ecrtest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Match selects requests. An empty field matches any.
type Match struct {
	// Operation is a name such as "DescribeImages".
	Operation string
	// RepositoryName is the value of the parameter repositoryName.
	RepositoryName string
}

func (m Match) matches(r *Request) bool {
	return (m.Operation == "" || m.Operation == r.Operation) &&
		(m.RepositoryName == "" || m.RepositoryName == r.RepositoryName)
}

// Always is an unlimited count of requests.
const Always = -1

// injected are the faults, delays and limits of a server.
type injected struct {
	mu         sync.Mutex
	rng        *rand.Rand
	latency    map[string]latency
	rates      map[string]*rate.Limiter
	pageLimits map[string]int
	faults     []*scripted[Fault]
	hooks      []*scripted[func(Request)]
}

// scripted is what happens to the next matching requests.
type scripted[T any] struct {
	match Match
	left  int // the remaining number of requests, or Always
	what  T
}

type latency struct{ least, jitter time.Duration }

// Fail injects a fault into the next n matching requests, or with [Always] into all. Of
// several faults that match, a request gets the first.
func (s *Server) Fail(m Match, n int, f Fault) {
	if n == 0 {
		return
	}
	s.injected.mu.Lock()
	defer s.injected.mu.Unlock()
	s.injected.faults = append(s.injected.faults, &scripted[Fault]{match: m, left: n, what: f})
}

// ClearFaults removes everything that was added by Fail and Before.
func (s *Server) ClearFaults() {
	s.injected.mu.Lock()
	defer s.injected.mu.Unlock()
	s.injected.faults, s.injected.hooks = nil, nil
}

// Before calls a function before each of the next n matching requests, or with [Always]
// before all, for example to change the registry between two pages. The request waits for
// it. The function may be called concurrently.
func (s *Server) Before(m Match, n int, do func(Request)) {
	if n == 0 {
		return
	}
	s.injected.mu.Lock()
	defer s.injected.mu.Unlock()
	s.injected.hooks = append(s.injected.hooks, &scripted[func(Request)]{match: m, left: n, what: do})
}

// Vanish deletes a repository when its images are first listed, so that the response is
// RepositoryNotFoundException.
func (s *Server) Vanish(name string) {
	s.Before(Match{Operation: "DescribeImages", RepositoryName: name}, 1, func(Request) {
		s.registry.DeleteRepository(name)
	})
}

// SetLatency delays every request of an operation, or with "" of all operations without a
// latency of their own, by least and a random part of jitter. The random numbers have a
// constant seed.
func (s *Server) SetLatency(operation string, least, jitter time.Duration) {
	s.injected.mu.Lock()
	defer s.injected.mu.Unlock()
	if s.injected.latency == nil {
		s.injected.latency = make(map[string]latency)
	}
	s.injected.latency[operation] = latency{least, jitter}
}

// SetRate throttles an operation as ECR does, with a token bucket of a rate and a burst,
// which is full at first. Other requests get ThrottlingException. A rate of 0 or less
// removes the limit.
func (s *Server) SetRate(operation string, perSecond float64, burst int) {
	s.injected.mu.Lock()
	defer s.injected.mu.Unlock()
	if perSecond <= 0 {
		delete(s.injected.rates, operation)
		return
	}
	if s.injected.rates == nil {
		s.injected.rates = make(map[string]*rate.Limiter)
	}
	s.injected.rates[operation] = rate.NewLimiter(rate.Limit(perSecond), burst)
}

// SetPageLimit bounds the page size of an operation below what clients request, as a service
// may at any time; 0 removes the limit.
func (s *Server) SetPageLimit(operation string, limit int) {
	s.injected.mu.Lock()
	defer s.injected.mu.Unlock()
	if s.injected.pageLimits == nil {
		s.injected.pageLimits = make(map[string]int)
	}
	s.injected.pageLimits[operation] = limit
}

func (s *Server) pageLimit(operation string, requested int) int {
	s.injected.mu.Lock()
	defer s.injected.mu.Unlock()
	if limit := s.injected.pageLimits[operation]; limit > 0 {
		return min(limit, requested)
	}
	return requested
}

// random returns the generator of jitter and request ids. The caller holds the
// lock.
func (t *injected) random() *rand.Rand {
	if t.rng == nil {
		t.rng = rand.New(rand.NewPCG(1, 1))
	}
	return t.rng
}

// requestID returns a UUID in the form of AWS's request ids.
func (t *injected) requestID() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, b := t.random().Uint64(), t.random().Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffff_ffff_ffff)
}

func (t *injected) delay(ctx context.Context, operation string) error {
	t.mu.Lock()
	l, ok := t.latency[operation]
	if !ok {
		l = t.latency[""]
	}
	d := l.least
	if l.jitter > 0 {
		d += time.Duration(t.random().Int64N(int64(l.jitter)))
	}
	t.mu.Unlock()
	return sleep(ctx, d)
}

func (t *injected) admit(operation string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	limiter, ok := t.rates[operation]
	return !ok || limiter.Allow()
}

// next returns the fault for a request: the first that matches.
func (t *injected) next(r *Request) *Fault {
	t.mu.Lock()
	defer t.mu.Unlock()
	for i, f := range t.faults {
		if f.match.matches(r) {
			if f.used() {
				t.faults = slices.Delete(t.faults, i, i+1)
			}
			return &f.what
		}
	}
	return nil
}

// runHooks calls every matching hook without the lock, because hooks may call the server.
func (t *injected) runHooks(r *Request) {
	var due []func(Request)
	t.mu.Lock()
	t.hooks = slices.DeleteFunc(t.hooks, func(h *scripted[func(Request)]) bool {
		if !h.match.matches(r) {
			return false
		}
		due = append(due, h.what)
		return h.used()
	})
	t.mu.Unlock()
	for _, do := range due {
		do(*r)
	}
}

// used counts one use and reports whether it was the last.
func (s *scripted[T]) used() bool {
	if s.left == Always {
		return false
	}
	s.left--
	return s.left <= 0
}
