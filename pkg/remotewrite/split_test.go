package remotewrite

import (
	"errors"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestLargerThanBurst: a receiver whose burst is smaller than a batch never accepts it,
// but its parts.
func TestLargerThanBurst(t *testing.T) {
	t.Parallel()
	for _, protocol := range []Protocol{V1, V2} {
		synctest.Test(t, func(t *testing.T) {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{Burst: 20})
			s := newSender(t, to, func(o *Options) { o.Protocol = protocol })
			report, err := pushTo(t, s, images(100))
			// 100, 50 and 50, four of 25, and eight that are accepted.
			if err != nil || report.Splits != 7 || report.Throttled != 7*splitAfter || report.Requests != 7*splitAfter+8 || report.Batches != 1 {
				t.Errorf("%+v, %v", report, err)
			}
			checkArrived(t, to, 100)
			// A rate limit passes, so nothing is learned.
			if got := int(s.fits.Load()); got != DefaultMaxBytes {
				t.Errorf("batches of %d bytes", got)
			}
		})
	}
}

// TestThrottledWaits: a split does not make the waits shorter, and Retry-After is kept.
func TestThrottledWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		throttled := remotewritetest.Answer{Status: 429}
		asked := remotewritetest.Answer{Status: 429, Header: http.Header{"Retry-After": {"7"}}}
		to.Answer(throttled, throttled, asked, throttled, throttled)
		report, err := pushTo(t, newSender(t, to, nil), images(10))
		if err != nil || report.Splits != 1 || report.Throttled != 5 {
			t.Fatalf("%+v, %v", report, err)
		}
		all := to.Requests()
		for i, want := range []struct {
			series    int
			low, high time.Duration // after the request before
		}{
			{10, 0, 0},
			{10, DefaultMinBackoff / 2, DefaultMinBackoff},
			{10, DefaultMinBackoff, 2 * DefaultMinBackoff},
			{5, 7 * time.Second, 7 * time.Second},
			{5, 4 * DefaultMinBackoff, 8 * DefaultMinBackoff},
			{5, 8 * DefaultMinBackoff, 16 * DefaultMinBackoff},
			{5, 0, 0},
		} {
			waited := time.Duration(0)
			if i > 0 {
				waited = all[i].At.Sub(all[i-1].At)
			}
			if all[i].Series != want.series || waited < want.low || waited > want.high {
				t.Errorf("request %d: %d series after %s, want %d after %s to %s", i, all[i].Series, waited, want.series, want.low, want.high)
			}
		}
		checkArrived(t, to, 10)
	})
}

// TestThrottledForever: the same number of requests as without splitting, since the
// waits grow.
func TestThrottledForever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(slices.Repeat(answers{{Status: 429}}, 10_000)...)
		s := newSender(t, to, func(o *Options) { o.RetryFor, o.Concurrency = time.Minute, 1 })
		report, err := pushTo(t, s, images(1000))
		if err == nil || report.Unconfirmed != 1000 {
			t.Errorf("%+v, %v", report, err)
		}
		// At most one in 2.5 s once the wait has grown, for each part that is tried, and
		// there is one minute for each.
		if seconds := report.Duration.Seconds(); float64(report.Requests) > 10+seconds/2.5 {
			t.Errorf("%d requests in %.0f s", report.Requests, seconds)
		}
	})
}

// TestAlwaysTooLarge: a receiver that answers 413 to everything gets a bounded number of
// requests in each push, and the error says why.
func TestAlwaysTooLarge(t *testing.T) {
	t.Parallel()
	for _, protocol := range []Protocol{V1, V2, Auto} {
		synctest.Test(t, func(t *testing.T) {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{})
			to.Answer(slices.Repeat(answers{{Status: 413, Body: "too large"}}, 10_000)...)
			s := newSender(t, to, func(o *Options) { o.Protocol, o.MaxSeries = protocol, 200 })
			for range 2 {
				report, err := pushTo(t, s, images(4000))
				if most := 20 + 2*splitsPerWorker*DefaultConcurrency; report.Refused != 4000 || report.Requests > most || report.Batches != 20 {
					t.Errorf("%d requests, at most %d are wanted: %+v", report.Requests, most, report)
				}
				if !errors.Is(err, errNoSplits) {
					t.Errorf("error %v", err)
				}
			}
			to.Mend()
			if report, err := pushTo(t, s, images(400)); err != nil || report.Splits != 0 || report.Batches != 2 {
				t.Errorf("after it: %+v, %v", report, err)
			}
		})
	}
}

// TestSmallestSize: splitting goes on as long as it helps.
func TestSmallestSize(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{MaxSeries: 1})
		s := newSender(t, to, func(o *Options) { o.MaxSeries = 1000 })
		report, err := pushTo(t, s, images(1000))
		if err != nil || report.Accepted != 1000 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}
