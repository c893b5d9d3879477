package remotewrite

import (
	"net/http"
	"strings"
	"sync"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// tally is where one push adds up what happens. Batches arrive from all
// workers, drops from the goroutine that encodes.
type tally struct {
	mu       sync.Mutex
	report   Report
	examples []example
	failed   PushError
}

// example is the first series that was dropped for a reason.
type example struct {
	fault  fault
	metric string
}

func (t *tally) series(n int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Series += n
}

func (t *tally) drop(f fault, s metrics.Series) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.report.Dropped == nil {
		t.report.Dropped = make(map[Reason]int)
	}
	t.report.Dropped[f.reason]++
	if t.report.Dropped[f.reason] > 1 {
		return
	}
	// Copies, since the iterator may reuse the memory; and short, for a log line.
	f.label = short(f.label)
	e := example{fault: f}
	for _, l := range s.Labels {
		if l.Name == nameLabel {
			e.metric = short(l.Value)
			break
		}
	}
	t.examples = append(t.examples, e)
}

func (t *tally) built() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Batches++
}

func (t *tally) packed(raw, compressed int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.BytesRaw += int64(raw)
	t.report.BytesCompressed += int64(compressed)
}

func (t *tally) split() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Splits++
}

func (t *tally) downgrade() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Downgrades++
}

// attempt counts a request, and answered what came of it: nil for nothing.
func (t *tally) attempt(retry bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Requests++
	if retry {
		t.report.Retries++
	}
}

func (t *tally) answered(a *answer) {
	if a == nil || a.status != http.StatusTooManyRequests {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Throttled++
}

// settle counts what became of a message. It returns whether that is a failure,
// the first of its kind in this push, and within the few that are kept.
func (t *tally) settle(f fate, e *DeliveryError, span Range) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Accepted += f.accepted
	t.report.Refused += f.refused
	t.report.Unconfirmed += f.unconfirmed
	t.report.NotSent += f.notSent
	if f.notSent > 0 {
		t.report.Unsent = append(t.report.Unsent, span)
	}
	return f.lost() > 0 && t.failed.add(e)
}

// err returns the push's error, nil if no batch failed.
func (t *tally) err() error {
	if t.failed.Series == 0 {
		return nil
	}
	return &t.failed
}

// short returns a copy of s of at most 100 bytes.
func short(s string) string {
	const most = 100
	if len(s) > most {
		return s[:most] + "…"
	}
	return strings.Clone(s)
}
