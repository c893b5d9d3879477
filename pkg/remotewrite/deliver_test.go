package remotewrite

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

type answers = []remotewritetest.Answer

// TestStatuses pushes one series with each kind of status (TestJudge has all), once
// for the first response only and once for every response until the deadline.
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
			// The others refuse the request, whatever it contains.
			unconfirmed := retried || status/100 == 4 && !slices.Contains([]int{401, 403, 413, 415}, status)
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
				case retried && requests < 5, !retried && requests != 1, report.Retries != requests-1, report.Requests != requests,
					unconfirmed != (report.Unconfirmed == 1), unconfirmed == (report.Refused == 1):
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

// TestOneBatchFailing: the others arrive.
func TestOneBatchFailing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(answers{{}, {Status: 400, Body: "out of order"}, {}}...)
		var log logs
		s := newSender(t, to, func(o *Options) { o.MaxSeries, o.Concurrency, o.Logger = 10, 1, log.logger(t) })
		report, err := pushTo(t, s, images(45))
		if report.Accepted != 35 || report.Unconfirmed != 10 || report.Batches != 5 || len(to.All()) != 35 {
			t.Errorf("%+v, %d arrived", report, len(to.All()))
		}
		want := `remote write of 10 series to http://receiver.test/api/v1/write: HTTP 400 "out of order"`
		if err == nil || err.Error() != want {
			t.Errorf("error %v, want %s", err, want)
		}
		lines := log.lines(t)
		if len(lines) != 1 || lines[0]["msg"] != "series not delivered" || lines[0]["unconfirmed"] != 10.0 || lines[0]["status"] != 400.0 || lines[0]["body"] != "out of order" {
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
			to.Answer(remotewritetest.Answer{Status: 400, Body: "reason " + strings.Repeat("x", i%10)})
		}
		var log logs
		s := newSender(t, to, func(o *Options) { o.MaxSeries, o.Logger = 1, log.logger(t) })
		report, err := pushTo(t, s, images(100))
		var p *PushError
		if !errors.As(err, &p) || len(p.Deliveries) != 3 || p.Batches != 100 || report.Unconfirmed != 100 {
			t.Fatalf("%+v, %v", report, err)
		}
		for _, d := range p.Deliveries {
			if d.Series != 10 {
				t.Errorf("%+v", d)
			}
		}
		if !strings.HasSuffix(err.Error(), "; and 70 more series for other reasons") {
			t.Errorf("error %v", err)
		}
		if n := len(log.above(t)); n != 1 {
			t.Errorf("%d lines logged", n)
		}
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
