package remotewrite

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestHeaders: every attempt has these headers and no others, also for metadata.
func TestHeaders(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(remotewritetest.Answer{Status: 500})
		s := newSender(t, to, nil)
		if _, err := s.Push(t.Context(), at, images(10), families); err != nil {
			t.Fatal(err)
		}
		all := to.Requests()
		if len(all) != 3 || all[2].Metadata != 2 {
			t.Fatalf("requests: %+v", all)
		}
		for _, r := range all {
			want := http.Header{
				"Accept-Encoding":                   {"identity"},
				"Content-Encoding":                  {"snappy"},
				"Content-Length":                    {fmt.Sprint(r.Compressed)},
				"Content-Type":                      {"application/x-protobuf"},
				"User-Agent":                        {"ecr-remote-write/1.2.3"},
				"X-Prometheus-Remote-Write-Version": {"0.1.0"},
			}
			if diff := cmp.Diff(want, r.Header); diff != "" {
				t.Error(diff)
			}
			if r.Method != "POST" || r.Path != to.URL.Path {
				t.Errorf("%s %s", r.Method, r.Path)
			}
		}
	})
}

// TestRedirects are not followed: a signature is for one host, and a POST may
// come out as a GET.
func TestRedirects(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{301, 302, 303, 307, 308} {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{})
			to.Answer(remotewritetest.Answer{Status: status, Header: http.Header{"Location": {"/elsewhere"}}, Body: "moved"})
			client := &http.Client{Transport: to.Transport}
			report, err := pushTo(t, newSender(t, to, func(o *Options) { o.Client = client }), images(10))
			var d *DeliveryError
			if !errors.As(err, &d) || d.Status != status || d.Body != "moved" || report.Refused != 10 || len(to.Requests()) != 1 {
				t.Errorf("%d: %d requests, %+v, %v", status, len(to.Requests()), report, err)
			}
			if client.CheckRedirect != nil {
				t.Error("the caller's client was changed")
			}
		}
	})
}

// TestBodies: the body of a response is bounded in bytes and in time.
func TestBodies(t *testing.T) {
	t.Parallel()
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, _ = io.CopyN(z, zeros{}, 4<<20)
	_ = z.Close()
	const filler = "0123456789abcdef"
	kib := strings.Repeat(filler, 64)
	for _, tt := range []struct {
		name   string
		answer remotewritetest.Answer
		body   string
		most   time.Duration
	}{
		{"none", remotewritetest.Answer{}, "", 0},
		{"1 KiB", remotewritetest.Answer{Body: kib}, kib, 0},
		{"more than 1 KiB", remotewritetest.Answer{Body: kib + "x"}, kib, 0},
		{"endless", remotewritetest.Answer{Body: filler, BodySize: 1 << 40}, kib, 0},
		{"endless, without a length", remotewritetest.Answer{Body: filler, BodySize: 1 << 40, Stall: true}, kib, 0},
		{"never ends", remotewritetest.Answer{Body: "wait for it", Stall: true}, "wait for it", bodyTimeout},
		{"gzip bomb", remotewritetest.Answer{Body: bomb.String(), Header: http.Header{"Content-Encoding": {"gzip"}}}, "", 0},
		{"less than its length", remotewritetest.Answer{Body: "short", Header: http.Header{"Content-Length": {"1000"}}}, "short", 0},
		{"binary", remotewritetest.Answer{Body: "\x00\xff\x1b[31m"}, "\x00\xff\x1b[31m", 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				for _, status := range []int{400, 200} {
					answer := tt.answer
					answer.Status = status
					to.Answer(answer)
					start := time.Now()
					report, err := pushTo(t, newSender(t, to, nil), images(10))
					if took := time.Since(start); took > tt.most {
						t.Errorf("%d: took %s", status, took)
					}
					if status == 200 {
						if err != nil || report.Accepted != 10 {
							t.Errorf("%d: %+v, %v", status, report, err)
						}
						continue
					}
					var d *DeliveryError
					if !errors.As(err, &d) || d.Status != 400 {
						t.Fatalf("%+v, %v", report, err)
					}
					if tt.name == "gzip bomb" {
						if !strings.HasPrefix(d.Body, "\x1f\x8b") || len(d.Body) > maxErrorBody {
							t.Errorf("%d bytes, decompressed", len(d.Body))
						}
						continue
					}
					if d.Body != tt.body {
						t.Errorf("body of %d bytes %.40q, want %d bytes", len(d.Body), d.Body, len(tt.body))
					}
					if text := err.Error(); !utf8.ValidString(text) || strings.ContainsAny(text, "\x00\x1b") {
						t.Errorf("not quoted: %q", err)
					}
				}
			})
		})
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestLateReader: a transport that goes on reading a body after the response gets
// nothing of the next batch. (The race detector does not show it: snappy writes in
// assembly.)
func TestLateReader(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		late := make(chan error, 100)
		ready := make(chan struct{})
		transport := roundTripper(func(req *http.Request) (*http.Response, error) {
			first := make([]byte, 10)
			if _, err := io.ReadFull(req.Body, first); err != nil {
				return nil, err
			}
			go func() {
				<-ready
				_, err := req.Body.Read(first)
				if _, again := req.GetBody(); again == nil {
					err = errors.New("another copy could be had")
				}
				late <- err
			}()
			return &http.Response{StatusCode: 204, Body: http.NoBody, Request: req}, nil
		})
		s := newSender(t, to, func(o *Options) { o.Client = &http.Client{Transport: transport} })
		if _, err := pushTo(t, s, images(100)); err != nil {
			t.Fatal(err)
		}
		close(ready)
		if err := <-late; !errors.Is(err, errAttemptEnded) {
			t.Errorf("a late read: %v", err)
		}
	})
}

func TestBodyGuard(t *testing.T) {
	t.Parallel()
	data := []byte(strings.Repeat("snappy", 1000))
	g := &bodyGuard{data: data}
	one, two := g.reader(), g.reader()
	for _, body := range []io.ReadCloser{one, two} {
		if got, err := io.ReadAll(body); err != nil || !bytes.Equal(got, data) {
			t.Fatalf("%d bytes, %v", len(got), err)
		}
	}
	copied, err := g.getBody()
	if err != nil {
		t.Fatal(err)
	}
	half := make([]byte, 5)
	if _, err := io.ReadFull(copied, half); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(one.Close(), copied.Close()); err != nil {
		t.Fatal(err)
	}
	g.end()
	if _, err := copied.Read(half); !errors.Is(err, errAttemptEnded) {
		t.Errorf("after the end: %v", err)
	}
	// A copy that was read completely goes on returning io.EOF.
	if n, err := two.Read(half); n != 0 || err != io.EOF {
		t.Errorf("after the end of both: %d, %v", n, err)
	}
	if _, err := g.getBody(); !errors.Is(err, errAttemptEnded) {
		t.Errorf("another copy after the end: %v", err)
	}
}

// TestTransportReuse: connections are kept, also after an error with a body.
func TestTransportReuse(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	to.Answer(answers{{Status: 500, Body: "broken"}, {Status: 400, Body: strings.Repeat("x", 4000)}, {}}...)
	addresses := make(map[string]bool)
	transport := roundTripper(func(req *http.Request) (*http.Response, error) { return to.Transport.RoundTrip(req) })
	s := newSender(t, to, func(o *Options) {
		o.Concurrency, o.MinBackoff, o.MaxBackoff = 1, 1, 1
		o.Client = &http.Client{Transport: transport}
	})
	for range 4 {
		_, _ = pushTo(t, s, images(500))
	}
	for _, r := range to.Requests() {
		addresses[r.RemoteAddr] = true
	}
	if len(addresses) != 1 || len(to.Requests()) != 5 {
		t.Errorf("%d requests from %v", len(to.Requests()), slices.Collect(maps.Keys(addresses)))
	}
}

// TestEarlyResponses: the receiver responds before it has read the body, or without
// reading it, over HTTP/1.1 and, as AMP has it, HTTP/2, whose transport reads bodies in
// its own way.
func TestEarlyResponses(t *testing.T) {
	t.Parallel()
	for _, proto := range []string{"HTTP/1.1", "HTTP/2.0"} {
		t.Run(proto, func(t *testing.T) {
			to := remotewritetest.New(remotewritetest.Options{})
			for i := range 60 {
				to.Answer(remotewritetest.Answer{Status: []int{500, 200, 400}[i%3], Unread: i%2 == 0, ReadOnly: int64(i % 2 * 1000)})
			}
			server := httptest.NewUnstartedServer(to)
			server.EnableHTTP2 = proto == "HTTP/2.0"
			server.StartTLS()
			defer server.Close()
			u, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			s, err := New(Options{
				URL: u, Client: &http.Client{Transport: server.Client().Transport},
				MaxSeries: 100, MinBackoff: 1, MaxBackoff: 1,
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := 0; to.Unused() > 0; i++ {
				if i == 100 {
					t.Fatal("the script does not end")
				}
				report, err := s.Push(t.Context(), at, images(1000), nil)
				checkReport(t, report, err)
			}
			if _, err := pushTo(t, s, images(1000)); err != nil {
				t.Fatal(err)
			}
			checkArrived(t, &remotewritetest.Server{Receiver: to}, 1000)
			for _, r := range to.Requests() {
				if r.Proto != proto {
					t.Fatal(r.Proto)
				}
			}
			if v := to.Violations(); len(v) != 0 {
				t.Error(v)
			}
		})
	}
}
