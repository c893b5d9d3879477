package tsdbtest

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// start is the first sample's time in these tests. It lies in the past because
// Prometheus refuses samples of the future by the wall clock.
var start = time.Date(2025, time.June, 2, 9, 0, 0, 0, time.UTC)

func series(v float64, name string, pairs ...string) Series {
	return Series{Labels: labels.FromStrings(append(pairs, model.MetricNameLabel, name)...), Value: v}
}

// TestLateSamples pins what the receiver makes of samples that come late, twice
// or changed: the end-to-end tests rest on it being as strict as the real one.
func TestLateSamples(t *testing.T) {
	t.Parallel()
	type push struct {
		after  time.Duration
		value  float64
		status int
	}
	tests := []struct {
		name   string
		window time.Duration
		pushes []push
	}{
		{"in order", 0, []push{{0, 1, 204}, {time.Minute, 2, 204}}},
		{"older, no window", 0, []push{{0, 1, 204}, {-time.Second, 2, 400}}},
		{"older, inside AMP's window", AMPOutOfOrderWindow, []push{{0, 1, 204}, {-time.Second, 2, 204}}},
		{"older than AMP's window", AMPOutOfOrderWindow, []push{{0, 1, 204}, {-61 * time.Second, 2, 400}}},
		{"same time, same value", 0, []push{{0, 1, 204}, {0, 1, 204}}},
		{"same time, other value", 0, []push{{0, 1, 204}, {0, 2, 400}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			p := Start(t, Options{OutOfOrderWindow: test.window})
			for i, push := range test.pushes {
				status, response, err := WriteV1(t.Context(), p.URL(), start.Add(push.after), series(push.value, "a"))
				if err != nil {
					t.Fatal(err)
				}
				if status != push.status {
					t.Errorf("push %d: status %d (%s), want %d", i, status, response, push.status)
				}
			}
		})
	}
}

func TestFirstSampleTooOld(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	for _, write := range []struct {
		at     time.Time
		name   string
		status int
	}{
		{start, "a", 204},
		{start.Add(-time.Hour), "b", 204},
		{start.Add(-time.Hour - time.Millisecond), "c", 400},
	} {
		status, response, err := WriteV1(t.Context(), p.URL(), write.at, series(1, write.name))
		if err != nil {
			t.Fatal(err)
		}
		if status != write.status {
			t.Errorf("first sample of %s at %s: status %d (%s), want %d", write.name, write.at, status, response, write.status)
		}
	}
}

func TestRemoteWrite2(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	symbols := writev2.NewSymbolTable()
	refs := symbols.SymbolizeLabels(labels.FromStrings(model.MetricNameLabel, "a", "name", "x"), nil)
	req := writev2.Request{
		Timeseries: []writev2.TimeSeries{{
			LabelsRefs: refs,
			Samples:    []writev2.Sample{{Timestamp: start.UnixMilli(), Value: 7}},
		}},
		Symbols: symbols.Symbols(),
	}
	body, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	status, response, err := post(t.Context(), p.URL(), body,
		"application/x-protobuf;proto=io.prometheus.write.v2.Request", "2.0.0")
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusNoContent {
		t.Fatalf("status %d (%s), want 204", status, response)
	}
	wantLive(t, p, start, Vector{`a{name="x"}`: 7})
}

func TestPath(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{Path: AMPPath})
	if !strings.HasPrefix(p.URL(), "http://127.0.0.1:") || !strings.HasSuffix(p.URL(), AMPPath) {
		t.Errorf("URL %s is not on this machine under %s", p.URL(), AMPPath)
	}
	for endpoint, want := range map[string]int{
		p.URL(): http.StatusNoContent,
		strings.TrimSuffix(p.URL(), AMPPath) + DefaultPath: http.StatusNotFound,
	} {
		status, _, err := WriteV1(t.Context(), endpoint, start, series(1, "a"))
		if err != nil {
			t.Fatal(err)
		}
		if status != want {
			t.Errorf("%s: status %d, want %d", endpoint, status, want)
		}
	}
}

// TestLookback shows the rule that decides how often to push: a sample is seen
// for less than five minutes, and not at all after a staleness marker.
func TestLookback(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	all := []Series{series(1, "ended", "name", "x"), series(2, "silent")}
	if err := p.Append(t.Context(), start, all...); err != nil {
		t.Fatal(err)
	}
	marker := start.Add(2 * time.Minute)
	if err := p.Append(t.Context(), marker, series(StaleMarker(), "ended", "name", "x")); err != nil {
		t.Fatal(err)
	}

	both, one := Vector{`ended{name="x"}`: 1, "silent": 2}, Vector{"silent": 2}
	wantLive(t, p, start.Add(-time.Millisecond), Vector{})
	wantLive(t, p, start, both)
	wantLive(t, p, marker.Add(-time.Millisecond), both)
	wantLive(t, p, marker, one)
	wantLive(t, p, start.Add(Lookback-time.Millisecond), one)
	wantLive(t, p, start.Add(Lookback), Vector{})

	stored, err := p.Samples(t.Context(), `ended{name="x"}`, start, marker)
	if err != nil {
		t.Fatal(err)
	}
	want := Matrix{`ended{name="x"}`: {{At: start, Value: 1}, {At: marker, Stale: true}}}
	if diff := cmp.Diff(want, stored); diff != "" {
		t.Errorf("stored samples (-want +got):\n%s", diff)
	}
	if none, err := p.Samples(t.Context(), `ended`, start.Add(time.Millisecond), marker.Add(-time.Millisecond)); err != nil || len(none) != 0 {
		t.Errorf("samples between the two: %v, %v; want none", none, err)
	}
}

func TestRange(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	for i := range 3 {
		if err := p.Append(t.Context(), start.Add(time.Duration(i)*time.Minute), series(float64(i), "a", "name", "x")); err != nil {
			t.Fatal(err)
		}
	}
	got, err := p.Range(t.Context(), "sum without (name) (a) * 10", start, start.Add(3*time.Minute), time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	want := Matrix{"{}": {
		{At: start}, {At: start.Add(time.Minute), Value: 10},
		{At: start.Add(2 * time.Minute), Value: 20}, {At: start.Add(3 * time.Minute), Value: 20},
	}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("range query (-want +got):\n%s", diff)
	}
}

func TestAppendAllOrNothing(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	if err := p.Append(t.Context(), start, series(1, "a")); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name   string
		at     time.Time
		series []Series
		want   string
	}{
		{"twice", start, []Series{series(1, "b"), series(2, "c"), series(3, "c")}, "append c"},
		{"late", start.Add(-time.Minute), []Series{series(1, "b"), series(2, "a")}, "append a"},
	}
	for _, test := range tests {
		if err := p.Append(t.Context(), test.at, test.series...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want one with %q", test.name, err, test.want)
		}
	}
	wantLive(t, p, start, Vector{"a": 1})
}

// TestTwiceInOneRequest shows what the receiver does not notice: a test that
// wants to know of a series sent twice must count what the sender says it sent.
func TestTwiceInOneRequest(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	status, response, err := WriteV1(t.Context(), p.URL(), start, series(1, "a"), series(2, "a"))
	if err != nil {
		t.Fatal(err)
	}
	if status != http.StatusNoContent {
		t.Errorf("status %d (%s), want 204", status, response)
	}
	wantLive(t, p, start, Vector{"a": 1})
}

func TestQueryErrors(t *testing.T) {
	t.Parallel()
	p := Start(t, Options{})
	for _, expr := range []string{"sum(", "a[5m]", `"text"`} {
		if v, err := p.Instant(t.Context(), expr, start); err == nil {
			t.Errorf("Instant(%q) = %v, want an error", expr, v)
		} else if !strings.Contains(err.Error(), strconv.Quote(expr)) {
			t.Errorf("Instant(%q): error %q does not name the query", expr, err)
		}
	}
	if got, err := p.Instant(t.Context(), "1 + 1", start); err != nil || !cmp.Equal(got, Vector{"{}": 2}) {
		t.Errorf("Instant of a scalar = %v, %v; want {} 2", got, err)
	}
	if m, err := p.Samples(t.Context(), `{`, start, start); err == nil {
		t.Errorf("Samples of a broken selector = %v, want an error", m)
	}
}

func wantLive(t *testing.T, p *Prometheus, at time.Time, want Vector) {
	t.Helper()
	got, err := p.Live(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("live at %s (-want +got):\n%s", at.Format(time.TimeOnly), diff)
	}
}
