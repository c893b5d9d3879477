package awsapi

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
)

// The kinds of errors that callers tell apart, without knowing the service.
var (
	// ErrGone means that the repository does not exist, or no longer.
	ErrGone = errors.New("repository does not exist")
	// ErrDenied means that IAM or a resource policy refused the call.
	ErrDenied = errors.New("permission denied")
	// ErrCredentials means that the session of the credentials has ended, or is of a role that does
	// not exist any longer.
	ErrCredentials = errors.New("credentials not accepted")
	// ErrNoEndpoint means that the endpoint's name does not exist: the service, or the kind of
	// endpoint that is asked for (FIPS, dual-stack), is not in the Region.
	ErrNoEndpoint = errors.New("no such endpoint")
	// ErrInvalidToken means that a page token is no longer accepted: the listing has
	// to start over.
	ErrInvalidToken = errors.New("page token no longer valid")
	// ErrNoTime means that the rate limit would have let the call start only after
	// the context's deadline.
	ErrNoTime = errors.New("no time left for the call")
	// ErrIncomplete means that a response lacks what it must have, or that a listing cannot
	// be complete: nothing follows from it about what exists.
	ErrIncomplete = errors.New("incomplete response")
	// ErrTooLarge means that a response is beyond a bound (see docs/limits.md).
	ErrTooLarge = errors.New("response too large")
)

// maxErrorText bounds the text of an error in bytes: the message in it comes from outside.
const maxErrorText = 1000

// callError is an error of a call, with a text that can be printed.
type callError struct{ error }

// Error returns the text.
func (e callError) Error() string { return Printable(e.error.Error(), maxErrorText) }

// Unwrap returns the error.
func (e callError) Unwrap() error { return e.error }

// classify adds the kind to a call's error, and to one that was cut short by the
// context what the API responded last.
func classify(ctx context.Context, err, last error) error {
	if err == nil {
		return nil
	}
	if last != nil && ctx.Err() != nil && !errors.Is(err, last) {
		err = fmt.Errorf("%w (last response: %w)", err, last)
	}
	if kind := kindOf(err); kind != nil {
		err = fmt.Errorf("%w: %w", kind, err)
	}
	return callError{err}
}

func kindOf(err error) error {
	if api := smithy.APIError(nil); errors.As(err, &api) {
		switch api.ErrorCode() {
		case "AccessDeniedException": // common to all services, and in no service's model
			return ErrDenied
		case "ExpiredTokenException", "UnrecognizedClientException": // the same
			return ErrCredentials
		case "RepositoryNotFoundException":
			return ErrGone
		}
	}
	if dns := (*net.DNSError)(nil); errors.As(err, &dns) && dns.IsNotFound {
		return ErrNoEndpoint
	}
	if statusOf(err) == http.StatusForbidden {
		return ErrDenied
	}
	return nil
}

// statusOf returns the HTTP status of the response that is an error; 0 without one.
func statusOf(err error) int {
	if response := (*awshttp.ResponseError)(nil); errors.As(err, &response) {
		return response.HTTPStatusCode()
	}
	return 0
}
