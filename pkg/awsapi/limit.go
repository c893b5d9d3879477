package awsapi

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"golang.org/x/time/rate"
)

const (
	// minShare is the share of its configured rate that a throttled operation keeps.
	minShare = 1.0 / 32
	// recovery is how long an operation takes from zero to its configured rate.
	recovery = 30 * time.Second
	// halveEvery bounds how fast the rate falls: the attempts in flight when
	// throttling begins are all refused for the same reason.
	halveEvery = time.Second
)

// Limiter limits and counts the requests of each operation: AWS's own limits are per
// operation, account and Region. A rate is halved when AWS throttles, and recovers.
// It is safe for concurrent use.
//
// The SDK's adaptive retry mode is no substitute: it knows no configured rate, and
// takes the idle time between two runs for a low rate to start from.
type Limiter struct {
	perSecond float64
	mu        sync.Mutex
	limits    map[string]*limit
	alone     chan struct{} // see boundedBody
}

// NewLimiter returns a Limiter that allows each operation this many requests a second.
func NewLimiter(perSecond float64) *Limiter {
	return &Limiter{perSecond: perSecond, limits: map[string]*limit{}, alone: make(chan struct{}, 1)}
}

// SetRate allows each of these operations another number of requests a second.
func (l *Limiter) SetRate(perSecond float64, operations ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, operation := range operations {
		l.limits[operation] = newLimit(perSecond)
	}
}

func (l *Limiter) of(operation string) *limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limits[operation] == nil {
		l.limits[operation] = newLimit(l.perSecond)
	}
	return l.limits[operation]
}

// TakeCalls returns the number of requests by operation, retries included, and how
// many of them were throttled, since the last TakeCalls.
func (l *Limiter) TakeCalls() (calls, throttled map[string]int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls, throttled = map[string]int{}, map[string]int{}
	for operation, limit := range l.limits {
		limit.mu.Lock()
		if limit.calls > 0 {
			calls[operation] = limit.calls
		}
		if limit.throttled > 0 {
			throttled[operation] = limit.throttled
		}
		limit.calls, limit.throttled = 0, 0
		limit.mu.Unlock()
	}
	return calls, throttled
}

// limit is the rate limit of one operation.
type limit struct {
	full    rate.Limit // as configured
	limiter *rate.Limiter

	mu               sync.Mutex
	halvedAt         time.Time
	calls, throttled int
}

func newLimit(perSecond float64) *limit {
	full := rate.Limit(perSecond)
	return &limit{full: full, limiter: rate.NewLimiter(full, burst(full))}
}

// burst is a second's worth of requests.
func burst(limit rate.Limit) int { return max(1, int(limit)) }

// wait returns when an attempt may start, or at once if that is after ctx's deadline.
func (l *limit) wait(ctx context.Context) error {
	if err := l.limiter.Wait(ctx); err != nil {
		return fmt.Errorf("waiting for the rate limit of %.3g a second: %w", float64(l.limiter.Limit()), cmp.Or(ctx.Err(), ErrNoTime))
	}
	return nil
}

// record counts one attempt and adapts the rate.
func (l *limit) record(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	current := l.limiter.Limit()
	if err == nil || throttles.IsErrorThrottle(err) != aws.TrueTernary {
		// Divided by the rate, the steps of a second add up to the same.
		current = min(l.full, current+l.full/rate.Limit(recovery.Seconds())/current)
		if current == l.full {
			l.limiter.SetBurst(burst(l.full))
		}
		l.limiter.SetLimit(current)
		return
	}
	l.throttled++
	if now := time.Now(); now.Sub(l.halvedAt) >= halveEvery {
		l.halvedAt = now
		l.limiter.SetLimit(max(l.full*minShare, current/2))
		// Tokens saved while waiting would be spent on an API that has none left.
		l.limiter.SetBurst(1)
	}
}
