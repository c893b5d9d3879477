//go:build unix

package localtest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"time"
)

// Pushed is a sample as it was pushed.
type Pushed struct {
	Labels map[string]string
	Value  float64
	Stale  bool // a staleness marker, which has no value
}

// At returns all samples with exactly that time.
//
// See https://docs.victoriametrics.com/victoriametrics/single-server-victoriametrics/#how-to-export-data-in-json-line-format
func (s *Store) At(ctx context.Context, at time.Time) ([]Pushed, error) {
	if err := s.Flush(ctx); err != nil {
		return nil, err
	}
	seconds := strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)
	// The range includes its ends.
	body, err := s.get(ctx, "/api/v1/export?"+url.Values{"match[]": {`{__name__!=""}`}, "start": {seconds}, "end": {seconds}}.Encode())
	if err != nil {
		return nil, fmt.Errorf("export from VictoriaMetrics: %w", err)
	}
	var all []Pushed
	for line := range bytes.Lines(body) {
		var series struct {
			Metric map[string]string
			Values []*float64 // nil for what is not a number, as markers are
		}
		if err := json.Unmarshal(line, &series); err != nil {
			return nil, fmt.Errorf("decode what VictoriaMetrics exports: %w: %.1000s", err, line)
		}
		if len(series.Values) != 1 {
			return nil, fmt.Errorf("%v has %d samples at one time", series.Metric, len(series.Values))
		}
		one := Pushed{Labels: series.Metric, Stale: series.Values[0] == nil}
		if !one.Stale {
			one.Value = *series.Values[0]
		}
		all = append(all, one)
	}
	return all, nil
}
