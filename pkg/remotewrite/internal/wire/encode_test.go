package wire

import (
	"bytes"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

var both = []Protocol{V1, V2}

// cases are series that are easy to encode wrong.
func cases() map[string][]metrics.Series {
	up := []string{"__name__", "up"}
	of := func(f *metrics.Family) metrics.Series {
		s := gauge(1, up...)
		s.Family = f
		return s
	}
	var types, many []metrics.Series
	for _, word := range []string{"gauge", "counter", "histogram", "gaugehistogram", "summary", "info", "stateset", "unknown", "untyped", ""} {
		types = append(types, of(&metrics.Family{Name: "up", Type: word, Help: "of type " + word}))
	}
	wide := slices.Clone(up)
	for i := range 300 { // more than maxKnown
		wide = append(wide, fmt.Sprintf("l%03d", i), fmt.Sprint(i))
	}
	for i := range 20_000 { // references of one, two and three bytes, and a table that grows
		many = append(many, gauge(float64(i), "__name__", "up", "a", fmt.Sprint(i), "b", fmt.Sprint(i%7)))
	}
	x := func(n int) string { return strings.Repeat("x", n) }
	return map[string][]metrics.Series{
		"nothing":       nil,
		"one label":     {gauge(1, up...)},
		"values":        {gauge(0, up...), gauge(math.Copysign(0, -1), up...), gauge(-1.5, up...), gauge(math.Inf(1), up...), gauge(math.Inf(-1), up...), gauge(math.NaN(), up...), gauge(staleNaN, up...)},
		"UTF-8":         {gauge(1, "__name__", "up", "a", "ünï©ødé ✓")},
		"value as name": {gauge(1, "__name__", "a", "a", "__name__", "b", "a")},
		"no family":     {of(nil), of(sizeFamily), of(nil)},
		"no help":       {of(&metrics.Family{Name: "up", Type: "gauge"})},
		"no metadata":   {of(&metrics.Family{Name: "up"})},
		"types":         types,
		"lengths around 127": {
			gauge(1, "__name__", x(121)), gauge(1, "__name__", x(127), x(128), "c"),
			gauge(1, "__name__", "up", "a", x(126), "b", x(127), "c", x(128)),
		},
		"16 KiB and more": {gauge(1, "__name__", "up", "a", x(1<<14-1), "b", x(1<<14)), gauge(2, "__name__", "up", "a", x(1<<14-1), "b", x(1<<14))},
		"many series":     many,
		"many labels":     {gauge(1, wide...), gauge(2, wide...), gauge(3, up...), gauge(4, wide...)},
		// The labels in common are those of the previous series, wherever they are.
		"labels come and go": {
			gauge(1, "__name__", "up", "a", "1", "c", "3"), gauge(2, "__name__", "up", "b", "2", "c", "3"),
			gauge(3, "__name__", "down", "a", "1", "b", "2", "c", "4"), gauge(4, "__name__", "up", "a", "1", "c", "3"),
		},
	}
}

// TestEncode: the official types read what was added, and of 1.0 the message is
// theirs, to the byte.
func TestEncode(t *testing.T) {
	t.Parallel()
	for name, series := range cases() {
		for _, p := range both {
			t.Run(fmt.Sprint(name, " ", p), func(t *testing.T) {
				t.Parallel()
				for _, stamp := range []int64{0, -1, 1, now, math.MaxInt64} {
					few := series[:min(len(series), 20)]
					checkEncode(t, p, stamp, few)
				}
				checkEncode(t, p, now, series)
			})
		}
	}
}

func checkEncode(t testing.TB, p Protocol, stamp int64, series []metrics.Series) []byte {
	t.Helper()
	raw := encode(t, p, stamp, series)
	checkDecoded(t, p, raw, stamp, series)
	if p == V2 {
		return raw
	}
	var req prompb.WriteRequest
	for _, s := range series {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Value: s.Value, Timestamp: stamp}}}
		for _, l := range s.Labels {
			ts.Labels = append(ts.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		}
		req.Timeseries = append(req.Timeseries, ts)
	}
	want, err := req.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(raw, want) {
		t.Fatalf("got  %x\nwant %x", raw, want)
	}
	return raw
}

// TestReset: a message that is used again has nothing of the one before, also if
// its validator has seen series in between.
func TestReset(t *testing.T) {
	t.Parallel()
	for _, p := range both {
		m, other, v := NewMessage(p), NewMessage(p), anyLength()
		for i := range 3 {
			series := []metrics.Series{gauge(1, "__name__", fmt.Sprint("up", i), "a", "x"), gauge(2, "__name__", "up", "a", "x")}
			m.Reset(int64(i))
			other.Reset(0)
			for _, s := range series {
				add(t, m, v, s)
				m.Bytes() // may be read in between
				add(t, other, v, gauge(3, "__name__", "other", "a", fmt.Sprint(i), "b", "x"))
			}
			checkDecoded(t, p, m.Bytes(), int64(i), series)
		}
	}
}

// TestLimit: a series that fits to the byte is added, its symbols counted; with one
// byte less the message stays as it is.
func TestLimit(t *testing.T) {
	t.Parallel()
	for _, p := range both {
		for _, value := range []string{"v", "up", strings.Repeat("v", 120), strings.Repeat("v", 200)} {
			first, second, third := gauge(1, "__name__", "up"), gauge(2, "__name__", "up", "a", value), gauge(3, "__name__", "up", "b", "a")
			whole := bytes.Clone(encode(t, p, 7, []metrics.Series{first, second}))
			m, v := NewMessage(p), anyLength()
			m.Reset(7)
			add(t, m, v, first)
			before := bytes.Clone(m.Bytes())
			if tryAdd(t, m, v, second, len(whole)-1) {
				t.Errorf("%s: added a series beyond the limit", p)
			}
			if !bytes.Equal(m.Bytes(), before) {
				t.Errorf("%s: a series that did not fit left something behind", p)
			}
			add(t, m, v, third)
			checkDecoded(t, p, m.Bytes(), 7, []metrics.Series{first, third})
			m.Reset(7)
			if !tryAdd(t, m, v, first, len(whole)) || !tryAdd(t, m, v, second, len(whole)) {
				t.Errorf("%s: did not add a series that fits", p)
			}
			if !bytes.Equal(m.Bytes(), whole) {
				t.Errorf("%s: got %x, want %x", p, m.Bytes(), whole)
			}
		}
	}
}

// TestAllocations: buffers that have grown take any number of messages without
// another allocation.
func TestAllocations(t *testing.T) {
	var series []metrics.Series
	for s := range images(500) {
		series = append(series, s.Clone())
	}
	for _, p := range both {
		m, v := NewMessage(p), NewValidator(Limits{})
		encode := func() {
			m.Reset(now)
			for _, s := range series {
				labels, _ := v.Check(s.Labels)
				m.Add(labels, s, math.MaxInt)
			}
			m.Bytes()
		}
		encode()
		if n := testing.AllocsPerRun(10, encode); n != 0 {
			t.Errorf("%s: %v allocations for %d series, want none", p, n, len(series))
		}
	}
}

// checkSplit: the halves are messages of their own with the same series.
func checkSplit(t testing.TB, p Protocol, raw []byte, n int) {
	t.Helper()
	left, right, err := Split(p, raw, n)
	if err != nil {
		t.Fatal(err)
	}
	l, r := decode(t, p, left), decode(t, p, right)
	if len(l) != n/2 || len(r) != n-n/2 {
		t.Errorf("%d series in halves of %d and %d", n, len(l), len(r))
	}
	if got, want := fmt.Sprint(l, r), fmt.Sprint(decode(t, p, raw)); strings.Replace(got, "] [", " ", 1) != want && len(l) > 0 {
		t.Errorf("series of the halves\n%.1000s\nwant\n%.1000s", got, want)
	}
}

func TestSplit(t *testing.T) {
	t.Parallel()
	for name, series := range cases() {
		for _, p := range both {
			t.Run(fmt.Sprint(name, " ", p), func(t *testing.T) {
				t.Parallel()
				for n := 2; n <= min(len(series), 1000); n = n*2 + 1 {
					checkSplit(t, p, encode(t, p, 5, series[:n]), n)
				}
			})
		}
	}
}

// damaged are messages that our encoder does not produce.
func damaged(t testing.TB) map[Protocol]map[string][]byte {
	t.Helper()
	series := []metrics.Series{gauge(1, "__name__", "up"), gauge(2, "__name__", "up")}
	v1, v2 := encode(t, V1, 5, series), encode(t, V2, 5, series)
	marshal := func(req writev2.Request) []byte {
		raw, err := req.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	symbols := []string{"", "a", "b"}
	return map[Protocol]map[string][]byte{
		V1: {
			"empty":              {},
			"another field":      append([]byte{3<<3 | 2}, v1[1:]...),
			"endless length":     bytes.Repeat([]byte{keySeries, 0xff}, 20),
			"length beyond":      {keySeries, 0x7f, 1, 2, 3},
			"length overflowing": {keySeries, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01},
			"cut in the length":  {keySeries, 0x80},
		},
		V2: {
			"empty":            {},
			"cut":              v2[:len(v2)-1],
			"no empty symbol":  marshal(writev2.Request{Symbols: symbols[1:], Timeseries: make([]writev2.TimeSeries, 2)}),
			"label beyond":     marshal(writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1, 3}}, {}}}),
			"label half":       marshal(writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{{LabelsRefs: []uint32{1}}, {}}}),
			"help beyond":      marshal(writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{{}, {Metadata: writev2.Metadata{HelpRef: 3}}}}),
			"unit beyond":      marshal(writev2.Request{Symbols: symbols, Timeseries: []writev2.TimeSeries{{}, {Metadata: writev2.Metadata{UnitRef: 9}}}}),
			"no symbols":       marshal(writev2.Request{Timeseries: make([]writev2.TimeSeries, 2)}),
			"a message of 1.0": v1,
		},
	}
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	for p, messages := range damaged(t) {
		for name, raw := range messages {
			if _, _, err := Split(p, raw, 2); err == nil {
				t.Errorf("splitting %s %s: no error", p, name)
			}
			if _, err := Downgrade(raw, math.MaxInt, 0); p == V2 && err == nil {
				t.Errorf("converting %s: no error", name)
			}
		}
	}
	if _, _, err := Split(V2, encode(t, V2, 5, []metrics.Series{gauge(1, "__name__", "up")}), 2); err == nil {
		t.Error("fewer series than stated: no error")
	}
}

// checkDowngrade: the messages together are, to the byte, that of 1.0 with the same
// series, and each keeps within the limits if it can.
func checkDowngrade(t testing.TB, stamp int64, series []metrics.Series, limit, maxSeries int) (messages int) {
	t.Helper()
	all, err := Downgrade(encode(t, V2, stamp, series), limit, maxSeries)
	if err != nil {
		t.Fatal(err)
	}
	var together []byte
	total := 0
	for raw, n := range all {
		if got := len(decode(t, V1, raw)); got != n || n == 0 {
			t.Errorf("%d series, stated as %d", got, n)
		}
		if n > 1 && len(raw) > limit || maxSeries > 0 && n > maxSeries {
			t.Errorf("%d bytes of %d, %d series of %d", len(raw), limit, n, maxSeries)
		}
		together = append(together, raw...)
		total += n
		messages++
	}
	// A message of 1.0 is its series one after the other.
	if want := encode(t, V1, stamp, series); total != len(series) || !bytes.Equal(together, want) {
		t.Errorf("%d series of %d, bytes\ngot  %.500x\nwant %.500x", total, len(series), together, want)
	}
	return messages
}

func TestDowngrade(t *testing.T) {
	t.Parallel()
	for name, series := range cases() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, tt := range []struct{ limit, maxSeries, want int }{
				{math.MaxInt, 0, min(1, len(series))},
				{math.MaxInt, 3, (len(series) + 2) / 3},
				{1, 0, len(series)}, // each is too large
			} {
				if got := checkDowngrade(t, 5, series, tt.limit, tt.maxSeries); got != tt.want {
					t.Errorf("%d messages with %+v", got, tt)
				}
			}
			checkDowngrade(t, 5, series, 1000, 0)
		})
	}
}

// TestDowngradeFull: a full message becomes larger without its symbols, so that it
// takes more than one.
func TestDowngradeFull(t *testing.T) {
	t.Parallel()
	m, v := NewMessage(V2), anyLength()
	m.Reset(5)
	var series []metrics.Series
	const limit = 100_000
	for s := range images(10_000) {
		if !tryAdd(t, m, v, s, limit) {
			break
		}
		series = append(series, s.Clone())
	}
	if n := checkDowngrade(t, 5, series, limit, 0); n != 2 {
		t.Errorf("%d messages of %d series", n, len(series))
	}
	parts, err := Downgrade(m.Bytes(), limit, 1)
	if err != nil {
		t.Fatal(err)
	}
	for range parts { // may be stopped
		break
	}
}

func TestEncodeMetadata(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]string{"gauge": "\x08\x02", "counter": "\x08\x01", "info": "\x08\x06", "": "", "other": ""} {
		raw, err := EncodeMetadata([]*metrics.Family{{Name: "a", Type: word}})
		if err != nil {
			t.Fatal(err)
		}
		if got, want := string(raw[2:]), want+"\x12\x01a"; got != want {
			t.Errorf("%q: %q, want %q", word, got, want)
		}
	}
}

// FuzzEncode: whatever passes the validator comes back from the official types, and
// can be split and converted.
func FuzzEncode(f *testing.F) {
	f.Add("up", "job", "x", "instance", "y", 1.0, int64(1), "help")
	f.Add("up", "job", "", "", "y", math.NaN(), int64(-1), "")
	f.Add("up", "z", "ü", "a", "\xff", 0.0, int64(0), "up")
	f.Add("a:b", "a", strings.Repeat("x", 200), "b", strings.Repeat("y", 3000), staleNaN, now, "x")
	f.Fuzz(func(t *testing.T, name, n1, v1, n2, v2 string, value float64, stamp int64, help string) {
		v := NewValidator(Limits{})
		var valid []metrics.Series
		family := &metrics.Family{Name: name, Type: n1, Help: strings.ToValidUTF8(help, "?")}
		for _, s := range []metrics.Series{
			gauge(value, "__name__", name, n1, v1, n2, v2),
			gauge(value, "__name__", name, n2, v1, n1, v2),
			gauge(value, "__name__", "up", n1, v1),
			gauge(0, "__name__", "up", v1, v1),
		} {
			if labels, fault := v.Check(s.Labels); fault.Reason == "" {
				valid = append(valid, metrics.Series{Labels: texts(labels), Value: s.Value, Family: family})
				family = nil
			}
		}
		for _, p := range both {
			raw := bytes.Clone(checkEncode(t, p, stamp, valid))
			if len(valid) >= 2 {
				checkSplit(t, p, raw, len(valid))
			}
			checkDowngrade(t, stamp, valid, len(raw), 2)
		}
	})
}

// FuzzDecode: any bytes are either a message or an error.
func FuzzDecode(f *testing.F) {
	for _, messages := range damaged(f) {
		for _, raw := range messages {
			f.Add(raw, uint8(2))
		}
	}
	for _, p := range both {
		f.Add(encode(f, p, 5, []metrics.Series{gauge(1, "__name__", "up"), gauge(2, "__name__", "up")}), uint8(2))
	}
	f.Fuzz(func(t *testing.T, raw []byte, n uint8) {
		if left, right, err := Split(V1, raw, max(2, int(n))); err == nil && !bytes.Equal(slices.Concat(left, right), raw) {
			t.Error("the halves are not the whole")
		}
		if left, right, err := Split(V2, raw, max(2, int(n))); err == nil {
			for _, half := range [][]byte{left, right} {
				if _, err := decodeV2(half); err != nil {
					t.Error(err)
				}
			}
		}
		if messages, err := Downgrade(raw, 1000, int(n)); err == nil {
			for range messages { // must end, and not panic
				continue
			}
		}
	})
}
