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

// Match selects requests. A field that is empty matches any.
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

// Always is a count of requests without an end.
const Always = -1

// trouble is what a server was told to do to its clients.
type trouble struct {
	mu         sync.Mutex
	rng        *rand.Rand
	latency    map[string]latency
	rates      map[string]*rate.Limiter
	pageLimits map[string]int
	faults     []*scripted[Fault]
	hooks      []*scripted[func(Request)]
}

// scripted is something to happen to the next requests that match.
type scripted[T any] struct {
	match Match
	left  int // Always, or how many requests are still to come
	what  T
}

type latency struct{ least, jitter time.Duration }

// Fail makes the next n requests that match, or with [Always] all, go wrong.
// Scripts are used up in the order they were given; a request takes one only.
func (s *Server) Fail(m Match, n int, f Fault) {
	if n == 0 {
		return
	}
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	s.trouble.faults = append(s.trouble.faults, &scripted[Fault]{match: m, left: n, what: f})
}

// ClearFaults forgets what Fail and Before were told and has not happened yet.
func (s *Server) ClearFaults() {
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	s.trouble.faults, s.trouble.hooks = nil, nil
}

// Before calls a function ahead of each of the next n requests that match, or with
// [Always] of all: the place to change the registry between two pages. The answer
// waits for it. It may be called for several requests at once.
func (s *Server) Before(m Match, n int, do func(Request)) {
	if n == 0 {
		return
	}
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	s.trouble.hooks = append(s.trouble.hooks, &scripted[func(Request)]{match: m, left: n, what: do})
}

// Vanish lets a repository be listed until its images are first asked for: then
// it is deleted, and the answer is RepositoryNotFoundException.
func (s *Server) Vanish(name string) {
	s.Before(Match{Operation: "DescribeImages", RepositoryName: name}, 1, func(Request) {
		s.registry.DeleteRepository(name)
	})
}

// SetLatency makes every request of an operation, or with "" of all that have no
// latency of their own, wait before it is answered: at least as long as least, and
// a random part of jitter on top. The random numbers are seeded with a constant.
// A client that goes away ends its wait.
func (s *Server) SetLatency(operation string, least, jitter time.Duration) {
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	if s.trouble.latency == nil {
		s.trouble.latency = make(map[string]latency)
	}
	s.trouble.latency[operation] = latency{least, jitter}
}

// SetRate throttles an operation as ECR does, with a token bucket: so many
// requests a second, and a burst of so many at once. What is over is answered with
// ThrottlingException. The bucket starts full. A rate of 0 or less takes the
// limit away.
func (s *Server) SetRate(operation string, perSecond float64, burst int) {
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	if perSecond <= 0 {
		delete(s.trouble.rates, operation)
		return
	}
	if s.trouble.rates == nil {
		s.trouble.rates = make(map[string]*rate.Limiter)
	}
	s.trouble.rates[operation] = rate.NewLimiter(rate.Limit(perSecond), burst)
}

// SetPageLimit makes pages of an operation shorter than clients ask for, as a
// service may at any time; 0 takes the limit away.
func (s *Server) SetPageLimit(operation string, limit int) {
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	if s.trouble.pageLimits == nil {
		s.trouble.pageLimits = make(map[string]int)
	}
	s.trouble.pageLimits[operation] = limit
}

func (s *Server) pageLimit(operation string, asked int) int {
	s.trouble.mu.Lock()
	defer s.trouble.mu.Unlock()
	if limit := s.trouble.pageLimits[operation]; limit > 0 {
		return min(limit, asked)
	}
	return asked
}

// random returns the generator of jitter and request ids. The caller holds the
// lock.
func (t *trouble) random() *rand.Rand {
	if t.rng == nil {
		t.rng = rand.New(rand.NewPCG(1, 1))
	}
	return t.rng
}

// requestID returns a UUID in the form of AWS's request ids.
func (t *trouble) requestID() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	a, b := t.random().Uint64(), t.random().Uint64()
	return fmt.Sprintf("%08x-%04x-4%03x-%04x-%012x", a>>32, a>>16&0xffff, a&0xfff, b>>48&0x3fff|0x8000, b&0xffff_ffff_ffff)
}

func (t *trouble) delay(ctx context.Context, operation string) error {
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

func (t *trouble) admit(operation string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	limiter, ok := t.rates[operation]
	return !ok || limiter.Allow()
}

// next takes the fault that a request is to suffer: the first that matches.
func (t *trouble) next(r *Request) *Fault {
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

// runHooks calls every hook that matches, outside the lock: a hook may give the
// server further orders.
func (t *trouble) runHooks(r *Request) {
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
