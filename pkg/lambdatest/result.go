//go:build unix

package lambdatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"
)

// The error types of Lambda itself, for failures outside of the function.
const (
	// TypeTimedOut: the deadline passed.
	TypeTimedOut = "Sandbox.Timedout"
	// TypeExited: the process ended without a response.
	TypeExited = "Runtime.ExitError"
	// TypeTooLarge: the response was larger than MaxResponseBytes.
	TypeTooLarge = "Function.ResponseSizeTooLarge"
)

// ErrEnded is the error of an invocation after the process has ended. Lambda would start
// another one; here the caller does, with Start.
var ErrEnded = errors.New("the execution environment has ended")

// Result is the result of one invocation.
type Result struct {
	// RequestID is the invocation's, as in the function's logs.
	RequestID string
	// Payload is the body that the function posted, a response or an error; nil if there
	// was none.
	Payload []byte
	// FunctionError is nil if the function succeeded.
	FunctionError *FunctionError
	// Duration is the time from sending the event until the function requested the next
	// one, or ended.
	Duration time.Duration
}

// FunctionError is a failure as Lambda returns it to the caller: the handler's error, a
// panic, or a type of Lambda's own, see TypeTimedOut.
type FunctionError struct {
	Type       string          `json:"errorType"`
	Message    string          `json:"errorMessage"`
	StackTrace json.RawMessage `json:"stackTrace,omitempty"`
}

// Error returns the type and the message.
func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// ExitError is the error that the process ended although a response was due.
type ExitError struct {
	// During is what was in progress, in a few words.
	During string
	// Exit is how the process ended.
	Exit Exit
}

// Error returns what was in progress and the exit status or signal.
func (e *ExitError) Error() string {
	return fmt.Sprintf("the process ended during %s: %s", e.During, e.Exit.State)
}

// Exit is how the process ended.
type Exit struct {
	// State has the exit code or signal and the processor time.
	State *os.ProcessState
	// PeakRSS is the peak resident memory of the process, in bytes. On Linux it is read
	// when the function requests an event or posts an error, and before it is stopped.
	PeakRSS int64
}
