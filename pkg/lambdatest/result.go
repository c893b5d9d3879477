//go:build unix

package lambdatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// The error types that Lambda itself gives, when not the function but what runs
// it has failed.
const (
	// TypeTimedOut is the type when the deadline passed.
	TypeTimedOut = "Sandbox.Timedout"
	// TypeExited is the type when the process ended without an answer.
	TypeExited = "Runtime.ExitError"
	// TypeTooLarge is the type when the response was over MaxResponseBytes.
	TypeTooLarge = "Function.ResponseSizeTooLarge"
)

// ErrEnded is returned for an invocation of an environment whose process is no
// longer there. Lambda would start another one; here the caller does, with Start.
var ErrEnded = errors.New("the execution environment has ended")

// Result is what one invocation came to.
type Result struct {
	// RequestID is the invocation's, as the function's logs show it.
	RequestID string
	// Payload is what the function posted, its response or its error, as it is. It
	// is nil when nothing was posted.
	Payload []byte
	// FunctionError is nil when the function succeeded.
	FunctionError *FunctionError
	// Duration is the time from handing over the event until the function asked for
	// the next one, or ended.
	Duration time.Duration
}

// FunctionError is a failure as Lambda shows it to the one who invoked: what the
// handler returned, a panic, or a type of Lambda's own, see TypeTimedOut.
type FunctionError struct {
	Type       string          `json:"errorType"`
	Message    string          `json:"errorMessage"`
	StackTrace json.RawMessage `json:"stackTrace,omitempty"`
}

// Error gives the type and the message.
func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// ExitError says that the process ended although an answer was due.
type ExitError struct {
	// During tells in a few words what was going on.
	During string
	// Exit is how it ended.
	Exit Exit
}

// Error gives what was going on and the exit status or signal.
func (e *ExitError) Error() string {
	return fmt.Sprintf("the process ended during %s: %s", e.During, e.Exit.State)
}

// Exit is how the process ended.
type Exit struct {
	// State has the exit code or signal and the processor time.
	State *os.ProcessState
	// PeakRSS is the most memory the process had resident, in bytes. On Linux it is
	// taken when the function asks for an event, posts an error, or is about to be
	// stopped, so that what it used after that is not in it.
	PeakRSS int64
}
