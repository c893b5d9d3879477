package remotewritetest_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

func oneSeries(ts prompb.TimeSeries) prompb.WriteRequest {
	return prompb.WriteRequest{Timeseries: []prompb.TimeSeries{ts}}
}

// exchange sends a request and returns status, text and Written headers, in the
// order samples, histograms, exemplars.
func exchange(t *testing.T, to *remotewritetest.Server, req *http.Request) (status int, text string, written []string) {
	t.Helper()
	resp, err := to.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	var b strings.Builder
	if err := resp.Write(&b); err != nil {
		t.Fatal(err)
	}
	_, text, _ = strings.Cut(b.String(), "\r\n\r\n")
	for _, name := range []string{remotewritetest.SamplesWritten, remotewritetest.HistogramsWritten, remotewritetest.ExemplarsWritten} {
		written = append(written, resp.Header.Values(name)...)
	}
	return resp.StatusCode, strings.TrimSpace(text), written
}

// TestSameForBoth: what is handed back does not tell the protocols apart, but
// for Request.Protocol.
func TestSameForBoth(t *testing.T) {
	t.Parallel()
	one := remotewritetest.NewServer(t, remotewritetest.Options{})
	send(t, one, newRequest(t, one, snappy.Encode(nil, marshal(t, prompb.WriteRequest{
		Timeseries: []prompb.TimeSeries{up(1)},
		Metadata:   []prompb.MetricMetadata{{Type: prompb.MetricMetadata_GAUGE, MetricFamilyName: "up", Help: "whether it is up"}},
	}))))
	two := remotewritetest.NewServer(t, remotewritetest.Options{})
	send(t, two, newRequestV2(t, two, marshalV2(t, upV2(1))))

	if diff := cmp.Diff(one.All(), two.All()); diff != "" || len(one.All()) != 1 {
		t.Error(diff)
	}
	if diff := cmp.Diff(one.Metadata(), two.Metadata()); diff != "" || len(one.Metadata()) != 1 {
		t.Error(diff)
	}
	a, b := one.Requests()[0], two.Requests()[0]
	if a.Protocol != remotewritetest.V1 || b.Protocol != remotewritetest.V2 {
		t.Errorf("protocols %q and %q", a.Protocol, b.Protocol)
	}
	if a.Series != 1 || b.Series != 1 || a.Metadata != 1 || b.Metadata != 1 || a.Stored != 1 || b.Stored != 1 {
		t.Errorf("%+v\n%+v", a, b)
	}
}

// TestProtocols: what a receiver answers to a protocol that it does not speak.
func TestProtocols(t *testing.T) {
	t.Parallel()
	both := []remotewritetest.Protocol{remotewritetest.V1, remotewritetest.V2}
	bad := upV2(1)
	bad.Symbols[0] = "x"
	for _, tt := range []struct {
		name    string
		opts    remotewritetest.Options
		send    remotewritetest.Protocol
		body    *writev2.Request // a good one if nil
		status  int
		text    string
		written int // Written headers
		stored  bool
	}{
		{"both, 1.0", remotewritetest.Options{}, remotewritetest.V1, nil, 204, "", 0, true},
		{"both, 2.0", remotewritetest.Options{}, remotewritetest.V2, nil, 204, "", 3, true},
		{"both by name, 2.0", remotewritetest.Options{Protocols: both}, remotewritetest.V2, nil, 204, "", 3, true},
		{"1.0 only, 1.0", remotewritetest.Options{Protocols: both[:1]}, remotewritetest.V1, nil, 204, "", 0, true},
		{"1.0 only, 2.0", remotewritetest.Options{Protocols: both[:1]}, remotewritetest.V2, nil, 415,
			"io.prometheus.write.v2.Request protobuf message is not accepted by this server; only accepts prometheus.WriteRequest", 0, false},
		{"2.0 only, 1.0", remotewritetest.Options{Protocols: both[1:]}, remotewritetest.V1, nil, 415,
			"prometheus.WriteRequest protobuf message is not accepted by this server; only accepts io.prometheus.write.v2.Request", 0, false},
		{"2.0 only, 2.0", remotewritetest.Options{Protocols: both[1:]}, remotewritetest.V2, nil, 204, "", 3, true},
		{"unaware, 1.0", remotewritetest.Options{Protocols: both[:1], Unaware: true}, remotewritetest.V1, nil, 204, "", 0, true},
		{"unaware, 2.0", remotewritetest.Options{Protocols: both[:1], Unaware: true}, remotewritetest.V2, nil, 204, "", 0, false},
		{"a faulty 2.0 to one that does not speak it", remotewritetest.Options{Protocols: both[:1], ExpectViolations: true}, remotewritetest.V2, bad, 400, `symbol 0 is "x", want the empty string`, 0, false},
		{"a faulty 2.0", remotewritetest.Options{ExpectViolations: true}, remotewritetest.V2, bad, 400, `symbol 0 is "x", want the empty string`, 3, false},
		{"too large", remotewritetest.Options{MaxBytes: 60}, remotewritetest.V2, nil, 413, "body of 69 bytes, at most 60 are accepted", 3, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := remotewritetest.NewServer(t, tt.opts)
			body := tt.body
			if body == nil {
				body = upV2(1)
			}
			req := newRequestV2(t, to, marshalV2(t, body))
			if tt.send == remotewritetest.V1 {
				req = newRequest(t, to, snappy.Encode(nil, marshal(t, oneSeries(up(1)))))
			}
			status, text, written := exchange(t, to, req)
			if status != tt.status || text != tt.text {
				t.Errorf("HTTP %d %q, want %d %q", status, text, tt.status, tt.text)
			}
			if len(written) != tt.written {
				t.Errorf("Written headers %q, want %d", written, tt.written)
			}
			if stored := len(to.All()) > 0; stored != tt.stored {
				t.Errorf("stored: %v", stored)
			}
			if r := to.Requests()[0]; r.Protocol != tt.send || r.Status != tt.status {
				t.Errorf("%+v", r)
			}
		})
	}
}

// two is upV2 with a second series, down{job="x"}.
func two(at int64) *writev2.Request {
	r := upV2(at)
	r.Symbols = append(r.Symbols, "down")
	second := r.Timeseries[0]
	second.LabelsRefs = []uint32{1, 6, 3, 4}
	r.Timeseries = append(r.Timeseries, second)
	return r
}

func refuseDown(s remotewritetest.Series) string {
	if s.Labels["__name__"] == "down" {
		return "no " + s.String()
	}
	return ""
}

// TestWritten: what a 2.0 sender is told of what was written, and how a script
// changes that.
func TestWritten(t *testing.T) {
	t.Parallel()
	noDown := func(remotewritetest.Series) string { return "no" }
	for _, tt := range []struct {
		name    string
		refuse  func(remotewritetest.Series) string
		answers []remotewritetest.Answer
		status  int
		text    string
		written []string
		stored  int
	}{
		{"as deserved", nil, nil, 204, "", []string{"2", "0", "0"}, 2},
		{"in part", refuseDown, nil, 400, `no down{job="x"}`, []string{"1", "0", "0"}, 1},
		{"nothing", noDown, nil, 400, "no", []string{"0", "0", "0"}, 0},
		{"in part by script", nil, []remotewritetest.Answer{{Refuse: refuseDown}}, 400, `no down{job="x"}`, []string{"1", "0", "0"}, 1},
		{"in part with a status of its own", nil, []remotewritetest.Answer{{Refuse: refuseDown, Status: 500, Body: "no"}}, 500, "no", []string{"1", "0", "0"}, 1},
		{"the script's refusal goes first", noDown, []remotewritetest.Answer{{Refuse: refuseDown}}, 400, `no down{job="x"}`, []string{"1", "0", "0"}, 1},
		{"2xx by script", nil, []remotewritetest.Answer{{Status: 200}}, 200, "", []string{"2", "0", "0"}, 2},
		{"left out", nil, []remotewritetest.Answer{{Status: 200, NoWritten: true}}, 200, "", nil, 2},
		{"left out, as deserved", nil, []remotewritetest.Answer{{NoWritten: true}}, 204, "", nil, 2},
		{"left out, in part", nil, []remotewritetest.Answer{{Refuse: refuseDown, NoWritten: true}}, 400, `no down{job="x"}`, nil, 1},
		{"another number", nil, []remotewritetest.Answer{{Status: 204, Header: http.Header{remotewritetest.SamplesWritten: {"7"}}}}, 204, "", []string{"7"}, 2},
		{"another number, as deserved", nil, []remotewritetest.Answer{{Header: http.Header{remotewritetest.ExemplarsWritten: {"x"}}}}, 204, "", []string{"x"}, 2},
		{"an error", nil, []remotewritetest.Answer{{Status: 503}}, 503, "", nil, 0},
		{"an error that says so", nil, []remotewritetest.Answer{{Status: 400, Header: http.Header{remotewritetest.SamplesWritten: {"0"}}}}, 400, "", []string{"0"}, 0},
		{"a handler", nil, []remotewritetest.Answer{{Do: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }}}, 204, "", nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			to := remotewritetest.NewServer(t, remotewritetest.Options{Refuse: tt.refuse})
			to.Answer(tt.answers...)
			status, text, written := exchange(t, to, newRequestV2(t, to, marshalV2(t, two(1))))
			if status != tt.status || text != tt.text || !slices.Equal(written, tt.written) {
				t.Errorf("HTTP %d %q %q, want %d %q %q", status, text, written, tt.status, tt.text, tt.written)
			}
			if got := len(to.All()); got != tt.stored || to.Requests()[0].Stored != tt.stored {
				t.Errorf("%d series stored, want %d: %+v", got, tt.stored, to.Requests())
			}
		})
	}
}

// TestPartV1: a 1.0 sender is not told what was written, and the same again is
// taken.
func TestPartV1(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{Refuse: refuseDown})
	body := snappy.Encode(nil, marshal(t, prompb.WriteRequest{Timeseries: []prompb.TimeSeries{up(1), series(1, 1, "__name__", "down")}}))
	for range 2 {
		status, text, written := exchange(t, to, newRequest(t, to, body))
		if status != 400 || text != "no down" || len(written) != 0 {
			t.Errorf("HTTP %d %q %q", status, text, written)
		}
	}
	if all := to.All(); len(all) != 1 || len(all[0].Samples) != 1 || len(to.Violations()) != 0 {
		t.Errorf("%v, violations %q", all, to.Violations())
	}
}
