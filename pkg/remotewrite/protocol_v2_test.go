package remotewrite

import (
	"bytes"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

func encodeV2(t testing.TB, stamp int64, series []metrics.Series) []byte {
	t.Helper()
	return encode(t, v2{}, stamp, series)
}

func encode(t testing.TB, p protocol, stamp int64, series []metrics.Series) []byte {
	t.Helper()
	m := p.newMessage()
	m.reset(stamp)
	for _, s := range series {
		if !m.add(s.Labels, s, math.MaxInt) {
			t.Fatal("no room")
		}
	}
	return m.bytes()
}

// resolved is a series of a 2.0 message with its texts in place of references.
// The value is there as bits, so that NaNs can be compared.
type resolved struct {
	Labels    []metrics.Label
	Bits      uint64
	Timestamp int64
	Type      writev2.Metadata_MetricType
	Help      string
	Unit      string
}

// resolve decodes a 2.0 message with the official types and checks what the
// specification demands of it.
func resolve(t testing.TB, raw []byte) []resolved {
	t.Helper()
	var req writev2.Request
	if err := req.Unmarshal(raw); err != nil {
		t.Fatal(err)
	}
	if len(req.Symbols) == 0 || req.Symbols[0] != "" {
		t.Fatalf("symbols %q do not begin with the empty text", req.Symbols)
	}
	used := map[uint32]bool{0: true}
	symbol := func(ref uint32) string {
		used[ref] = true
		return req.Symbols[ref]
	}
	var all []resolved
	for _, ts := range req.Timeseries {
		if len(ts.Samples) != 1 || len(ts.Histograms)+len(ts.Exemplars) != 0 {
			t.Fatalf("series %v has not exactly one sample", ts)
		}
		r := resolved{
			Bits:      math.Float64bits(ts.Samples[0].Value),
			Timestamp: ts.Samples[0].Timestamp,
			Type:      ts.Metadata.Type,
			Help:      symbol(ts.Metadata.HelpRef),
			Unit:      symbol(ts.Metadata.UnitRef),
		}
		for i := 0; i < len(ts.LabelsRefs); i += 2 {
			r.Labels = append(r.Labels, metrics.Label{Name: symbol(ts.LabelsRefs[i]), Value: symbol(ts.LabelsRefs[i+1])})
		}
		all = append(all, r)
	}
	if len(used) != len(req.Symbols) {
		t.Errorf("%d symbols, of which %d are used", len(req.Symbols), len(used))
	}
	sorted := slices.Sorted(slices.Values(req.Symbols))
	if len(slices.Compact(sorted)) != len(req.Symbols) {
		t.Errorf("a symbol twice in %q", req.Symbols)
	}
	return all
}

// asResolved is what should come back of series.
func asResolved(stamp int64, series []metrics.Series) []resolved {
	var all []resolved
	for _, s := range series {
		r := resolved{Labels: s.Labels, Bits: math.Float64bits(s.Value), Timestamp: stamp}
		if s.Value == 0 {
			r.Bits = 0 // -0 becomes 0, as with the official encoder
		}
		if s.Family != nil {
			r.Help = s.Family.Help
			r.Type = writev2.Metadata_MetricType(writev2.Metadata_MetricType_value["METRIC_TYPE_"+strings.ToUpper(s.Family.Type)])
		}
		all = append(all, r)
	}
	return all
}

// checkResolved compares decoded series. Of many, cmp.Diff takes seconds to find
// that they are the same, so it is asked only for those that differ.
func checkResolved(t testing.TB, what string, want, got []resolved) {
	t.Helper()
	if len(want) != len(got) {
		t.Errorf("%s: %d, want %d", what, len(got), len(want))
		return
	}
	for i := range want {
		w, g := want[i], got[i]
		same := slices.Equal(w.Labels, g.Labels)
		w.Labels, g.Labels = nil, nil
		if !same || !reflect.DeepEqual(w, g) {
			t.Errorf("%s: %d (-want +got):\n%s", what, i, cmp.Diff(want[i], got[i], cmpopts.EquateEmpty()))
			return
		}
	}
}

// checkV2: the official types read the same series from the message.
func checkV2(t testing.TB, stamp int64, series []metrics.Series) []byte {
	t.Helper()
	raw := encodeV2(t, stamp, series)
	checkResolved(t, "series", asResolved(stamp, series), resolve(t, raw))
	return raw
}

// encodings are series that are easy to get wrong.
func encodings() map[string][]metrics.Series {
	up := []string{"__name__", "up"}
	withFamily := func(f *metrics.Family) metrics.Series {
		s := gauge(1, up...)
		s.Family = f
		return s
	}
	var types []metrics.Series
	for _, word := range []string{"gauge", "counter", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown", "untyped", ""} {
		types = append(types, withFamily(&metrics.Family{Name: "up", Type: word, Help: "of type " + word}))
	}
	var many, wide []metrics.Series
	wideLabels := slices.Clone(up)
	for i := range 100 {
		wideLabels = append(wideLabels, fmt.Sprintf("l%03d", i), fmt.Sprint(i))
	}
	wide = append(wide, gauge(1, wideLabels...), gauge(2, wideLabels...))
	for i := range 20_000 { // references of one, two and three bytes, and a table that grows
		many = append(many, gauge(float64(i), "__name__", "up", "a", fmt.Sprint(i), "b", fmt.Sprint(i%7)))
	}
	return map[string][]metrics.Series{
		"nothing":       nil,
		"one label":     {gauge(1, up...)},
		"special":       {gauge(0, up...), gauge(math.Copysign(0, -1), up...), gauge(math.Inf(-1), up...), gauge(math.NaN(), up...), gauge(staleNaN, up...)},
		"UTF-8":         {gauge(1, "__name__", "up", "a", "ünï©ødé ✓")},
		"value as name": {gauge(1, "__name__", "a", "a", "__name__", "b", "a")},
		"no family":     {withFamily(nil), withFamily(sizeFamily), withFamily(nil)},
		"no help":       {withFamily(&metrics.Family{Name: "up", Type: "gauge"})},
		"no metadata":   {withFamily(&metrics.Family{Name: "up"})},
		"types":         types,
		"long texts":    {gauge(1, "__name__", "up", "a", strings.Repeat("x", 127), "b", strings.Repeat("x", 128), "c", strings.Repeat("x", 1<<14))},
		"many series":   many,
		"many labels":   wide,
	}
}

func TestEncodeV2(t *testing.T) {
	t.Parallel()
	for name, series := range encodings() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, stamp := range []int64{0, -1, 1, at.UnixMilli(), math.MaxInt64} {
				checkV2(t, stamp, series[:min(len(series), 20)])
			}
			checkV2(t, at.UnixMilli(), series)
		})
	}
}

// TestEncodeV2Reset: a message that is used again has nothing of the one before,
// and each text still has one place.
func TestEncodeV2Reset(t *testing.T) {
	t.Parallel()
	m := v2{}.newMessage()
	for i := range 3 {
		series := []metrics.Series{gauge(1, "__name__", fmt.Sprint("up", i), "a", "x"), gauge(2, "__name__", "up", "a", "x")}
		m.reset(int64(i))
		for _, s := range series {
			m.add(s.Labels, s, math.MaxInt)
			m.bytes() // may be asked for in between
		}
		checkResolved(t, fmt.Sprintf("use %d", i), asResolved(int64(i), series), resolve(t, m.bytes()))
	}
}

// TestEncodeV2Limit: a series that fits to the byte is taken, its symbols counted;
// one byte less and the message stays as it is, its symbols too.
func TestEncodeV2Limit(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"v", "up", strings.Repeat("v", 120), strings.Repeat("v", 200)} {
		first, second, third := gauge(1, "__name__", "up"), gauge(2, "__name__", "up", "a", value), gauge(3, "__name__", "up", "b", "a")
		whole := encodeV2(t, 7, []metrics.Series{first, second})
		m := v2{}.newMessage()
		m.reset(7)
		m.add(first.Labels, first, math.MaxInt)
		before := bytes.Clone(m.bytes())
		if m.add(second.Labels, second, len(whole)-1) {
			t.Errorf("took a series beyond the limit")
		}
		if !bytes.Equal(m.bytes(), before) {
			t.Errorf("a series that did not fit left something behind")
		}
		if !m.add(third.Labels, third, math.MaxInt) {
			t.Errorf("did not take a series after one that did not fit")
		}
		checkResolved(t, "after one that did not fit", asResolved(7, []metrics.Series{first, third}), resolve(t, m.bytes()))
		m.reset(7)
		m.add(first.Labels, first, len(whole))
		if !m.add(second.Labels, second, len(whole)) {
			t.Errorf("did not take a series that fits")
		}
		if !bytes.Equal(m.bytes(), whole) {
			t.Errorf("got %x, want %x", m.bytes(), whole)
		}
	}
}

// TestEncodeV2Allocations: as for 1.0.
func TestEncodeV2Allocations(t *testing.T) {
	var series []metrics.Series
	for s := range images(500) {
		s.Labels = slices.Clone(s.Labels)
		series = append(series, s)
	}
	var (
		rules  rules
		m      = v2{}.newMessage()
		packed []byte
	)
	encode := func() {
		rules.begin()
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

// checkSplitV2: the halves are messages of their own with their own symbols, and
// together they hold the same series.
func checkSplitV2(t testing.TB, raw []byte, n int) {
	t.Helper()
	left, right, err := v2{}.split(raw, n)
	if err != nil {
		t.Fatal(err)
	}
	l, r := resolve(t, left), resolve(t, right)
	if len(l) != n/2 || len(r) != n-n/2 {
		t.Errorf("%d series in halves of %d and %d", n, len(l), len(r))
	}
	checkResolved(t, "series of the halves", resolve(t, raw), slices.Concat(l, r))
}

func TestSplitV2(t *testing.T) {
	t.Parallel()
	for name, series := range encodings() {
		if len(series) >= 2 {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				for n := 2; n <= len(series); n = n*2 + 1 {
					checkSplitV2(t, encodeV2(t, 5, series[:n]), n)
				}
			})
		}
	}
}

// damagedV2 are messages that no sender of ours makes.
func damagedV2(t testing.TB) map[string][]byte {
	t.Helper()
	good := encodeV2(t, 5, []metrics.Series{gauge(1, "__name__", "up"), gauge(2, "__name__", "up")})
	marshal := func(req writev2.Request) []byte {
		raw, err := req.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	symbols := []string{"", "a", "b"}
	return map[string][]byte{
		"empty":            {},
		"cut":              good[:len(good)-1],
		"no empty symbol":  marshal(writev2.Request{Symbols: symbols[1:], Timeseries: make([]writev2.TimeSeries, 2)}),
		"label beyond":     marshal(writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1, 3}}, {}}}),
		"label half":       marshal(writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1}}, {}}}),
		"help beyond":      marshal(writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{{}, {Metadata: writev2.Metadata{HelpRef: 3}}}}),
		"unit beyond":      marshal(writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{{}, {Metadata: writev2.Metadata{UnitRef: 9}}}}),
		"no symbols":       marshal(writev2.Request{Timeseries: make([]writev2.TimeSeries, 2)}),
		"a message of 1.0": encodeV1(t, 5, []metrics.Series{gauge(1, "__name__", "up")}),
	}
}

func TestSplitV2Damaged(t *testing.T) {
	t.Parallel()
	for name, raw := range damagedV2(t) {
		if _, _, err := (v2{}).split(raw, 2); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if _, _, err := (v2{}).split(encodeV2(t, 5, []metrics.Series{gauge(1, "__name__", "up")}), 2); err == nil {
		t.Error("fewer series than said: no error")
	}
}

// FuzzEncodeV2: whatever passes the rules comes back from the official types, and
// can be split and downgraded.
func FuzzEncodeV2(f *testing.F) {
	f.Add("up", "job", "x", "instance", "y", 1.0, int64(1), "help")
	f.Add("up", "job", "", "", "y", math.NaN(), int64(-1), "")
	f.Add("up", "z", "ü", "a", "\xff", 0.0, int64(0), "up")
	f.Add("a:b", "a", strings.Repeat("x", 200), "b", strings.Repeat("y", 3000), staleNaN, at.UnixMilli(), "x")
	f.Fuzz(func(t *testing.T, name, n1, v1, n2, v2 string, value float64, stamp int64, help string) {
		var r rules
		var kept []metrics.Series
		family := &metrics.Family{Name: name, Type: n1, Help: strings.ToValidUTF8(help, "?")}
		for _, s := range []metrics.Series{
			gauge(value, "__name__", name, n1, v1, n2, v2),
			gauge(value, "__name__", name, n2, v1, n1, v2),
			gauge(value, "__name__", "up", n1, v1),
			gauge(0, "__name__", "up", v1, v1),
		} {
			if labels, bad := r.check(s); bad.reason == "" {
				kept = append(kept, metrics.Series{Labels: slices.Clone(labels), Value: s.Value, Family: family})
				family = nil
			}
		}
		raw := checkV2(t, stamp, kept)
		if len(kept) >= 2 {
			checkSplitV2(t, raw, len(kept))
		}
		checkDowngrade(t, stamp, kept, len(raw), 2)
	})
}

// FuzzDecodeV2: any bytes are either a message or an error, for both who decode.
func FuzzDecodeV2(f *testing.F) {
	for _, raw := range damagedV2(f) {
		f.Add(raw, uint8(2))
	}
	f.Add(encodeV2(f, 5, []metrics.Series{gauge(1, "__name__", "up"), gauge(2, "__name__", "up")}), uint8(2))
	f.Fuzz(func(t *testing.T, raw []byte, n uint8) {
		if left, right, err := (v2{}).split(raw, max(2, int(n))); err == nil {
			for _, half := range [][]byte{left, right} {
				if _, err := decodeV2(half); err != nil {
					t.Error(err)
				}
			}
		}
		if parts, err := downgrade(raw, 1000, int(n)); err == nil {
			for range parts { // must end, and not panic
				continue
			}
		}
	})
}
