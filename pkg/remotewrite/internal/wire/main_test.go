package wire

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// now is the timestamp of the tests' samples.
const now = int64(1_795_343_400_123)

// staleNaN is Prometheus' staleness marker.
var staleNaN = math.Float64frombits(0x7ff0000000000002)

var sizeFamily = &metrics.Family{Name: "aws_ecr_image_size_in_bytes", Help: "The size of an image in bytes", Type: "gauge"}

// gauge is a series of the given names and values.
func gauge(value float64, namesAndValues ...string) metrics.Series {
	s := metrics.Series{Family: sizeFamily, Value: value}
	for i := 0; i < len(namesAndValues); i += 2 {
		s.Labels = append(s.Labels, metrics.Label{Name: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return s
}

// images yields n series of the shape that is sent most. As metrics.Series allows,
// they are built in place: each overwrites the one before.
func images(n int) iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		labels := make([]metrics.Label, 5)
		for i := range n {
			repository := fmt.Sprintf("team-%02d/service-%03d", i%7, i/50)
			copy(labels, []metrics.Label{
				{Name: "__name__", Value: sizeFamily.Name},
				{Name: "digest", Value: fmt.Sprintf("sha256:%x", sha256.Sum256([]byte{byte(i), byte(i >> 8)}))},
				{Name: "name", Value: repository},
				{Name: "registry_id", Value: "123456789012"},
				{Name: "tag", Value: fmt.Sprintf("v1.%d", i)},
			})
			if !yield(metrics.Series{Family: sizeFamily, Labels: labels, Value: float64(i) * 1000}) {
				return
			}
		}
	}
}

// anyLength validates without limits.
func anyLength() *Validator {
	return NewValidator(Limits{Labels: 1000, NameBytes: 1 << 20, ValueBytes: 1 << 20})
}

// encode is a message of valid series.
func encode(t testing.TB, p Protocol, stamp int64, series []metrics.Series) []byte {
	t.Helper()
	m, v := NewMessage(p), anyLength()
	m.Reset(stamp)
	for _, s := range series {
		add(t, m, v, s)
	}
	return m.Bytes()
}

func add(t testing.TB, m Message, v *Validator, s metrics.Series) {
	t.Helper()
	if !tryAdd(t, m, v, s, math.MaxInt) {
		t.Fatal("no room")
	}
}

func tryAdd(t testing.TB, m Message, v *Validator, s metrics.Series, limit int) bool {
	t.Helper()
	labels, f := v.Check(s.Labels)
	if f.Reason != "" {
		t.Fatalf("%v: %+v", s.Labels, f)
	}
	return m.Add(labels, s, limit)
}

// decoded is a series as the official types read it. The value is there as bits, so
// that NaNs can be compared.
type decoded struct {
	Labels    []metrics.Label
	Bits      uint64
	Timestamp int64
	Type      writev2.Metadata_MetricType
	Help      string
}

// decode reads a message with the official types, and checks of 2.0 what its
// specification requires of the symbols.
func decode(t testing.TB, p Protocol, raw []byte) (all []decoded) {
	t.Helper()
	if p == V1 {
		var req prompb.WriteRequest
		if err := req.Unmarshal(raw); err != nil {
			t.Fatal(err)
		}
		for _, ts := range req.Timeseries {
			d := decoded{Bits: math.Float64bits(ts.Samples[0].Value), Timestamp: ts.Samples[0].Timestamp}
			for _, l := range ts.Labels {
				d.Labels = append(d.Labels, metrics.Label{Name: l.Name, Value: l.Value})
			}
			all = append(all, d)
		}
		return all
	}
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
	for _, ts := range req.Timeseries {
		if len(ts.Samples) != 1 || len(ts.Histograms)+len(ts.Exemplars) != 0 {
			t.Fatalf("series %v has not exactly one sample", ts)
		}
		d := decoded{
			Bits:      math.Float64bits(ts.Samples[0].Value),
			Timestamp: ts.Samples[0].Timestamp,
			Type:      ts.Metadata.Type,
			Help:      symbol(ts.Metadata.HelpRef),
		}
		for i := 0; i < len(ts.LabelsRefs); i += 2 {
			d.Labels = append(d.Labels, metrics.Label{Name: symbol(ts.LabelsRefs[i]), Value: symbol(ts.LabelsRefs[i+1])})
		}
		all = append(all, d)
	}
	if len(used) != len(req.Symbols) {
		t.Errorf("%d symbols, of which %d are used", len(req.Symbols), len(used))
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(req.Symbols)))); n != len(req.Symbols) {
		t.Errorf("a symbol twice in %q", req.Symbols)
	}
	return all
}

// checkDecoded checks that the official types read these series from a message.
func checkDecoded(t testing.TB, p Protocol, raw []byte, stamp int64, series []metrics.Series) {
	t.Helper()
	got := decode(t, p, raw)
	if len(got) != len(series) {
		t.Fatalf("%d series, want %d", len(got), len(series))
	}
	for i, s := range series {
		want := decoded{Labels: s.Labels, Bits: math.Float64bits(s.Value), Timestamp: stamp}
		if s.Value == 0 {
			want.Bits = 0 // -0 becomes 0, as with the official encoder
		}
		if p == V2 && s.Family != nil {
			want.Help = s.Family.Help
			want.Type = writev2.Metadata_MetricType(writev2.Metadata_MetricType_value["METRIC_TYPE_"+strings.ToUpper(s.Family.Type)])
		}
		if !reflect.DeepEqual(want, got[i]) { // much faster than cmp.Diff
			t.Fatalf("series %d (-want +got):\n%s", i, cmp.Diff(want, got[i], cmpopts.EquateEmpty()))
		}
	}
}
