package remotewrite

import (
	"context"
	"errors"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestDeadlines pushes three batches of 200 series, one after the other, with each
// failure. A push ends by its deadline, or early if waiting is useless; it accounts
// for each series, reports the cause, and leaves nothing running. The timeout of an
// attempt is 8 s.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	type answer = remotewritetest.Answer
	const hour = time.Hour
	hang := func(first ...answer) answers { return append(first, slices.Repeat(answers{{Delay: hour}}, 100)...) }
	always := func(a answer) answers { return slices.Repeat(answers{a}, 100) }
	after := func(status int, seconds, body string) answer {
		return answer{Status: status, Body: body, Header: http.Header{"Retry-After": {seconds}}}
	}
	for _, tt := range []struct {
		name     string
		protocol Protocol
		deadline time.Duration // 30 s if 0
		dial     func(context.Context, string, string) (net.Conn, error)
		script   answers
		want     metrics.Push // without the sizes
		text     string       // in the error
	}{
		{name: "before the first attempt", deadline: -1,
			want: metrics.Push{NotSent: 600},
			text: "the deadline came before the first attempt"},
		{name: "while connecting",
			dial: func(ctx context.Context, _, _ string) (net.Conn, error) { <-ctx.Done(); return nil, ctx.Err() },
			want: metrics.Push{NotSent: 600, Requests: 4, Retries: 3, Batches: 2, Duration: 30 * time.Second},
			text: "no response before the deadline of the push"},
		{name: "while sending the body", script: always(answer{Unread: true, Delay: hour}),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Requests: 4, Retries: 3, Batches: 2, Duration: 30 * time.Second},
			text: "no response before the deadline of the push"},
		{name: "while sending the rest of the body", script: always(answer{ReadOnly: 5000, Delay: hour}),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Requests: 4, Retries: 3, Batches: 2, Duration: 30 * time.Second},
			text: "no response before the deadline of the push"},
		{name: "while waiting for the response", script: hang(),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Requests: 4, Retries: 3, Batches: 2, Duration: 30 * time.Second},
			text: "no response before the deadline of the push"},
		{name: "while reading the response", deadline: 500 * time.Millisecond, script: always(answer{Status: 200, Body: "wait", Stall: true}),
			want: metrics.Push{Accepted: 200, NotSent: 400, Requests: 1, Batches: 2, Duration: 500 * time.Millisecond},
			text: "the deadline came before the first attempt"},
		{name: "while reading an error", deadline: 500 * time.Millisecond, script: always(answer{Status: 400, Body: "bad", Stall: true}),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Requests: 1, Batches: 2, Duration: 500 * time.Millisecond},
			text: `HTTP 400 "bad"`},
		{name: "connections closed late", script: always(answer{Delay: 7 * time.Second, Close: true}),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Requests: 5, Retries: 4, Batches: 2, Duration: 30 * time.Second},
			text: "no response before the deadline of the push"},
		{name: "slow errors", script: always(answer{Delay: 7 * time.Second, Status: 502, Body: "bad gateway"}),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Requests: 5, Retries: 4, Batches: 2, Duration: 30 * time.Second},
			text: `5 attempts: HTTP 502 "bad gateway": no response before the deadline of the push`},
		{name: "Retry-After beyond it", script: always(after(429, "31", "slow down")),
			want: metrics.Push{Unconfirmed: 600, Requests: 3, Throttled: 3, Batches: 3},
			text: `HTTP 429 "slow down"`},
		{name: "Retry-After to it", script: always(after(503, "30", "")),
			want: metrics.Push{Unconfirmed: 600, Requests: 3, Batches: 3},
			text: "HTTP 503"},
		{name: "Retry-After before it", script: always(after(429, "29", "")),
			want: metrics.Push{Unconfirmed: 600, Requests: 4, Throttled: 4, Retries: 1, Batches: 3, Duration: 29 * time.Second},
			text: "HTTP 429"},
		{name: "an error and then none", script: hang(after(500, "5", "broken")),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Requests: 5, Retries: 4, Batches: 2, Duration: 30 * time.Second},
			text: `HTTP 500 "broken": no response before the deadline of the push`},
		{name: "success and then none", script: hang(answer{}),
			want: metrics.Push{Accepted: 200, Unconfirmed: 200, NotSent: 200, Requests: 5, Retries: 3, Batches: 3, Duration: 30 * time.Second},
			text: "no response before the deadline of the push"},
		{name: "400 and then none", script: hang(answer{Status: 400, Body: "bad"}),
			want: metrics.Push{Unconfirmed: 400, NotSent: 200, Requests: 5, Retries: 3, Batches: 3, Duration: 30 * time.Second},
			text: `HTTP 400 "bad"; `},
		{name: "302 and then none", script: hang(answer{Status: 302}),
			want: metrics.Push{Refused: 200, Unconfirmed: 200, NotSent: 200, Requests: 5, Retries: 3, Batches: 3, Duration: 30 * time.Second},
			text: "HTTP 302; "},
		{name: "413 and then none", script: hang(answer{Status: 413, Body: "too large"}),
			want: metrics.Push{Unconfirmed: 100, NotSent: 500, Requests: 5, Retries: 3, Splits: 1, Batches: 2, Duration: 30 * time.Second},
			text: `HTTP 413 "too large": no response before the deadline of the push`},
		{name: "413, half of it, and then none", script: hang(answer{Status: 413}, answer{}),
			want: metrics.Push{Accepted: 100, Unconfirmed: 100, NotSent: 400, Requests: 6, Retries: 3, Splits: 1, Batches: 2, Duration: 30 * time.Second},
			text: "HTTP 413: no response before the deadline of the push"},
		{name: "2.0, written in part and then none", protocol: V2,
			script: hang(answer{Status: 400, Body: "bad", Header: http.Header{samplesWritten: {"150"}}}),
			want:   metrics.Push{Accepted: 150, Refused: 50, Unconfirmed: 200, NotSent: 200, Requests: 5, Retries: 3, Batches: 3, Duration: 30 * time.Second},
			text:   `remote write of 50 series to http://receiver.test/api/v1/write: HTTP 400 "bad", 150 of 200 samples written; `},
		{name: "2.0, written in part and overloaded", protocol: V2,
			script: always(answer{Status: 503, Header: http.Header{samplesWritten: {"150"}, "Retry-After": {"40"}}}),
			want:   metrics.Push{Unconfirmed: 600, Requests: 3, Batches: 3},
			text:   "HTTP 503"},
		{name: "auto, none", protocol: Auto, script: hang(),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Requests: 4, Retries: 3, Batches: 1, Duration: 30 * time.Second},
			text: "no response before the deadline of the push"},
		{name: "auto, 415 and then none", protocol: Auto, script: hang(answer{Status: 415, Body: "1.0 only"}),
			want: metrics.Push{Unconfirmed: 200, NotSent: 400, Protocol: string(V1), Requests: 5, Retries: 3, Downgrades: 1, Batches: 1, Duration: 30 * time.Second},
			text: `HTTP 415 "1.0 only": no response before the deadline of the push`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				to.Answer(tt.script...)
				if tt.dial != nil {
					to.Transport.DialContext = tt.dial
				}
				var underWay atomic.Int64
				var last time.Time
				transport := roundTripper(func(req *http.Request) (*http.Response, error) {
					underWay.Add(1)
					defer underWay.Add(-1)
					last = time.Now()
					return to.Transport.RoundTrip(req)
				})
				s := newSender(t, to, func(o *Options) {
					o.Client = &http.Client{Transport: transport}
					o.Protocol, o.Concurrency, o.MaxSeries = tt.protocol, 1, 200
					// So short that the times of the attempts are known.
					o.Timeout, o.MinBackoff, o.MaxBackoff = 8*time.Second, 1, 1
				})
				if tt.deadline == 0 {
					tt.deadline = 30 * time.Second
				}
				start := time.Now()
				deadline := start.Add(tt.deadline)
				ctx, cancel := context.WithDeadline(t.Context(), deadline)
				defer cancel()
				report, err := s.Push(ctx, at, images(600), families)
				if time.Now().After(deadline) && tt.deadline > 0 {
					t.Errorf("%s after the deadline", time.Since(deadline))
				}
				if n := underWay.Load(); n != 0 || tt.deadline > 0 && !last.Before(deadline) {
					t.Errorf("%d requests under way, the last begun at %s", n, last.Sub(start))
				}
				checkReport(t, report, err)
				checkIdle(t, s)
				// Nothing was sent if nothing was even unconfirmed.
				if sent := lost(report) > report.NotSent || report.Accepted > 0; sent != (report.BytesCompressed > 0) {
					t.Errorf("sizes: %+v", report)
				}
				tt.want.Series = 600
				if tt.protocol != Auto {
					tt.want.Protocol = string(s.Protocol())
				}
				report.BytesRaw, report.BytesCompressed, report.MayBeStored = 0, 0, false
				report.Duration = report.Duration.Truncate(time.Millisecond) // of the backoff
				if diff := cmp.Diff(tt.want, report); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				var d *DeliveryError
				if !errors.As(err, &d) || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v, want %q", err, tt.text)
				}
				if strings.HasSuffix(err.Error(), "write: context deadline exceeded") {
					t.Errorf("bare: %v", err)
				}
				// A handler that has not read its request does not notice that the sender
				// is gone, and synctest waits for it.
				time.Sleep(2 * hour)
			})
		})
	}
}

// TestDeadlineWhileFilling: series that the deadline leaves without a batch are
// counted, to the last.
func TestDeadlineWhileFilling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		// Two batches are accepted, two get no response.
		to.Answer(answers{{}, {}, {Delay: time.Hour}, {Delay: time.Hour}, {Delay: time.Hour}, {Delay: time.Hour}}...)
		s := newSender(t, to, func(o *Options) { o.Concurrency, o.MaxSeries = 2, 10 })
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		report, err := s.Push(ctx, at, func(yield func(series) bool) {
			for s := range images(1000) {
				if !yield(s) {
					t.Error("the iterator was stopped")
				}
			}
			yield(gauge(1, "no", "name")) // still checked
		}, nil)
		checkReport(t, report, err)
		checkIdle(t, s)
		if report.Series != 1001 || report.Accepted != 20 || report.Unconfirmed != 20 || report.NotSent != 960 || report.Dropped["no_metric_name"] != 1 {
			t.Errorf("%+v", report)
		}
		var p *PushError
		// In any order: both end at the deadline.
		never := func(e *DeliveryError) bool { return e.Attempts == 0 }
		if !errors.As(err, &p) || p.Series != 980 || len(p.Deliveries) != 2 || !slices.ContainsFunc(p.Deliveries, never) {
			t.Errorf("error %v", err)
		}
		if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "the deadline came before the first attempt") {
			t.Errorf("error %v", err)
		}
	})
}

// TestEndedContext: nothing is sent, and everything counted.
func TestEndedContext(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		s := newSender(t, to, nil)
		cause := errors.New("interrupted")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		report, err := s.Push(ctx, at, images(10), families)
		checkReport(t, report, err)
		if report.NotSent != 10 || len(to.Requests()) != 0 || report.Batches != 0 {
			t.Errorf("%+v, %d requests", report, len(to.Requests()))
		}
		if !errors.Is(err, cause) {
			t.Errorf("error %v", err)
		}
	})
}

// TestCancelWhileWaiting: a wait ends with the context, and the last response is the
// error.
func TestCancelWhileWaiting(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(remotewritetest.Answer{Status: 503, Body: "maintenance", Header: http.Header{"Retry-After": {"30"}}})
		s := newSender(t, to, nil)
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(3*time.Second, cancel)
		start := time.Now()
		report, err := s.Push(ctx, at, images(10), nil)
		checkReport(t, report, err)
		var d *DeliveryError
		if !errors.As(err, &d) || d.Status != 503 || d.RetryAfter != 30*time.Second || d.Body != "maintenance" {
			t.Errorf("error %v", err)
		}
		if took := time.Since(start); took != 3*time.Second || report.Retries != 0 {
			t.Errorf("took %s, %+v", took, report)
		}
	})
}

// TestRetryFor ends a push that has no deadline.
func TestRetryFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(slices.Repeat(answers{{Status: 500}}, 1000)...)
		s := newSender(t, to, func(o *Options) { o.RetryFor = time.Minute })
		start := time.Now()
		report, _ := pushTo(t, s, images(10))
		if took := time.Since(start); took > time.Minute || took < 50*time.Second || report.Unconfirmed != 10 {
			t.Errorf("took %s, %+v", took, report)
		}
	})
}
