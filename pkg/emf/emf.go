// Package emf writes series to a log in CloudWatch's embedded metric format, from
// which CloudWatch Logs makes metrics without a call to any API. So what a run did
// is seen where its endpoint is down.
//
// It rests on
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
// and, for names and values, on
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_MetricDatum.html.
//
// CloudWatch bills every metric, which is a name with a set of dimensions, for each
// hour in which it has a value. Hence, of a family that is split by a label of its
// own, such as operation, the total is written always, and a part only if it is not
// 0. An alarm needs the totals too: it cannot add up the metrics of a label's values.
// Of the families of metrics.RunFamilies that makes 14 metrics a function, and one
// for each operation of AWS's APIs that was called; when something goes wrong, one
// more for each operation throttled, reason of a drop and stage that failed.
package emf

import (
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// Write writes series as lines of JSON, all with the timestamp at: one for each set
// of dimensions, in the order in which they first occur. Dimensions are the labels
// of a series but __name__, and those given. Of the same name, a label of the
// family wins over a given one, and that over an external one. All metrics are held
// in memory until they are written: a run has few.
//
// A metric is found by the exact set of its dimensions. Those are better not to
// depend on what a run has learned, or an alarm does not see the run that learned
// nothing: name the function in the given dimensions, and leave registry_id out of
// the series.
//
// What CloudWatch does not take is changed or left out:
//   - families named …_info, which have no number to tell, and names that
//     CloudWatch has not;
//   - labels without a value, and dimensions beyond the thirtieth, external ones first;
//   - characters of a dimension's value beyond printable ASCII become question
//     marks, and what is beyond 1024 of them is cut off;
//   - values that are not finite or beyond 2^360, and totals of such values.
//
// Series that are then one metric are added up. Each line is one call of w.Write, so
// that those of other writers do not come in between. The error is that of w, or
// says what is wrong with the namespace.
func Write(w io.Writer, namespace string, at time.Time, dimensions []metrics.Label, series iter.Seq[metrics.Series]) error {
	if err := checkNamespace(namespace); err != nil {
		return err
	}
	var all documents
	for s := range series {
		all.add(s, dimensions)
	}
	for _, d := range all.ordered {
		for chunk := range slices.Chunk(d.publishable(), maxMetrics) {
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

// documents are the metrics to write, by their sets of dimensions.
type documents struct {
	ordered []*document
	byKey   map[string]*document
}

// document is what has one set of dimensions.
type document struct {
	dimensions []metrics.Label // sorted by name
	metrics    []metric
}

type metric struct {
	name  string
	value float64
}

// add takes in the values that a series gives: its own, and its part in a total.
func (all *documents) add(s metrics.Series, given []metrics.Label) {
	name := s.Family.Name
	if strings.HasSuffix(name, "_info") || strings.EqualFold(name, metadataMember) || !validName(name, maxMetricName) {
		return
	}
	var own, external, parts []metrics.Label
	for _, label := range s.Labels {
		switch {
		case label.Name == "__name__" || label.Value == "":
		case !slices.Contains(s.Family.Labels, label.Name):
			external = append(external, label)
		case label.Name == "registry_id":
			own = append(own, label)
		default:
			parts = append(parts, label)
		}
	}
	all.of(own, given, external).add(name, s.Value)
	if len(parts) > 0 && s.Value != 0 {
		all.of(parts, own, given, external).add(name, s.Value)
	}
}

// of returns the document with the given labels as dimensions, those of the first
// list before those of the next.
func (all *documents) of(labels ...[]metrics.Label) *document {
	dimensions := shape(slices.Concat(labels...))
	key := fmt.Sprintf("%q", dimensions)
	if all.byKey[key] == nil {
		if all.byKey == nil {
			all.byKey = map[string]*document{}
		}
		all.byKey[key] = &document{dimensions: dimensions}
		all.ordered = append(all.ordered, all.byKey[key])
	}
	return all.byKey[key]
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
