package remotewritetest_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// series is one with the labels given as name, value, name, value…
func series(value float64, at int64, labels ...string) prompb.TimeSeries {
	ts := prompb.TimeSeries{Samples: []prompb.Sample{{Value: value, Timestamp: at}}}
	for i := 0; i < len(labels); i += 2 {
		ts.Labels = append(ts.Labels, prompb.Label{Name: labels[i], Value: labels[i+1]})
	}
	return ts
}

func up(at int64) prompb.TimeSeries { return series(1, at, "__name__", "up", "job", "x") }

func marshal(t testing.TB, w prompb.WriteRequest) []byte {
	t.Helper()
	raw, err := w.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// newRequest is a request as it should be.
func newRequest(t testing.TB, to *remotewritetest.Server, packed []byte) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, to.URL.String(), bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type":                      "application/x-protobuf",
		"Content-Encoding":                  "snappy",
		"X-Prometheus-Remote-Write-Version": "0.1.0",
		"User-Agent":                        "test/1",
	} {
		req.Header.Set(name, value)
	}
	return req
}

// send sends a request and returns status and text of the answer.
func send(t testing.TB, to *remotewritetest.Server, req *http.Request) (int, string) {
	t.Helper()
	resp, err := to.Transport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, strings.TrimSpace(string(text))
}

func write(t testing.TB, to *remotewritetest.Server, all ...prompb.TimeSeries) (int, string) {
	t.Helper()
	return send(t, to, newRequest(t, to, snappy.Encode(nil, marshal(t, prompb.WriteRequest{Timeseries: all}))))
}

func lenient(t *testing.T) *remotewritetest.Server {
	return remotewritetest.NewServer(t, remotewritetest.Options{ExpectViolations: true})
}

func TestHandsBack(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	write(t, to, series(1, 10, "__name__", "up", "job", "x", "zone", "a\"b"), series(2, 10, "__name__", "up", "job", "y"), series(3, 10, "__name__", "down"))
	write(t, to, series(4, 20, "__name__", "up", "job", "y"))
	var all []string
	for _, s := range to.All() {
		all = append(all, fmt.Sprint(s, s.Samples))
	}
	if diff := cmp.Diff([]string{`up{job="x",zone="a\"b"} [{10 1}]`, `up{job="y"} [{10 2} {20 4}]`, `down [{10 3}]`}, all); diff != "" {
		t.Error(diff)
	}
	for want, got := range map[string][]remotewritetest.Series{
		"[]":                                    to.Find("sideways"),
		"[down]":                                to.Find("down"),
		`[up{job="y"}]`:                         to.Find("up", "job", "y"),
		"[] ":                                   to.Find("up", "job", "y", "zone", ""),
		`[up{job="x",zone="a\"b"} up{job="y"}]`: to.Find("up"),
	} {
		if fmt.Sprint(got) != strings.TrimSpace(want) {
			t.Errorf("%v, want %s", got, want)
		}
	}
	got := to.Find("up", "job", "y")[0]
	if got.Last() != (remotewritetest.Sample{Timestamp: 20, Value: 4}) {
		t.Error(got.Last())
	}
	// What is handed back is the caller's.
	got.Samples[0].Value = 99
	got.Labels["job"] = "z"
	if diff := cmp.Diff([]remotewritetest.Sample{{Timestamp: 10, Value: 2}, {Timestamp: 20, Value: 4}}, to.Find("up", "job", "y")[0].Samples); diff != "" {
		t.Error(diff)
	}
	requests := to.Requests()
	if len(requests) != 2 || requests[0].Series != 3 || requests[0].Status != 204 || requests[0].Raw == 0 || requests[0].Sum == requests[1].Sum {
		t.Errorf("%+v", requests)
	}
}

// TestKeepBodies: bodies are kept as they came, if they are to be kept and were
// read.
func TestKeepBodies(t *testing.T) {
	t.Parallel()
	packed := snappy.Encode(nil, marshal(t, prompb.WriteRequest{Timeseries: []prompb.TimeSeries{up(1)}}))
	for _, tt := range []struct {
		keep, unread bool
		want         []byte
	}{{true, false, packed}, {true, true, nil}, {false, false, nil}} {
		to := remotewritetest.NewServer(t, remotewritetest.Options{KeepBodies: tt.keep})
		to.Answer(remotewritetest.Answer{Status: 200, Unread: tt.unread})
		send(t, to, newRequest(t, to, packed))
		if got := to.Requests()[0].Body; !bytes.Equal(got, tt.want) {
			t.Errorf("%+v: %q", tt, got)
		}
	}
}

// TestScript: answers as told, in order, and then as deserved.
func TestScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(
			remotewritetest.Answer{Status: 503, Header: http.Header{"Retry-After": {"5"}}, Body: "later"},
			remotewritetest.Answer{Status: 200, Body: "ok"},
			remotewritetest.Answer{Delay: 7 * time.Second},
			remotewritetest.Answer{Status: 418, Body: "ab", BodySize: 5},
			remotewritetest.Answer{Status: 413, Unread: true},
			remotewritetest.Answer{Do: func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(299) }},
		)
		start := time.Now()
		var got []string
		for i := range 7 {
			status, text := write(t, to, up(int64(i+1)))
			got = append(got, strings.TrimSpace(fmt.Sprint(status, " ", text)))
		}
		if diff := cmp.Diff([]string{"503 later", "200 ok", "204", "418 ababa", "413", "299", "204"}, got); diff != "" {
			t.Error(diff)
		}
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("took %s", took)
		}
		// Only what was read and answered with 2xx is stored.
		var stored []int64
		for _, s := range to.Find("up")[0].Samples {
			stored = append(stored, s.Timestamp)
		}
		if diff := cmp.Diff([]int64{2, 3, 7}, stored); diff != "" {
			t.Error(diff)
		}
		var statuses []int
		for _, r := range to.Requests() {
			statuses = append(statuses, r.Status)
		}
		if diff := cmp.Diff([]int{503, 200, 204, 418, 413, 0, 204}, statuses); diff != "" {
			t.Error(diff)
		}
		if to.Unused() != 0 {
			t.Errorf("%d answers left", to.Unused())
		}
	})
}

// TestScriptedFaults: connections that end without an answer, and answers
// that do not end.
func TestScriptedFaults(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(remotewritetest.Answer{Close: true}, remotewritetest.Answer{Status: 500, Body: "start", Stall: true})
		packed := snappy.Encode(nil, marshal(t, prompb.WriteRequest{Timeseries: []prompb.TimeSeries{up(1)}}))
		if resp, err := to.Transport.RoundTrip(newRequest(t, to, packed)); err == nil {
			t.Errorf("closed: HTTP %d", resp.StatusCode)
		}
		resp, err := to.Transport.RoundTrip(newRequest(t, to, packed))
		if err != nil {
			t.Fatal(err)
		}
		read := make(chan string)
		go func() {
			text, err := io.ReadAll(resp.Body)
			read <- fmt.Sprint(string(text), " ", err != nil)
		}()
		synctest.Wait()
		select {
		case text := <-read:
			t.Errorf("the answer ended: %s", text)
		default:
		}
		_ = resp.Body.Close()
		if text := <-read; !strings.HasPrefix(text, "start") {
			t.Error(text)
		}
		if len(to.All()) != 0 {
			t.Error("stored")
		}
	})
}

// failures is a testing.TB that notes failures and runs its cleanups on demand.
type failures struct {
	testing.TB
	texts    []string
	cleanups []func()
}

func (f *failures) Helper()          {}
func (f *failures) Cleanup(c func()) { f.cleanups = append(f.cleanups, c) }
func (f *failures) Errorf(format string, args ...any) {
	f.texts = append(f.texts, fmt.Sprintf(format, args...))
}

// TestFailsTheTest: a violation fails the test that the receiver is for.
func TestFailsTheTest(t *testing.T) {
	t.Parallel()
	for name, start := range map[string]func(testing.TB, remotewritetest.Options) *remotewritetest.Server{
		"server": remotewritetest.NewServer, "pipe": remotewritetest.NewPipe,
	} {
		f := &failures{TB: t}
		to := start(f, remotewritetest.Options{})
		write(t, to, series(1, 1, "a", "1"))
		write(t, to, up(1))
		for _, c := range slices.Backward(f.cleanups) {
			c()
		}
		if diff := cmp.Diff([]string{"remote write receiver: series 0: no label __name__"}, f.texts); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}
