package remotewritetest_test

import (
	"bytes"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

const contentTypeV2 = "application/x-protobuf;proto=io.prometheus.write.v2.Request"

// upV2 is a request of one series, up{job="x"}, as it should be.
func upV2(at int64) *writev2.Request {
	return &writev2.Request{
		Symbols: []string{"", "__name__", "up", "job", "x", "whether it is up"},
		Timeseries: []writev2.TimeSeries{{
			LabelsRefs: []uint32{1, 2, 3, 4},
			Samples:    []writev2.Sample{{Value: 1, Timestamp: at}},
			Metadata:   writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: 5},
		}},
	}
}

func marshalV2(t testing.TB, w *writev2.Request) []byte {
	t.Helper()
	raw, err := w.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// newRequestV2 is a 2.0 request with the headers as they should be.
func newRequestV2(t testing.TB, to *remotewritetest.Server, raw []byte) *http.Request {
	t.Helper()
	req := newRequest(t, to, snappy.Encode(nil, raw))
	req.Header.Set("Content-Type", contentTypeV2)
	req.Header.Set("X-Prometheus-Remote-Write-Version", "2.0.0")
	return req
}

// record is a field of wire type 2.
func record(field byte, content string) []byte {
	return append([]byte{field<<3 | 2, byte(len(content))}, content...)
}

// TestProtocolRulesV2: each rule about a 2.0 request that is not one about its
// series, and a sender that breaks it.
func TestProtocolRulesV2(t *testing.T) {
	t.Parallel()
	good := marshalV2(t, upV2(1))
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	// The records of good: six symbols and a series.
	var records [][]byte
	for rest := good; len(rest) > 0; {
		n := 2 + int(rest[1])
		records = append(records, rest[:n])
		rest = rest[n:]
	}
	order := func(indices ...int) (raw []byte) {
		for _, i := range indices {
			raw = append(raw, records[i]...)
		}
		return raw
	}
	for _, tt := range []struct {
		name   string
		raw    []byte
		change func(*http.Request)
		want   string // "" is accepted
	}{
		{"good", good, nil, ""},
		{"1.0's version", good, header("X-Prometheus-Remote-Write-Version", "0.1.0"), "header X-Prometheus-Remote-Write-Version"},
		{"a space in the content type", good, header("Content-Type", "application/x-protobuf; proto=io.prometheus.write.v2.Request"), "header Content-Type"},
		{"no encoding", good, func(r *http.Request) { r.Header.Del("Content-Encoding") }, "header Content-Encoding"},
		{"user agent without a version", good, header("User-Agent", "test"), "header User-Agent"},
		{"1.0's body", marshal(t, oneSeries(up(1))), nil, "no symbols"},
		{"not protobuf", []byte("hello"), nil, "not a io.prometheus.write.v2.Request"},
		{"an unknown field", append(bytes.Clone(good), record(9, "x")...), nil, "something unknown besides symbols"},
		{"an unknown field of a number", append(bytes.Clone(good), 9<<3, 0xff, 0xff, 3), nil, "something unknown besides symbols"},
		{"an unknown field of a series", append(order(0, 1, 2, 3, 4, 5), record(5, string(records[6][2:])+"\x48\x01")...), nil, "something unknown, or in another order"},
		{"the last symbol after the series", order(0, 1, 2, 3, 4, 6, 5), nil, "series 0 refers to symbol 5, which comes after it"},
		{"symbols after the series", order(6, 0, 1, 2, 3, 4, 5), nil, "series 0 refers to symbol 5, which comes after it"},
		{"a symbol between series", slices.Concat(good, record(4, "y"),
			record(5, "\x0a\x04\x01\x02\x03\x06\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x01\x2a\x04\x08\x02\x18\x05")), nil, ""},
		{"labels_refs not packed", append(order(0, 1, 2, 3, 4, 5),
			record(5, "\x08\x01\x08\x02\x08\x03\x08\x04\x12\x0b\x09\x00\x00\x00\x00\x00\x00\xf0\x3f\x10\x01\x2a\x04\x08\x02\x18\x05")...), nil, "in another order"},
		{"nothing but symbols", record(4, ""), nil, "neither series nor metadata"},
		{"nothing at all", nil, nil, "no symbols"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := lenient(t)
			req := newRequestV2(t, to, tt.raw)
			if tt.change != nil {
				tt.change(req)
			}
			status, text := send(t, to, req)
			if tt.want == "" {
				if status != 204 {
					t.Errorf("HTTP %d %s", status, text)
				}
				return
			}
			checkViolation(t, to, status, text, tt.want)
		})
	}
}

// TestSeriesRulesV2: each rule about the message that 1.0 has not, or not in
// this form, and a sender that breaks it.
func TestSeriesRulesV2(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		change func(r *writev2.Request, s *writev2.TimeSeries)
		want   string // "" is accepted
	}{
		{"good", func(*writev2.Request, *writev2.TimeSeries) {}, ""},
		{"no symbols", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols = nil }, "no symbols"},
		{"symbol 0", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[0] = "first" }, `symbol 0 is "first"`},
		{"a symbol twice", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[4] = "up" }, `symbol 4 "up" is the same as symbol 2`},
		{"the empty symbol twice", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[5] = "" }, `symbol 5 "" is the same as symbol 0`},
		{"a symbol not used", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols = append(r.Symbols, "more") }, `symbol 6 "more" is not used`},
		{"a symbol that is not UTF-8", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[4] = "\xff" }, "symbol 4 \"\\xff\" is not UTF-8"},
		{"no references", func(_ *writev2.Request, s *writev2.TimeSeries) { s.LabelsRefs = nil }, "no labels_refs"},
		{"an odd number of references", func(_ *writev2.Request, s *writev2.TimeSeries) { s.LabelsRefs = s.LabelsRefs[:3] }, "an odd number of labels_refs: 3"},
		{"a name out of range", func(_ *writev2.Request, s *writev2.TimeSeries) { s.LabelsRefs[2] = 6 }, "name of label 1: reference 6, where there are 6 symbols"},
		{"a value out of range", func(_ *writev2.Request, s *writev2.TimeSeries) { s.LabelsRefs[3] = math.MaxUint32 }, "value of label 1: reference 4294967295"},
		{"help out of range", func(_ *writev2.Request, s *writev2.TimeSeries) { s.Metadata.HelpRef = 6 }, "metadata: help: reference 6"},
		{"unit out of range", func(_ *writev2.Request, s *writev2.TimeSeries) { s.Metadata.UnitRef = 6 }, "metadata: unit: reference 6"},
		{"an empty name", func(_ *writev2.Request, s *writev2.TimeSeries) {
			s.LabelsRefs, s.Metadata.UnitRef = []uint32{0, 4, 1, 2}, 3
		}, "a label without a name"},
		{"an empty value", func(_ *writev2.Request, s *writev2.TimeSeries) { s.LabelsRefs[3], s.Metadata.UnitRef = 0, 4 }, "label job has an empty value"},
		{"not sorted", func(_ *writev2.Request, s *writev2.TimeSeries) { s.LabelsRefs = []uint32{3, 4, 1, 2} }, "not sorted"},
		{"a label twice", func(_ *writev2.Request, s *writev2.TimeSeries) { s.LabelsRefs = append(s.LabelsRefs, 3, 4) }, "label job twice"},
		{"no metric name", func(r *writev2.Request, s *writev2.TimeSeries) {
			r.Symbols[1] = "name"
			s.LabelsRefs = []uint32{3, 4, 1, 2}
		}, "no label __name__"},
		{"a label name of UTF-8", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[3] = "ä" }, `label name "ä" has characters`},
		{"a metric name of UTF-8", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[2] = "ä" }, `metric name "ä" has characters`},
		{"a long value", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[4] = strings.Repeat("x", 2049) }, "value of 2049 bytes"},
		{"neither samples nor histograms", func(_ *writev2.Request, s *writev2.TimeSeries) { s.Samples = nil }, "neither a sample nor a histogram"},
		{"both samples and histograms", func(_ *writev2.Request, s *writev2.TimeSeries) { s.Histograms = make([]writev2.Histogram, 1) }, "both samples and histograms"},
		{"a histogram", func(_ *writev2.Request, s *writev2.TimeSeries) {
			s.Samples, s.Histograms = nil, make([]writev2.Histogram, 1)
		}, "a histogram, where only gauges"},
		{"an exemplar", func(_ *writev2.Request, s *writev2.TimeSeries) { s.Exemplars = make([]writev2.Exemplar, 1) }, "an exemplar, where only gauges"},
		{"samples in order", func(_ *writev2.Request, s *writev2.TimeSeries) {
			s.Samples = append(s.Samples, writev2.Sample{Timestamp: 2})
		}, ""},
		{"samples not in order", func(_ *writev2.Request, s *writev2.TimeSeries) {
			s.Samples = append(s.Samples, writev2.Sample{Timestamp: 1})
		}, "not in the order of time"},
		{"a series twice", func(r *writev2.Request, s *writev2.TimeSeries) { r.Timeseries = append(r.Timeseries, *s) }, "twice in a request"},
		{"no type", func(_ *writev2.Request, s *writev2.TimeSeries) { s.Metadata.Type = 0 }, "up has no type"},
		{"a type that is not one", func(_ *writev2.Request, s *writev2.TimeSeries) { s.Metadata.Type = 8 }, "no type 8 is defined"},
		{"no help", func(r *writev2.Request, s *writev2.TimeSeries) { s.Metadata.HelpRef, r.Symbols = 0, r.Symbols[:5] }, ""},
		{"help, just short enough", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[5] = strings.Repeat("x", 1024) }, ""},
		{"a long help", func(r *writev2.Request, _ *writev2.TimeSeries) { r.Symbols[5] = strings.Repeat("x", 1025) }, "HELP of up has 1025 bytes"},
		{"metadata that differs", func(r *writev2.Request, s *writev2.TimeSeries) {
			other := *s
			other.LabelsRefs = []uint32{1, 2}
			other.Metadata.Type = writev2.Metadata_METRIC_TYPE_COUNTER
			r.Timeseries = append(r.Timeseries, other)
		}, "series 1: metadata of up differs"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := lenient(t)
			body := upV2(1)
			tt.change(body, &body.Timeseries[0])
			status, text := send(t, to, newRequestV2(t, to, marshalV2(t, body)))
			if tt.want == "" {
				if status != 204 {
					t.Errorf("HTTP %d %s", status, text)
				}
				return
			}
			checkViolation(t, to, status, text, tt.want)
		})
	}
}
