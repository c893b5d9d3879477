package remotewritetest

import (
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/prometheus/prometheus/prompb"
)

// Series is one series and the samples that were stored for it, oldest first.
type Series struct {
	// Labels include __name__.
	Labels  map[string]string
	Samples []Sample
}

// Sample is a value at a time in milliseconds since 1970.
type Sample struct {
	Timestamp int64
	Value     float64
}

// String is the series in exposition form, such as up{instance="a"}, its labels
// sorted.
func (s Series) String() string {
	var b strings.Builder
	b.WriteString(s.Labels["__name__"])
	sep := "{"
	for _, name := range slices.Sorted(maps.Keys(s.Labels)) {
		if name == "__name__" {
			continue
		}
		b.WriteString(sep + name + "=" + strconv.Quote(s.Labels[name]))
		sep = ","
	}
	if sep == "," {
		b.WriteString("}")
	}
	return b.String()
}

// Last is the latest sample. A series has at least one.
func (s Series) Last() Sample { return s.Samples[len(s.Samples)-1] }

// All returns every series, in the order of first arrival.
func (r *Receiver) All() []Series {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]Series, 0, len(r.order))
	for _, key := range r.order {
		all = append(all, r.series[key].clone())
	}
	return all
}

// Find returns the series of a metric that have the given labels among theirs,
// as name, value, name, value…, in the order of first arrival.
func (r *Receiver) Find(metric string, labels ...string) []Series {
	if len(labels)%2 != 0 {
		panic("remotewritetest: Find needs a value for each label name")
	}
	var found []Series
next:
	for _, s := range r.All() {
		if s.Labels["__name__"] != metric {
			continue
		}
		for i := 0; i < len(labels); i += 2 {
			if v, ok := s.Labels[labels[i]]; !ok || v != labels[i+1] {
				continue next
			}
		}
		found = append(found, s)
	}
	return found
}

func (s *Series) clone() Series {
	return Series{Labels: maps.Clone(s.Labels), Samples: slices.Clone(s.Samples)}
}

// store stores all samples of a request or, if one is out of order, none.
func (r *Receiver) store(body prompb.WriteRequest) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ts := range body.Timeseries {
		key := seriesKey(ts.Labels)
		have, ok := r.series[key]
		if !ok {
			continue
		}
		last, first := have.Last(), ts.Samples[0]
		switch {
		case first.Timestamp < last.Timestamp:
			return broken("%s: a sample at %d after one at %d", have, first.Timestamp, last.Timestamp)
		case first.Timestamp == last.Timestamp && math.Float64bits(first.Value) != math.Float64bits(last.Value):
			return broken("%s: %v at %d, where %v has been stored", have, first.Value, first.Timestamp, last.Value)
		}
	}
	for _, ts := range body.Timeseries {
		key := seriesKey(ts.Labels)
		have, ok := r.series[key]
		if !ok {
			have = &Series{Labels: labelsOf(ts)}
			r.series[key] = have
			r.order = append(r.order, key)
		}
		for _, s := range ts.Samples {
			if n := len(have.Samples); n > 0 && have.Samples[n-1].Timestamp == s.Timestamp {
				continue // repeated by a retry
			}
			have.Samples = append(have.Samples, Sample{s.Timestamp, s.Value})
		}
	}
	for _, m := range body.Metadata {
		r.metadata[m.MetricFamilyName] = metadataOf(m)
	}
	return nil
}

// seriesOf converts a series.
func seriesOf(ts prompb.TimeSeries) Series {
	s := Series{Labels: labelsOf(ts)}
	for _, sample := range ts.Samples {
		s.Samples = append(s.Samples, Sample{sample.Timestamp, sample.Value})
	}
	return s
}

func labelsOf(ts prompb.TimeSeries) map[string]string {
	labels := make(map[string]string, len(ts.Labels))
	for _, l := range ts.Labels {
		labels[l.Name] = l.Value
	}
	return labels
}

// seriesKey identifies a series. The labels are sorted.
func seriesKey(labels []prompb.Label) string {
	var b []byte
	for _, l := range labels {
		for _, text := range []string{l.Name, l.Value} {
			b = append(strconv.AppendInt(b, int64(len(text)), 10), ':')
			b = append(b, text...)
		}
	}
	return string(b)
}
