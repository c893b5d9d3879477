// Package emf writes series to a log in CloudWatch's embedded metric format, which
// CloudWatch Logs turns into metrics without an API call: a run is seen even if its
// endpoint is down. It is meant for run metrics and not for those of a registry, as
// CloudWatch bills each metric, a name with a set of dimensions, for each hour in which
// it has a value.
//
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emf

import (
	"fmt"
	"io"
	"iter"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// The limits of the specification and of
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html.
const (
	maxMetrics        = 100 // of one document
	maxDimensions     = 30  // of one metric
	maxDimensionValue = 1024
)

// Write writes series as lines of JSON, all with the timestamp at: a line for each set of
// dimensions, in one call of w.Write. Dimensions are the labels of a series except
// __name__, and those given; of one name, a label of the family wins over a given one, and
// that over an external label.
//
// Alarms cannot add up metrics, and find one only by all its dimensions. So of a family
// with labels of its own, such as operation, the total is written always, and a part only
// if it is not 0: for metrics.RunFamilies 14 metrics a function and one for each AWS
// operation called, and one more for each operation throttled, reason of a drop and stage
// that failed. registry_id is no such label, but is better left out of the series: a run
// that could not find it out would be missed.
//
// Changed or left out are what CloudWatch does not accept: families named …_info, values
// that are not finite, empty labels and dimensions beyond the thirtieth, external ones
// first; characters of a dimension other than printable ASCII become question marks.
// Series that are then one metric are added up.
func Write(w io.Writer, namespace string, at time.Time, dimensions []metrics.Label, series iter.Seq[metrics.Series]) error {
	var all documents
	for s := range series {
		all.add(s, dimensions)
	}
	for _, d := range all {
		for chunk := range slices.Chunk(d.metrics, maxMetrics) {
			line, err := d.line(namespace, at, chunk)
			if err != nil {
				return fmt.Errorf("encoding metrics for CloudWatch: %w", err)
			}
			if _, err := w.Write(line); err != nil {
				return fmt.Errorf("writing metrics for CloudWatch: %w", err)
			}
		}
	}
	return nil
}

// documents are the metrics to write, one document for each set of dimensions.
type documents []*document

type document struct {
	dimensions []metrics.Label // sorted by name
	metrics    []metric
}

type metric struct {
	name  string
	value float64
}

// add adds a series to a total and, if it is a part of a family, to that part.
func (all *documents) add(s metrics.Series, given []metrics.Label) {
	if strings.HasSuffix(s.Family.Name, "_info") || math.IsNaN(s.Value) || math.IsInf(s.Value, 0) {
		return
	}
	var own, external, parts []metrics.Label
	for _, label := range s.Labels {
		switch {
		case label.Value == "", label.Name == "__name__", label.Name == s.Family.Name: // a member of the document
		case !slices.Contains(s.Family.Labels, label.Name):
			external = append(external, label)
		case label.Name == "registry_id":
			own = append(own, label)
		default:
			parts = append(parts, label)
		}
	}
	all.of(own, given, external).add(s.Family.Name, s.Value)
	if len(parts) > 0 && s.Value != 0 {
		all.of(parts, own, given, external).add(s.Family.Name, s.Value)
	}
}

// of returns the document with these labels, the first lists winning.
func (all *documents) of(labels ...[]metrics.Label) *document {
	dimensions := toDimensions(slices.Concat(labels...))
	for _, d := range *all {
		if slices.Equal(d.dimensions, dimensions) {
			return d
		}
	}
	d := &document{dimensions: dimensions}
	*all = append(*all, d)
	return d
}

func (d *document) add(name string, value float64) {
	for i := range d.metrics {
		if d.metrics[i].name == name {
			d.metrics[i].value += value
			return
		}
	}
	d.metrics = append(d.metrics, metric{name, value})
}

// toDimensions returns labels as CloudWatch accepts them, sorted by name.
func toDimensions(labels []metrics.Label) []metrics.Label {
	var dimensions []metrics.Label
	for _, label := range labels {
		if strings.EqualFold(label.Name, metadataMember) ||
			slices.ContainsFunc(dimensions, func(d metrics.Label) bool { return d.Name == label.Name }) {
			continue
		}
		label.Value = strings.Map(func(r rune) rune {
			if ' ' <= r && r <= '~' {
				return r
			}
			return '?'
		}, label.Value)
		label.Value = label.Value[:min(len(label.Value), maxDimensionValue)]
		dimensions = append(dimensions, label)
	}
	dimensions = dimensions[:min(len(dimensions), maxDimensions)]
	slices.SortFunc(dimensions, func(a, b metrics.Label) int { return strings.Compare(a.Name, b.Name) })
	return dimensions
}
