package remotewritetest

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// FuzzDecodeV2: no body brings the receiver down, and what it takes holds the
// same if it is encoded by writev2 again.
func FuzzDecodeV2(f *testing.F) {
	table := writev2.NewSymbolTable()
	good := writev2.Request{Timeseries: []writev2.TimeSeries{{
		LabelsRefs: []uint32{table.Symbolize("__name__"), table.Symbolize("up"), table.Symbolize("job"), table.Symbolize("x")},
		Samples:    []writev2.Sample{{Value: 1, Timestamp: 1}},
		Metadata:   writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: table.Symbolize("help")},
	}}}
	good.Symbols = table.Symbols()
	raw, err := good.Marshal()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(raw)
	f.Add(raw[:len(raw)-1])
	f.Add([]byte{keySymbol, 0})
	f.Add([]byte{keySymbol, 0, keySeries, 2, 1<<3 | 2, 0})
	f.Fuzz(func(t *testing.T, raw []byte) {
		body, err := decodeV2(raw)
		if err != nil {
			return
		}
		var req writev2.Request
		if err := req.Unmarshal(raw); err != nil {
			t.Fatalf("taken, and not to be decoded: %v", err)
		}
		raw, err = req.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeV2(raw)
		if err != nil {
			t.Fatalf("not taken again: %v", err)
		}
		if diff := cmp.Diff(body, again, cmp.Comparer(func(a, b prompb.Sample) bool { return a.String() == b.String() })); diff != "" {
			t.Error(diff)
		}
	})
}
