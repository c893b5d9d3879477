package remotewrite

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// versions are those of the requests with series in them, such as "2.0 1.0".
func versions(to *remotewritetest.Server) string {
	var all []string
	for _, r := range to.Requests() {
		switch {
		case r.Series == 0 && r.Metadata > 0:
			all = append(all, "metadata")
		case r.Header.Get("X-Prometheus-Remote-Write-Version") == "2.0.0":
			all = append(all, "2.0")
		default:
			all = append(all, "1.0")
		}
	}
	return strings.Join(all, " ")
}

// TestAuto pushes three batches, one after the other, twice.
func TestAuto(t *testing.T) {
	t.Parallel()
	type options = remotewritetest.Options
	type answer = remotewritetest.Answer
	v1only := []remotewritetest.Protocol{remotewritetest.V1}
	v2only := []remotewritetest.Protocol{remotewritetest.V2}
	none := answer{Status: 204, NoWritten: true}
	for _, tt := range []struct {
		name     string
		receiver options
		script   answers
		set      Protocol
		want     string // what was sent in the first push
		again    string // and in the second
		found    Protocol
		late     bool         // nothing is found before the second push
		report   metrics.Push // of the first push, unless 30 series are accepted
	}{
		{name: "accepts both", want: "2.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2},
		{name: "accepts 2.0 only", receiver: options{Protocols: v2only}, want: "2.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2},
		{name: "accepts 1.0 only", receiver: options{Protocols: v1only},
			want: "2.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1, report: metrics.Push{Downgrades: 1}},
		{name: "decodes 2.0 as an empty 1.0", receiver: options{Protocols: v1only, Unaware: true},
			want: "2.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1, report: metrics.Push{Downgrades: 1}},
		{name: "decodes 2.0 as a broken 1.0", script: answers{{Status: 400, Body: "proto: wrong wireType"}},
			want: "2.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1, report: metrics.Push{Downgrades: 1}},
		{name: "400 of a receiver that counts", script: answers{{Status: 400, Header: http.Header{samplesWritten: {"7"}}}},
			want: "2.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2, report: metrics.Push{Accepted: 27, Refused: 3}},
		{name: "400 to a later batch", script: answers{{}, {Status: 400}},
			want: "2.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2, report: metrics.Push{Accepted: 20, Unconfirmed: 10}},
		{name: "415 to a later batch", script: answers{{}, {Status: 415}},
			want: "2.0 2.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1, report: metrics.Push{Downgrades: 1}},
		{name: "no count for a later batch", script: answers{{}, none},
			want: "2.0 2.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1, report: metrics.Push{Downgrades: 1}},
		{name: "errors of others decide nothing", script: answers{{Status: 401}, {Status: 404}, {Status: 302}},
			want: "2.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2, late: true, report: metrics.Push{Refused: 20, Unconfirmed: 10}},
		{name: "overload decides nothing", script: answers{{Status: 429}, {Close: true}, {Status: 503}, {Status: 415}},
			want: "2.0 2.0 2.0 2.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1,
			report: metrics.Push{Downgrades: 1, Retries: 3, Throttled: 1}},
		{name: "nor does it with counts", script: answers{{Status: 503, Header: http.Header{samplesWritten: {"0"}}}, {Status: 400}},
			want: "2.0 2.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1, report: metrics.Push{Downgrades: 1, Retries: 1}},
		{name: "too large", script: answers{{Status: 413}, {Status: 415}},
			// Later batches are no larger than the part that was accepted, of five series.
			want: "2.0 2.0 1.0 1.0 1.0 1.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0 1.0 1.0 1.0 1.0", found: V1,
			report: metrics.Push{Downgrades: 2, Splits: 1, Batches: 6}},
		{name: "1.0 is refused too", script: answers{{Status: 400, Body: "bad"}, {Status: 400, Body: "bad"}},
			want: "2.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1,
			report: metrics.Push{Downgrades: 1, Accepted: 20, Unconfirmed: 10}},
		{name: "400 of a receiver of 2.0 only", receiver: options{Protocols: v2only}, script: answers{{Status: 400, NoWritten: true}},
			want: "2.0 1.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2,
			report: metrics.Push{Downgrades: 1, Accepted: 20, Unconfirmed: 10}},
		{name: "neither", script: answers{{Status: 415}, {Status: 415}, {Status: 415}, {Status: 415}},
			want: "2.0 1.0 1.0 1.0", again: "1.0 1.0 1.0 metadata", found: V1,
			report: metrics.Push{Downgrades: 1, Refused: 30}},
		{name: "1.0 set", set: V1, want: "1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1},
		{name: "2.0 set", set: V2, want: "2.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2},
		{name: "neither version set", set: Auto, want: "2.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2},
		{name: "1.0 wrongly set", set: V1, receiver: options{Protocols: v2only},
			want: "1.0 2.0 2.0", again: "2.0 2.0 2.0", found: V2, report: metrics.Push{Accepted: 20, Refused: 10}},
		{name: "2.0 wrongly set", set: V2, receiver: options{Protocols: v1only},
			want: "2.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1, report: metrics.Push{Downgrades: 1}},
		{name: "2.0 wrongly set, 400", set: V2, script: answers{{Status: 400}},
			want: "2.0 1.0 1.0 1.0 metadata", again: "1.0 1.0 1.0", found: V1, report: metrics.Push{Downgrades: 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, tt.receiver)
				to.Answer(tt.script...)
				s := newSender(t, to, func(o *Options) { o.Protocol, o.Concurrency, o.MaxSeries = Auto, 1, 10 })
				if s.Protocol() != "" {
					t.Errorf("a version before anything was sent: %q", s.Protocol())
				}
				s.SetProtocol(tt.set)
				// Each batch waits for the one before, so that the order is known.
				slow := func(yield func(series) bool) {
					for one := range images(30) {
						if !yield(one) {
							return
						}
						synctest.Wait()
					}
				}
				report, err := s.Push(t.Context(), at, slow, families)
				checkReport(t, report, err)
				first := versions(to)
				if first != tt.want {
					t.Errorf("sent %s, want %s", first, tt.want)
				}
				want := tt.report
				want.Series, want.Requests = 30, len(to.Requests())
				if want.Batches == 0 {
					want.Batches = 3
				}
				if !tt.late {
					want.Protocol = string(tt.found)
				}
				if lost(want) == 0 {
					want.Accepted = 30
				}
				got := report
				got.BytesRaw, got.BytesCompressed, got.Duration, got.MayBeStored = 0, 0, 0, false
				if diff := cmp.Diff(want, got); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}

				if report.Protocol != "" { // a result is not overwritten
					s.SetProtocol(V1)
					s.SetProtocol(V2)
				}
				report, err = s.Push(t.Context(), at, slow, families)
				checkReport(t, report, err)
				if report.Protocol != string(tt.found) || s.Protocol() != tt.found {
					t.Errorf("protocol %q, report %+v", s.Protocol(), report)
				}
				if got := strings.TrimPrefix(versions(to), first+" "); got != tt.again {
					t.Errorf("then sent %s, want %s", got, tt.again)
				}
			})
		})
	}
}

// TestOverloadDecidesNothing: also if there was no time for a retry, whatever else the
// response contains.
func TestOverloadDecidesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, header := range []http.Header{nil, {samplesWritten: {"3"}}} {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{})
			to.Answer(remotewritetest.Answer{Status: 503, Header: header})
			s := newSender(t, to, func(o *Options) { o.Protocol, o.RetryFor = Auto, 1 })
			report, err := pushTo(t, s, images(3))
			if report.Unconfirmed != 3 || report.Protocol != "" || s.Protocol() != "" {
				t.Errorf("%+v, %v", report, err)
			}
		}
	})
}

// TestFixed: a configured version is kept whatever the response.
func TestFixed(t *testing.T) {
	t.Parallel()
	for _, protocol := range []Protocol{V1, V2} {
		synctest.Test(t, func(t *testing.T) {
			to := remotewritetest.NewPipe(t, remotewritetest.Options{})
			to.Answer(answers{{Status: 415, Body: "no"}, {Status: 400, NoWritten: true}, {Status: 204, NoWritten: true}}...)
			s := newSender(t, to, func(o *Options) { o.Protocol, o.Concurrency, o.MaxSeries = protocol, 1, 10 })
			s.SetProtocol(V1)
			s.SetProtocol(V2)
			report, err := pushTo(t, s, images(40))
			if s.Protocol() != protocol || report.Protocol != string(protocol) {
				t.Errorf("%s: protocol %q, %+v", protocol, s.Protocol(), report)
			}
			if want := strings.TrimSpace(strings.Repeat(string(protocol)+" ", 4)); versions(to) != want {
				t.Errorf("%s: sent %s", protocol, versions(to))
			}
			if protocol == V2 && !strings.Contains(fmt.Sprint(err), `HTTP 415 "no": the receiver does not support remote write 2.0`) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestFirstBatchAlone: with Auto, no request is made and no batch is encoded until the
// first batch has its response.
func TestFirstBatchAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{Protocols: []remotewritetest.Protocol{remotewritetest.V1}})
		to.Answer(answers{{Delay: 2 * time.Second}, {Delay: 3 * time.Second}, {Delay: time.Second}, {Delay: time.Second}, {Delay: time.Second}}...)
		s := newSender(t, to, func(o *Options) { o.Protocol, o.MaxSeries, o.Concurrency = Auto, 10, 3 })
		start := time.Now()
		places := make(map[time.Duration]int)
		place := 0
		report, err := pushTo(t, s, func(yield func(series) bool) {
			for one := range images(40) {
				places[time.Since(start)]++
				place++
				if !yield(one) {
					return
				}
			}
		})
		if err != nil || report.Accepted != 40 {
			t.Fatalf("%+v, %v", report, err)
		}
		var got []time.Duration
		for _, r := range to.Requests() {
			got = append(got, r.At.Sub(start))
		}
		want := []time.Duration{0, 2 * time.Second, 5 * time.Second, 5 * time.Second, 5 * time.Second}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("requests came at (-want +got):\n%s", diff)
		}
		// The tenth series closes the batch.
		if diff := cmp.Diff(map[time.Duration]int{0: 10, 5 * time.Second: 30}, places); diff != "" {
			t.Errorf("series were asked for at (-want +got):\n%s", diff)
		}
		checkArrived(t, to, 40)
	})
}

// TestFallBackAtOnce: several batches of 2.0 are in flight when the receiver turns out
// to support only 1.0. Each arrives once, and one line is logged.
func TestFallBackAtOnce(t *testing.T) {
	t.Parallel()
	for _, unaware := range []bool{false, true} {
		to := remotewritetest.NewServer(t, remotewritetest.Options{Protocols: []remotewritetest.Protocol{remotewritetest.V1}, Unaware: unaware})
		var log logs
		s := newSender(t, to, func(o *Options) { o.Protocol, o.MaxSeries, o.Concurrency, o.Logger = Auto, 10, 4, log.logger(t) })
		s.SetProtocol(V2)
		report, err := pushTo(t, s, images(1000))
		if err != nil || report.Accepted != 1000 || report.Downgrades == 0 || report.Batches != 100 || s.Protocol() != V1 {
			t.Errorf("%+v, %v", report, err)
		}
		checkArrived(t, to, 1000)
		if lines := log.above(t); len(lines) != 1 || lines[0]["level"] != "INFO" {
			t.Errorf("logged %v", lines)
		}
	}
}

// TestFallBackLarger: a full 2.0 batch does not fit into one of 1.0.
func TestFallBackLarger(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const limit = 30_000
		to := remotewritetest.NewPipe(t, remotewritetest.Options{MaxBytes: limit, Protocols: []remotewritetest.Protocol{remotewritetest.V1}})
		s := newSender(t, to, func(o *Options) { o.Protocol, o.MaxBytes = Auto, limit })
		report, err := pushTo(t, s, images(1000))
		if err != nil || report.Splits != 0 || report.Downgrades != 1 {
			t.Errorf("%+v, %v", report, err)
		}
		checkArrived(t, to, 1000)
	})
}

func TestEndpoint(t *testing.T) {
	t.Parallel()
	to := remotewritetest.NewServer(t, remotewritetest.Options{})
	s := newSender(t, to, func(o *Options) {
		u := *to.URL
		u.RawQuery = "key=secret"
		o.URL = &u
	})
	if got := s.Endpoint(); got != to.URL.String() {
		t.Error(got)
	}
}
