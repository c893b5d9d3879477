package tsdbtest

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
)

// Vector holds the value of each series at one time, by the Key of its labels, a text
// that is easy to write, compare and print.
type Vector map[string]float64

// Matrix holds the points of each series over some time, oldest first, by the Key of its
// labels.
type Matrix map[string][]Point

// Point is one sample of a series.
type Point struct {
	// At is in UTC and has whole milliseconds, as samples do.
	At time.Time
	// Value is 0 if Stale, because a NaN would equal nothing.
	Value float64
	// Stale marks the end of the series: the sample is Prometheus' staleness
	// marker. Queries see the series up to, and not at, this time.
	Stale bool
}

// Key writes labels the way the text format does, `name{a="1",b="2"}`, with the
// labels sorted and without those that are empty. A result that has no name is
// only the part in braces, which is there even when no label is.
func Key(ls labels.Labels) string {
	key := make([]byte, 0, 512)
	key = append(key, ls.Get(model.MetricNameLabel)...)
	separator := byte('{')
	ls.Range(func(l labels.Label) {
		if l.Name == model.MetricNameLabel || l.Value == "" {
			return
		}
		key = append(key, separator)
		key = append(key, l.Name...)
		key = append(key, '=')
		key = strconv.AppendQuote(key, l.Value)
		separator = ','
	})
	switch {
	case separator == ',':
		key = append(key, '}')
	case len(key) == 0:
		return "{}"
	}
	return string(key)
}

// KeyOf is the Key of a name, empty for a query result without one, and of pairs of label
// name and value in any order. It panics if a value is missing.
func KeyOf(name string, pairs ...string) string {
	b := labels.NewBuilder(labels.FromStrings(pairs...))
	b.Set(model.MetricNameLabel, name)
	return Key(b.Labels())
}

// Instant evaluates a PromQL expression at one time. The expression must give a
// vector or a scalar; a scalar is a series without labels.
func (p *Prometheus) Instant(ctx context.Context, expr string, at time.Time) (Vector, error) {
	vector, err := p.instant(ctx, expr, at)
	if err != nil {
		return nil, err
	}
	result := make(Vector, len(vector))
	for _, sample := range vector {
		result[Key(sample.Metric)] = sample.F
	}
	return result, nil
}

// instant is also what alerting rules are evaluated with.
func (p *Prometheus) instant(ctx context.Context, expr string, at time.Time) (promql.Vector, error) {
	query, err := p.engine.NewInstantQuery(ctx, p.db, nil, expr, at)
	if err != nil {
		return nil, fmt.Errorf("parse query %q: %w", expr, err)
	}
	defer query.Close()

	result := query.Exec(ctx)
	if result.Err != nil {
		return nil, fmt.Errorf("run query %q at %s: %w", expr, at, result.Err)
	}
	switch v := result.Value.(type) {
	case promql.Vector:
		for _, sample := range v {
			if sample.H != nil {
				return nil, fmt.Errorf("run query %q: %s is a histogram", expr, Key(sample.Metric))
			}
		}
		// The engine reuses a result once its query is closed.
		return append(promql.Vector(nil), v...), nil
	case promql.Scalar:
		return promql.Vector{{T: v.T, F: v.V}}, nil
	default:
		return nil, fmt.Errorf("run query %q: the result is a %s, not a vector", expr, result.Value.Type())
	}
}

// Range evaluates a PromQL expression at from and then each step until to, both
// included, as a graph does.
func (p *Prometheus) Range(ctx context.Context, expr string, from, to time.Time, step time.Duration) (Matrix, error) {
	query, err := p.engine.NewRangeQuery(ctx, p.db, nil, expr, from, to, step)
	if err != nil {
		return nil, fmt.Errorf("parse query %q: %w", expr, err)
	}
	defer query.Close()

	matrix, err := query.Exec(ctx).Matrix()
	if err != nil {
		return nil, fmt.Errorf("run query %q from %s to %s: %w", expr, from, to, err)
	}
	result := make(Matrix, len(matrix))
	for _, series := range matrix {
		if len(series.Histograms) > 0 {
			return nil, fmt.Errorf("run query %q: %s has histograms", expr, Key(series.Metric))
		}
		points := make([]Point, len(series.Floats))
		for i, f := range series.Floats {
			points[i] = newPoint(f.T, f.F)
		}
		result[Key(series.Metric)] = points
	}
	return result, nil
}

// Live returns every series that a query at this time would see: its last sample is
// younger than Lookback and no staleness marker.
func (p *Prometheus) Live(ctx context.Context, at time.Time) (Vector, error) {
	return p.Instant(ctx, `{__name__=~".+"}`, at)
}

// Samples returns the samples from one time to another, both included, of the series that
// match a selector such as `aws_ecr_repository_info{name="a"}`. Unlike a query it includes
// staleness markers.
func (p *Prometheus) Samples(ctx context.Context, selector string, from, to time.Time) (_ Matrix, err error) {
	matchers, err := p.parser.ParseMetricSelector(selector)
	if err != nil {
		return nil, fmt.Errorf("parse selector %q: %w", selector, err)
	}
	querier, err := p.db.Querier(from.UnixMilli(), to.UnixMilli())
	if err != nil {
		return nil, fmt.Errorf("open the database from %s to %s: %w", from, to, err)
	}
	defer func() {
		if closeErr := querier.Close(); err == nil && closeErr != nil {
			err = fmt.Errorf("close the querier of %q: %w", selector, closeErr)
		}
	}()

	result := Matrix{}
	set := querier.Select(ctx, false, nil, matchers...)
	for set.Next() {
		series := set.At()
		points, err := readPoints(series)
		if err != nil {
			return nil, fmt.Errorf("read %s: %w", Key(series.Labels()), err)
		}
		// A series is also found if all its samples are outside of that time.
		if len(points) > 0 {
			result[Key(series.Labels())] = points
		}
	}
	if err := set.Err(); err != nil {
		return nil, fmt.Errorf("select %q: %w", selector, err)
	}
	return result, nil
}

func readPoints(series storage.Series) ([]Point, error) {
	var points []Point
	it := series.Iterator(nil)
	for kind := it.Next(); kind != chunkenc.ValNone; kind = it.Next() {
		if kind != chunkenc.ValFloat {
			return nil, fmt.Errorf("sample %d is a %s, not a float", len(points), kind)
		}
		points = append(points, newPoint(it.At()))
	}
	return points, it.Err()
}

func newPoint(ms int64, v float64) Point {
	p := Point{At: time.UnixMilli(ms).UTC(), Value: v}
	if value.IsStaleNaN(v) {
		p.Value, p.Stale = 0, true
	}
	return p
}

// StaleMarker is the value of a sample that ends its series. It differs from any other NaN
// only in its bits.
func StaleMarker() float64 { return math.Float64frombits(value.StaleNaN) }

// String lists the series in the text format, one a line, sorted.
func (v Vector) String() string {
	var b strings.Builder
	for _, key := range slices.Sorted(maps.Keys(v)) {
		fmt.Fprintf(&b, "%s %v\n", key, v[key])
	}
	return b.String()
}
