package remotewrite

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// at is the timestamp of the tests' runs.
var at = time.Date(2026, 11, 22, 10, 30, 0, 123_456_789, time.UTC)

var sizeFamily = &metrics.Family{Name: "aws_ecr_image_size_in_bytes", Help: "The size of an image in bytes", Type: "gauge"}

// images yields n series of the shape that is sent most. As metrics.Series allows,
// they are built in place: each overwrites the one before.
func images(n int) iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		labels := make([]metrics.Label, 0, 6)
		for i := range n {
			labels = append(labels[:0], imageLabels(i)...)
			if !yield(metrics.Series{Family: sizeFamily, Labels: labels, Value: float64(i) * 1000}) {
				return
			}
			for k := range labels {
				labels[k] = metrics.Label{Name: "overwritten", Value: "overwritten"}
			}
		}
	}
}

func imageLabels(i int) []metrics.Label {
	repository := fmt.Sprintf("team-%02d/service-%03d", i%7, i/50)
	tag := fmt.Sprintf("v1.%d.%d", i/100, i%100)
	return []metrics.Label{
		{Name: "__name__", Value: sizeFamily.Name},
		{Name: "digest", Value: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))},
		{Name: "image", Value: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/" + repository + ":" + tag},
		{Name: "name", Value: repository},
		{Name: "registry_id", Value: "123456789012"},
		{Name: "tag", Value: tag},
	}
}

func seq(series ...metrics.Series) iter.Seq[metrics.Series] { return slices.Values(series) }

// gauge is a series of the given names and values.
func gauge(value float64, namesAndValues ...string) metrics.Series {
	s := metrics.Series{Family: sizeFamily, Value: value}
	for i := 0; i < len(namesAndValues); i += 2 {
		s.Labels = append(s.Labels, metrics.Label{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return s
}

// newSender returns a Sender to the receiver. Its options may be changed.
func newSender(t testing.TB, to *remotewritetest.Server, change func(*Options)) *Sender {
	t.Helper()
	o := Options{URL: to.URL, Client: &http.Client{Transport: to.Transport}, Version: "1.2.3", Logger: new(logs).logger(t)}
	if change != nil {
		change(&o)
	}
	s, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// pushTo pushes and checks what must hold of all counts.
func pushTo(t testing.TB, s *Sender, series iter.Seq[metrics.Series]) (metrics.Push, error) {
	t.Helper()
	r, err := s.Push(t.Context(), at, series, nil)
	checkReport(t, r, err)
	checkIdle(t, s)
	return r, err
}

// checkReport: every series is counted once, and the error matches.
func checkReport(t testing.TB, r metrics.Push, err error) {
	t.Helper()
	if sum := r.Accepted + r.DroppedTotal() + r.Refused + r.Unconfirmed + r.NotSent; r.Series != sum {
		t.Errorf("%d series, of which %d are accounted for: %+v", r.Series, sum, r)
	}
	failed := r.Refused + r.Unconfirmed + r.NotSent
	if (failed > 0) != (err != nil) {
		t.Errorf("error %v with %+v", err, r)
	}
	if err != nil {
		var e *PushError
		if !errors.As(err, &e) || e.Series != failed {
			t.Errorf("error %#v with %+v", err, r)
		}
	}
}

// checkIdle: every batch is back.
func checkIdle(t testing.TB, s *Sender) {
	t.Helper()
	if len(s.free) != cap(s.free) {
		t.Errorf("%d of %d batches came back", len(s.free), cap(s.free))
	}
}

// logs collects log lines.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// logger logs everything, also to the test's output.
func (l *logs) logger(t testing.TB) *slog.Logger {
	return slog.New(slog.NewJSONHandler(io.MultiWriter(l, t.Output()), &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// above returns what was logged so far above debug level.
func (l *logs) above(t testing.TB) []map[string]any {
	t.Helper()
	return slices.DeleteFunc(l.lines(t), func(m map[string]any) bool { return m["level"] == "DEBUG" })
}

// lines returns what was logged so far.
func (l *logs) lines(t testing.TB) []map[string]any {
	t.Helper()
	var all []map[string]any
	for line := range strings.Lines(l.String()) {
		var m map[string]any
		if err := json.Unmarshal([]byte(line), &m); err != nil {
			t.Fatal(err)
		}
		all = append(all, m)
	}
	return all
}

type series = metrics.Series

var families = []*metrics.Family{
	sizeFamily,
	{Name: "aws_ecr_repository_info", Help: "ECR repository information", Type: "gauge"},
}

// lost is the number of series that the receiver is not known to have.
func lost(p metrics.Push) int { return p.DroppedTotal() + p.Refused + p.Unconfirmed + p.NotSent }
