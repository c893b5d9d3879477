package remotewrite

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

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

// TestBackoffGrows: whatever fails, the attempts come at distances that double up
// to the longest, of which the upper half is random, and start anew with the next
// batch.
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
					s := newSender(t, to, func(o *Options) { o.Protocol, o.Concurrency, o.MaxSeries = protocol, 1, 3 })
					if report, err := pushTo(t, s, images(6)); err != nil || report.Retries != n+1 {
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

// TestNoRetry: what is final is not tried again, however long one might wait.
func TestNoRetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, status := range []int{300, 400, 401, 403, 404, 408, 409, 410, 422, 425} {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{})
			to.Answer(remotewritetest.Answer{Status: status, Header: http.Header{"Retry-After": {"1"}}})
			start := time.Now()
			report, err := pushTo(t, newSender(t, to, nil), images(3))
			if err == nil || report.Requests != 1 || time.Since(start) != 0 {
				t.Errorf("%d: %+v, %v after %s", status, report, err, time.Since(start))
			}
		}
	})
}
