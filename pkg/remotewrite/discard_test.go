package remotewrite

import (
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// TestDiscard: a Sender that discards makes no request, and counts the same as one
// that sends, except for requests.
func TestDiscard(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ set, measured Protocol }{{"", V1}, {V1, V1}, {V2, V2}, {Auto, V1}} {
		t.Run("protocol "+string(tt.set), func(t *testing.T) {
			t.Parallel()
			change := func(o *Options) { o.MaxSeries, o.MaxBytes = 100, 10_000 }
			to := remotewritetest.NewServer(t, remotewritetest.Options{})
			sent, err := newSender(t, to, func(o *Options) { change(o); o.Protocol = tt.measured }).Push(t.Context(), at, images(1000), families)
			if err != nil {
				t.Fatal(err)
			}

			o := Options{Discard: true, Protocol: tt.set, Client: &http.Client{Transport: noRequests{t}}, Logger: new(logs).logger(t)}
			change(&o)
			s, err := New(o)
			if err != nil {
				t.Fatal(err)
			}
			for range 2 { // metadata would be due again
				got, err := s.Push(t.Context(), at, images(1000), families)
				if err != nil {
					t.Fatal(err)
				}
				checkReport(t, got, err)
				checkIdle(t, s)
				want := sent
				want.Requests, want.Duration = 0, got.Duration
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-sent +discarded):\n%s", diff)
				}
			}
			if sent.Batches < 10 || sent.BytesRaw <= sent.BytesCompressed {
				t.Errorf("not much of a push: %+v", sent)
			}
		})
	}
}

// TestDiscardDrops: invalid series are dropped all the same.
func TestDiscardDrops(t *testing.T) {
	t.Parallel()
	s, err := New(Options{Discard: true, Client: &http.Client{Transport: noRequests{t}}})
	if err != nil {
		t.Fatal(err)
	}
	report, err := pushTo(t, s, seq(gauge(1, "__name__", "up"), gauge(1, "no", "name")))
	if err != nil || report.Accepted != 1 || report.Dropped["no_metric_name"] != 1 {
		t.Errorf("%+v, %v", report, err)
	}
	if s.Endpoint() != "" {
		t.Errorf("endpoint %q", s.Endpoint())
	}
}

// noRequests is a transport that must not be used.
type noRequests struct{ testing.TB }

func (n noRequests) RoundTrip(req *http.Request) (*http.Response, error) {
	n.Errorf("%s %s", req.Method, req.URL)
	return nil, http.ErrNotSupported
}
