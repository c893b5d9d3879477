package remotewritetest_test

import (
	"bytes"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestProtocolRules: each rule about the request, and a sender that breaks it.
func TestProtocolRules(t *testing.T) {
	t.Parallel()
	good := marshal(t, prompb.WriteRequest{Timeseries: []prompb.TimeSeries{up(1)}})
	var framed bytes.Buffer
	w := snappy.NewBufferedWriter(&framed)
	_, _ = w.Write(good)
	_ = w.Close()
	header := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	for _, tt := range []struct {
		name   string
		packed []byte // good, if nil
		change func(*http.Request)
		want   string
	}{
		{"method", nil, func(r *http.Request) { r.Method = http.MethodPut }, "method PUT, want POST"},
		{"no content type", nil, header("Content-Type", ""), "header Content-Type"},
		{"2.0's content type", nil, header("Content-Type", "application/x-protobuf;proto=io.prometheus.write.v2.Request"), `header X-Prometheus-Remote-Write-Version is ["0.1.0"], want exactly "2.0.0"`},
		{"content type twice", nil, func(r *http.Request) { r.Header.Add("Content-Type", "application/x-protobuf") }, "header Content-Type"},
		{"no encoding", nil, func(r *http.Request) { r.Header.Del("Content-Encoding") }, "header Content-Encoding"},
		{"another encoding", nil, header("Content-Encoding", "gzip"), "header Content-Encoding"},
		{"no version", nil, func(r *http.Request) { r.Header.Del("X-Prometheus-Remote-Write-Version") }, "header X-Prometheus-Remote-Write-Version"},
		{"another version", nil, header("X-Prometheus-Remote-Write-Version", "2.0.0"), "header X-Prometheus-Remote-Write-Version"},
		{"no user agent", nil, header("User-Agent", ""), "header User-Agent"},
		{"user agent without a version", nil, header("User-Agent", "test"), "header User-Agent"},
		{"framing format", framed.Bytes(), nil, "framing format"},
		{"not compressed", good, nil, "not in snappy's block format"},
		{"cut off", snappy.Encode(nil, good)[:10], nil, "not in snappy's block format"},
		{"empty body", []byte{}, nil, "not in snappy's block format"},
		{"not protobuf", snappy.Encode(nil, []byte("hello")), nil, "not a prometheus.WriteRequest"},
		{"unknown field", snappy.Encode(nil, append(bytes.Clone(good), 9<<3, 1)), nil, "something unknown"},
		{"unknown field of a series", snappy.Encode(nil, append([]byte{good[0], good[1] + 2}, append(bytes.Clone(good[2:]), 9<<3, 1)...)), nil, "something unknown"},
		{"an explicit zero", snappy.Encode(nil, []byte("\x0a\x1d\x0a\x0e\x0a\x08__name__\x12\x02up\x12\x0b\x09\x00\x00\x00\x00\x00\x00\x00\x00\x10\x01")), nil, "something unknown"},
		{"nothing in it", snappy.Encode(nil, nil), nil, "neither series nor metadata"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := lenient(t)
			packed := tt.packed
			if packed == nil {
				packed = snappy.Encode(nil, good)
			}
			req := newRequest(t, to, packed)
			if tt.change != nil {
				tt.change(req)
			}
			status, text := send(t, to, req)
			checkViolation(t, to, status, text, tt.want)
			// And as it should be, it is taken.
			if status, text := write(t, to, up(1)); status != 204 || len(to.All()) != 1 {
				t.Errorf("a good request: HTTP %d %s", status, text)
			}
		})
	}
}

// checkViolation: answered with the rule, kept, and nothing stored.
func checkViolation(t *testing.T, to *remotewritetest.Server, status int, text, want string) {
	t.Helper()
	if status != 400 || !strings.Contains(text, want) {
		t.Errorf("HTTP %d %q, want 400 and %q", status, text, want)
	}
	if v := to.Violations(); len(v) != 1 || v[0] != text {
		t.Errorf("violations %q", v)
	}
	if r := to.Requests(); len(r) != 1 || r[0].Violation != text || r[0].Status != 400 {
		t.Errorf("requests %+v", r)
	}
	if len(to.All()) != 0 || len(to.Metadata()) != 0 {
		t.Error("it was stored all the same")
	}
}

// TestSeriesRules: each rule about series, and a sender that breaks it.
func TestSeriesRules(t *testing.T) {
	t.Parallel()
	long := func(n int) string { return strings.Repeat("x", n) }
	two := up(1)
	two.Samples = append(two.Samples, prompb.Sample{Value: 1, Timestamp: 1})
	for _, tt := range []struct {
		name string
		body prompb.WriteRequest
		want string
	}{
		{"not sorted", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "up", "b", "1", "a", "1")}}, "series 0: label a after b: not sorted"},
		{"name not first", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "a", "1", "__name__", "up")}}, "label __name__ after a: not sorted"},
		{"label twice", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "up", "a", "1", "a", "1")}}, "label a twice"},
		{"empty value", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "up", "a", "")}}, "label a has an empty value"},
		{"empty name", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "", "x", "__name__", "up")}}, "a label without a name"},
		{"label name", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "up", "a-b", "1")}}, `label name "a-b"`},
		{"label name, line break", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "up", "a\n", "1")}}, `label name "a\n"`},
		{"metric name", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "a-b")}}, `metric name "a-b"`},
		{"no metric name", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "a", "1")}}, "no label __name__"},
		{"no labels", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1)}}, "no label __name__"},
		{"long label name", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "up", long(1025), "1")}}, "label name of 1025 bytes"},
		{"long value", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "up", "a", long(2049))}}, "value of 2049 bytes"},
		{"not UTF-8", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", "up", "a", "\xff")}}, "not UTF-8"},
		{"no sample", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{Labels: up(1).Labels}}}, "no sample"},
		{"samples not in order", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{two}}, "not in the order of time"},
		{"series twice", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{up(1), series(1, 1, "__name__", "other"), up(1)}}, "series 2: "},
		{"the second of two", prompb.WriteRequest{Timeseries: []prompb.TimeSeries{up(1), series(1, 1, "a", "1")}}, "series 1: no label __name__"},
		{"metadata name", prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: 2, MetricFamilyName: "a-b"}}}, `metric family name "a-b"`},
		{"metadata twice", prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: 2, MetricFamilyName: "a"}, {Type: 2, MetricFamilyName: "a"}}}, "a twice"},
		{"metadata type", prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{MetricFamilyName: "a"}}}, "a has no type"},
		{"metadata help", prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: 2, MetricFamilyName: "a", Help: long(1025)}}}, "HELP of a has 1025 bytes"},
		{"metadata not UTF-8", prompb.WriteRequest{Metadata: []prompb.MetricMetadata{{Type: 2, MetricFamilyName: "a", Help: "\xff"}}}, "HELP of a is not UTF-8"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := lenient(t)
			status, text := send(t, to, newRequest(t, to, snappy.Encode(nil, marshal(t, tt.body))))
			checkViolation(t, to, status, text, tt.want)
		})
	}
}

// TestOrder: samples of a series across requests.
func TestOrder(t *testing.T) {
	t.Parallel()
	stale := math.Float64frombits(0x7ff0000000000002)
	for _, tt := range []struct {
		name      string
		from, to  prompb.TimeSeries
		violation string
		samples   int
	}{
		{"later", series(1, 10, "__name__", "up"), series(2, 11, "__name__", "up"), "", 2},
		{"the same again", series(1, 10, "__name__", "up"), series(1, 10, "__name__", "up"), "", 1},
		{"the same marker again", series(stale, 10, "__name__", "up"), series(stale, 10, "__name__", "up"), "", 1},
		{"earlier", series(1, 10, "__name__", "up"), series(1, 9, "__name__", "up"), "up: a sample at 9 after one at 10", 1},
		{"another value", series(1, 10, "__name__", "up"), series(2, 10, "__name__", "up"), "up: 2 at 10, where 1 has been stored", 1},
		{"another NaN", series(math.NaN(), 10, "__name__", "up"), series(stale, 10, "__name__", "up"), "up: NaN at 10, where NaN has been stored", 1},
		{"earlier, of another series", series(1, 10, "__name__", "up"), series(1, 9, "__name__", "up", "a", "1"), "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := lenient(t)
			if status, text := write(t, to, tt.from); status != 204 {
				t.Fatal(text)
			}
			status, text := write(t, to, tt.to, series(1, 1, "__name__", "with_it"))
			if want := 204; tt.violation == "" && status != want {
				t.Errorf("HTTP %d %s", status, text)
			}
			if tt.violation != "" && (status != 400 || text != tt.violation || len(to.Find("with_it")) != 0) {
				t.Errorf("HTTP %d %q, want %q", status, text, tt.violation)
			}
			if got := to.Find("up")[0]; len(got.Samples) != tt.samples {
				t.Errorf("%v", got.Samples)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	raw := marshal(t, prompb.WriteRequest{Timeseries: []prompb.TimeSeries{up(1), series(1, 1, "__name__", "b", "v", strings.Repeat("x", 500))}})
	for _, tt := range []struct {
		name   string
		opts   remotewritetest.Options
		packed []byte
		want   int
	}{
		{"bytes, just", remotewritetest.Options{MaxBytes: len(raw)}, snappy.Encode(nil, raw), 204},
		{"bytes", remotewritetest.Options{MaxBytes: len(raw) - 1}, snappy.Encode(nil, raw), 413},
		{"series, just", remotewritetest.Options{MaxSeries: 2}, snappy.Encode(nil, raw), 204},
		{"series", remotewritetest.Options{MaxSeries: 1}, snappy.Encode(nil, raw), 413},
		{"a length that is not true", remotewritetest.Options{}, []byte{0xff, 0xff, 0xff, 0xff, 0x0f, 0}, 413},
		{"more than any block", remotewritetest.Options{MaxBytes: 1000}, make([]byte, 10_000), 413},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := remotewritetest.NewServer(t, tt.opts) // a limit is no violation
			if status, text := send(t, to, newRequest(t, to, tt.packed)); status != tt.want {
				t.Errorf("HTTP %d %s, want %d", status, text, tt.want)
			}
			if stored := len(to.All()) > 0; stored != (tt.want == 204) {
				t.Errorf("stored: %v", stored)
			}
		})
	}
}
