package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/golang/snappy"
)

// piece is one request body: a batch, or a part of it after a 413, or as 1.0
// after it turned out that the receiver does not take 2.0.
type piece struct {
	proto  Protocol
	raw    []byte
	series int
	// span is where the series are in the iterator.
	span Range
	// before is the answer to the larger or the 2.0 piece that this comes from, nil
	// if there was none.
	before *answer
}

// outcome is how the attempts to send one piece ended.
type outcome struct {
	// last is the last HTTP answer, nil if none came.
	last *answer
	// err is why the last attempt had no answer, nil if it had one.
	err      error
	attempts int
}

// send compresses and sends a piece of batch b, and counts what became of it.
func (p *push) send(ctx context.Context, b *batch, m piece) {
	if p.speech.outdated(m.proto) {
		p.downgrade(ctx, b, m)
		return
	}
	if ctx.Err() != nil {
		p.settle(m, outcome{last: m.before, err: neverTried(ctx)}, fate{notSent: m.series})
		return
	}
	b.packed = compress(b.packed, m.raw)
	if m.before == nil {
		p.tally.packed(len(m.raw), len(b.packed))
	}
	if p.discard {
		p.settle(m, outcome{}, fate{accepted: m.series})
		return
	}
	out := p.try(ctx, m, b.packed)
	if out.last == nil {
		out.last = m.before
	}
	if out.err != nil {
		p.settle(m, out, fate{notSent: m.series})
		return
	}

	fallBack, first := p.speech.heard(m.proto, out.last)
	if first {
		p.log.Info("the receiver does not take remote write 2.0, sending 1.0 from now on",
			slog.Int("status", out.last.status), slog.String("body", out.last.body))
	}
	verdict := judge(out.last.status)
	switch {
	case fallBack:
		m.before = out.last
		p.downgrade(ctx, b, m)
	case verdict == tooLarge && m.series > 1:
		m.before = out.last
		p.split(ctx, b, m)
	default:
		b.learn(verdict, len(m.raw))
		p.settle(m, out, fateOf(m.proto, out.last, m.series))
	}
}

// split sends a piece that was too large for the receiver in two.
func (p *push) split(ctx context.Context, b *batch, m piece) {
	left, right, err := m.proto.wire().split(m.raw, m.series)
	if err != nil {
		p.settle(m, outcome{last: m.before, err: fmt.Errorf("splitting the batch in two: %w", err)}, fate{refused: m.series})
		return
	}
	b.split = true
	p.tally.split()
	p.log.Debug("batch too large for the receiver, sending it in two",
		slog.Int("series", m.series), slog.Int("bytes", len(m.raw)))
	half := m.series / 2
	first, rest := m.span.cut(half, m.series)
	p.send(ctx, b, piece{m.proto, left, half, first, m.before})
	p.send(ctx, b, piece{m.proto, right, m.series - half, rest, m.before})
}

// downgrade sends a 2.0 piece as 1.0. Without the symbol table it is larger, so
// it may become several.
func (p *push) downgrade(ctx context.Context, b *batch, m piece) {
	messages, err := downgrade(m.raw, p.batchBytes(), p.maxSeries)
	if err != nil {
		p.settle(m, outcome{last: m.before, err: fmt.Errorf("turning the batch into 1.0: %w", err)}, fate{refused: m.series})
		return
	}
	p.tally.downgrade()
	left, span := m.series, m.span
	for raw, n := range messages {
		var first Range
		first, span = span.cut(n, left)
		left -= n
		p.send(ctx, b, piece{V1, raw, n, first, m.before})
	}
}

// try sends the same bytes until the answer is final or there is no time for a
// further attempt.
func (p *push) try(ctx context.Context, m piece, body []byte) (out outcome) {
	stop := time.Now().Add(p.retryFor)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(stop) {
		stop = deadline
	}
	for {
		round, ok := p.limit.acquire(ctx)
		if !ok {
			if out.attempts == 0 {
				out.err = neverTried(ctx)
			}
			return out
		}
		out.attempts++
		p.tally.attempt(out.attempts > 1)
		var got *answer
		var wish time.Duration
		got, out.err = p.post(ctx, m.proto.wire(), body)
		p.limit.release(round, loadOf(got, out.err))
		p.tally.answered(got)
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
			slog.Any("cause", p.deliveryError(m, out, fate{notSent: m.series})))
		if !sleep(ctx, wait) {
			return out
		}
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

// compress returns src in snappy's block format, in dst's memory if it is large
// enough.
func compress(dst, src []byte) []byte {
	if need := snappy.MaxEncodedLen(len(src)); cap(dst) < need {
		// With some to spare: the next batch is as large, and may be a little larger.
		dst = make([]byte, need+need/8)
	}
	return snappy.Encode(dst[:cap(dst)], src)
}
