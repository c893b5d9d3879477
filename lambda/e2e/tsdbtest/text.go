package tsdbtest

import (
	"errors"
	"fmt"
	"io"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/textparse"
)

// ParseText reads series from the Prometheus text format, see
// https://prometheus.io/docs/instrumenting/exposition_formats/. It refuses what
// Prometheus refuses, and also a series that appears twice and a sample with a
// timestamp, because the test gives the times.
func ParseText(text []byte) ([]Series, error) {
	p := textparse.NewPromParser(text, labels.NewSymbolTable(), false)
	seen := map[string]bool{}
	var all []Series
	for {
		entry, err := p.Next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("parse text after %d series: %w", len(all), err)
		}
		if entry != textparse.EntrySeries {
			continue // a HELP, TYPE or other comment line
		}

		var s Series
		_, at, v := p.Series()
		p.Labels(&s.Labels)
		s.Labels, s.Value = s.Labels.WithoutEmpty(), v
		key := Key(s.Labels)
		if at != nil {
			return nil, fmt.Errorf("parse text: %s has a timestamp", key)
		}
		if seen[key] {
			return nil, fmt.Errorf("parse text: %s appears twice", key)
		}
		seen[key] = true
		all = append(all, s)
	}
}

// VectorOf converts series into the result type of Instant and Live.
func VectorOf(series []Series) Vector {
	v := make(Vector, len(series))
	for _, s := range series {
		v[Key(s.Labels)] = s.Value
	}
	return v
}

// WithTarget adds to each series the labels that a scrape adds, such as job and
// instance, replacing those of the same name. The given series stay as they are.
func WithTarget(series []Series, pairs ...string) []Series {
	target := labels.FromStrings(pairs...)
	scraped := make([]Series, len(series))
	for i, s := range series {
		b := labels.NewBuilder(s.Labels)
		target.Range(func(l labels.Label) { b.Set(l.Name, l.Value) })
		scraped[i] = Series{Labels: b.Labels(), Value: s.Value}
	}
	return scraped
}
