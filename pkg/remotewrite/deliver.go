package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/golang/snappy"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
)

// endpoint is the receiver as a Sender knows it from push to push.
type endpoint struct {
	client
	*negotiation
	backoff  backoff
	retryFor time.Duration // of one request body
	// unreachableFor bounds the time without any connection; 0 means no limit.
	unreachableFor time.Duration
	progress       func(done int, failed *DeliveryError)
	maxSeries      int
	discard        bool
	log            *slog.Logger
	// fits is the size in bytes of a batch that the receiver accepts, at most MaxBytes.
	fits atomic.Int64
}

// batch is a message that is filled, sent and used again.
type batch struct {
	protocol Protocol
	msg      wire.Message
	series   int
	markers  bool // all series are staleness markers, else none is
	// alone: no other is encoded until this one has its response.
	alone bool
	// compressed is the compressed form of the batch or of a part of it.
	compressed []byte

	// split: it was too large for the receiver. fits is then the size of the largest
	// part that was not; stuck means that a single series was.
	split, stuck bool
	fits         int
}

// reset empties the batch for a message of the version.
func (b *batch) reset(p Protocol, at int64) {
	if b.msg == nil || b.protocol != p {
		b.protocol, b.msg = p, wire.NewMessage(wire.Protocol(p))
	}
	b.msg.Reset(at)
	b.series, b.markers, b.alone = 0, false, false
	b.split, b.stuck, b.fits = false, false, 0
}

// observeSize learns from a final response to a part of the batch, or all of it.
func (b *batch) observeSize(v verdict, r request) {
	switch v {
	case tooLarge:
		b.stuck = b.stuck || r.series == 1
	case accepted, refused:
		b.fits = max(b.fits, len(r.raw))
	case again: // the receiver may not have checked the size
	}
}

// request is one request body: a batch, or a part of it after it was split or
// downgraded to 1.0.
type request struct {
	protocol Protocol
	raw      []byte
	series   int
	markers  bool // see batch
	// previous is the response to the body that this one was made from, nil if it is
	// the whole batch.
	previous *response
	// inDoubt: that body was in doubt, see attempts.
	inDoubt bool
	// throttled is the number of attempts to send bodies that this one was made from,
	// until they were split because of 429.
	throttled int
}

// attempts is how the attempts to send one request body ended.
type attempts struct {
	count int
	// out: at least one was written to a connection.
	out bool
	// inDoubt: at least one was, and had no final response. The receiver may have
	// stored its series.
	inDoubt bool
	// split: the response was 429 again and again. The parts are to be sent.
	split bool
	// last is the last HTTP response, nil if there was none.
	last *response
	// err is why the last attempt had no response, nil if it had one.
	err error
}

const (
	// splitAfter is the number of 429 to the same body after which it is split: it may
	// be larger than the receiver's burst, and then waiting is in vain.
	splitAfter = 3
	// splitsPerWorker is enough to find a size that the receiver accepts in batches of
	// up to 65,536 series at once. See delivery.splits.
	splitsPerWorker = 16
)

var errNoSplits = errors.New("not split further, since smaller requests were not accepted either")

// delivery sends the batches of one push.
type delivery struct {
	*endpoint
	account account
	// unreachableSince is the time of the first of the attempts that could not connect;
	// nil if the last one did.
	unreachableSince atomic.Pointer[time.Time]
	// splits is how often batches may still be split. Each part that is accepted allows
	// for one more, so it only ends where splitting does not help: a receiver that
	// answers 413 to everything must not cost two requests a series.
	splits atomic.Int64
}

// maySplit reports whether a body may be split, and counts that.
func (d *delivery) maySplit(r request) bool {
	if r.series < 2 {
		return false
	}
	if d.splits.Add(-1) < 0 {
		d.splits.Add(1)
		return false
	}
	return true
}

// sendBatch sends a whole batch and accounts for its series.
func (d *delivery) sendBatch(ctx context.Context, b *batch) {
	d.account.update(func(n *metrics.Push) { n.Batches++ })
	d.sendPart(ctx, b, request{protocol: b.protocol, raw: b.msg.Bytes(), series: b.series, markers: b.markers})
	// If a single series was too large, that says nothing about the others.
	if b.split && !b.stuck {
		d.limitSize(b.fits)
	}
}

// limitSize keeps batches to a size that the receiver accepts, so that the next
// push does not build batches that have to be split again.
func (e *endpoint) limitSize(size int) {
	for {
		now := e.fits.Load()
		if size <= 0 || int64(size) >= now || e.fits.CompareAndSwap(now, int64(size)) {
			return
		}
	}
}

// sendPart compresses and sends a request body of batch b, and accounts for its
// series.
func (d *delivery) sendPart(ctx context.Context, b *batch, r request) {
	if d.outdated(r.protocol) {
		d.downgrade(ctx, b, r)
		return
	}
	if ctx.Err() != nil {
		d.record(r, attempts{last: r.previous, err: neverTried(ctx)}, unanswered(r.series, r.inDoubt))
		return
	}
	b.compressed = compress(b.compressed, r.raw)
	a := attempts{out: true}
	if !d.discard {
		a = d.try(ctx, r, b.compressed)
	}
	if a.out {
		d.account.update(func(n *metrics.Push) {
			n.BytesRaw += int64(len(r.raw))
			n.BytesCompressed += int64(len(b.compressed))
		})
	}
	if d.discard {
		d.record(r, a, result{accepted: r.series})
		return
	}
	if a.last == nil {
		a.last = r.previous
	}
	r.inDoubt = r.inDoubt || a.inDoubt
	if a.err != nil {
		d.record(r, a, unanswered(r.series, r.inDoubt))
		return
	}
	if a.split {
		r.previous, r.throttled = a.last, r.throttled+a.count
		d.split(ctx, b, r)
		return
	}

	fallBack, changed := d.observe(r.protocol, a.last.status, a.last.written)
	if changed {
		d.log.InfoContext(ctx, "the receiver does not support remote write 2.0, sending 1.0 from now on",
			slog.Int("status", a.last.status), slog.String("body", a.last.body))
	}
	v := judge(a.last.status)
	switch {
	case fallBack:
		r.previous = a.last
		// Only a 415 says that nothing was stored.
		r.inDoubt = r.inDoubt || a.last.status != http.StatusUnsupportedMediaType
		d.downgrade(ctx, b, r)
	case v == tooLarge && d.maySplit(r):
		b.split = true
		r.previous = a.last
		d.split(ctx, b, r)
	default:
		b.observeSize(v, r)
		if v == accepted && r.previous != nil {
			d.splits.Add(1)
		}
		res := resultOf(r.protocol, a.last.status, a.last.written, r.series).after(r.inDoubt)
		if v == tooLarge && r.series > 1 {
			res.err, res.unread = errNoSplits, true
		}
		d.record(r, a, res)
	}
}

// split sends a body in two, since it was too large for the receiver or for its rate
// limit.
func (d *delivery) split(ctx context.Context, b *batch, r request) {
	left, right, err := wire.Split(wire.Protocol(r.protocol), r.raw, r.series)
	if err != nil {
		d.record(r, attempts{last: r.previous, err: fmt.Errorf("splitting the batch: %w", err)}, result{refused: r.series}.after(r.inDoubt))
		return
	}
	d.account.update(func(n *metrics.Push) { n.Splits++ })
	d.log.DebugContext(ctx, "batch too large for the receiver, sending it in two",
		slog.Int("series", r.series), slog.Int("bytes", len(r.raw)), slog.Int("status", r.previous.status))
	half := r.series / 2
	first, second := r, r
	first.raw, first.series = left, half
	second.raw, second.series = right, r.series-half
	d.sendPart(ctx, b, first)
	d.sendPart(ctx, b, second)
}

// downgrade sends a 2.0 body as 1.0. Without the symbol table it is larger, so it
// may become several.
func (d *delivery) downgrade(ctx context.Context, b *batch, r request) {
	messages, err := wire.Downgrade(r.raw, int(d.fits.Load()), d.maxSeries)
	if err != nil {
		d.record(r, attempts{last: r.previous, err: fmt.Errorf("converting the batch to 1.0: %w", err)}, result{refused: r.series}.after(r.inDoubt))
		return
	}
	d.account.update(func(n *metrics.Push) { n.Downgrades++ })
	r.protocol = V1
	for r.raw, r.series = range messages {
		d.sendPart(ctx, b, r)
	}
}

// try sends the same bytes until the response is final, they are to be split, or there
// is no time for a further attempt. Repeating them is harmless: a receiver that has
// stored them accepts the same sample again.
func (d *delivery) try(ctx context.Context, r request, body []byte) (a attempts) {
	stop := time.Now().Add(d.retryFor)
	if deadline, ok := ctx.Deadline(); ok && deadline.Before(stop) {
		stop = deadline
	}
	throttled := 0
	for {
		a.count++
		resp, out, err := d.attempt(ctx, r.protocol, body, a.count > 1)
		a.err, a.out = err, a.out || out
		var retryAfter time.Duration
		if err == nil {
			a.last, retryAfter = resp, resp.retryAfter
		}
		if err == nil && judge(resp.status) != again || err != nil && permanent(err) {
			return a
		}
		a.inDoubt = a.inDoubt || out
		// Never sleep into the deadline: what is known now is better reported now
		// than lost to it.
		wait := d.backoff.wait(r.throttled+a.count, retryAfter)
		next := time.Now().Add(wait)
		if !next.Before(stop) || unreachable(err) && d.unreachableUntil(next) {
			return a
		}
		failed := d.deliveryError(r, a, unanswered(r.series, a.inDoubt))
		d.progress(d.account.done(), failed)
		d.log.DebugContext(ctx, "remote write attempt failed, trying again", slog.Duration("wait", wait), slog.Any("cause", failed))
		if !sleep(ctx, wait) {
			return a
		}
		if err == nil && resp.status == http.StatusTooManyRequests {
			if throttled++; throttled >= splitAfter && d.maySplit(r) {
				a.split = true
				return a
			}
		}
	}
}

// unreachableUntil reports whether the limit for attempts without a connection is over by
// then.
func (d *delivery) unreachableUntil(then time.Time) bool {
	since := d.unreachableSince.Load()
	return d.unreachableFor > 0 && since != nil && !then.Before(since.Add(d.unreachableFor))
}

// attempt makes one request and counts it.
func (d *delivery) attempt(ctx context.Context, p Protocol, body []byte, retry bool) (resp *response, out bool, err error) {
	resp, out, err = d.post(ctx, p, body)
	if now := time.Now(); unreachable(err) {
		d.unreachableSince.CompareAndSwap(nil, &now)
	} else {
		d.unreachableSince.Store(nil)
	}
	d.account.update(func(n *metrics.Push) {
		n.Requests++
		if retry {
			n.Retries++
		}
		if err == nil && resp.status == http.StatusTooManyRequests {
			n.Throttled++
		}
	})
	return resp, out, err
}

// record accounts for the series of a request body.
func (d *delivery) record(r request, a attempts, res result) {
	if a.err == nil {
		a.err = res.err
	}
	d.account.record(res, r.markers, d.deliveryError(r, a, res))
	d.progress(d.account.done(), nil)
}

func (d *delivery) deliveryError(r request, a attempts, res result) *DeliveryError {
	e := &DeliveryError{
		URL: d.logURL, Protocol: r.protocol, Attempts: a.count,
		Series: res.lost(), Unconfirmed: res.unconfirmed, Err: a.err,
	}
	if a.last != nil {
		e.Status, e.Body, e.RetryAfter = a.last.status, a.last.body, a.last.retryAfter
	}
	if res.counted {
		e.Sent, e.Written = r.series, res.accepted
	}
	return e
}

// sleep waits, and reports whether ctx was not done first.
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
	return fmt.Errorf("the push was canceled before the first attempt: %w", context.Cause(ctx))
}

// compress returns src in snappy's block format, in the memory of dst if that is
// large enough.
func compress(dst, src []byte) []byte {
	if need := snappy.MaxEncodedLen(len(src)); cap(dst) < need {
		// With some to spare: the next batch is about as large.
		dst = make([]byte, need+need/8)
	}
	return snappy.Encode(dst[:cap(dst)], src)
}
