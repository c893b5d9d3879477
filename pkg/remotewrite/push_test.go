package remotewrite

import (
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

func TestPush(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name    string
		change  func(*Options)
		series  int
		batches int
	}{
		{"none", nil, 0, 0},
		{"one", nil, 1, 1},
		{"one batch", nil, 2000, 1},
		{"closed by series", func(o *Options) { o.MaxSeries = 100 }, 1001, 11},
		{"closed by series, all full", func(o *Options) { o.MaxSeries = 100 }, 1000, 10},
		{"one series a batch", func(o *Options) { o.MaxSeries = 1 }, 25, 25},
		{"one worker", func(o *Options) { o.MaxSeries, o.Concurrency = 100, 1 }, 1000, 10},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := remotewritetest.NewServer(t, remotewritetest.Options{})
			s := newSender(t, to, tt.change)
			for range 2 { // buffers are used again
				report, err := pushTo(t, s, images(tt.series))
				if err != nil {
					t.Fatal(err)
				}
				if report.Series != tt.series || report.Accepted != tt.series || report.Batches != tt.batches {
					t.Errorf("got %+v, want %d series in %d batches", report, tt.series, tt.batches)
				}
			}
			checkArrived(t, to, tt.series)
			if n := len(to.Requests()); n != 2*tt.batches {
				t.Errorf("%d requests for twice %d batches", n, tt.batches)
			}
		})
	}
}

// checkArrived checks that the receiver has exactly the first n images, once each.
func checkArrived(t testing.TB, to *remotewritetest.Server, n int) {
	t.Helper()
	want := make(map[string]remotewritetest.Sample, n)
	for i := range n {
		labels := make(map[string]string)
		for _, l := range imageLabels(i) {
			labels[l.Name] = l.Value
		}
		want[remotewritetest.Series{Labels: labels}.String()] = remotewritetest.Sample{Timestamp: at.UnixMilli(), Value: float64(i) * 1000}
	}
	got := make(map[string]remotewritetest.Sample, n)
	for _, s := range to.All() {
		if len(s.Samples) != 1 {
			t.Errorf("%s has %d samples", s, len(s.Samples))
		}
		got[s.String()] = s.Last()
	}
	if !maps.Equal(want, got) { // much faster than cmp.Diff
		t.Errorf("the receiver has (-want +got):\n%s", cmp.Diff(want, got))
	}
}

// TestBatchBytes: a batch closes exactly before it would exceed MaxBytes.
func TestBatchBytes(t *testing.T) {
	t.Parallel()
	const n = 150
	one, validator := wire.NewMessage(wire.V1), wire.NewValidator(Limits{})
	one.Reset(at.UnixMilli())
	var sizes []int // of the message after each series
	for s := range images(n) {
		labels, _ := validator.Check(s.Labels)
		if !one.Add(labels, s, 1<<30) {
			t.Fatal("no room")
		}
		sizes = append(sizes, len(one.Bytes()))
	}
	for _, limit := range []int{sizes[9], sizes[9] + 1, sizes[9] - 1, sizes[99], sizes[n-1], sizes[n-1] - 1} {
		to := remotewritetest.NewServer(t, remotewritetest.Options{MaxBytes: limit})
		s := newSender(t, to, func(o *Options) { o.MaxBytes, o.Concurrency = limit, 1 })
		report, err := pushTo(t, s, images(n))
		if err != nil || report.Splits != 0 {
			t.Fatalf("limit %d: %+v, %v", limit, report, err)
		}
		// The first batch holds as many series as fit.
		fit, _ := slices.BinarySearch(sizes, limit+1)
		first := to.Requests()[0]
		if first.Series != fit || first.Raw != sizes[fit-1] {
			t.Errorf("limit %d: first batch of %d series and %d bytes, want %d and %d", limit, first.Series, first.Raw, fit, sizes[fit-1])
		}
		raw, compressed := 0, 0
		for _, r := range to.Requests() {
			if r.Raw > limit {
				t.Errorf("limit %d: a batch of %d bytes", limit, r.Raw)
			}
			raw += r.Raw
			compressed += r.Compressed
		}
		if raw != sizes[n-1] || report.BytesRaw != int64(raw) || report.BytesCompressed != int64(compressed) {
			t.Errorf("limit %d: %d bytes came, %d compressed; report %+v, want %d raw", limit, raw, compressed, report, sizes[n-1])
		}
	}
}

func TestPushDrops(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	var log logs
	s := newSender(t, to, func(o *Options) {
		o.MaxBytes = 3000
		o.Logger = log.logger(t)
	})
	large := func(c string) series {
		return gauge(1, "__name__", "large", "a", string(make([]byte, 1500)), "b", string(make([]byte, 1500)), "c", c)
	}
	report, err := pushTo(t, s, seq(
		gauge(1, "__name__", "first"),
		gauge(1, "tag", "x"),
		large("1"),
		gauge(1, "__name__", "up", "a-b", "x"),
		gauge(1, "__name__", "up", "c-d", "x"),
		large("2"),
		gauge(1, "__name__", "up", strings.Repeat("n", 1100), "x"),
		gauge(1, "__name__", "last"),
	))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{"no_metric_name": 1, "series_too_large": 2, "invalid_label_name": 2, "label_name_too_long": 1}
	if diff := cmp.Diff(want, report.Dropped); diff != "" {
		t.Error(diff)
	}
	if report.DroppedTotal() != 6 || report.Accepted != 2 {
		t.Errorf("%+v", report)
	}
	var names []string
	for _, s := range to.All() {
		names = append(names, s.String())
	}
	slices.Sort(names) // two batches, sent at once
	if diff := cmp.Diff([]string{"first", "last"}, names); diff != "" {
		t.Error(diff)
	}
	// One line a reason, with the first example.
	lines := log.lines(t)
	var got []map[string]any
	for _, l := range lines {
		delete(l, "time")
		got = append(got, l)
	}
	line := func(reason Reason, series, length int, metric, label string) map[string]any {
		return map[string]any{
			"level": "WARN", "msg": "series dropped before sending", "reason": string(reason), "series": float64(series),
			"example": map[string]any{"metric": metric, "label": label, "length": float64(length)},
		}
	}
	if diff := cmp.Diff([]map[string]any{
		line(wire.NoMetricName, 1, 0, "", "__name__"),
		line(wire.SeriesTooLarge, 2, 3000, "large", ""),
		line(wire.InvalidLabelName, 2, 3, "up", "a-b"),
		line(wire.LabelNameTooLong, 1, 1100, "up", strings.Repeat("n", 100)+"…"),
	}, got); diff != "" {
		t.Error(diff)
	}
}

func TestPushSeveralAtOnce(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	// Each of the first three waits until all three are there.
	gate := make(chan struct{}, 3)
	open := make(chan struct{})
	go func() {
		for range 3 {
			<-gate
		}
		close(open)
	}()
	to.Answer(slices.Repeat([]remotewritetest.Answer{{Wait: func() { gate <- struct{}{}; <-open }}}, 3)...)
	s := newSender(t, to, func(o *Options) { o.Concurrency, o.MaxSeries = 3, 10 })
	report, err := pushTo(t, s, images(200))
	if err != nil {
		t.Fatal(err)
	}
	checkArrived(t, to, 200)
	if report.Batches != 20 || to.MaxActive() != 3 {
		t.Errorf("%d at once, %+v", to.MaxActive(), report)
	}
}

// TestPushPanic: a panic of the iterator reaches the caller and leaves no goroutine
// behind (see TestMain).
func TestPushPanic(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	s := newSender(t, to, nil)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	_, _ = s.Push(t.Context(), at, func(yield func(metrics.Series) bool) {
		yield(gauge(1, "__name__", "up"))
		panic("iterator")
	}, nil)
}
