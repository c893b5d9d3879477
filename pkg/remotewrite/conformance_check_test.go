package remotewrite_test

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"unicode/utf8"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// message is a request as received, read with prompb and writev2.
type message struct {
	remotewritetest.Request
	raw    []byte // before compression
	v1     prompb.WriteRequest
	v2     writev2.Request
	series []wireSeries
	err    error // of decoding
}

func messagesOf(to *remotewritetest.Server) (all []*message) {
	for _, r := range to.Requests() {
		w := &message{Request: r}
		w.err = w.read()
		all = append(all, w)
	}
	return all
}

func (m *message) read() (err error) {
	if m.raw, err = snappy.Decode(nil, m.Body); err != nil {
		return err
	}
	if m.Protocol == remotewritetest.V1 {
		if err := m.v1.Unmarshal(m.raw); err != nil {
			return err
		}
		for _, ts := range m.v1.Timeseries {
			m.series = append(m.series, wireSeries{labels: ts.Labels, samples: ts.Samples})
		}
		return nil
	}
	if err := m.v2.Unmarshal(m.raw); err != nil {
		return err
	}
	for _, ts := range m.v2.Timeseries {
		var s wireSeries
		for i := 0; i+1 < len(ts.LabelsRefs); i += 2 {
			name, value := ts.LabelsRefs[i], ts.LabelsRefs[i+1]
			if int(max(name, value)) >= len(m.v2.Symbols) {
				return fmt.Errorf("references %d and %d, where there are %d symbols", name, value, len(m.v2.Symbols))
			}
			s.labels = append(s.labels, prompb.Label{Name: m.v2.Symbols[name], Value: m.v2.Symbols[value]})
		}
		for _, sample := range ts.Samples {
			s.samples = append(s.samples, prompb.Sample{Value: sample.Value, Timestamp: sample.Timestamp})
		}
		m.series = append(m.series, s)
	}
	return nil
}

var (
	legacyLabel  = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	legacyMetric = regexp.MustCompile(`^[a-zA-Z_:][a-zA-Z0-9_:]*$`)
	token        = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
	product      = regexp.MustCompile("^[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+$")
)

const staleBits = 0x7ff0000000000002

// each checks every request. There must be one.
func each(check func(*message) error) func(*scene) error {
	return func(s *scene) error {
		if len(s.messages) == 0 {
			return errors.New("no request came")
		}
		for i, w := range s.messages {
			if err := check(w); err != nil {
				return fmt.Errorf("request %d: %w", i, err)
			}
		}
		return nil
	}
}

// readable is each for checks of the body.
func readable(check func(*message) error) func(*scene) error {
	return each(func(m *message) error {
		if m.err != nil {
			return m.err
		}
		if len(m.series) == 0 {
			return errors.New("no series in it")
		}
		return check(m)
	})
}

// eachSeries checks every series of every request.
func eachSeries(check func(*wireSeries) error) func(*scene) error {
	return readable(func(m *message) error {
		for i := range m.series {
			if err := check(&m.series[i]); err != nil {
				return fmt.Errorf("series %d %v: %w", i, m.series[i].labels, err)
			}
		}
		return nil
	})
}

// eachLabel checks every label of every series.
func eachLabel(check func(l prompb.Label) error) func(*scene) error {
	return eachSeries(func(s *wireSeries) error {
		for _, l := range s.labels {
			if err := check(l); err != nil {
				return err
			}
		}
		return nil
	})
}

// eachV2 checks every series of a 2.0 message.
func eachV2(check func(w *writev2.Request, ts *writev2.TimeSeries) error) func(*scene) error {
	return readable(func(m *message) error {
		for i := range m.v2.Timeseries {
			if err := check(&m.v2, &m.v2.Timeseries[i]); err != nil {
				return fmt.Errorf("series %d: %w", i, err)
			}
		}
		return nil
	})
}

func all(checks ...func(*scene) error) func(*scene) error {
	return func(s *scene) error {
		for _, check := range checks {
			if err := check(s); err != nil {
				return err
			}
		}
		return nil
	}
}

// header requires one header with exactly one of these values.
func header(name string, want ...string) func(*scene) error {
	return each(func(m *message) error {
		if got := m.Header.Values(name); len(got) != 1 || !slices.Contains(want, got[0]) {
			return fmt.Errorf("header %s is %q, want one of %q", name, got, want)
		}
		return nil
	})
}

// headerLike requires one header of a form.
func headerLike(name string, form *regexp.Regexp) func(*scene) error {
	return each(func(m *message) error {
		if got := m.Header.Values(name); len(got) != 1 || !form.MatchString(got[0]) {
			return fmt.Errorf("header %s is %q", name, got)
		}
		return nil
	})
}

// requests requires a number of requests.
func requests(n int) func(*scene) error {
	return func(s *scene) error {
		if len(s.messages) != n {
			return fmt.Errorf("%d requests, want %d", len(s.messages), n)
		}
		return nil
	}
}

// attempts requires a number of requests for each push, which the timestamp of
// its samples tells apart.
func attempts(want ...int) func(*scene) error {
	return func(s *scene) error {
		var pushes []int64
		var got []int
		for _, w := range s.messages {
			if len(w.series) == 0 {
				return errors.New("a request without series")
			}
			at := w.series[0].samples[0].Timestamp
			i := slices.Index(pushes, at)
			if i < 0 {
				i = len(pushes)
				pushes, got = append(pushes, at), append(got, 0)
			}
			got[i]++
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("%d requests for each push, want %d", got, want)
		}
		return nil
	}
}

// noViolations requires that the strict receiver found nothing wrong.
func noViolations(s *scene) error {
	if broken := s.to.Violations(); len(broken) > 0 {
		return fmt.Errorf("a receiver cannot read it: %q", broken)
	}
	return nil
}

// deliveredSeries requires that the sender reports to have delivered n series.
func deliveredSeries(n int) func(*scene) error {
	return func(s *scene) error {
		if got := s.accepted(); got != n {
			return fmt.Errorf("the sender believes to have delivered %d series, want %d: %+v", got, n, s.results)
		}
		return nil
	}
}

// stored requires that the receiver has n series, each with a number of samples.
func stored(n, samples int) func(*scene) error {
	return func(s *scene) error {
		all := s.to.All()
		if len(all) != n {
			return fmt.Errorf("%d series at the receiver, want %d", len(all), n)
		}
		for _, series := range all {
			if len(series.Samples) != samples {
				return fmt.Errorf("%v has %d samples, want %d", series, len(series.Samples), samples)
			}
		}
		return nil
	}
}

// protocols requires the protocols of the requests, in order.
func protocols(want ...remotewritetest.Protocol) func(*scene) error {
	return func(s *scene) error {
		var got []remotewritetest.Protocol
		for _, w := range s.messages {
			got = append(got, w.Protocol)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("requests of %q, want %q", got, want)
		}
		return nil
	}
}

// inOrder requires that the samples of a series arrive in the order of time.
func inOrder(s *scene) error {
	last := make(map[string]int64)
	for i, w := range s.messages {
		for _, series := range w.series {
			key := fmt.Sprint(series.labels)
			for _, sample := range series.samples {
				if sample.Timestamp < last[key] {
					return fmt.Errorf("request %d: %s at %d after %d", i, key, sample.Timestamp, last[key])
				}
				last[key] = sample.Timestamp
			}
		}
	}
	return deliveredSome(s)
}

func deliveredSome(s *scene) error {
	if s.accepted() == 0 {
		return errors.New("nothing was delivered")
	}
	return nil
}

// bits are the values that came, in order.
func bits(want ...float64) func(*scene) error {
	return func(s *scene) error {
		var got []uint64
		for _, w := range s.messages {
			for _, series := range w.series {
				for _, sample := range series.samples {
					got = append(got, math.Float64bits(sample.Value))
				}
			}
		}
		if !slices.EqualFunc(got, want, func(g uint64, w float64) bool { return g == math.Float64bits(w) }) {
			return fmt.Errorf("values with the bits %x, want %v", got, want)
		}
		return nil
	}
}

// answer is n responses of a status.
func answer(n, status int, body string) []remotewritetest.Answer {
	return slices.Repeat([]remotewritetest.Answer{{Status: status, Body: body}}, n)
}

// growing requires that the waits between the requests grow.
func growing(s *scene) error {
	if len(s.messages) < 6 {
		return fmt.Errorf("%d requests", len(s.messages))
	}
	first := s.messages[1].At.Sub(s.messages[0].At)
	last := s.messages[5].At.Sub(s.messages[4].At)
	if first <= 0 || last < 4*first {
		return fmt.Errorf("a wait of %s at first, and of %s in the end", first, last)
	}
	return nil
}

func isUTF8(l prompb.Label) error {
	if !utf8.ValidString(l.Name) || !utf8.ValidString(l.Value) {
		return fmt.Errorf("%q=%q is not UTF-8", l.Name, l.Value)
	}
	return nil
}
