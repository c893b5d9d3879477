package remotewrite_test

import (
	"cmp"
	"context"
	"fmt"
	"iter"
	"net"
	"net/http"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

const (
	// lineSeries go out in batches of lineBatch.
	lineSeries = 80
	lineBatch  = 20
	// faultSlack is how long after its deadline a push may return on a busy machine.
	faultSlack = 10 * time.Second
)

var faultFamily = &metrics.Family{Name: "aws_ecr_image_size_in_bytes", Help: "The size of an image in bytes", Type: "gauge"}

// numbered yields lineSeries series, in the order of their numbers.
func numbered() iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		for i := range lineSeries {
			if !yield(metrics.Series{Family: faultFamily, Value: float64(i), Labels: []metrics.Label{
				{Name: "__name__", Value: faultFamily.Name},
				{Name: "name", Value: fmt.Sprintf("team-%03d", i)},
			}}) {
				return
			}
		}
	}
}

// faultCase is one fault that hits some requests of a push.
type faultCase struct {
	fault    remotewritetest.Fault
	protocol remotewrite.Protocol
	which    string
}

// affected is which requests it hits, and how many batches these are at most.
func (c faultCase) affected() (which remotewritetest.Which, batches int) {
	switch c.which {
	case "always":
		return remotewritetest.Always, lineSeries / lineBatch
	case "first two":
		return remotewritetest.First(2), 2
	default:
		return remotewritetest.OneBody, 1
	}
}

// timeout is short if it ends the broken attempts, and long if a response does.
func (c faultCase) timeout() time.Duration {
	if c.fault.Status() != 0 {
		return 30 * time.Second
	}
	return 500 * time.Millisecond
}

// endless reports whether the broken requests are retried until the push is
// canceled, which must not happen before the others are done.
func (c faultCase) endless() bool {
	return c.fault.Status()/100 != 4 && c.want().Unconfirmed > 0
}

// successes is a transport that counts them.
type successes struct {
	http.RoundTripper
	n atomic.Int64
}

func (s *successes) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := s.RoundTripper.RoundTrip(req)
	if err == nil && resp.StatusCode/100 == 2 {
		s.n.Add(1)
	}
	return resp, err
}

// await waits until an endless push has done all that it can, and for a few attempts
// more.
func (c faultCase) await(ctx context.Context, to *remotewritetest.Server, proxy *remotewritetest.Proxy, s *successes) {
	batches := int64(c.want().Accepted / lineBatch)
	for ctx.Err() == nil && (s.n.Load() < batches || proxy.Broken() < c.want().Unconfirmed/lineBatch || c.fault.Delivers() && len(to.All()) < lineSeries) {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(200 * time.Millisecond)
}

// want is what must become of the series.
func (c faultCase) want() metrics.Push {
	_, batches := c.affected()
	lost := batches * lineBatch
	want := metrics.Push{Series: lineSeries, Accepted: lineSeries - lost}
	switch status := c.fault.Status(); {
	case status/100 == 2:
		want.Accepted = lineSeries
	case status/100 == 4: // many store a part, and none reports here what it wrote
		want.Unconfirmed = lost
	case status/100 == 3:
		want.Refused = lost
	case c.which == "first two":
		want.Accepted = lineSeries // at a further attempt
	default: // it went out
		want.Unconfirmed = lost
	}
	return want
}

// TestFaults: whatever happens between sender and receiver, Push returns by its
// deadline, and its counts match what the receiver has.
func TestFaults(t *testing.T) {
	t.Parallel()
	var cases []faultCase
	for fault := range remotewritetest.Faults() {
		for _, protocol := range []remotewrite.Protocol{remotewrite.V1, remotewrite.V2} {
			for _, which := range []string{"always", "first two", "one batch"} {
				cases = append(cases, faultCase{fault, protocol, which})
			}
		}
	}
	// More at once than there are processors, since they mostly wait.
	var running sync.WaitGroup
	turn := make(chan struct{}, 32)
	for _, c := range cases {
		turn <- struct{}{}
		running.Go(func() {
			defer func() { <-turn }()
			t.Run(fmt.Sprintf("%s/%s/%s", c.fault, c.protocol, c.which), c.run)
		})
	}
	running.Wait()
}

func (c faultCase) run(t *testing.T) {
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	proxy := remotewritetest.NewProxy(t, to.URL)
	which, _ := c.affected()
	proxy.Break(c.fault, which)
	transport := &successes{RoundTripper: newFaultTransport(t)}
	s := newFaultSender(t, remotewrite.Options{URL: proxy.URL, Protocol: c.protocol, Timeout: c.timeout(), Client: &http.Client{Transport: transport}})

	ctx, cancel := context.WithCancel(t.Context())
	var waiting sync.WaitGroup
	if c.endless() {
		waiting.Go(func() {
			defer cancel()
			c.await(ctx, to, proxy, transport)
		})
	}
	report := pushByDeadline(ctx, t, s, 5*time.Minute)
	cancel()
	waiting.Wait()
	want := c.want()
	if c.endless() && c.which == "always" && report.Unconfirmed > 0 && report.Unconfirmed%lineBatch == 0 {
		// On a busy machine a batch may be canceled before its first attempt.
		want.Unconfirmed, want.NotSent = report.Unconfirmed, want.Unconfirmed-report.Unconfirmed
	}
	checkFaultReport(t, report, want)
	if proxy.Broken() == 0 {
		t.Error("no request was broken")
	}
	checkStored(t, to, report, c.fault.Delivers())

	proxy.Mend()
	report = pushByDeadline(t.Context(), t, s, 5*time.Minute)
	checkFaultReport(t, report, metrics.Push{Series: lineSeries, Accepted: lineSeries})
}

// TestConnectionRefused: the receiver does not listen at first.
func TestConnectionRefused(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	at, listen := remotewritetest.NewRefused(t, to.URL)
	transport := newFaultTransport(t)
	var dials atomic.Int64
	transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
		if dials.Add(1) == 20 {
			listen()
		}
		return new(net.Dialer).DialContext(ctx, network, address)
	}
	s := newFaultSender(t, remotewrite.Options{URL: at, Client: &http.Client{Transport: transport}, MinBackoff: 100 * time.Millisecond})
	report := pushByDeadline(t.Context(), t, s, 50*time.Millisecond) // time for one attempt of each batch
	checkFaultReport(t, report, metrics.Push{Series: lineSeries, NotSent: lineSeries})
	checkStored(t, to, report, false)

	s = newFaultSender(t, remotewrite.Options{URL: at, Client: &http.Client{Transport: transport}})
	report = pushByDeadline(t.Context(), t, s, 5*time.Minute)
	checkFaultReport(t, report, metrics.Push{Series: lineSeries, Accepted: lineSeries})
	if report.Retries == 0 {
		t.Error("it was never refused")
	}
	checkStored(t, to, report, false)
}

// TestTLSToPlainPort: an https URL leads to a server that speaks plain HTTP.
func TestTLSToPlainPort(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	proxy := remotewritetest.NewProxy(t, to.URL)
	at := *proxy.URL
	at.Scheme = "https"
	s := newFaultSender(t, remotewrite.Options{URL: &at, Client: &http.Client{Transport: newFaultTransport(t)}})
	report := pushByDeadline(t.Context(), t, s, 500*time.Millisecond)
	checkFaultReport(t, report, metrics.Push{Series: lineSeries, NotSent: lineSeries})
	checkStored(t, to, report, false)
}

// TestFaultsMemory: only a little of an endless response is read.
func TestFaultsMemory(t *testing.T) { //nolint:paralleltest // it measures what the process allocates
	for _, fault := range []remotewritetest.Fault{
		remotewritetest.SlowBody, remotewritetest.LargeError, remotewritetest.EndlessError, remotewritetest.GzipBomb,
		remotewritetest.HugeHeaders, remotewritetest.InformationalStorm,
	} {
		t.Run(string(fault), func(t *testing.T) {
			to := remotewritetest.NewServer(t, remotewritetest.Options{})
			proxy := remotewritetest.NewProxy(t, to.URL)
			// There is one attempt: the second would be after the deadline.
			s := newFaultSender(t, remotewrite.Options{
				URL: proxy.URL, Concurrency: 1, MaxSeries: lineSeries, MinBackoff: time.Hour,
				Client: &http.Client{Transport: newFaultTransport(t)},
			})
			_ = pushByDeadline(t.Context(), t, s, 5*time.Minute) // memory for batches
			if fault == remotewritetest.GzipBomb {               // and for the bomb
				proxy.Break(fault, remotewritetest.Always)
				_ = pushByDeadline(t.Context(), t, s, 5*time.Minute)
			}
			proxy.Break(fault, remotewritetest.Always)

			var before, after runtime.MemStats
			written := proxy.Written()
			runtime.ReadMemStats(&before)
			_ = pushByDeadline(t.Context(), t, s, 5*time.Minute)
			runtime.ReadMemStats(&after)
			if n := proxy.Broken(); n != 1 {
				t.Errorf("%d requests were broken", n)
			}
			// Including the receiver and the proxy.
			if n := after.TotalAlloc - before.TotalAlloc; n > 4<<20 {
				t.Errorf("%d bytes were allocated", n)
			}
			// Including what the system buffers.
			if n := proxy.Written() - written; n > 8<<20 {
				t.Errorf("%d bytes were taken", n)
			}
		})
	}
}

func newFaultTransport(t *testing.T) *http.Transport {
	t.Helper()
	transport := remotewrite.NewTransport(4)
	transport.Proxy = nil
	t.Cleanup(transport.CloseIdleConnections)
	return transport
}

// newFaultSender returns a Sender whose attempts are short.
func newFaultSender(t *testing.T, o remotewrite.Options) *remotewrite.Sender {
	t.Helper()
	o.Timeout = cmp.Or(o.Timeout, 2*time.Second)
	o.MaxSeries = cmp.Or(o.MaxSeries, lineBatch)
	o.MinBackoff = cmp.Or(o.MinBackoff, 10*time.Millisecond)
	o.MaxBackoff = cmp.Or(o.MaxBackoff, 50*time.Millisecond)
	s, err := remotewrite.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// faultClock makes every push of these tests later than the ones before.
var faultClock atomic.Int64

// pushByDeadline pushes all, and checks that it returns by the deadline and what must
// hold of all counts.
func pushByDeadline(ctx context.Context, t *testing.T, s *remotewrite.Sender, within time.Duration) metrics.Push {
	t.Helper()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	deadline, _ := ctx.Deadline()
	at := time.Date(2026, 11, 22, 10, 30, 0, 0, time.UTC).Add(time.Duration(faultClock.Add(1)) * time.Second)
	report, err := s.Push(ctx, at, numbered(), nil)
	if late := time.Since(deadline); late > faultSlack {
		t.Errorf("returned %s after its deadline", late)
	}
	if sum := report.Accepted + report.Refused + report.Unconfirmed + report.NotSent; sum != report.Series || report.DroppedTotal() > 0 {
		t.Errorf("%d series, of which %d are accounted for: %+v", report.Series, sum, report)
	}
	if lost := report.Series > report.Accepted; lost != (err != nil) {
		t.Errorf("error %v with %+v", err, report)
	}
	return report
}

func checkFaultReport(t *testing.T, got, want metrics.Push) {
	t.Helper()
	if got.Series != want.Series || got.Accepted != want.Accepted || got.Refused != want.Refused ||
		got.Unconfirmed != want.Unconfirmed || got.NotSent != want.NotSent {
		t.Errorf("report %+v\nwant %+v", got, want)
	}
}

// checkStored checks the report against what the receiver has: what is accepted is
// there, once, and nothing else is, unless only the response was lost.
func checkStored(t *testing.T, to *remotewritetest.Server, report metrics.Push, answerLost bool) {
	t.Helper()
	all := to.All()
	for _, s := range all {
		if len(s.Samples) != 1 {
			t.Errorf("%s has %d samples", s, len(s.Samples))
		}
	}
	want := report.Accepted
	if answerLost {
		want = lineSeries
	}
	if len(all) != want {
		t.Errorf("%d series were stored, want %d: %+v", len(all), want, report)
	}
}
