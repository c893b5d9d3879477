package remotewrite

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// batch is one request body in the making. Batches go round between the free
// list, the goroutine that fills them and the workers.
type batch struct {
	proto  Protocol
	msg    message
	series int
	span   Range
	// alone: none other is encoded until this one has been answered.
	alone bool
	// packed is the compressed form, of the batch or of a part of it.
	packed []byte

	// split: it was too large for the receiver. fits is then the size of the
	// largest part that was not, and stuck says that a single series was.
	split, stuck bool
	fits         int
}

// reset empties the batch for a message of the version.
func (b *batch) reset(proto Protocol, stamp int64) {
	if b.msg == nil || b.proto != proto {
		b.proto, b.msg = proto, proto.wire().newMessage()
	}
	b.msg.reset(stamp)
	b.series, b.alone = 0, false
	b.split, b.stuck, b.fits = false, false, 0
}

// learn takes note of a final answer to a part of the batch of that size.
func (b *batch) learn(v verdict, size int) {
	switch v {
	case tooLarge:
		b.stuck = true
	case accepted, refused:
		b.fits = max(b.fits, size)
	case again: // it may not have looked at the size
	}
}

// push is one call of Push.
type push struct {
	*Sender
	tally tally
	ready chan *batch
	// answered is told when a batch that goes alone is through.
	answered chan struct{}
}

// Push sends every series with the timestamp at, and says what became of each.
// Of several with the same labels the first is sent and the others are dropped.
// With 1.0, the families' HELP and TYPE are sent after them when they are due;
// with 2.0 they are in the series.
//
// The iterator is always drained, so that the report counts every series, also
// those that the deadline of ctx leaves unsent. Until then network errors, 5xx
// and 429 are retried with the same bytes; there is no waiting beyond it.
//
// The error, if there is one, is a *PushError: some series were refused, not
// confirmed or not sent. Series dropped before sending, and metadata, do not
// cause one.
//
// ctx bounds the push as a whole. Push must not be called while another Push of
// the same Sender is under way.
func (s *Sender) Push(ctx context.Context, at time.Time, series iter.Seq[metrics.Series], families []*metrics.Family) (Report, error) {
	start := time.Now()
	p := &push{
		Sender: s,
		// Room for every batch there is, so that handing one over never blocks.
		ready:    make(chan *batch, cap(s.free)),
		answered: make(chan struct{}, 1),
	}

	var workers sync.WaitGroup
	for range s.workers {
		workers.Go(func() { p.work(ctx) })
	}
	func() {
		// Also if the iterator panics: no worker may be left behind.
		defer workers.Wait()
		defer close(p.ready)
		p.fill(ctx, at, series)
	}()

	p.pushMetadata(ctx, families)
	p.conclude()

	r := &p.tally.report
	r.Unsent = merge(r.Unsent)
	r.Protocol = s.Spoken()
	r.Duration = time.Since(start)
	return *r, p.tally.err()
}

// fill checks and encodes the series and hands over each batch that is full. It
// is the only goroutine that reads from the iterator.
func (p *push) fill(ctx context.Context, at time.Time, series iter.Seq[metrics.Series]) {
	var (
		b     *batch // the one that is being filled
		stamp = at.UnixMilli()
		late  = 0 // series that came after the deadline, with no batch to go into
		since = 0 // the place of the first of them
		place = -1
	)
	p.rules.begin()
	for s := range series {
		place++
		labels, f := p.rules.check(s)
		if f.reason != "" {
			p.tally.drop(f, s)
			continue
		}
		if b != nil {
			if b.msg.add(labels, s, p.batchBytes()) {
				b = p.added(b, place)
				continue
			}
			p.hand(b)
		}
		if b = p.take(ctx, stamp); b == nil {
			if late == 0 {
				since = place
			}
			late++
			continue
		}
		// The first of a batch has all the room there may be: where batches are kept
		// smaller than that, it is for the sake of their number of series.
		if !b.msg.add(labels, s, p.maxBytes) {
			p.tally.drop(fault{SeriesTooLarge, "", p.maxBytes}, s)
			p.free <- b
			b = nil
			continue
		}
		b.span.From = place
		b = p.added(b, place)
	}
	if b != nil {
		p.hand(b)
	}
	p.tally.series(place + 1)
	if late > 0 {
		m := piece{proto: p.Spoken(), series: late, span: Range{since, place + 1}}
		p.settle(m, outcome{err: neverTried(ctx)}, fate{notSent: late})
	}
}

// added counts a series that is in the batch now, and returns the batch, or nil
// if that was its last.
func (p *push) added(b *batch, place int) *batch {
	b.series++
	b.span.To = place + 1
	if b.series < p.maxSeries {
		return b
	}
	p.hand(b)
	return nil
}

// hand gives a batch to the workers. One that goes alone it waits for: what comes
// of it decides how the next one is encoded. No worker takes longer for a batch
// than the push may.
func (p *push) hand(b *batch) {
	alone := b.alone // b is not ours any more once it is handed over
	p.ready <- b
	if alone {
		<-p.answered
	}
}

// take waits for a free batch and empties it. It returns nil when ctx is done.
func (p *push) take(ctx context.Context, stamp int64) *batch {
	if ctx.Err() != nil {
		return nil
	}
	select {
	case b := <-p.free:
		proto, alone := p.speech.next()
		b.reset(proto, stamp)
		b.alone = alone
		return b
	case <-ctx.Done():
		return nil
	}
}

// work sends batches until there are no more.
func (p *push) work(ctx context.Context) {
	for b := range p.ready {
		p.tally.built()
		p.send(ctx, b, piece{proto: b.proto, raw: b.msg.bytes(), series: b.series, span: b.span})
		if b.split && !b.stuck {
			p.learn(b.fits)
		}
		alone := b.alone
		p.free <- b
		if alone {
			p.answered <- struct{}{}
		}
	}
}

// batchBytes is the size that batches keep to: MaxBytes, or less if a batch of
// that size was too large for the receiver.
func (s *Sender) batchBytes() int { return int(s.fits.Load()) }

// learn keeps batches to a size that was found to fit, so that the next push does
// not build those again that have to be split. Where even a single series was
// too large there is nothing to learn: it says nothing about the others.
func (s *Sender) learn(size int) {
	for {
		now := s.fits.Load()
		if size <= 0 || int64(size) >= now || s.fits.CompareAndSwap(now, int64(size)) {
			return
		}
	}
}
