package remotewrite

import (
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

func (t *tally) retry() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Retries++
}

func (t *tally) accepted(series int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report.Accepted += series
}

// failure counts the series of a batch that failed for good. It returns
// whether it is the first of its kind in this push, and within the few that are
// kept.
func (t *tally) failure(e *DeliveryError) (first bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if e.Status != 0 {
		t.report.Refused += e.Series
	} else {
		t.report.NotSent += e.Series
	}
	return t.failed.add(e)
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
