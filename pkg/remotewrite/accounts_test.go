package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// everySecond refuses every second series of one receiver, the first time that it comes:
// which parts of a batch come again together depends on the waits between attempts.
func everySecond() func(remotewritetest.Series) string {
	known := map[string]bool{}
	return func(s remotewritetest.Series) string {
		if known[s.String()] {
			return ""
		}
		known[s.String()] = true
		if len(known)%2 == 0 {
			return "per-user series limit of 5 exceeded"
		}
		return ""
	}
}

// TestAccounts: what becomes of a batch of ten series agrees with what the receiver has
// stored, whatever it answers.
func TestAccounts(t *testing.T) {
	t.Parallel()
	type answer = remotewritetest.Answer
	const hour = time.Hour
	always := func(a answer) answers { return slices.Repeat(answers{a}, 1000) }
	counted := func(n string) http.Header { return http.Header{samplesWritten: {n}} }
	for _, tt := range []struct {
		name      string
		protocols []Protocol // both if nil
		script    answers
		dials     int // that succeed, -1 for all
		want      metrics.Push
		stored    int
	}{
		{"accepted", nil, answers{{}}, -1, metrics.Push{Accepted: 10}, 10},
		{"stored, and no answer", nil, always(answer{Delay: hour}), -1, metrics.Push{Unconfirmed: 10}, 10},
		{"stored, and no answer, once", nil, answers{{Delay: hour}}, -1, metrics.Push{Accepted: 10}, 10},
		{"closed", nil, always(answer{Close: true}), -1, metrics.Push{Unconfirmed: 10}, 0},
		{"closed in the body", nil, always(answer{ReadOnly: 10, Close: true}), -1, metrics.Push{Unconfirmed: 10}, 0},
		{"stored and closed", nil, always(answer{Store: true, Close: true}), -1, metrics.Push{Unconfirmed: 10}, 10},
		{"no connection", nil, nil, 0, metrics.Push{NotSent: 10}, 0},
		{"stored and closed, then no connection", nil, answers{{Store: true, Close: true}}, 1, metrics.Push{Unconfirmed: 10}, 10},
		{"unavailable, then no connection", nil, answers{{Status: 503, Header: http.Header{"Connection": {"close"}}}}, 1, metrics.Push{Unconfirmed: 10}, 0},
		{"unavailable", nil, always(answer{Status: 503}), -1, metrics.Push{Unconfirmed: 10}, 0},
		{"stored, gateway timeout", nil, always(answer{Status: 504, Store: true}), -1, metrics.Push{Unconfirmed: 10}, 10},
		{"throttled, a part stored", []Protocol{V1}, always(answer{Status: 429, Refuse: everySecond()}), -1, metrics.Push{Unconfirmed: 10}, 10},
		{"throttled, a part stored", []Protocol{V2}, always(answer{Status: 429, Refuse: everySecond()}), -1, metrics.Push{Unconfirmed: 10}, 10},
		{"series limit", []Protocol{V1}, answers{{Refuse: everySecond()}}, -1, metrics.Push{Unconfirmed: 10}, 5},
		{"series limit", []Protocol{V2}, answers{{Refuse: everySecond()}}, -1, metrics.Push{Accepted: 5, Refused: 5}, 5},
		{"nothing stored, 400", []Protocol{V1}, answers{{Status: 400}}, -1, metrics.Push{Unconfirmed: 10}, 0},
		{"nothing stored, 400", []Protocol{V2}, answers{{Status: 400, Header: counted("0")}}, -1, metrics.Push{Refused: 10}, 0},
		{"a part stored, 400 with a count of 0", []Protocol{V2}, answers{{Refuse: everySecond(), Header: counted("0")}}, -1, metrics.Push{Refused: 10}, 5},
		{"no credentials", nil, answers{{Status: 401}}, -1, metrics.Push{Refused: 10}, 0},
		{"no permission", nil, answers{{Status: 403}}, -1, metrics.Push{Refused: 10}, 0},
		{"moved", nil, answers{{Status: 308}}, -1, metrics.Push{Refused: 10}, 0},
		{"wrong protocol", nil, answers{{Status: 415}}, -1, metrics.Push{Refused: 10}, 0},
		{"too large at any size", nil, always(answer{Status: 413}), -1, metrics.Push{Refused: 10}, 0},
		// The last response counts. What it refuses, an earlier attempt may have stored.
		{"stored and closed, then accepted", nil, answers{{Store: true, Close: true}, {}}, -1, metrics.Push{Accepted: 10}, 10},
		{"stored and closed, then no permission", nil, answers{{Store: true, Close: true}, {Status: 403}}, -1, metrics.Push{Unconfirmed: 10}, 10},
		{"stored and closed, then too large", nil, append(answers{{Store: true, Close: true}}, always(answer{Status: 413})...), -1, metrics.Push{Unconfirmed: 10}, 10},
		{"closed, then counted", []Protocol{V2}, answers{{Close: true}, {Status: 400, Header: counted("0")}}, -1, metrics.Push{Unconfirmed: 10}, 0},
		{"stored and closed, then counted", []Protocol{V2}, answers{{Store: true, Close: true}, {Status: 400, Header: counted("0")}}, -1, metrics.Push{Unconfirmed: 10}, 10},
		{"throttled, then counted", []Protocol{V2}, answers{{Status: 429, Store: true}, {Refuse: everySecond()}}, -1, metrics.Push{Accepted: 5, Unconfirmed: 5}, 10},
	} {
		for _, protocol := range []Protocol{V1, V2} {
			if tt.protocols != nil && !slices.Contains(tt.protocols, protocol) {
				continue
			}
			t.Run(fmt.Sprint(tt.name, " ", protocol), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					to := remotewritetest.NewPipe(t, remotewritetest.Options{})
					to.Answer(tt.script...)
					dial, dials := to.Transport.DialContext, 0
					to.Transport.DialContext = func(ctx context.Context, network, address string) (net.Conn, error) {
						if dials++; tt.dials >= 0 && dials > tt.dials {
							return nil, errors.New("connection refused")
						}
						return dial(ctx, network, address)
					}
					ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
					defer cancel()
					s := newSender(t, to, func(o *Options) { o.Protocol = protocol })
					got, err := s.Push(ctx, at, images(10), nil)
					checkReport(t, got, err)
					if got.Accepted != tt.want.Accepted || got.Refused != tt.want.Refused || got.Unconfirmed != tt.want.Unconfirmed || got.NotSent != tt.want.NotSent {
						t.Errorf("%+v, want %+v; %v", got, tt.want, err)
					}
					stored := len(to.All())
					if stored != tt.stored || stored < got.Accepted || stored > 0 && !got.MayBeStored {
						t.Errorf("%d series are stored, want %d: %+v", stored, tt.stored, got)
					}
					if got.Markers != (metrics.Markers{}) {
						t.Errorf("markers %+v", got.Markers)
					}
				})
			})
		}
	}
}

// withMarkers yields n series, of which every third is a staleness marker.
func withMarkers(n int) func(func(series) bool) {
	return func(yield func(series) bool) {
		i := 0
		for s := range images(n) {
			if i%3 == 0 {
				s.Value = metrics.StaleMarker
			}
			if i++; !yield(s) {
				return
			}
		}
	}
}

// TestMarkersApart: no request holds a marker and a sample, and markers have counts of
// their own.
func TestMarkersApart(t *testing.T) {
	t.Parallel()
	grouped := markersFirst(30, 60)
	for _, tt := range []struct {
		name     string
		protocol Protocol
		script   answers
		want     metrics.Markers
		rest     int // of 60 samples, those accepted
	}{
		{"all accepted", V1, nil, metrics.Markers{Accepted: 30}, 60},
		{"all accepted, 2.0", V2, nil, metrics.Markers{Accepted: 30}, 60},
		{"all accepted, as 1.0", Auto, answers{{Status: 415}}, metrics.Markers{Accepted: 30}, 60},
		{"too large", V1, answers{{Status: 413}}, metrics.Markers{Accepted: 30}, 60},
		{"refused in part", V2, answers{{Refuse: everySecond()}}, metrics.Markers{Accepted: 15, Refused: 15}, 60},
		{"unconfirmed", V1, answers{{Status: 400}}, metrics.Markers{Unconfirmed: 30, Due: 30}, 60},
		{"no permission", V1, answers{{Status: 403}}, metrics.Markers{Refused: 30, Due: 30}, 60},
		{"the rest refused", V1, answers{{}, {Status: 400}}, metrics.Markers{Accepted: 30}, 0},
		{"no answer", V1, slices.Repeat(answers{{Delay: time.Hour}}, 100), metrics.Markers{Unconfirmed: 30, Due: 30}, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, remotewritetest.Options{})
				to.Answer(tt.script...)
				ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
				defer cancel()
				s := newSender(t, to, func(o *Options) { o.Protocol, o.Concurrency = tt.protocol, 1 })
				got, err := s.Push(ctx, at, grouped, nil)
				checkReport(t, got, err)
				tt.want.Series = 30
				if got.Markers != tt.want || got.Accepted-got.Markers.Accepted != tt.rest || got.Batches != 2 {
					t.Errorf("%+v, want %+v; %v", got, tt.want, err)
				}
				for i, r := range to.Requests() {
					if r.Markers != 0 && r.Markers != r.Series || i == 0 && r.Markers == 0 {
						t.Errorf("request %d: %d markers among %d series", i, r.Markers, r.Series)
					}
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) { // in any order
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		report, err := pushTo(t, newSender(t, to, nil), withMarkers(31))
		if err != nil || report.Markers != (metrics.Markers{Series: 11, Accepted: 11}) || report.Accepted != 31 {
			t.Errorf("%+v, %v", report, err)
		}
		for _, r := range to.Requests() {
			if r.Markers != 0 && r.Markers != r.Series {
				t.Errorf("%d markers among %d series", r.Markers, r.Series)
			}
		}
	})
	synctest.Test(t, func(t *testing.T) { // dropped, and never sent
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		report, err := newSender(t, to, nil).Push(ctx, at, seq(
			gauge(metrics.StaleMarker, "__name__", "a"), gauge(metrics.StaleMarker, "no", "name"), gauge(1, "__name__", "b")), nil)
		if err == nil || report.Markers != (metrics.Markers{Series: 2, Dropped: 1, NotSent: 1, Due: 1}) || report.NotSent != 2 {
			t.Errorf("%+v, %v", report, err)
		}
	})
}

// markersFirst yields n staleness markers and m other series.
func markersFirst(n, m int) func(func(series) bool) {
	return func(yield func(series) bool) {
		i := 0
		for s := range images(n + m) {
			if i < n {
				s.Value = metrics.StaleMarker
			}
			if i++; !yield(s) {
				return
			}
		}
	}
}

// TestBytes: the sizes are those of the bodies that the receiver got, each once.
func TestBytes(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name     string
		protocol Protocol
		script   answers
		receiver remotewritetest.Options
	}{
		{"1.0", V1, nil, remotewritetest.Options{}},
		{"falls back", Auto, nil, remotewritetest.Options{Protocols: []remotewritetest.Protocol{remotewritetest.V1}}},
		{"falls back, unaware", Auto, nil, remotewritetest.Options{Protocols: []remotewritetest.Protocol{remotewritetest.V1}, Unaware: true}},
		{"retried", V1, answers{{Status: 500}, {Close: true}, {Status: 429}}, remotewritetest.Options{}},
		{"split", V2, nil, remotewritetest.Options{MaxSeries: 20}},
		{"refused", V1, slices.Repeat(answers{{Status: 403}}, 3), remotewritetest.Options{}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := remotewritetest.NewPipe(t, tt.receiver)
				to.Answer(tt.script...)
				report, _ := pushTo(t, newSender(t, to, func(o *Options) { o.Protocol, o.MaxSeries = tt.protocol, 40 }), images(100))
				bodies := map[[32]byte]int{}
				for _, r := range to.Requests() {
					bodies[r.Sum] = r.Compressed
				}
				sum := 0
				for _, n := range bodies {
					sum += n
				}
				if report.BytesCompressed != int64(sum) || report.BytesRaw <= report.BytesCompressed {
					t.Errorf("the receiver got %d bytes: %+v", sum, report)
				}
			})
		})
	}
}
