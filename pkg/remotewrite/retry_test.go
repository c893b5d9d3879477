package remotewrite

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestJudge: all possible statuses.
func TestJudge(t *testing.T) {
	t.Parallel()
	for status := 100; status <= 999; status++ {
		want := refused
		switch {
		case status >= 200 && status < 300:
			want = accepted
		case status == 413:
			want = tooLarge
		case status == 429, status >= 500 && status < 600:
			want = again
		}
		if got := judge(status); got != want {
			t.Errorf("%d: verdict %d, want %d", status, got, want)
		}
	}
}

type permanentError bool

func (e permanentError) Error() string   { return "no credentials" }
func (e permanentError) Permanent() bool { return bool(e) }

var errRefused = &net.OpError{Op: "dial", Net: "tcp", Err: syscall.ECONNREFUSED}

func TestPermanent(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{io.ErrUnexpectedEOF, false},
		{permanentError(false), false},
		{permanentError(true), true},
		{fmt.Errorf("signing: %w", permanentError(true)), true},
		{errors.Join(io.EOF, permanentError(true)), true},
		{fmt.Errorf("sending: %w", &tls.CertificateVerificationError{Err: x509.UnknownAuthorityError{}}), true},
		{&net.OpError{Op: "remote error", Err: tls.AlertError(116)}, true}, // certificate required
		{http.ErrSchemeMismatch, true},
		{errRefused, false},
		{&net.OpError{Op: "read", Err: syscall.ECONNRESET}, false},
	} {
		if got := permanent(tt.err); got != tt.want {
			t.Errorf("%v: %v", tt.err, got)
		}
	}
}

// comesUp is a receiver that cannot be reached until a time.
type comesUp time.Time

func (c comesUp) RoundTrip(*http.Request) (*http.Response, error) {
	if time.Now().Before(time.Time(c)) {
		return nil, errRefused
	}
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody}, nil
}

// Without a connection a push ends after UnreachableFor, however many batches it has.
func TestUnreachableFor(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name              string
		up, limit         time.Duration
		shortest, longest time.Duration
		accepted          int
	}{
		{"never", time.Hour, 30 * time.Second, 25 * time.Second, 30 * time.Second, 0},
		{"in time", 20 * time.Second, 30 * time.Second, 20 * time.Second, 25 * time.Second, 1000},
		{"no limit", 100 * time.Second, 0, 100 * time.Second, 105 * time.Second, 1000},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var mu sync.Mutex
				var first time.Time
				most, failures := 0, 0
				s, err := New(Options{
					URL: &url.URL{Scheme: "http", Host: "receiver.test"}, Client: &http.Client{Transport: comesUp(time.Now().Add(tt.up))},
					MaxSeries: 10, UnreachableFor: tt.limit,
					Progress: func(done int, failed *DeliveryError) {
						mu.Lock()
						defer mu.Unlock()
						most = max(most, done)
						if failed == nil {
							return
						}
						if failures++; failures == 1 {
							first = time.Now()
						}
						if !errors.Is(failed, errRefused) {
							t.Errorf("failure %v", failed)
						}
					},
				})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				report, err := pushTo(t, s, images(1000))
				if took := time.Since(start); took < tt.shortest || took > tt.longest {
					t.Errorf("it took %s, want %s to %s", took, tt.shortest, tt.longest)
				}
				if report.Accepted != tt.accepted || (err == nil) != (tt.accepted == 1000) {
					t.Errorf("report %+v, error %v", report, err)
				}
				if !first.Equal(start) || most != 1000 || failures < 4 {
					t.Errorf("the first failure was reported after %s, %d failures and %d series", first.Sub(start), failures, most)
				}
			})
		})
	}
}

func TestParseRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
	const year = 365 * 24 * time.Hour
	for _, tt := range []struct {
		value string
		want  time.Duration
	}{
		{"0", 0},
		{"1", time.Second},
		{"120", 2 * time.Minute},
		{"007", 7 * time.Second},
		{" 3\t", 3 * time.Second},
		{"31536000", year},
		{"31536001", year},
		{"99999999999999999999999999999999", year},
		{strings.Repeat("9", 10000), year},
		{"Sun, 22 Nov 2026 10:30:30 GMT", 30 * time.Second},
		{"Sunday, 22-Nov-26 10:31:00 GMT", time.Minute},
		{"Sun Nov 22 10:30:05 2026", 5 * time.Second},
		{"Sun, 22 Nov 2026 10:30:00 GMT", 0},
		{"Sun, 22 Nov 2026 10:29:59 GMT", 0},
		{"Thu, 01 Jan 1970 00:00:00 GMT", 0},
		{"Fri, 31 Dec 9999 23:59:59 GMT", year},

		{"", 0},
		{" ", 0},
		{"-1", 0},
		{"+1", 0},
		{"1.5", 0},
		{"1e3", 0},
		{"0x10", 0},
		{"5s", 0},
		{"5, 6", 0},
		{"1 2", 0},
		{"soon", 0},
		{"５", 0},
		{"Sun, 22 Nov 2026 10:30:30", 0},
		{"2026-11-22T10:30:30Z", 0},
	} {
		if got := parseRetryAfter(tt.value, now); got != tt.want {
			t.Errorf("%.40q: %s, want %s", tt.value, got, tt.want)
		}
	}
}

func FuzzParseRetryAfter(f *testing.F) {
	now := time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC)
	for _, s := range []string{"", "0", "5", "-5", "99999999999999999999", "Sun, 22 Nov 2026 10:30:30 GMT", "Mon Jan  1 00:00:00 0001"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := parseRetryAfter(s, now)
		if got < 0 || got > 365*24*time.Hour {
			t.Errorf("%q: %s", s, got)
		}
		n, err := strconv.ParseUint(strings.Trim(s, " \t"), 10, 16)
		if err == nil && got != time.Duration(n)*time.Second {
			t.Errorf("%q: %s", s, got)
		}
		if d, err := http.ParseTime(strings.Trim(s, " \t")); err != nil && got != 0 && strings.Trim(s, " \t0123456789") != "" {
			t.Errorf("%q is neither a number nor a date, and gave %s (%s)", s, got, d)
		}
	})
}

func TestBackoff(t *testing.T) {
	t.Parallel()
	b := backoff{min: 30 * time.Millisecond, max: 5 * time.Second, maxRetryAfter: time.Minute}
	for _, tt := range []struct {
		attempts   int
		retryAfter time.Duration
		low, high  time.Duration
	}{
		{1, 0, 15 * time.Millisecond, 30 * time.Millisecond},
		{2, 0, 30 * time.Millisecond, 60 * time.Millisecond},
		{3, 0, 60 * time.Millisecond, 120 * time.Millisecond},
		{8, 0, 1920 * time.Millisecond, 3840 * time.Millisecond},
		{9, 0, 2500 * time.Millisecond, 5 * time.Second},
		{10, 0, 2500 * time.Millisecond, 5 * time.Second},
		{1_000_000, 0, 2500 * time.Millisecond, 5 * time.Second},
		{1, time.Second, time.Second, time.Second},
		{1, time.Minute, time.Minute, time.Minute},
		{1, 365 * 24 * time.Hour, time.Minute, time.Minute},
		{9, time.Second, 2500 * time.Millisecond, 5 * time.Second},
		{1, time.Millisecond, 15 * time.Millisecond, 30 * time.Millisecond},
	} {
		seen := make(map[time.Duration]bool)
		for range 200 {
			got := b.wait(tt.attempts, tt.retryAfter)
			if got < tt.low || got > tt.high {
				t.Errorf("after %d attempts and Retry-After %s: %s, want %s to %s", tt.attempts, tt.retryAfter, got, tt.low, tt.high)
			}
			seen[got] = true
		}
		if tt.low < tt.high && len(seen) < 20 {
			t.Errorf("after %d attempts: %d different waits of 200, no jitter", tt.attempts, len(seen))
		}
	}
	tiny := backoff{min: 1, max: 1, maxRetryAfter: 1}
	if got := tiny.wait(5, time.Hour); got != 1 {
		t.Errorf("the least backoff: %s", got)
	}
}

// TestRetryAfter: the wait between two attempts, in virtual time.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	// The time of synctest starts at midnight UTC 2000-01-01.
	date := func(d time.Duration) string {
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(d).Format(http.TimeFormat)
	}
	for _, tt := range []struct {
		name      string
		status    int
		value     string
		low, high time.Duration
	}{
		{"seconds", 429, "7", 7 * time.Second, 7 * time.Second},
		{"date", 429, date(9 * time.Second), 9 * time.Second, 9 * time.Second},
		{"also with 503", 503, "4", 4 * time.Second, 4 * time.Second},
		{"also with 500", 500, "4", 4 * time.Second, 4 * time.Second},
		{"capped", 429, "3600", time.Minute, time.Minute},
		{"date capped", 429, date(48 * time.Hour), time.Minute, time.Minute},
		{"none", 429, "", 15 * time.Millisecond, 30 * time.Millisecond},
		{"zero", 429, "0", 15 * time.Millisecond, 30 * time.Millisecond},
		{"negative", 429, "-7", 15 * time.Millisecond, 30 * time.Millisecond},
		{"garbage", 429, "in a while", 15 * time.Millisecond, 30 * time.Millisecond},
		{"date in the past", 429, date(-time.Hour), 15 * time.Millisecond, 30 * time.Millisecond},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				to.Answer(remotewritetest.Answer{Status: tt.status, Header: http.Header{"Retry-After": {tt.value}}})
				if _, err := pushTo(t, newSender(t, to, nil), images(3)); err != nil {
					t.Fatal(err)
				}
				all := to.Requests()
				if len(all) != 2 {
					t.Fatalf("%d requests", len(all))
				}
				if got := all[1].At.Sub(all[0].At); got < tt.low || got > tt.high {
					t.Errorf("the second attempt came after %s, want %s to %s", got, tt.low, tt.high)
				}
			})
		})
	}
}

// TestBackoffGrows: the wait doubles up to its maximum, its upper half is random, and
// it starts again with the next batch.
func TestBackoffGrows(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name  string
		fault remotewritetest.Answer
	}{
		{"429", remotewritetest.Answer{Status: 429}},
		{"500", remotewritetest.Answer{Status: 500}},
		{"503, with a shorter Retry-After", remotewritetest.Answer{Status: 503, Header: http.Header{"Retry-After": {"0"}}}},
		{"connection closed", remotewritetest.Answer{Close: true}},
		{"connection closed in the body", remotewritetest.Answer{ReadOnly: 10, Close: true}},
	} {
		for _, protocol := range []Protocol{V1, V2, Auto} {
			t.Run(fmt.Sprint(tt.name, " ", protocol), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					const n = 12
					to := remotewritetest.NewPipe(t, remotewritetest.Options{})
					to.Answer(slices.Repeat(answers{tt.fault}, n)...)
					to.Answer(answers{{}, tt.fault}...)
					s := newSender(t, to, func(o *Options) { o.Protocol, o.Concurrency, o.MaxSeries = protocol, 1, 1 })
					if report, err := pushTo(t, s, images(2)); err != nil || report.Retries != n+1 {
						t.Fatalf("%+v, %v", report, err)
					}
					all := to.Requests()
					want, half := DefaultMinBackoff, 0
					for i := 1; i <= n; i++ {
						got := all[i].At.Sub(all[i-1].At)
						if got < want/2 || got > want {
							t.Errorf("attempt %d came after %s, want %s to %s", i+1, got, want/2, want)
						}
						if got == want/2 || got == want {
							half++
						}
						want = min(2*want, DefaultMaxBackoff)
					}
					if half == n {
						t.Error("no jitter")
					}
					if got := all[n+1].At.Sub(all[n].At); got != 0 {
						t.Errorf("the next batch came after %s", got)
					}
					if got := all[n+2].At.Sub(all[n+1].At); got < DefaultMinBackoff/2 || got > DefaultMinBackoff {
						t.Errorf("the next batch's second attempt came after %s", got)
					}
				})
			})
		}
	}
}

// TestOverload: with all workers throttled at once, every batch is retried by itself
// and no more requests are made at once than there are workers.
func TestOverload(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(slices.Repeat(answers{{Status: 429, Delay: time.Second}, {Status: 503, Delay: time.Second}}, 10)...)
		s := newSender(t, to, func(o *Options) { o.MaxSeries = 1 })
		report, err := pushTo(t, s, images(20))
		if err != nil || report.Accepted != 20 || report.Throttled != 10 || report.Retries != 20 || to.MaxActive() != DefaultConcurrency {
			t.Errorf("%d at once, %+v, %v", to.MaxActive(), report, err)
		}
		checkArrived(t, to, 20)
	})
}
