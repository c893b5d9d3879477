package remotewrite

import (
	"context"
	"sync"
)

// limiter bounds the number of requests under way. It halves the bound when the
// receiver is overloaded and raises it by one after a round of successes, as TCP
// does with its window (RFC 5681), so that the sender finds what the receiver
// can take and is back at its own bound soon after.
//
// It is kept from push to push: what a receiver could not take two minutes ago is
// not where the next push begins.
type limiter struct {
	most int // the Sender's Concurrency

	mu     sync.Mutex
	bound  int
	active int
	// round counts the halvings. The requests that were under way at one all
	// belong to an earlier round than those after it: several of them fail for the
	// same overload, which is to halve the bound once.
	round int
	// good counts the successes of this round since the bound was changed last.
	good    int
	waiting []chan struct{} // in the order they came
}

func newLimiter(most int) *limiter { return &limiter{most: most, bound: most} }

// load is what an attempt says about how busy the receiver is.
type load int

const (
	silent   load = iota // there was no answer
	light                // it had time for the request, whatever it thought of it
	overload             // 429 or 5xx
)

func loadOf(a *answer, err error) load {
	switch {
	case err != nil:
		return silent
	case judge(a.status) == again:
		return overload
	default:
		return light
	}
}

// acquire waits for a place and returns the round that it belongs to. It returns
// false if ctx was done first; there is nothing to release then.
func (l *limiter) acquire(ctx context.Context) (round int, ok bool) {
	if ctx.Err() != nil {
		return 0, false
	}
	l.mu.Lock()
	if l.active < l.bound { // then nobody waits: see admit
		defer l.mu.Unlock()
		l.active++
		return l.round, true
	}
	turn := make(chan struct{})
	l.waiting = append(l.waiting, turn)
	l.mu.Unlock()

	select {
	case <-turn:
	case <-ctx.Done():
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if ctx.Err() == nil {
		return l.round, true
	}
	select {
	case <-turn: // both at once: the place goes to the next
		l.active--
		l.admit()
	default:
		for i, w := range l.waiting {
			if w == turn {
				l.waiting = append(l.waiting[:i], l.waiting[i+1:]...)
				break
			}
		}
	}
	return 0, false
}

// release gives the place back, and learns from what the attempt found.
func (l *limiter) release(round int, found load) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.active--
	switch {
	case round != l.round: // under way at the last halving, which its news are part of
	case found == overload:
		l.bound = max(1, l.bound/2)
		l.round++
		l.good = 0
	case found == light && l.bound < l.most:
		if l.good++; l.good >= l.bound {
			l.bound++
			l.good = 0
		}
	}
	l.admit()
}

// admit lets those in that there is room for now.
func (l *limiter) admit() {
	for l.active < l.bound && len(l.waiting) > 0 {
		close(l.waiting[0])
		l.waiting = l.waiting[1:]
		l.active++
	}
}
