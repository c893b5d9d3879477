package awsapi

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
)

const (
	// maxAttempts bounds the attempts of one call. The SDK's three are too few in an
	// account whose other clients are throttled.
	maxAttempts = 8
	minBackoff  = 100 * time.Millisecond
	maxBackoff  = 5 * time.Second
)

// newRetryer returns the SDK's standard retryer, which also retries every throttle and
// every response that could not be read. All operations called only read, or replace or
// deduplicate, so that any of them can be repeated.
func newRetryer() aws.Retryer {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = maxAttempts
		o.Backoff = retry.BackoffDelayerFunc(backoff)
		o.Retryables = append(o.Retryables, retry.IsErrorRetryableFunc(throttles.IsErrorThrottle), retry.IsErrorRetryableFunc(isUnreadable))
		// The rate limit already protects the API. The SDK's quota of retries would
		// end a refresh that only has to wait.
		o.RateLimiter = ratelimit.None
	})
}

// backoff doubles from 100 ms to 5 s, with jitter. The SDK's own begins with up to
// two seconds.
func backoff(attempt int, _ error) (time.Duration, error) {
	longest := min(maxBackoff, minBackoff<<min(attempt, 10))
	return longest/2 + rand.N(longest/2), nil
}

// throttles adds to the SDK's list the code that ECR's documentation names, and a 429
// without a code.
var throttles = retry.IsErrorThrottles(append(slices.Clip(retry.DefaultThrottles),
	retry.ThrottleErrorCode{Codes: map[string]struct{}{"ThrottleException": {}}},
	retry.IsErrorThrottleFunc(func(err error) aws.Ternary {
		if statusOf(err) == http.StatusTooManyRequests {
			return aws.TrueTernary
		}
		return aws.UnknownTernary
	})))

// isUnreadable reports whether a response was cut off or is not the API's, as a
// proxy's error page. One beyond a bound would be so again.
func isUnreadable(err error) aws.Ternary {
	if unreadable := (*smithy.DeserializationError)(nil); errors.As(err, &unreadable) && !errors.Is(err, ErrTooLarge) {
		return aws.TrueTernary
	}
	return aws.UnknownTernary
}
