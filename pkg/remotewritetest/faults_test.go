package remotewritetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/textproto"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// behind is a receiver behind a proxy, and a client without any caution.
type behind struct {
	to     *remotewritetest.Server
	proxy  *remotewritetest.Proxy
	client *http.Client
	packed []byte
}

func newBehind(t *testing.T) *behind {
	t.Helper()
	b := &behind{to: remotewritetest.NewServer(t, remotewritetest.Options{}), client: newClient(t)}
	b.proxy = remotewritetest.NewProxy(t, b.to.URL)
	b.packed = packed(t, 1)
	return b
}

func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{MaxResponseHeaderBytes: 1 << 20}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Minute}
}

func packed(t *testing.T, at int64) []byte {
	t.Helper()
	return snappy.Encode(nil, marshal(t, prompb.WriteRequest{Timeseries: []prompb.TimeSeries{up(at)}}))
}

func (b *behind) post(ctx context.Context, t *testing.T) (*http.Response, error) {
	t.Helper()
	req := newRequest(t, &remotewritetest.Server{URL: b.proxy.URL}, b.packed).WithContext(ctx)
	return b.client.Do(req)
}

// TestProxyPasses: without a fault the proxy is not noticed.
func TestProxyPasses(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.to.Answer(remotewritetest.Answer{}, remotewritetest.Answer{Status: 429, Header: http.Header{"Retry-After": {"7"}}, Body: "later"})
	for _, want := range []string{"204  ", "429 7 later", "204  "} {
		answer, err := b.post(t.Context(), t)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if got := fmt.Sprint(answer.StatusCode, " ", answer.Header.Get("Retry-After"), " ", string(text)); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	if n := len(b.to.Requests()); n != 3 || b.proxy.Broken() != 0 {
		t.Errorf("%d requests, %d broken", n, b.proxy.Broken())
	}
}

// TestFaults: each does to a careless client what its name says.
func TestFaults(t *testing.T) {
	t.Parallel()
	for fault := range remotewritetest.Faults() {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			b := newBehind(t)
			b.proxy.Break(fault, remotewritetest.Always)
			slow := slices.Contains([]remotewritetest.Fault{
				remotewritetest.SlowHeaders, remotewritetest.SlowBody, remotewritetest.SlowError, remotewritetest.Silence,
				remotewritetest.InformationalDrizzle,
			}, fault)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			// The slow ones are given up a moment after all that the client gets of them.
			giveUp := func() { time.AfterFunc(300*time.Millisecond, cancel) }
			if slow && fault.Status() == 0 {
				go func() {
					for ctx.Err() == nil && (b.proxy.Broken() == 0 || fault.Delivers() && len(b.to.All()) == 0) {
						time.Sleep(time.Millisecond)
					}
					giveUp()
				}()
			}
			b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			answer, err := b.post(ctx, t)
			status, size := 0, int64(0)
			var reading error
			if err == nil {
				status = answer.StatusCode
				if slow {
					giveUp()
				}
				size, reading = io.Copy(io.Discard, io.LimitReader(answer.Body, 8<<20))
				answer.Body.Close()
			}
			if status != fault.Status() {
				t.Errorf("status %d, want %d; %v", status, fault.Status(), err)
			}
			if stored := len(b.to.All()) == 1; stored != fault.Delivers() {
				t.Errorf("stored: %v, want %v", stored, fault.Delivers())
			}
			if b.proxy.Broken() == 0 {
				t.Error("no request was broken")
			}
			late := errors.Is(err, context.Canceled) || errors.Is(reading, context.Canceled)
			if late != slow {
				t.Errorf("slow: %v, want %v: %v, %v", late, slow, err, reading)
			}
			switch fault {
			case remotewritetest.ResetInBody, remotewritetest.AnswerLost:
				if !errors.Is(err, syscall.ECONNRESET) && !errors.Is(err, syscall.EPIPE) {
					t.Errorf("no reset: %v", err)
				}
			case remotewritetest.WriteSideClosed:
				if !errors.Is(err, io.EOF) {
					t.Errorf("not closed: %v", err)
				}
			case remotewritetest.LargeError:
				if size != 1_000_000 {
					t.Errorf("%d bytes", size)
				}
			case remotewritetest.EndlessError, remotewritetest.GzipBomb:
				if size != 8<<20 {
					t.Errorf("%d bytes, %v", size, reading)
				}
			case remotewritetest.GarbageBody:
				if reading == nil {
					t.Error("the body is no garbage")
				}
			case remotewritetest.HugeHeaders, remotewritetest.InformationalStorm, remotewritetest.Garbage, remotewritetest.GarbageHeaders, remotewritetest.TLSAlert:
				if err == nil {
					t.Error("taken for an answer")
				}
			}
		})
	}
}

// TestBombSize: the body of GzipBomb is small, and holds much.
func TestBombSize(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.proxy.Break(remotewritetest.GzipBomb, remotewritetest.Always)
	answer, err := b.post(t.Context(), t)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	// A part, since the race detector takes its time for the whole.
	const part = remotewritetest.BombSize / 16
	size, err := io.CopyN(io.Discard, answer.Body, part)
	if err != nil || size != part || b.proxy.Written() > 2<<20 {
		t.Errorf("%d bytes out of %d, %v", size, b.proxy.Written(), err)
	}
}

// TestInformationalStorm has no end, if a client lets it.
func TestInformationalStorm(t *testing.T) {
	t.Parallel()
	b := newBehind(t)
	b.proxy.Break(remotewritetest.InformationalStorm, remotewritetest.Always)
	enough, codes := errors.New("enough"), map[int]int{}
	_, err := b.post(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{
		Got1xxResponse: func(code int, _ textproto.MIMEHeader) error {
			if codes[code]++; codes[code] == 1000 {
				return enough
			}
			return nil
		},
	}), t)
	if !errors.Is(err, enough) || codes[100] < 999 || codes[103] != 1000 {
		t.Errorf("%v: %v", codes, err)
	}
}

// TestElsewhere: who follows a redirect is found out, and fails the test.
func TestElsewhere(t *testing.T) {
	t.Parallel()
	var found recordingTB
	func() {
		found.TB = t
		defer found.end()
		to := remotewritetest.NewServer(t, remotewritetest.Options{})
		proxy := remotewritetest.NewProxy(&found, to.URL)
		proxy.Break(remotewritetest.Redirect308, remotewritetest.Always)
		b := &behind{to: to, proxy: proxy, client: newClient(t), packed: packed(t, 1)}
		if answer, err := b.post(t.Context(), t); err == nil {
			answer.Body.Close()
			t.Errorf("status %d", answer.StatusCode)
		}
		if proxy.Elsewhere() == 0 {
			t.Error("nobody came")
		}
	}()
	if !strings.Contains(found.errors, "where the redirects lead") {
		t.Errorf("the test would not have failed: %q", found.errors)
	}
}

// recordingTB is a test that notes errors instead of failing, and ends by hand.
type recordingTB struct {
	testing.TB
	errors   string
	cleanups []func()
}

func (r *recordingTB) Helper()          {}
func (r *recordingTB) Cleanup(f func()) { r.cleanups = append(r.cleanups, f) }
func (r *recordingTB) Errorf(format string, args ...any) {
	r.errors += fmt.Sprintf(format, args...) + "\n"
}

func (r *recordingTB) end() {
	for _, f := range r.cleanups {
		f()
	}
}

// TestWhich: a fault befalls the requests that it is for.
func TestWhich(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		which remotewritetest.Which
		want  string // of the bodies 0, 1, 0, 1, 0: x is broken
	}{
		"always":   {remotewritetest.Always, "xxxxx"},
		"first":    {remotewritetest.First(3), "xxx.."},
		"after":    {remotewritetest.After(3), "...xx"},
		"one body": {remotewritetest.OneBody, "x.x.x"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newBehind(t)
			b.proxy.Break(remotewritetest.Redirect307, tt.which)
			b.client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
			bodies := [2][]byte{}
			for i := range bodies {
				name := fmt.Sprintf("n%d_abcdefghijklmnopqrstuvwxyz_0123456789", i)
				bodies[i] = snappy.Encode(nil, marshal(t, prompb.WriteRequest{Timeseries: []prompb.TimeSeries{series(1, 1, "__name__", name)}}))
			}
			got := ""
			post := func(body []byte) string {
				b.packed = body
				answer, err := b.post(t.Context(), t)
				if err != nil {
					t.Fatal(err)
				}
				answer.Body.Close()
				if answer.StatusCode == http.StatusNoContent {
					return "."
				}
				return "x"
			}
			for i := range 5 {
				got += post(bodies[i%2])
			}
			b.proxy.Mend()
			b.client.CloseIdleConnections() // the proxy has closed them
			if mended := post(bodies[0]); got != tt.want || mended != "." {
				t.Errorf("%s, mended %s; want %s", got, mended, tt.want)
			}
			if want := strings.Count(tt.want, "x"); b.proxy.Broken() != want {
				t.Errorf("%d broken, want %d", b.proxy.Broken(), want)
			}
		})
	}
}

// TestRefused: until it listens nobody gets through, and then everybody.
func TestRefused(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	at, listen := remotewritetest.NewRefused(t, to.URL)
	client := newClient(t)
	body := packed(t, 1)
	post := func() (*http.Response, error) {
		return client.Do(newRequest(t, &remotewritetest.Server{URL: at}, body))
	}
	for range 2 {
		answer, err := post()
		if !errors.Is(err, syscall.ECONNREFUSED) {
			if err == nil {
				answer.Body.Close()
			}
			t.Fatalf("%v, %v", answer, err)
		}
	}
	if proxy := listen(); proxy == nil || proxy.URL.String() != at.String() {
		t.Fatalf("listens on %v, not %v", proxy, at)
	}
	answer, err := post()
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusNoContent {
		t.Error(answer.Status)
	}
}

// TestProxyCloses: with a client that does not go, no goroutine is left (see
// TestMain).
func TestProxyCloses(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	quiet := &recordingTB{TB: t}
	proxy := remotewritetest.NewProxy(quiet, to.URL)
	faults := []remotewritetest.Fault{remotewritetest.Silence, remotewritetest.EndlessError, remotewritetest.SlowHeaders, remotewritetest.GzipBomb}
	for i, fault := range faults {
		proxy.Break(fault, remotewritetest.Always)
		conn, err := net.Dial("tcp", proxy.URL.Host)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		var request bytes.Buffer
		if err := newRequest(t, to, packed(t, int64(i+1))).Write(&request); err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(request.Bytes()); err != nil {
			t.Fatal(err)
		}
		for proxy.Broken() == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	quiet.end()
	if conn, err := net.Dial("tcp", proxy.URL.Host); err == nil {
		conn.Close()
		t.Error("still listens")
	}
}
