//go:build unix

package lambdatest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// Invoke sends one event to the function and waits for its response. Concurrent calls run
// one after the other; waiting is not part of the timeout, which is that of the function,
// like the template's Timeout.
//
// As in Lambda an invocation lasts until the function requests the next event. If the
// timeout passes before that, the process is killed and the result has a FunctionError of
// type TypeTimedOut.
//
// The Result has the function's response or failure. Without a response the error is not
// nil: an *ExitError if the process ended, then also with a FunctionError; ErrEnded if it
// had ended before; the cause of ctx if that ended. An event cannot be taken back, so in
// that case the process is killed.
func (e *Environment) Invoke(ctx context.Context, payload []byte, timeout time.Duration) (Result, error) {
	if timeout <= 0 {
		return Result{}, fmt.Errorf("invoke %s: the timeout %s is not positive", e.function.Name, timeout)
	}
	select {
	case e.turn <- struct{}{}:
		defer func() { <-e.turn }()
	case <-ctx.Done():
		return Result{}, fmt.Errorf("wait to invoke %s: %w", e.function.Name, context.Cause(ctx))
	}
	select {
	case <-e.exited:
		return Result{}, fmt.Errorf("invoke %s: %w", e.function.Name, ErrEnded)
	default:
	}
	started := time.Now()
	inv := &invocation{
		id:       requestID(),
		payload:  payload,
		deadline: started.Add(timeout),
		response: make(chan response, 1),
	}
	e.waiting.event <- inv // does not block: a request gets one event
	result := Result{RequestID: inv.id}
	err := e.await(ctx, inv, timeout, &result)
	result.Duration = time.Since(started)
	if err != nil {
		err = fmt.Errorf("invoke %s, request %s: %w", e.function.Name, inv.id, err)
	}
	return result, err
}

// await sets the result when the function has responded and requests the next event, or
// when it no longer can.
func (e *Environment) await(ctx context.Context, inv *invocation, timeout time.Duration, result *Result) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	responded := false
	take := func(r response) {
		responded = true
		result.Payload, result.FunctionError = r.payload, r.err
	}
	for {
		// The next request comes after the response: see api.next.
		select {
		case r := <-inv.response:
			take(r)
		case e.waiting = <-e.api.requests:
			select {
			case r := <-inv.response:
				take(r)
			default:
			}
			return nil
		case <-e.exited:
			select { // a panic is posted, then the process ends
			case r := <-inv.response:
				take(r)
			default:
			}
			if responded {
				return nil
			}
			result.FunctionError = &FunctionError{
				Type:    TypeExited,
				Message: fmt.Sprintf("RequestId: %s Error: Runtime exited with error: %s", inv.id, e.exit.State),
			}
			return &ExitError{During: "an invocation", Exit: e.exit}
		case <-timer.C:
			e.kill()
			result.Payload = nil
			result.FunctionError = &FunctionError{
				Type:    TypeTimedOut,
				Message: fmt.Sprintf("RequestId: %s Error: Task timed out after %.2f seconds", inv.id, timeout.Seconds()),
			}
			return nil
		case <-ctx.Done():
			e.kill()
			return context.Cause(ctx)
		}
	}
}

// requestID is a random UUID, as Lambda's are.
func requestID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}

// traceID is the X-Ray tracing header of a request that is not sampled.
func traceID(now time.Time) string {
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", now.Unix(), hexID(12), hexID(8))
}

// hexID returns n random bytes in hexadecimal.
func hexID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
