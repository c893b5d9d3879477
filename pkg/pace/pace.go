// Package pace makes calls to AWS APIs at a pace they bear: a rate limit for each
// operation that is halved when throttled and grows back, retries that last as long
// as the context, and a count of it all.
package pace

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
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	"golang.org/x/time/rate"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

const (
	// maxAttempts is how often one call is tried, as long as its context lasts.
	// The SDK's three are too few for an account that is throttled by others.
	maxAttempts = 8
	minBackoff  = 100 * time.Millisecond
	maxBackoff  = 5 * time.Second
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

// Pace holds a rate limit for each operation: the token buckets of AWS are per
// operation, account and Region. It is safe for concurrent use.
type Pace struct {
	perSecond float64
	mu        sync.Mutex
	limit     map[string]*limit
}

// New returns a Pace at which each operation may be attempted so often a second.
func New(perSecond float64) *Pace {
	return &Pace{perSecond: perSecond, limit: map[string]*limit{}}
}

// Set gives operations a rate of their own, in place of the common one.
func (p *Pace) Set(perSecond float64, operations ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, operation := range operations {
		p.limit[operation] = newLimit(perSecond)
	}
}

func (p *Pace) of(operation string) *limit {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.limit[operation] == nil {
		p.limit[operation] = newLimit(p.perSecond)
	}
	return p.limit[operation]
}

// TakeCalls returns the requests by operation, each attempt one, and how many of
// them were throttled, since it was last called.
func (p *Pace) TakeCalls() (calls, throttles map[string]int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	calls, throttles = map[string]int{}, map[string]int{}
	for operation, limit := range p.limit {
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

// Retryer returns how the SDK's clients are to try again: what the SDK's standard
// retryer knows, ECR's ThrottleException, a bare 429 and answers that were cut off.
// All calls made through this package only read, and can be made again.
func Retryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = retry.BackoffDelayerFunc(backoff)
		o.Retryables = append(o.Retryables,
			retry.RetryableHTTPStatusCode{Codes: map[int]struct{}{http.StatusTooManyRequests: {}}},
			retry.RetryableErrorCode{Codes: map[string]struct{}{throttleException: {}}},
			retry.IsErrorRetryableFunc(isDamaged))
		// The limits already keep the pace; the SDK's quota of retries would end a
		// refresh that only has to be patient.
		o.RateLimiter = ratelimit.None
	})
}

// Call makes one call of an operation. do has to make it with the given function
// among the client's APIOptions.
//
// The error matches inventory.ErrDenied if a permission is missing, and
// inventory.ErrTime if the call could not have started before ctx's deadline. One
// that ended with ctx tells what the API answered last.
func (p *Pace) Call(ctx context.Context, operation string, do func(register func(*middleware.Stack) error) error) error {
	attempts := &attempts{limit: p.of(operation)}
	err := do(attempts.register)
	if err == nil {
		return nil
	}
	if last := attempts.last; last != nil && ctx.Err() != nil && !errors.Is(err, last) {
		err = fmt.Errorf("%w (the last answer was: %w)", err, last)
	}
	if isDenied(err) {
		return fmt.Errorf("%w: %w", inventory.ErrDenied, err)
	}
	return err
}

// isDenied reports whether IAM, or a resource's policy, refused the call. It is
// one of the errors common to all services, and in no service's model.
func isDenied(err error) bool {
	if api := smithy.APIError(nil); errors.As(err, &api) && api.ErrorCode() == "AccessDeniedException" {
		return true
	}
	var response *awshttp.ResponseError
	return errors.As(err, &response) && response.HTTPStatusCode() == http.StatusForbidden
}

// isDamaged reports whether an answer could not be read to its end, or not be
// understood: a connection that broke, or something in between that answered in
// the API's place.
func isDamaged(err error) aws.Ternary {
	if damaged := (*smithy.DeserializationError)(nil); errors.As(err, &damaged) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
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

func newLimit(perSecond float64) *limit {
	full := rate.Limit(perSecond)
	return &limit{full: full, pace: rate.NewLimiter(full, burst(full))}
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
