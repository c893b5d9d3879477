package remotewrite

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// staleNaN is Prometheus' staleness marker.
var staleNaN = math.Float64frombits(0x7ff0000000000002)

// asPrompb is the WriteRequest of the same series.
func asPrompb(stamp int64, series []metrics.Series) *prompb.WriteRequest {
	req := new(prompb.WriteRequest)
	for _, s := range series {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Value: s.Value, Timestamp: stamp}}}
		for _, l := range s.Labels {
			ts.Labels = append(ts.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	return req
}

func encodeV1(t testing.TB, stamp int64, series []metrics.Series) []byte {
	t.Helper()
	m := v1{}.newMessage()
	m.reset(stamp)
	for _, s := range series {
		if !m.add(s.Labels, s, math.MaxInt) {
			t.Fatal("no room")
		}
	}
	return m.bytes()
}

// checkV1: the message is what prompb makes of the same series, to the byte, and
// prompb reads them from it.
func checkV1(t testing.TB, stamp int64, series []metrics.Series) []byte {
	t.Helper()
	got := encodeV1(t, stamp, series)
	want, err := asPrompb(stamp, series).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("got  %x\nwant %x", got, want)
	}
	var back prompb.WriteRequest
	if err := back.Unmarshal(got); err != nil {
		t.Fatal(err)
	}
	if len(back.Timeseries) != len(series) {
		t.Fatalf("%d series came back of %d", len(back.Timeseries), len(series))
	}
	for i, ts := range back.Timeseries {
		var labels []metrics.Label
		for _, l := range ts.Labels {
			labels = append(labels, metrics.Label{Name: l.Name, Value: l.Value})
		}
		if diff := cmp.Diff(series[i].Labels, labels); diff != "" {
			t.Errorf("series %d: %s", i, diff)
		}
		s := ts.Samples[0]
		// -0 becomes 0, in prompb too; all else keeps its bits.
		if s.Timestamp != stamp || math.Float64bits(s.Value) != math.Float64bits(series[i].Value) && s.Value != 0 {
			t.Errorf("series %d: sample %v, want %v at %d", i, s, series[i].Value, stamp)
		}
	}
	return got
}

func TestEncodeV1(t *testing.T) {
	t.Parallel()
	up := []string{"__name__", "up"}
	for _, tt := range []struct {
		name   string
		stamp  int64
		series []metrics.Series
	}{
		{"nothing", 1, nil},
		{"one label", 1, []metrics.Series{gauge(1, up...)}},
		{"zero", 1, []metrics.Series{gauge(0, up...)}},
		{"minus zero", 1, []metrics.Series{gauge(math.Copysign(0, -1), up...)}},
		{"negative", 1, []metrics.Series{gauge(-1.5, up...)}},
		{"infinite", 1, []metrics.Series{gauge(math.Inf(1), up...), gauge(math.Inf(-1), up...)}},
		{"NaN", 1, []metrics.Series{gauge(math.NaN(), up...)}},
		{"staleness marker", 1, []metrics.Series{gauge(staleNaN, up...)}},
		{"time zero", 0, []metrics.Series{gauge(1, up...), gauge(0, up...)}},
		{"before 1970", -1, []metrics.Series{gauge(1, up...)}},
		{"latest time", math.MaxInt64, []metrics.Series{gauge(1, up...)}},
		{"today", at.UnixMilli(), []metrics.Series{gauge(1, up...)}},
		{"UTF-8", 1, []metrics.Series{gauge(1, "__name__", "up", "a", "ünï©ødé ✓")}},
		{"lengths around 127", 1, []metrics.Series{
			gauge(1, "__name__", strings.Repeat("a", 121)),
			gauge(1, "__name__", strings.Repeat("a", 127), strings.Repeat("b", 128), "c"),
			gauge(1, "__name__", "up", "a", strings.Repeat("x", 126), "b", strings.Repeat("x", 127), "c", strings.Repeat("x", 128)),
		}},
		{"longest", 1, []metrics.Series{gauge(1, "__name__", "up", strings.Repeat("n", DefaultMaxLabelName), strings.Repeat("v", DefaultMaxLabelValue))}},
		{"16 KiB and more", 1, []metrics.Series{gauge(1, "__name__", "up", "a", strings.Repeat("x", 1<<14-1), "b", strings.Repeat("x", 1<<14))}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			checkV1(t, tt.stamp, tt.series)
		})
	}
}

// TestEncodeV1Limit: a series that fits to the byte is taken; one byte less and
// the message stays as it is.
func TestEncodeV1Limit(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"v", strings.Repeat("v", 120), strings.Repeat("v", 200)} {
		first, second := gauge(1, "__name__", "up"), gauge(2, "__name__", "up", "a", value)
		whole := encodeV1(t, 7, []metrics.Series{first, second})
		m := v1{}.newMessage()
		m.reset(7)
		m.add(first.Labels, first, math.MaxInt)
		before := bytes.Clone(m.bytes())
		if m.add(second.Labels, second, len(whole)-1) {
			t.Errorf("took a series beyond the limit")
		}
		if !bytes.Equal(m.bytes(), before) {
			t.Errorf("a series that did not fit left something behind")
		}
		if !m.add(second.Labels, second, len(whole)) {
			t.Errorf("did not take a series that fits")
		}
		if !bytes.Equal(m.bytes(), whole) {
			t.Errorf("got %x, want %x", m.bytes(), whole)
		}
	}
}

// TestEncodeV1Allocations: a buffer that has grown takes any number of batches
// without another allocation.
func TestEncodeV1Allocations(t *testing.T) {
	var series []metrics.Series
	for s := range images(500) {
		series = append(series, metrics.Series{Family: s.Family, Labels: slices.Clone(s.Labels), Value: s.Value})
	}
	var (
		rules  rules
		m      = v1{}.newMessage()
		packed []byte
	)
	encode := func() {
		m.reset(at.UnixMilli())
		for _, s := range series {
			labels, _ := rules.check(s)
			m.add(labels, s, math.MaxInt)
		}
		packed = compress(packed, m.bytes())
	}
	encode()
	if n := testing.AllocsPerRun(10, encode); n != 0 {
		t.Errorf("%v allocations for %d series, want none", n, len(series))
	}
}

// checkSplit: the halves are messages of their own, and together the whole.
func checkSplit(t testing.TB, raw []byte, n int) {
	t.Helper()
	left, right, err := v1{}.split(raw, n)
	if err != nil {
		t.Fatal(err)
	}
	var l, r, whole prompb.WriteRequest
	for half, data := range map[*prompb.WriteRequest][]byte{&l: left, &r: right, &whole: raw} {
		if err := half.Unmarshal(data); err != nil {
			t.Fatal(err)
		}
	}
	if len(l.Timeseries) != n/2 || len(r.Timeseries) != n-n/2 {
		t.Errorf("%d series in halves of %d and %d", n, len(l.Timeseries), len(r.Timeseries))
	}
	if !bytes.Equal(slices.Concat(left, right), raw) {
		t.Error("the halves are not the whole")
	}
}

func TestSplitV1(t *testing.T) {
	t.Parallel()
	var series []metrics.Series
	for i := range 9 {
		series = append(series, gauge(float64(i), "__name__", "up", "a", strings.Repeat("x", 1+i*40)))
	}
	for n := 2; n <= len(series); n++ {
		checkSplit(t, encodeV1(t, 5, series[:n]), n)
	}
}

func TestSplitV1Damaged(t *testing.T) {
	t.Parallel()
	good := encodeV1(t, 5, []metrics.Series{gauge(1, "__name__", "up"), gauge(2, "__name__", "up")})
	for name, raw := range map[string][]byte{
		"empty":              {},
		"another field":      append([]byte{3<<3 | 2}, good[1:]...),
		"endless length":     bytes.Repeat([]byte{keySeries, 0xff}, 20),
		"length beyond":      {keySeries, 0x7f, 1, 2, 3},
		"length overflowing": {keySeries, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
		"cut in the length":  {keySeries, 0x80},
	} {
		if _, _, err := (v1{}).split(raw, 2); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// FuzzEncodeV1: whatever passes the rules is encoded as prompb does it, is taken
// by it, and can be split.
func FuzzEncodeV1(f *testing.F) {
	f.Add("up", "job", "x", "instance", "y", 1.0, int64(1))
	f.Add("up", "job", "", "", "y", math.NaN(), int64(-1))
	f.Add("up", "z", "ü", "a", "\xff", 0.0, int64(0))
	f.Add("a:b", "a", strings.Repeat("x", 200), "b", strings.Repeat("y", 3000), staleNaN, at.UnixMilli())
	f.Fuzz(func(t *testing.T, name, n1, v1, n2, v2 string, value float64, stamp int64) {
		var r rules
		var kept []metrics.Series
		for _, s := range []metrics.Series{
			gauge(value, "__name__", name, n1, v1, n2, v2),
			gauge(value, "__name__", name, n2, v1, n1, v2),
			gauge(value, "__name__", "up", n1, v1),
		} {
			labels, bad := r.check(s)
			if bad.reason != "" {
				continue
			}
			if !slices.IsSortedFunc(labels, byName) {
				t.Fatalf("not sorted: %q", labels)
			}
			kept = append(kept, metrics.Series{Labels: slices.Clone(labels), Value: value})
		}
		raw := checkV1(t, stamp, kept)
		if len(kept) >= 2 {
			checkSplit(t, raw, len(kept))
		}
	})
}

// FuzzSplitV1: any bytes are either split at a place within them, or an error.
func FuzzSplitV1(f *testing.F) {
	f.Add(encodeV1(f, 5, []metrics.Series{gauge(1, "__name__", "up"), gauge(2, "__name__", "up")}), uint8(2))
	f.Add([]byte{keySeries, 0x80}, uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, n uint8) {
		left, right, err := v1{}.split(raw, max(2, int(n)))
		if err == nil && !bytes.Equal(slices.Concat(left, right), raw) {
			t.Error("the halves are not the whole")
		}
	})
}
