package remotewrite

import (
	"context"
	"iter"
	"log/slog"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// batch is one request body in the making. Batches go round between the free
// list, the goroutine that fills them and the workers.
type batch struct {
	msg    message
	series int
	// packed is the compressed form, of the batch or of a part of it.
	packed []byte
}

// push is one call of Push.
type push struct {
	*Sender
	tally tally
	ready chan *batch
}

// Push sends every series with the timestamp at, and says what became of each.
// The series must be disjoint: no two with the same labels. The families' HELP
// and TYPE are sent after them when they are due.
//
// The iterator is always drained, so that the report counts every series, also
// those that the deadline of ctx leaves unsent. Until then network errors, 5xx
// and 429 are retried with the same bytes; there is no waiting beyond it.
//
// The error, if there is one, is a *PushError: some series were refused or not
// sent. Series dropped before sending, and metadata, do not cause one.
//
// ctx bounds the push as a whole. Push must not be called while another Push of
// the same Sender is under way.
func (s *Sender) Push(ctx context.Context, at time.Time, series iter.Seq[metrics.Series], families []*metrics.Family) (Report, error) {
	start := time.Now()
	p := &push{
		Sender: s,
		// Room for every batch there is, so that handing one over never blocks.
		ready: make(chan *batch, cap(s.free)),
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

	s.pushMetadata(ctx, families)

	p.tally.report.Duration = time.Since(start)
	p.logDrops()
	return p.tally.report, p.tally.err()
}

// fill checks and encodes the series and hands over each batch that is full. It
// is the only goroutine that reads from the iterator.
func (p *push) fill(ctx context.Context, at time.Time, series iter.Seq[metrics.Series]) {
	var (
		b     *batch // the one that is being filled
		stamp = at.UnixMilli()
		late  = 0 // series that came after the deadline, with no batch to go into
		total = 0
	)
	p.rules.begin()
	for s := range series {
		total++
		labels, f := p.rules.check(s)
		if f.reason != "" {
			p.tally.drop(f, s)
			continue
		}
		// Twice at most: if the series does not fit, an empty batch is tried.
		for {
			if b == nil {
				if b = p.take(ctx, stamp); b == nil {
					late++
					break
				}
			}
			if b.msg.add(labels, s, p.maxBytes) {
				b.series++
				if b.series == p.maxSeries {
					p.ready <- b
					b = nil
				}
				break
			}
			if b.series == 0 {
				p.tally.drop(fault{SeriesTooLarge, "", p.maxBytes}, s)
				break
			}
			p.ready <- b
			b = nil
		}
	}
	switch {
	case b == nil:
	case b.series > 0:
		p.ready <- b
	default:
		p.free <- b
	}
	p.tally.series(total)
	if late > 0 {
		p.fail(outcome{err: neverTried(ctx)}, late)
	}
}

// take waits for a free batch and empties it. It returns nil when ctx is done.
func (p *push) take(ctx context.Context, stamp int64) *batch {
	if ctx.Err() != nil {
		return nil
	}
	select {
	case b := <-p.free:
		b.msg.reset(stamp)
		b.series = 0
		return b
	case <-ctx.Done():
		return nil
	}
}

// work sends batches until there are no more.
func (p *push) work(ctx context.Context) {
	for b := range p.ready {
		p.tally.built()
		p.send(ctx, b, b.msg.bytes(), b.series, nil)
		p.free <- b
	}
}

// logDrops logs one example of each reason for which series were dropped.
func (p *push) logDrops() {
	for _, d := range p.tally.examples {
		p.log.Warn("series dropped before sending",
			slog.String("reason", string(d.fault.reason)),
			slog.Int("series", p.tally.report.Dropped[d.fault.reason]),
			slog.Group("example",
				slog.String("metric", d.metric),
				slog.String("label", d.fault.label),
				slog.Int("length", d.fault.length)))
	}
}
