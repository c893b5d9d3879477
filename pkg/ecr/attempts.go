package ecr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

const (
	minBackoff = 100 * time.Millisecond
	maxBackoff = 5 * time.Second
	// throttleException is what the ECR documentation names beside the codes
	// that the SDK knows.
	throttleException = "ThrottleException"
	// slowest is the share of its configured rate that an operation keeps
	// however often it is throttled.
	slowest = 1.0 / 32
	// recovery is how long an operation takes to go from nothing to its configured
	// rate while it is not throttled.
	recovery = 30 * time.Second
	// halveEvery bounds how fast the rate falls: the attempts in flight when
	// throttling begins are all refused, and are one piece of news.
	halveEvery = time.Second
)

// limits holds a rate limit for each operation: ECR's token buckets are per
// operation, account and Region.
type limits struct {
	rate  rate.Limit
	mu    sync.Mutex
	limit map[string]*limit
}

func newLimits(perSecond float64) *limits {
	return &limits{rate: rate.Limit(perSecond), limit: map[string]*limit{}}
}

func (l *limits) of(operation string) *limit {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limit[operation] == nil {
		l.limit[operation] = &limit{full: l.rate, pace: rate.NewLimiter(l.rate, burst(l.rate))}
	}
	return l.limit[operation]
}

// TakeCalls returns the requests by operation, each attempt one, and how many of
// them were throttled, since it was last called.
func (c *Client) TakeCalls() (calls, throttles map[string]int) {
	c.limits.mu.Lock()
	defer c.limits.mu.Unlock()
	calls, throttles = map[string]int{}, map[string]int{}
	for operation, limit := range c.limits.limit {
		made, throttled := limit.take()
		if made > 0 {
			calls[operation] = made
		}
		if throttled > 0 {
			throttles[operation] = throttled
		}
	}
	return calls, throttles
}

// limit is the pace of one operation: halved when throttled, growing back with
// each attempt that is not.
type limit struct {
	full rate.Limit
	pace *rate.Limiter

	mu               sync.Mutex
	halved           time.Time
	calls, throttled int
}

func (l *limit) take() (calls, throttled int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	calls, throttled = l.calls, l.throttled
	l.calls, l.throttled = 0, 0
	return calls, throttled
}

// observe learns from one attempt.
func (l *limit) observe(err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.calls++
	current := l.pace.Limit()
	if !isThrottle(err) {
		// So much a second, whatever the number of attempts a second.
		step := l.full / rate.Limit(recovery.Seconds()) / current
		if current = min(l.full, current+step); current == l.full {
			l.pace.SetBurst(burst(l.full))
		}
		l.pace.SetLimit(current)
		return
	}
	l.throttled++
	if now := time.Now(); now.Sub(l.halved) >= halveEvery {
		l.halved = now
		l.pace.SetLimit(max(l.full*slowest, current/2))
		// What was saved up while waiting would be thrown at a bucket that is empty.
		l.pace.SetBurst(1)
	}
}

// burst is how many attempts may be made at once after a pause: a second's worth.
func burst(limit rate.Limit) int { return max(1, int(limit)) }

// backoff waits longer with each attempt, and never twice the same. The SDK's own
// begins with up to two seconds, which is to spare a service that limit spares
// already.
func backoff(attempt int, _ error) (time.Duration, error) {
	longest := min(maxBackoff, minBackoff<<min(attempt, 10))
	return longest/2 + rand.N(longest/2), nil
}

// throttles is the SDK's judgement; isThrottle adds what it does not know.
var throttles = retry.IsErrorThrottles(retry.DefaultThrottles)

func isThrottle(err error) bool {
	if err == nil {
		return false
	}
	if throttles.IsErrorThrottle(err) == aws.TrueTernary {
		return true
	}
	if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorCode() == throttleException {
		return true
	}
	var response *awshttp.ResponseError
	return errors.As(err, &response) && response.HTTPStatusCode() == http.StatusTooManyRequests
}

// attempts follows the attempts of one call. It stands below the SDK's retry, so
// that a retry waits for its turn as the first attempt does.
type attempts struct {
	limit *limit
	last  error // of the last attempt that was answered
}

func (a *attempts) register(stack *middleware.Stack) error {
	return stack.Finalize.Insert(middleware.FinalizeMiddlewareFunc("LimitAttempts", a.attempt), "Retry", middleware.After)
}

func (a *attempts) attempt(ctx context.Context, in middleware.FinalizeInput, next middleware.FinalizeHandler) (
	middleware.FinalizeOutput, middleware.Metadata, error,
) {
	if err := a.limit.pace.Wait(ctx); err != nil {
		// Wait refuses at once what could not start before the deadline.
		return middleware.FinalizeOutput{}, middleware.Metadata{},
			fmt.Errorf("waiting for the rate limit (%.3g a second): %w", float64(a.limit.pace.Limit()), cmp.Or(ctx.Err(), inventory.ErrTime))
	}
	out, metadata, err := next.HandleFinalize(ctx, in)
	a.limit.observe(err)
	if err != nil && ctx.Err() == nil {
		a.last = err
	}
	return out, metadata, err
}
