package remotewrite

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

func TestTooLarge(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name             string
		series, most     int // series pushed; series that the receiver accepts
		requests, splits int
	}{
		{"in two", 100, 50, 3, 1},
		{"in two, odd", 101, 51, 3, 1},
		{"down to one", 8, 1, 15, 7},
		{"down to one, odd", 7, 1, 13, 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{MaxSeries: tt.most})
				report, err := pushTo(t, newSender(t, to, nil), images(tt.series))
				if err != nil {
					t.Fatal(err)
				}
				if report.Batches != 1 || report.Splits != tt.splits || report.Retries != 0 || len(to.Requests()) != tt.requests {
					t.Errorf("%d requests, %+v", len(to.Requests()), report)
				}
				checkArrived(t, to, tt.series)
			})
		})
	}
}

// TestTooLargeAlone: a series that is too large alone does not affect the others.
func TestTooLargeAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{MaxBytes: 500})
		s := newSender(t, to, nil)
		report, err := pushTo(t, s, seq(
			gauge(1, "__name__", "a"), gauge(1, "__name__", "b"),
			gauge(1, "__name__", "large", "value", strings.Repeat("x", 600)),
			gauge(1, "__name__", "c"), gauge(1, "__name__", "d"), gauge(1, "__name__", "e"),
		))
		if report.Accepted != 5 || report.Refused != 1 || len(to.All()) != 5 {
			t.Errorf("%+v", report)
		}
		var d *DeliveryError
		if !errors.As(err, &d) || d.Status != 413 || d.Series != 1 || !strings.Contains(d.Body, "at most 500 are accepted") {
			t.Errorf("error %v", err)
		}
	})
}

// TestTooLargePart: a part has its own retries, and its own result.
func TestTooLargePart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		to.Answer(answers{{Status: 413}, {Status: 500}, {}, {Status: 400, Body: "no"}}...)
		report, err := pushTo(t, newSender(t, to, nil), images(11))
		if report.Accepted != 5 || report.Unconfirmed != 6 || report.Retries != 1 || report.Splits != 1 || report.Batches != 1 {
			t.Errorf("%+v, %v", report, err)
		}
		checkArrived(t, to, 5)
	})
}

// TestTooLargeLearned: the size that a receiver accepts is found in one push. Later
// batches are not larger.
func TestTooLargeLearned(t *testing.T) {
	t.Parallel()
	for _, protocol := range []Protocol{V1, V2} {
		synctest.Test(t, func(t *testing.T) {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{MaxBytes: 5_000})
			s := newSender(t, to, func(o *Options) { o.Protocol, o.Concurrency, o.MaxBytes = protocol, 1, 25_000 })
			first, err := pushTo(t, s, images(300))
			if err != nil || first.Splits == 0 {
				t.Fatalf("%+v, %v", first, err)
			}
			before := len(to.Requests())
			second, err := pushTo(t, s, images(300))
			if err != nil || second.Splits != 0 || second.Batches <= first.Batches {
				t.Errorf("%+v, %v", second, err)
			}
			for _, r := range to.Requests()[before:] {
				if r.Raw > 5_000 || r.Status != 204 {
					t.Errorf("%+v", r)
				}
			}
			if got := int(s.fits.Load()); got > 5_000 || got < 1_250 {
				t.Errorf("%s: batches of %d bytes", protocol, got)
			}
			checkArrived(t, to, 300)
		})
	}
}

// TestTooLargeNothingLearned: a series that is too large alone does not make batches
// smaller.
func TestTooLargeNothingLearned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{MaxBytes: 1500})
		s := newSender(t, to, func(o *Options) { o.MaxBytes, o.Concurrency = 3000, 1 })
		large := gauge(1, "__name__", "large", "value", strings.Repeat("x", 1600))
		if report, err := pushTo(t, s, seq(gauge(1, "__name__", "a"), large, gauge(1, "__name__", "b"))); err == nil || report.Refused != 1 {
			t.Errorf("%+v, %v", report, err)
		}
		if got := int(s.fits.Load()); got != 3000 {
			t.Errorf("batches of %d bytes", got)
		}
		// A series larger than the batches is still sent.
		s.limitSize(1000)
		report, err := pushTo(t, s, seq(gauge(1, "__name__", "a"), large, gauge(1, "__name__", "b")))
		if report.Accepted != 2 || report.Refused != 1 || report.Batches != 3 || report.DroppedTotal() != 0 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}
