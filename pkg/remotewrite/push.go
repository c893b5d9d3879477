package remotewrite

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
)

// push is one call of Push.
type push struct {
	*delivery
	sender *Sender
	at     int64 // the timestamp of all samples, in milliseconds since 1970
	ready  chan *batch
}

// Push sends every series with the timestamp at, and counts what became of each. No
// two series may have the same labels. Staleness markers have batches of their own, so
// that a batch refused for other series does not take them with it. With 1.0, the
// families' HELP and TYPE are sent after the series if they are due; with 2.0 they are in
// them.
//
// The iterator is always drained, so that every series is counted, also those that
// the deadline of ctx leaves unsent. Until then network errors, 5xx and 429 are
// retried with the same bytes; Push does not wait beyond it.
//
// The error, if there is one, is a *PushError: some series were refused, not
// confirmed or not sent. Series dropped before sending, and metadata, do not cause
// one.
//
// ctx bounds the push as a whole. Push must not be called while another Push of the
// same Sender is in progress.
func (s *Sender) Push(ctx context.Context, at time.Time, series iter.Seq[metrics.Series], families []*metrics.Family) (metrics.Push, error) {
	start := time.Now()
	p := &push{
		delivery: &delivery{endpoint: &s.endpoint},
		sender:   s,
		at:       at.UnixMilli(),
		// Room for every batch there is, so that handing one over never blocks.
		ready: make(chan *batch, cap(s.free)),
	}
	s.pace.begin(ctx)
	p.splits.Store(int64(splitsPerWorker * s.workers))

	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(func() {
			for b := range p.ready {
				p.send(ctx, b)
			}
		})
	}
	func() {
		// Also if the iterator panics: no worker may be left behind.
		defer workers.Wait()
		defer close(p.ready)
		p.fill(ctx, series)
	}()

	s.metadata.push(ctx, p.delivery, families)
	p.account.log(ctx, s.log)
	p.account.push.Protocol = string(s.Protocol())
	p.account.push.Duration = time.Since(start)
	p.account.push.RateExceeded = s.pace.exceeded
	return p.account.push, p.account.err()
}

// fill validates and encodes the series and hands over each batch that is full.
func (p *push) fill(ctx context.Context, series iter.Seq[metrics.Series]) {
	var (
		b *batch // the one that is being filled
		// The following are of series and of markers among them.
		n, markers int
		// For these there was no batch before the deadline.
		late, lateMarkers int
	)
	for s := range series {
		n++
		marker := s.IsMarker()
		if marker {
			markers++
		}
		labels, fault := p.sender.validator.Check(s.Labels)
		if fault.Reason != "" {
			p.account.drop(fault, s)
			continue
		}
		if b != nil {
			if b.markers == marker && b.msg.Add(labels, s, int(p.fits.Load())) {
				b = p.added(ctx, b)
				continue
			}
			p.hand(ctx, b)
		}
		if b = p.take(ctx); b == nil {
			if late++; marker {
				lateMarkers++
			}
			continue
		}
		b.markers = marker
		// The first of a batch may be as large as MaxBytes: a smaller size that the
		// receiver accepted was that of a number of series.
		if !b.msg.Add(labels, s, p.sender.maxBytes) {
			p.account.drop(wire.Fault{Reason: wire.SeriesTooLarge, Size: p.sender.maxBytes}, s)
			p.sender.free <- b
			b = nil
			continue
		}
		b = p.added(ctx, b)
	}
	if b != nil {
		p.hand(ctx, b)
	}
	p.account.update(func(c *metrics.Push) { c.Series, c.Markers.Series = n, markers })
	p.late(ctx, late-lateMarkers, false)
	p.late(ctx, lateMarkers, true)
}

// late accounts for series that the deadline left without a batch.
func (p *push) late(ctx context.Context, n int, markers bool) {
	if n > 0 {
		p.record(request{protocol: p.current(), series: n, markers: markers}, attempts{err: neverTried(ctx)}, unanswered(n, false))
	}
}

// added counts a series that was added to the batch. It returns the batch, or nil if
// that was its last.
func (p *push) added(ctx context.Context, b *batch) *batch {
	if b.series++; b.series < p.maxSeries {
		return b
	}
	p.hand(ctx, b)
	return nil
}

// hand gives a batch to the workers. One that goes alone is sent here, since its
// response decides how the next one is encoded.
func (p *push) hand(ctx context.Context, b *batch) {
	p.sender.pace.wait(ctx, b.series)
	if b.alone {
		p.send(ctx, b)
		return
	}
	p.ready <- b
}

// send sends a batch and makes it free.
func (p *push) send(ctx context.Context, b *batch) {
	p.sendBatch(ctx, b)
	p.sender.free <- b
}

// take waits for a free batch and empties it. It returns nil when ctx is done.
func (p *push) take(ctx context.Context) *batch {
	if ctx.Err() != nil {
		return nil
	}
	select {
	case b := <-p.sender.free:
		protocol, alone := p.next()
		b.reset(protocol, p.at)
		b.alone = alone
		return b
	case <-ctx.Done():
		return nil
	}
}
