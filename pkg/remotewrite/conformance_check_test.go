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

// wire is a request as it came, read with prompb and writev2.
type wire struct {
	remotewritetest.Request
	raw    []byte // before compression
	v1     prompb.WriteRequest
	v2     writev2.Request
	series []wireSeries
	err    error // why it cannot be read to the end
}

func wiresOf(to *remotewritetest.Server) (all []*wire) {
	for _, r := range to.Requests() {
		w := &wire{Request: r}
		w.err = w.read()
		all = append(all, w)
	}
	return all
}

func (w *wire) read() (err error) {
	if w.raw, err = snappy.Decode(nil, w.Body); err != nil {
		return err
	}
	if w.Protocol == remotewritetest.V1 {
		if err := w.v1.Unmarshal(w.raw); err != nil {
			return err
		}
		for _, ts := range w.v1.Timeseries {
			w.series = append(w.series, wireSeries{labels: ts.Labels, samples: ts.Samples})
		}
		return nil
	}
	if err := w.v2.Unmarshal(w.raw); err != nil {
		return err
	}
	for _, ts := range w.v2.Timeseries {
		var s wireSeries
		for i := 0; i+1 < len(ts.LabelsRefs); i += 2 {
			name, value := ts.LabelsRefs[i], ts.LabelsRefs[i+1]
			if int(max(name, value)) >= len(w.v2.Symbols) {
				return fmt.Errorf("references %d and %d, where there are %d symbols", name, value, len(w.v2.Symbols))
			}
			s.labels = append(s.labels, prompb.Label{Name: w.v2.Symbols[name], Value: w.v2.Symbols[value]})
		}
		for _, sample := range ts.Samples {
			s.samples = append(s.samples, prompb.Sample{Value: sample.Value, Timestamp: sample.Timestamp})
		}
		w.series = append(w.series, s)
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
func each(check func(*wire) error) func(*scene) error {
	return func(s *scene) error {
		if len(s.wires) == 0 {
			return errors.New("no request came")
		}
		for i, w := range s.wires {
			if err := check(w); err != nil {
				return fmt.Errorf("request %d: %w", i, err)
			}
		}
		return nil
	}
}

// readable is each for what is to be found in the body.
func readable(check func(*wire) error) func(*scene) error {
	return each(func(w *wire) error {
		if w.err != nil {
			return w.err
		}
		if len(w.series) == 0 {
			return errors.New("no series in it")
		}
		return check(w)
	})
}

// eachSeries checks every series of every request.
func eachSeries(check func(*wireSeries) error) func(*scene) error {
	return readable(func(w *wire) error {
		for i := range w.series {
			if err := check(&w.series[i]); err != nil {
				return fmt.Errorf("series %d %v: %w", i, w.series[i].labels, err)
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

// eachV2 checks every series as 2.0 has it.
func eachV2(check func(w *writev2.Request, ts *writev2.TimeSeries) error) func(*scene) error {
	return readable(func(w *wire) error {
		for i := range w.v2.Timeseries {
			if err := check(&w.v2, &w.v2.Timeseries[i]); err != nil {
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

// header demands one header with exactly one of these values.
func header(name string, want ...string) func(*scene) error {
	return each(func(w *wire) error {
		if got := w.Header.Values(name); len(got) != 1 || !slices.Contains(want, got[0]) {
			return fmt.Errorf("header %s is %q, want one of %q", name, got, want)
		}
		return nil
	})
}

// headerLike demands one header of a form.
func headerLike(name string, form *regexp.Regexp) func(*scene) error {
	return each(func(w *wire) error {
		if got := w.Header.Values(name); len(got) != 1 || !form.MatchString(got[0]) {
			return fmt.Errorf("header %s is %q", name, got)
		}
		return nil
	})
}

// requests demands a number of requests.
func requests(n int) func(*scene) error {
	return func(s *scene) error {
		if len(s.wires) != n {
			return fmt.Errorf("%d requests, want %d", len(s.wires), n)
		}
		return nil
	}
}

// attempts demands a number of requests for each push, which the timestamp of
// its samples tells apart.
func attempts(want ...int) func(*scene) error {
	return func(s *scene) error {
		var pushes []int64
		var got []int
		for _, w := range s.wires {
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

// takenWhole demands that the strict receiver found nothing wrong.
func takenWhole(s *scene) error {
	if broken := s.to.Violations(); len(broken) > 0 {
		return fmt.Errorf("a receiver cannot read it: %q", broken)
	}
	return nil
}

// believed demands that the sender believes to have delivered n series.
func believed(n int) func(*scene) error {
	return func(s *scene) error {
		if got := s.accepted(); got != n {
			return fmt.Errorf("the sender believes to have delivered %d series, want %d: %+v", got, n, s.results)
		}
		return nil
	}
}

// stored demands that the receiver has n series, each with a number of samples.
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

// spoken demands the protocols of the requests, in order.
func spoken(want ...remotewritetest.Protocol) func(*scene) error {
	return func(s *scene) error {
		var got []remotewritetest.Protocol
		for _, w := range s.wires {
			got = append(got, w.Protocol)
		}
		if !slices.Equal(got, want) {
			return fmt.Errorf("requests of %q, want %q", got, want)
		}
		return nil
	}
}

// inOrder demands that no sample of a series comes after a later one of it.
func inOrder(s *scene) error {
	last := make(map[string]int64)
	for i, w := range s.wires {
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
	return believedSome(s)
}

func believedSome(s *scene) error {
	if s.accepted() == 0 {
		return errors.New("nothing was delivered")
	}
	return nil
}

// bits are the values that came, in order.
func bits(want ...float64) func(*scene) error {
	return func(s *scene) error {
		var got []uint64
		for _, w := range s.wires {
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

// answer is n answers of a status.
func answer(n, status int, body string) []remotewritetest.Answer {
	return slices.Repeat([]remotewritetest.Answer{{Status: status, Body: body}}, n)
}

// growing demands that the waits between the requests grow.
func growing(s *scene) error {
	if len(s.wires) < 6 {
		return fmt.Errorf("%d requests", len(s.wires))
	}
	first := s.wires[1].At.Sub(s.wires[0].At)
	last := s.wires[5].At.Sub(s.wires[4].At)
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
