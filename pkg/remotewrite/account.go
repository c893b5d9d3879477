package remotewrite

import (
	"context"
	"log/slog"
	"strings"
	"sync"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
)

// account adds up the numbers of one push. All workers report to it, and so does
// the goroutine that encodes.
type account struct {
	mu       sync.Mutex
	push     metrics.Push
	examples []example
	failed   PushError
	// overcounted is the number of responses that claim more samples written than
	// were sent.
	overcounted int
	// unanswered: some request had no final response.
	unanswered bool
}

// example is the first series that was dropped for a reason.
type example struct {
	fault  wire.Fault
	metric string
}

// update changes the numbers under the lock.
func (a *account) update(change func(*metrics.Push)) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change(&a.push)
}

// drop counts a series that is not sent.
func (a *account) drop(f wire.Fault, s metrics.Series) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.push.Dropped == nil {
		a.push.Dropped = make(map[string]int)
	}
	a.push.Dropped[string(f.Reason)]++
	if s.IsMarker() {
		a.push.Markers.Dropped++
	}
	if a.push.Dropped[string(f.Reason)] > 1 {
		return
	}
	f.Label = excerpt(f.Label)
	e := example{fault: f}
	for _, l := range s.Labels {
		if l.Name == "__name__" {
			e.metric = excerpt(l.Value)
			break
		}
	}
	a.examples = append(a.examples, e)
}

// record counts the result of a request body, of markers or of other series. The error
// describes it, and is kept if series are lost.
func (a *account) record(r result, markers bool, e *DeliveryError) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.push.Accepted += r.accepted
	a.push.Refused += r.refused
	a.push.Unconfirmed += r.unconfirmed
	a.push.NotSent += r.notSent
	a.push.MayBeStored = a.push.MayBeStored || r.accepted+r.unconfirmed > 0 || r.counted
	if markers {
		m := &a.push.Markers
		m.Accepted += r.accepted
		m.Refused += r.refused
		m.Unconfirmed += r.unconfirmed
		m.NotSent += r.notSent
		m.Due += r.unconfirmed + r.notSent
		if r.unread {
			m.Due += r.refused
		}
	}
	a.unanswered = a.unanswered || r.unanswered
	if r.overcounted {
		a.overcounted++
	}
	if r.lost() > 0 {
		a.failed.add(e)
	}
}

// done is the number of series that have a result.
func (a *account) done() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.push.Accepted + a.push.Refused + a.push.Unconfirmed + a.push.NotSent
}

// err returns the push's error, nil if every series that was not dropped was
// accepted.
func (a *account) err() error {
	if a.failed.Series == 0 {
		return nil
	}
	return &a.failed
}

// log writes one line for each reason for which series were dropped, with an
// example, and one for all series that were not delivered.
func (a *account) log(ctx context.Context, log *slog.Logger) {
	for _, e := range a.examples {
		log.WarnContext(ctx, "series dropped before sending",
			slog.String("reason", string(e.fault.Reason)),
			slog.Int("series", a.push.Dropped[string(e.fault.Reason)]),
			slog.Group("example",
				slog.String("metric", e.metric),
				slog.String("label", e.fault.Label),
				slog.Int("length", e.fault.Size)))
	}
	if a.overcounted > 0 {
		log.WarnContext(ctx, "the receiver reports more samples written than were sent", slog.Int("responses", a.overcounted))
	}
	if a.failed.Series == 0 {
		return
	}
	example := a.failed.Deliveries[0]
	for _, d := range a.failed.Deliveries {
		if example.Body == "" {
			example = d
		}
	}
	log.ErrorContext(ctx, "series not delivered",
		slog.Int("series", a.failed.Series),
		slog.Int("refused", a.push.Refused),
		slog.Int("unconfirmed", a.push.Unconfirmed),
		slog.Int("notSent", a.push.NotSent),
		slog.Int("batches", a.failed.Batches),
		slog.Int("status", example.Status),
		slog.String("body", example.Body),
		slog.Any("error", &a.failed))
}

// excerpt returns a copy of at most the first 100 bytes.
func excerpt(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return strings.Clone(s)
}
