package remotewrite_test

import (
	"bytes"
	"fmt"
	"iter"
	"net/http"
	"slices"
	"strings"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// images yields series that are built in place.
func images(n int) iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		labels := make([]metrics.Label, 4)
		for i := range n {
			copy(labels, []metrics.Label{
				{Name: "__name__", Value: sizeOf.Name},
				{Name: "name", Value: fmt.Sprintf("team/service-%d", i/3)},
				{Name: "registry_id", Value: "123456789012"},
				{Name: "tag", Value: fmt.Sprintf("v%d", i)},
			})
			if !yield(metrics.Series{Family: sizeOf, Labels: labels, Value: 1e9/3 + float64(i)}) {
				return
			}
		}
	}
}

var sizeOf = &metrics.Family{Name: "aws_ecr_image_size_in_bytes", Help: "The size of an image in bytes", Type: "gauge"}

// delivered is the number of series of dirty that can be delivered.
const delivered = 5

// dirty yields series with faults: some can be corrected, some cannot be sent.
func dirty() iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		name := metrics.Label{Name: "__name__", Value: sizeOf.Name}
		for s := range images(3) {
			if !yield(s) {
				return
			}
		}
		for _, labels := range [][]metrics.Label{
			{{Name: "tag", Value: "unsorted"}, {Name: "name", Value: "x"}, name},
			{name, {Name: "name", Value: ""}, {Name: "tag", Value: "empty value"}},
			{{Name: "", Value: "empty name"}, name},
			{{Name: "tag", Value: "no metric name"}},
			{name, {Name: "tag", Value: "twice"}, {Name: "tag", Value: "twice"}},
			{name, {Name: "tag-name", Value: "a name that is none"}},
			{{Name: "__name__", Value: "metric-name"}, {Name: "tag", Value: "a metric name that is none"}},
			{name, {Name: "tag", Value: "not \xff UTF-8"}},
		} {
			if !yield(metrics.Series{Family: sizeOf, Labels: labels, Value: 1}) {
				return
			}
		}
	}
}

func pushDirty(s *scene) { s.push(dirty()) }

// values yields gauges with these values.
func values(all ...float64) iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		for i, v := range all {
			labels := []metrics.Label{{Name: "__name__", Value: sizeOf.Name}, {Name: "tag", Value: fmt.Sprint(i)}}
			if !yield(metrics.Series{Family: sizeOf, Labels: labels, Value: v}) {
				return
			}
		}
	}
}

// The faults that are the same in both protocols.

func faultRequest(change func(*http.Request)) fault { return fault{request: change} }

func faultHeader(name, value string) fault {
	return faultRequest(func(r *http.Request) { r.Header.Set(name, value) })
}

func faultSeries(change func(*wireSeries)) fault {
	return fault{series: func(_ int, s *wireSeries) bool { change(s); return true }}
}

func faultLabel(name, value string) fault {
	return faultSeries(func(s *wireSeries) {
		s.labels = append(s.labels, prompb.Label{Name: name, Value: value})
		slices.SortFunc(s.labels, func(a, b prompb.Label) int { return strings.Compare(a.Name, b.Name) })
	})
}

func faultValue(change func(float64) float64) fault {
	return faultSeries(func(s *wireSeries) { s.samples[0].Value = change(s.samples[0].Value) })
}

// faultVerdict gives responses of these statuses another verdict.
func faultVerdict(v verdict, statuses ...int) fault {
	return fault{verdict: func(_ remotewrite.Protocol, a *reply) (verdict, bool) {
		return v, slices.Contains(statuses, a.status)
	}}
}

func framed(raw []byte) []byte {
	var b bytes.Buffer
	w := snappy.NewBufferedWriter(&b)
	_, _ = w.Write(raw)
	_ = w.Close()
	return b.Bytes()
}

func plainText([]byte) []byte { return []byte(`{"timeseries": []}`) }
