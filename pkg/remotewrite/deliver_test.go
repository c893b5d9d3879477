package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

type answers = []remotewritetest.Answer

// TestStatuses pushes one series to each kind of status (TestJudge has them all), once with the status for the
// first answer only, and once with no other until the deadline.
func TestStatuses(t *testing.T) {
	t.Parallel()
	statuses := []int{
		200, 201, 202, 204, 206, 226, 299,
		300, 301, 302, 303, 304, 305, 307, 308, 399,
		400, 401, 402, 403, 404, 405, 408, 409, 410, 413, 415, 422, 425, 428, 429, 431, 451, 499,
		500, 501, 502, 503, 504, 505, 507, 511, 529, 599, 600, 999,
	}
	synctest.Test(t, func(t *testing.T) {
		for _, status := range statuses {
			retried := status == 429 || status/100 == 5
			for _, always := range []bool{false, true} {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				n := 1
				if always {
					n = 1000
				}
				to.Answer(slices.Repeat(answers{{Status: status, Body: " the reason\n"}}, n)...)
				s := newSender(t, to, nil)
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				report, err := s.Push(ctx, at, seq(gauge(1, "__name__", "up")), nil)
				cancel()
				checkReport(t, report, err)

				requests, ok := len(to.Requests()), report.Accepted == 1
				switch {
				case status/100 == 2:
					if !ok || requests != 1 {
						t.Errorf("%d: %d requests, %+v", status, requests, report)
					}
					continue
				case retried && !always:
					if !ok || requests != 2 || report.Retries != 1 {
						t.Errorf("%d once: %d requests, %+v", status, requests, report)
					}
					continue
				case retried && requests < 5, !retried && requests != 1, report.Refused != 1, report.Retries != requests-1:
					t.Errorf("%d: %d requests, %+v", status, requests, report)
				}
				var d *DeliveryError
				if !errors.As(err, &d) {
					t.Fatalf("%d: error %v", status, err)
				}
				if d.Status != status || d.Series != 1 || d.Attempts != requests || d.Err != nil {
					t.Errorf("%d: %+v", status, d)
				}
				if status != 304 && d.Body != "the reason" { // 304 has no body
					t.Errorf("%d: body %q", status, d.Body)
				}
			}
		}
	})
}

// TestRetriesSameBytes: a retry is the same body, to the byte.
func TestRetriesSameBytes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(answers{{Status: 500}, {Close: true}, {Status: 429}, {Status: 503, ReadOnly: 10}}...)
		report, err := pushTo(t, newSender(t, to, nil), images(200))
		if err != nil || report.Accepted != 200 || report.Retries != 4 {
			t.Fatalf("%+v, %v", report, err)
		}
		checkArrived(t, to, 200)
		all := to.Requests()
		for _, i := range []int{1, 2, 4} { // 3 was not read to the end
			if all[i].Sum != all[0].Sum {
				t.Errorf("attempt %d has another body", i+1)
			}
		}
	})
}

// TestRetryAfter: the wait between two attempts, in virtual time.
func TestRetryAfter(t *testing.T) {
	t.Parallel()
	// The bubble's time starts at midnight UTC 2000-01-01.
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

// TestBackoffGrows: attempts come at growing distances, and start anew with the
// next batch.
func TestBackoffGrows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(slices.Repeat(answers{{Status: 500}}, 12)...)
		if _, err := pushTo(t, newSender(t, to, nil), images(3)); err != nil {
			t.Fatal(err)
		}
		all := to.Requests()
		want := DefaultMinBackoff
		for i := 1; i < len(all); i++ {
			if got := all[i].At.Sub(all[i-1].At); got < want/2 || got > want {
				t.Errorf("attempt %d came after %s, want %s to %s", i+1, got, want/2, want)
			}
			want = min(2*want, DefaultMaxBackoff)
		}
	})
}

// TestDeadlines: with each failure, a push ends by its deadline, early if waiting
// would be of no use, and says what it knows.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	always := func(a remotewritetest.Answer) answers { return slices.Repeat(answers{a}, 1000) }
	const deadline = 30 * time.Second
	for _, tt := range []struct {
		name    string
		script  answers
		within  time.Duration // the push ends at or before
		notWell time.Duration // and not before
		status  int           // of the delivery error; 0 is not sent
		text    string        // in the error
	}{
		{"503", always(remotewritetest.Answer{Status: 503, Body: "later"}), deadline, deadline - DefaultMaxBackoff, 503, `HTTP 503 "later"`},
		{"429 beyond the deadline", always(remotewritetest.Answer{Status: 429, Header: http.Header{"Retry-After": {"31"}}}), 0, 0, 429, "HTTP 429"},
		{"429 at the deadline", always(remotewritetest.Answer{Status: 429, Header: http.Header{"Retry-After": {"30"}}}), 0, 0, 429, "HTTP 429"},
		{"429 before the deadline", always(remotewritetest.Answer{Status: 429, Header: http.Header{"Retry-After": {"29"}}}), 29 * time.Second, 29 * time.Second, 429, "HTTP 429"},
		{"400", always(remotewritetest.Answer{Status: 400, Body: "bad"}), 0, 0, 400, `HTTP 400 "bad"`},
		{"connection closed", always(remotewritetest.Answer{Close: true}), deadline, deadline - DefaultMaxBackoff, 0, "EOF"},
		{"no answer", always(remotewritetest.Answer{Delay: time.Hour}), deadline, deadline - DefaultMaxBackoff, 0, "no answer before the deadline of the push"},
		{"answer and then none", append(answers{{Status: 500, Body: "broken"}}, always(remotewritetest.Answer{Delay: time.Hour})...), deadline, deadline - DefaultMaxBackoff, 500, `HTTP 500 "broken"`},
		{"answer and then closed", append(answers{{Status: 500, Body: "broken"}}, always(remotewritetest.Answer{Close: true})...), deadline, deadline - DefaultMaxBackoff, 500, `HTTP 500 "broken"`},
		{"slow answers", always(remotewritetest.Answer{Delay: 8 * time.Second, Status: 502, Body: "bad gateway"}), deadline, deadline - 8*time.Second, 502, `HTTP 502 "bad gateway"`},
		{"413 and then none", append(answers{{Status: 413, Body: "too large"}}, always(remotewritetest.Answer{Delay: time.Hour})...), deadline, deadline - DefaultMaxBackoff, 413, `HTTP 413 "too large"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				to.Answer(tt.script...)
				s := newSender(t, to, func(o *Options) { o.Concurrency = 1 })
				ctx, cancel := context.WithTimeout(t.Context(), deadline)
				defer cancel()
				start := time.Now()
				report, err := s.Push(ctx, at, images(10), nil)
				took := time.Since(start)
				checkReport(t, report, err)
				checkIdle(t, s)
				if took > tt.within || took < tt.notWell || report.Duration != took {
					t.Errorf("took %s, want %s to %s; report says %s", took, tt.notWell, tt.within, report.Duration)
				}
				if report.Accepted != 0 || (report.Refused == 10) != (tt.status != 0) {
					t.Errorf("%+v", report)
				}
				var d *DeliveryError
				if !errors.As(err, &d) || d.Status != tt.status || !strings.Contains(err.Error(), tt.text) {
					t.Errorf("error %v, want status %d and %q", err, tt.status, tt.text)
				}
				if strings.HasSuffix(err.Error(), "write: context deadline exceeded") {
					t.Errorf("bare: %v", err)
				}
			})
		})
	}
}

// TestDeadlineWhileFilling: what the deadline leaves without a batch is counted,
// to the last series.
func TestDeadlineWhileFilling(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		// Two batches are accepted, two never answered.
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
		if report.Series != 1001 || report.Accepted != 20 || report.NotSent != 980 || report.Dropped[NoMetricName] != 1 {
			t.Errorf("%+v", report)
		}
		var p *PushError
		if !errors.As(err, &p) || p.Series != 980 || len(p.Deliveries) != 2 || p.Deliveries[1].Attempts != 0 {
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

// TestCancelWhileWaiting: a wait ends with the context, and the last answer is
// the error.
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
		if took := time.Since(start); took > time.Minute || took < 50*time.Second || report.Refused != 10 {
			t.Errorf("took %s, %+v", took, report)
		}
	})
}

// TestOneBatchFailing: the others arrive.
func TestOneBatchFailing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(answers{{}, {Status: 400, Body: "out of order"}, {}}...)
		var log logs
		s := newSender(t, to, func(o *Options) { o.MaxSeries, o.Concurrency, o.Logger = 10, 1, log.logger() })
		report, err := pushTo(t, s, images(45))
		if report.Accepted != 35 || report.Refused != 10 || report.Batches != 5 || len(to.All()) != 35 {
			t.Errorf("%+v, %d arrived", report, len(to.All()))
		}
		want := `remote write of 10 series to http://receiver.test/api/v1/write: HTTP 400 "out of order"`
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		lines := log.lines(t)
		if len(lines) != 1 || lines[0]["msg"] != "series not delivered" || lines[0]["status"] != 400.0 || lines[0]["body"] != "out of order" {
			t.Errorf("logged %v", lines)
		}
	})
}

// TestManyKindsOfFailure: the error stays small, and so does the log.
func TestManyKindsOfFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		for i := range 100 {
			to.Answer(remotewritetest.Answer{Status: 400, Body: fmt.Sprintf("reason %d", i%10)})
		}
		var log logs
		s := newSender(t, to, func(o *Options) { o.MaxSeries, o.Logger = 1, log.logger() })
		report, err := pushTo(t, s, images(100))
		var p *PushError
		if !errors.As(err, &p) || len(p.Deliveries) != 3 || p.Batches != 100 || report.Refused != 100 {
			t.Fatalf("%+v, %v", report, err)
		}
		for _, d := range p.Deliveries {
			if d.Series != 10 {
				t.Errorf("%+v", d)
			}
		}
		if !strings.HasSuffix(err.Error(), "; and 70 series more in other ways") {
			t.Errorf("error %v", err)
		}
		if n := len(log.lines(t)); n != 3 {
			t.Errorf("%d lines logged", n)
		}
	})
}

// TestNoConnection: nothing listens.
func TestNoConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		refused := errors.New("connection refused")
		transport := roundTripper(func(req *http.Request) (*http.Response, error) {
			_ = req.Body.Close()
			return nil, refused
		})
		s := newSender(t, to, func(o *Options) { o.Client = &http.Client{Transport: transport} })
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		defer cancel()
		report, err := s.Push(ctx, at, images(10), nil)
		checkReport(t, report, err)
		if report.NotSent != 10 || report.Retries < 5 || !errors.Is(err, refused) {
			t.Errorf("%+v, %v", report, err)
		}
		if want := ": connection refused"; !strings.HasSuffix(err.Error(), want) || strings.Contains(err.Error(), "Post") {
			t.Errorf("error %v, want it to end in %q", err, want)
		}
	})
}

// TestPermanentError: without credentials there is no second attempt.
func TestPermanentError(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		calls := 0
		transport := roundTripper(func(req *http.Request) (*http.Response, error) {
			calls++
			_ = req.Body.Close()
			return nil, permanentError(true)
		})
		s := newSender(t, to, func(o *Options) { o.Client = &http.Client{Transport: transport} })
		report, err := pushTo(t, s, images(10))
		if report.NotSent != 10 || calls != 1 || err == nil || !strings.Contains(err.Error(), "no credentials") {
			t.Errorf("%d calls, %+v, %v", calls, report, err)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
