package exporter_test

import (
	"bytes"
	"errors"
	"iter"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// gate lets a number of requests through, and no more.
type gate struct {
	next http.RoundTripper
	left int
}

func (g *gate) RoundTrip(req *http.Request) (*http.Response, error) {
	if g.left == 0 {
		req.Body.Close()
		return nil, errors.New("the network is down")
	}
	g.left--
	return g.next.RoundTrip(req)
}

// through has the world's exporter push through a gate, one request at a time.
func (w *world) through(g *gate, protocol remotewrite.Protocol) func(*exporter.Options) {
	return func(o *exporter.Options) {
		g.next = w.receiver.Transport
		sender, err := remotewrite.New(remotewrite.Options{
			URL: w.receiver.URL, Client: &http.Client{Transport: g}, MaxSeries: 10, Concurrency: 1, Protocol: protocol, Logger: o.Logger,
		})
		w.check(err)
		o.Sender, o.Auto = sender, protocol == remotewrite.Auto
	}
}

// A marker is sent again until the receiver has accepted or refused it, whatever becomes
// of the other series.
func TestMarkersAnswered(t *testing.T) {
	t.Parallel()
	type answer = remotewritetest.Answer
	for name, c := range map[string]struct {
		protocol remotewrite.Protocol
		markers  answer // to the batch of the marker, which is the first
		rest     answer // to the next batch
		want     metrics.Markers
		stored   bool
	}{
		"accepted":                {remotewrite.V1, answer{}, answer{Status: http.StatusBadRequest}, metrics.Markers{Accepted: 1}, true},
		"refused":                 {remotewrite.V2, answer{Refuse: everything}, answer{}, metrics.Markers{Refused: 1}, false},
		"too large":               {remotewrite.V1, answer{Status: http.StatusRequestEntityTooLarge}, answer{}, metrics.Markers{Refused: 1}, false},
		"refused, unread":         {remotewrite.V1, answer{Status: http.StatusForbidden}, answer{}, metrics.Markers{Refused: 1, Due: 1}, false},
		"redirected":              {remotewrite.V1, answer{Status: http.StatusFound}, answer{}, metrics.Markers{Refused: 1, Due: 1}, false},
		"wrong protocol":          {remotewrite.V1, answer{Status: http.StatusUnsupportedMediaType}, answer{}, metrics.Markers{Refused: 1, Due: 1}, false},
		"unconfirmed, not stored": {remotewrite.V1, answer{Status: http.StatusBadRequest}, answer{}, metrics.Markers{Unconfirmed: 1, Due: 1}, false},
		"unconfirmed, stored":     {remotewrite.V1, answer{Status: http.StatusBadRequest, Store: true}, answer{}, metrics.Markers{Unconfirmed: 1, Due: 1}, true},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t)
			w.restart(w.through(&gate{left: -1}, c.protocol))
			w.put("app", images(25)...)
			_, err := w.run(time.Minute)
			w.check(err)
			w.check(w.registry.DeleteImage("app", ecrtest.Digest("1")))
			time.Sleep(interval)
			w.receiver.Answer(c.markers, c.rest)
			c.want.Series = 1
			second, err := w.run(time.Minute)
			if err == nil || second.Markers != c.want {
				t.Errorf("error %v, markers %+v, want %+v", err, second.Markers, c.want)
			}
			if stale, _ := w.stale("v1"); (stale == 1) != c.stored {
				t.Errorf("%d markers stored", stale)
			}
			w.restart(w.through(&gate{left: -1}, c.protocol))
			for _, due := range []int{c.want.Due, 0} {
				time.Sleep(2 * time.Minute)
				next, err := w.run(time.Minute)
				w.check(err)
				if next.Ended != due || next.Markers.Accepted != due {
					t.Errorf("then %+v, want %d", next.Markers, due)
				}
			}
			if c.stored || c.want.Due > 0 {
				w.wantStale("v1", 1, 0)
			}
		})
	}
}

func everything(remotewritetest.Series) string { return "refused" }

// The end of a series is told to a receiver that may have stored its beginning, though no
// push was accepted: the next push of markers has a later timestamp than any sample, also
// from a new execution environment in the same millisecond.
func TestMarkersOfUnconfirmed(t *testing.T) {
	t.Parallel()
	type answer = remotewritetest.Answer
	limit := func() func(remotewritetest.Series) string {
		n := 0
		return func(s remotewritetest.Series) string {
			if n++; n%2 == 0 && s.Labels["tag"] != "v1" {
				return "per-user series limit exceeded"
			}
			return ""
		}
	}
	for name, c := range map[string]struct {
		protocol remotewrite.Protocol
		answer   answer
		stored   bool
	}{
		"series limit": {remotewrite.V1, answer{Refuse: limit()}, true},
		// As Cortex does.
		"series limit, 2.0": {remotewrite.V2, answer{Refuse: limit(), Header: http.Header{remotewritetest.SamplesWritten: {"0"}}}, true},
		"slow, and stored":  {remotewrite.V1, answer{Delay: time.Hour}, true},
		"answer lost":       {remotewrite.V2, answer{Store: true, Close: true}, true},
		"gateway timeout":   {remotewrite.V1, answer{Store: true, Status: http.StatusGatewayTimeout}, true},
		"not authorized":    {remotewrite.V1, answer{Status: http.StatusUnauthorized}, false},
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t)
			through := w.through(&gate{left: -1}, c.protocol)
			w.restart(through)
			w.put("app", images(3)...)
			w.receiver.Answer(slices.Repeat([]answer{c.answer}, 1000)...)
			first, err := w.run(10 * time.Second)
			if err == nil || first.Accepted != 0 || first.MayBeStored != c.stored || (len(w.receiver.All()) > 0) != c.stored {
				t.Fatalf("error %v, %d series stored, Summary %+v", err, len(w.receiver.All()), first)
			}
			w.receiver.Mend()
			w.check(w.registry.DeleteImage("app", ecrtest.Digest("1")))
			w.restart(through)
			want := 0
			if c.stored {
				want = 1
			}
			second, err := w.exporter.Apply(t.Context(), []refresh.Event{{Repository: "app", At: time.Now(), Images: true}})
			w.check(err)
			if w.wantStale("v1", want, 0); second.Ended != want || second.Markers.Accepted != want || c.stored && !second.Timestamp.After(first.Timestamp) {
				t.Errorf("markers %+v at %v, after a push at %v", second.Markers, second.Timestamp, first.Timestamp)
			}
		})
	}
}

// What was found out of the endpoint is known to the next execution environment.
func TestProtocolRemembered(t *testing.T) {
	t.Parallel()
	bubble(t, "protocol", func(t *testing.T) {
		w := newWorld(t)
		w.receiver = remotewritetest.NewPipe(t, remotewritetest.Options{Protocols: []remotewritetest.Protocol{remotewritetest.V1}})
		tried := func() (n int) {
			for _, request := range w.receiver.Requests() {
				if request.Protocol == remotewritetest.V2 {
					n++
				}
			}
			return n
		}
		for run := range 4 {
			if run != 1 { // what a run finds, the next one saves
				w.restart(w.through(&gate{left: -1}, remotewrite.Auto))
			}
			summary, err := w.run(time.Minute)
			w.check(err)
			if summary.Protocol != string(remotewrite.V1) || tried() != 1 {
				t.Errorf("protocol %q, %d requests of 2.0", summary.Protocol, tried())
			}
			time.Sleep(2 * time.Minute)
		}
	})
}

// The series of the run itself say what the Summary says, and a run that fails keeps
// the time of the last success.
func TestRunReportsItself(t *testing.T) {
	t.Parallel()
	bubble(t, "self", func(t *testing.T) {
		w := newWorld(t)
		var published []string
		w.restart(func(o *exporter.Options) {
			shaped(func(s *inventory.Shape) { s.Families = inventory.Filter{} })(o)
			o.Version = "1.2.3"
			o.Publish = func(_ time.Time, series iter.Seq[metrics.Series]) error {
				for s := range series {
					published = append(published, s.Family.Name)
				}
				return nil
			}
		})
		w.put("app", images(3)...)
		value := func(at time.Time, name string, labels ...string) float64 {
			t.Helper()
			found := w.receiver.Find("aws_ecr_exporter_"+name, labels...)
			if len(found) != 1 || found[0].Last().Timestamp != at.UnixMilli() {
				t.Fatalf("%s %v: %v", name, labels, found)
			}
			return found[0].Last().Value
		}
		first, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(interval)
		w.server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.FaultServer)
		second, err := w.run(2 * time.Minute)
		if err == nil {
			t.Fatal("no error")
		}
		at := second.Timestamp
		for name, want := range map[string]float64{
			"series_sent": float64(second.Accepted), "series_unconfirmed": 0,
			"last_success_timestamp_seconds": float64(first.Timestamp.Unix()),
			"oldest_record_age_seconds":      interval.Seconds(),
		} {
			if got := value(at, name, "registry_id", account); got != want {
				t.Errorf("%s is %v, want %v", name, got, want)
			}
		}
		if got := value(at, "api_requests", "operation", "DescribeRepositories"); got != float64(second.Calls["DescribeRepositories"]) || got == 0 {
			t.Errorf("%v requests, Summary %v", got, second.Calls)
		}
		if got := value(at, "errors", "stage", "refresh"); got == 0 || value(at, "errors", "stage", "push") != 0 {
			t.Errorf("%v errors of the refresh", got)
		}
		for _, reason := range remotewrite.Reasons {
			if got := value(at, "series_dropped", "reason", string(reason)); got != 0 {
				t.Errorf("%v series dropped for %s", got, reason)
			}
		}
		value(at, "build_info", "version", "1.2.3")
		if stored, err := w.store.Load(t.Context()); err != nil || stored.WrittenBy != "1.2.3" {
			t.Errorf("the state is written by %+v, %v", stored, err)
		}
		if !slices.Contains(published, "aws_ecr_exporter_series_sent") {
			t.Errorf("published %v", published)
		}
	})
}

// A dry run pushes nothing and measures what it would push.
func TestPrint(t *testing.T) {
	t.Parallel()
	bubble(t, "print", func(t *testing.T) {
		w := newWorld(t)
		sender, err := remotewrite.New(remotewrite.Options{Discard: true})
		w.check(err)
		w.restart(func(o *exporter.Options) { o.Sender = sender })
		w.put("app", images(5)...)
		var text bytes.Buffer
		summary, err := w.exporter.Print(t.Context(), &text)
		w.check(err)
		series := 0
		for line := range strings.Lines(text.String()) {
			if !strings.HasPrefix(line, "#") {
				series++
			}
		}
		if summary.Series != series || series != 8 || summary.BytesCompressed == 0 {
			t.Errorf("%d series, want 8; summary %+v", series, summary)
		}
		if n := len(w.receiver.Requests()); n != 0 {
			t.Errorf("%d requests", n)
		}
	})
}
