package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/golang/snappy"
)

// outcome is how the attempts to send one body ended.
type outcome struct {
	// last is the last HTTP answer, nil if none came.
	last *answer
	// err is why the last attempt had no answer, nil if it had one.
	err      error
	attempts int
}

// send compresses and sends raw, n series of batch b, and counts what became of
// them. It is the whole of the batch, or a part of it after a 413: that answer is
// then in before.
func (p *push) send(ctx context.Context, b *batch, raw []byte, n int, before *answer) {
	if ctx.Err() != nil {
		p.fail(outcome{last: before, err: neverTried(ctx)}, n)
		return
	}
	b.packed = compress(b.packed, raw)
	if before == nil {
		p.tally.packed(len(raw), len(b.packed))
	}
	out := p.try(ctx, b.packed, n)
	if out.last == nil {
		out.last = before
	}
	if out.err != nil {
		p.fail(out, n)
		return
	}
	switch verdict := judge(out.last.status); {
	case verdict == accepted:
		p.tally.accepted(n)
	case verdict == tooLarge && n > 1:
		left, right, err := p.proto.split(raw, n)
		if err != nil {
			out.err = fmt.Errorf("splitting the batch in two: %w", err)
			p.fail(out, n)
			return
		}
		p.tally.split()
		p.log.Debug("batch too large for the receiver, sending it in two",
			slog.Int("series", n), slog.Int("bytes", len(raw)))
		p.send(ctx, b, left, n/2, out.last)
		p.send(ctx, b, right, n-n/2, out.last)
	default:
		p.fail(out, n)
	}
}

// try sends the same bytes until the answer is final or there is no time for a
// further attempt.
func (p *push) try(ctx context.Context, body []byte, n int) (out outcome) {
	stop := time.Now().Add(p.retryFor)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(stop) {
		stop = deadline
	}
	for {
		out.attempts++
		var got *answer
		var wish time.Duration
		got, out.err = p.post(ctx, body)
		if out.err == nil {
			out.last = got
			wish = got.retryAfter
		}
		if !retryable(got, out.err) {
			return out
		}
		// Never sleep into the deadline: what is known now is better reported now
		// than lost to it.
		wait := p.backoff.wait(out.attempts, wish)
		if !time.Now().Add(wait).Before(stop) {
			return out
		}
		p.log.Debug("remote write attempt failed, trying again", slog.Duration("wait", wait),
			slog.Any("cause", p.deliveryError(out, n)))
		if !sleep(ctx, wait) {
			return out
		}
		p.tally.retry()
	}
}

// retryable reports whether the same body may be taken at a further attempt. Of
// errors, all are but those that say of themselves that they are permanent, such
// as missing credentials.
func retryable(a *answer, err error) bool {
	if err == nil {
		return judge(a.status) == again
	}
	var p interface{ Permanent() bool }
	return !errors.As(err, &p) || !p.Permanent()
}

// sleep waits, and reports whether it did so to the end.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// neverTried is why series were not sent at all.
func neverTried(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the deadline came before the first attempt: %w", ctx.Err())
	}
	return fmt.Errorf("the push ended before the first attempt: %w", context.Cause(ctx))
}

// fail counts n series as not delivered, and logs why, once for each kind of
// failure.
func (p *push) fail(out outcome, n int) {
	e := p.deliveryError(out, n)
	if p.tally.failure(e) {
		p.log.Error("series not delivered", slog.Int("status", e.Status), slog.String("body", e.Body),
			slog.Any("error", e))
	}
}

func (p *push) deliveryError(out outcome, n int) *DeliveryError {
	e := &DeliveryError{URL: p.logURL, Attempts: out.attempts, Series: n, Err: out.err}
	if out.last != nil {
		e.Status, e.Body, e.RetryAfter = out.last.status, out.last.body, out.last.retryAfter
	}
	return e
}

// compress returns src in snappy's block format, in dst's memory if it is large
// enough.
func compress(dst, src []byte) []byte {
	return snappy.Encode(dst[:cap(dst)], src)
}
