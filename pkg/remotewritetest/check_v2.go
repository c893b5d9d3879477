package remotewritetest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"

	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// The fields of io.prometheus.write.v2.Request, both of wire type 2: field
// number << 3 | wire type.
const (
	keySymbol = 4<<3 | 2
	keySeries = 5<<3 | 2
)

// decodeV2 reads an io.prometheus.write.v2.Request and returns its content as a 1.0
// message. It checks the rules that 1.0 does not have,
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#protobuf-message
func decodeV2(raw []byte) (body prompb.WriteRequest, err error) {
	var req writev2.Request
	if err := req.Unmarshal(raw); err != nil {
		return body, broken("body is not a %s: %v", nameV2, err)
	}
	if err := checkSymbols(req.Symbols); err != nil {
		return body, err
	}
	t := table{symbols: req.Symbols, used: make([]bool, len(req.Symbols))}
	families := make(map[string]int) // the index of each in body.Metadata
	for i, ts := range req.Timeseries {
		labels, err := t.labels(ts.LabelsRefs)
		if err != nil {
			return body, broken("series %d: %v", i, err)
		}
		m, err := t.metadata(ts)
		if err != nil {
			return body, broken("series %d: %v", i, err)
		}
		if err := checkKinds(ts); err != nil {
			return body, broken("series %d: %v", i, err)
		}
		out := prompb.TimeSeries{Labels: labels}
		for _, s := range ts.Samples {
			out.Samples = append(out.Samples, prompb.Sample{Value: s.Value, Timestamp: s.Timestamp})
		}
		body.Timeseries = append(body.Timeseries, out)
		if m.MetricFamilyName == "" {
			continue // checkBody has the better error
		}
		if k, ok := families[m.MetricFamilyName]; !ok {
			families[m.MetricFamilyName] = len(body.Metadata)
			body.Metadata = append(body.Metadata, m)
		} else if metadataOf(m) != metadataOf(body.Metadata[k]) {
			return body, broken("series %d: metadata of %s differs from an earlier series'", i, m.MetricFamilyName)
		}
	}
	for i, used := range t.used {
		if !used && i > 0 {
			return body, broken("symbol %d %q is not used", i, t.symbols[i])
		}
	}
	return body, checkRecords(raw, req)
}

// checkSymbols: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#symbols
func checkSymbols(symbols []string) error {
	if len(symbols) == 0 {
		return broken("no symbols in the request")
	}
	if symbols[0] != "" {
		return broken("symbol 0 is %q, want the empty string", symbols[0])
	}
	seen := make(map[string]int, len(symbols))
	for i, s := range symbols {
		if first, ok := seen[s]; ok {
			return broken("symbol %d %q is the same as symbol %d", i, s, first)
		}
		if !utf8.ValidString(s) {
			return broken("symbol %d %q is not UTF-8", i, s)
		}
		seen[s] = i
	}
	return nil
}

// table is the symbol table of a request, and which symbols are used.
type table struct {
	symbols []string
	used    []bool
}

func (t *table) get(ref uint32) (string, error) {
	if int64(ref) >= int64(len(t.symbols)) {
		return "", fmt.Errorf("reference %d, where there are %d symbols", ref, len(t.symbols))
	}
	t.used[ref] = true
	return t.symbols[ref], nil
}

func (t *table) labels(refs []uint32) ([]prompb.Label, error) {
	if len(refs) == 0 {
		return nil, fmt.Errorf("no labels_refs")
	}
	if len(refs)%2 != 0 {
		return nil, fmt.Errorf("an odd number of labels_refs: %d", len(refs))
	}
	labels := make([]prompb.Label, 0, len(refs)/2)
	for i := 0; i < len(refs); i += 2 {
		name, err := t.get(refs[i])
		if err != nil {
			return nil, fmt.Errorf("name of label %d: %w", i/2, err)
		}
		value, err := t.get(refs[i+1])
		if err != nil {
			return nil, fmt.Errorf("value of label %d: %w", i/2, err)
		}
		labels = append(labels, prompb.Label{Name: name, Value: value})
	}
	return labels, nil
}

// metadata returns that of a series in the form of 1.0. The family is the series'
// metric name, as is true of gauges and counters.
func (t *table) metadata(ts writev2.TimeSeries) (m prompb.MetricMetadata, err error) {
	for i := 0; i+1 < len(ts.LabelsRefs); i += 2 {
		if t.symbols[ts.LabelsRefs[i]] == "__name__" {
			m.MetricFamilyName = t.symbols[ts.LabelsRefs[i+1]]
		}
	}
	if _, ok := writev2.Metadata_MetricType_name[int32(ts.Metadata.Type)]; !ok {
		return m, fmt.Errorf("metadata: no type %d is defined", ts.Metadata.Type)
	}
	m.Type = prompb.MetricMetadata_MetricType(ts.Metadata.Type) // the numbers are the same
	if m.Help, err = t.get(ts.Metadata.HelpRef); err != nil {
		return m, fmt.Errorf("metadata: help: %w", err)
	}
	if m.Unit, err = t.get(ts.Metadata.UnitRef); err != nil {
		return m, fmt.Errorf("metadata: unit: %w", err)
	}
	return m, nil
}

// checkKinds checks that there are samples and nothing that a sender of gauges does
// not have.
func checkKinds(ts writev2.TimeSeries) error {
	switch {
	case len(ts.Samples) == 0 && len(ts.Histograms) == 0:
		return fmt.Errorf("neither a sample nor a histogram")
	case len(ts.Samples) > 0 && len(ts.Histograms) > 0:
		return fmt.Errorf("both samples and histograms")
	case len(ts.Histograms) > 0:
		return fmt.Errorf("a histogram, where only gauges are expected")
	case len(ts.Exemplars) > 0:
		return fmt.Errorf("an exemplar, where only gauges are expected")
	}
	return nil
}

// checkRecords checks the bytes, since Unmarshal tolerates a lot. Symbols and series
// may have any order, but a symbol must precede the series that refers to it: Mimir
// resolves references while it reads
// (https://github.com/grafana/mimir/blob/main/pkg/mimirpb/mimir.pb.go.expdiff).
// Otherwise each record must be what the writev2 package would marshal.
func checkRecords(raw []byte, req writev2.Request) error {
	known := knownV2(req)
	want, err := known.Marshal()
	if err != nil {
		return broken("body cannot be marshaled again: %v", err)
	}
	var symbols, series []byte // the records, as received
	symbol, next := 0, 0       // how many of each
	for rest := raw; len(rest) > 0; {
		if rest[0] != keySymbol && rest[0] != keySeries {
			return broken("body holds something unknown besides symbols and timeseries")
		}
		size, n := binary.Uvarint(rest[1:])
		if n <= 0 || size > uint64(len(rest)-1-n) { // which Unmarshal has checked, too
			return broken("a record that does not end within the body")
		}
		record := rest[:1+n+int(size)]
		rest = rest[len(record):]
		if record[0] == keySymbol {
			symbols = append(symbols, record...)
			symbol++
		} else {
			series = append(series, record...)
			if ref := highest(known.Timeseries[next]); int64(ref) >= int64(symbol) {
				return broken("series %d refers to symbol %d, which comes after it", next, ref)
			}
			next++
		}
	}
	if !bytes.Equal(append(symbols, series...), want) {
		return broken("body is not what writev2 would marshal: it holds something unknown, or in another order")
	}
	return nil
}

// highest is the highest reference of a series.
func highest(ts writev2.TimeSeries) uint32 {
	ref := max(ts.Metadata.HelpRef, ts.Metadata.UnitRef)
	for _, r := range ts.LabelsRefs {
		ref = max(ref, r)
	}
	return ref
}

// knownV2 copies what a sender of gauges needs: labels, samples, metadata.
func knownV2(req writev2.Request) *writev2.Request {
	out := &writev2.Request{Symbols: req.Symbols}
	for _, ts := range req.Timeseries {
		k := writev2.TimeSeries{
			LabelsRefs: ts.LabelsRefs,
			Metadata:   writev2.Metadata{Type: ts.Metadata.Type, HelpRef: ts.Metadata.HelpRef, UnitRef: ts.Metadata.UnitRef},
		}
		for _, s := range ts.Samples {
			k.Samples = append(k.Samples, writev2.Sample{Value: s.Value, Timestamp: s.Timestamp})
		}
		out.Timeseries = append(out.Timeseries, k)
	}
	return out
}
