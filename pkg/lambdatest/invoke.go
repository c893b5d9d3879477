//go:build unix

package lambdatest

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"
)

// Invoke gives the function one event and waits for its answer. Invocations that
// are asked for at once run one after the other; waiting for the turn is not part
// of the timeout, which is the function's own, like the template's Timeout.
//
// As in Lambda an invocation lasts until the function asks for the next event. If
// the timeout passes before that, the process is killed and the result has a
// FunctionError of type TypeTimedOut.
//
// What the function answers is in the Result, its failure too. The error is not nil
// when there is no answer: an *ExitError when the process ended on its own, then
// also with a FunctionError; ErrEnded when it was gone before; the cause of ctx when
// that ended. An event cannot be taken back, so then the process is killed.
func (e *Environment) Invoke(ctx context.Context, payload []byte, timeout time.Duration) (Result, error) {
	if timeout <= 0 {
		return Result{}, fmt.Errorf("invoke %s: a timeout of %s leaves no time", e.function.Name, timeout)
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
		answer:   make(chan answer, 1),
	}
	e.waiting.given <- inv // has room: a request gets one event
	result := Result{RequestID: inv.id}
	err := e.await(ctx, inv, timeout, &result)
	result.Duration = time.Since(started)
	if err != nil {
		err = fmt.Errorf("invoke %s, request %s: %w", e.function.Name, inv.id, err)
	}
	return result, err
}

// await fills the result when the function has answered and asks for the next
// event, or when it no longer can.
func (e *Environment) await(ctx context.Context, inv *invocation, timeout time.Duration, result *Result) error {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	answered := false
	take := func(a answer) {
		answered = true
		result.Payload, result.FunctionError = a.payload, a.err
	}
	for {
		// Only who has answered may ask: see api.next.
		select {
		case a := <-inv.answer:
			take(a)
		case e.waiting = <-e.api.asks:
			select {
			case a := <-inv.answer:
				take(a)
			default:
			}
			return nil
		case <-e.exited:
			select { // a panic is posted, then the process ends
			case a := <-inv.answer:
				take(a)
			default:
			}
			if answered {
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

// traceID is an X-Ray tracing header of a request that is not sampled.
func traceID(now time.Time) string {
	return fmt.Sprintf("Root=1-%08x-%s;Parent=%s;Sampled=0", now.Unix(), hexID(12), hexID(8))
}

// hexID gives n random bytes as text.
func hexID(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}
