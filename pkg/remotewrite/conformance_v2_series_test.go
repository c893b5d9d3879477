package remotewrite_test

import (
	"errors"
	"fmt"
	"math"
	"slices"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// messageV2Rules are the sentences about io.prometheus.write.v2.Request.
func messageV2Rules() []rule {
	return []rule{
		{id: "2.0#message.1", sentence: "symbols array MUST start with empty string",
			check: readable(firstSymbol), wrong: faultV2(func(r *writev2.Request) { r.Symbols[0] = "x" })},
		{id: "2.0#message.2", sentence: "All timestamps MUST be int64 counted as milliseconds since the Unix epoch",
			check: eachSeries(inMilliseconds), wrong: faultSeries(func(s *wireSeries) { s.samples[0].Timestamp *= 1000 })},
		{id: "2.0#message.3", sentence: "Sample's values MUST be float64",
			do: func(s *scene) { s.push(values(1.0/3, math.MaxFloat64, -0.1)) }, check: bits(1.0/3, math.MaxFloat64, -0.1),
			wrong: faultValue(func(v float64) float64 { return float64(float32(v)) })},
		{id: "2.0#message.4", sentence: "labels_refs MUST be provided",
			check: eachV2(func(_ *writev2.Request, ts *writev2.TimeSeries) error {
				if n := len(ts.LabelsRefs); n == 0 || n%2 != 0 {
					return fmt.Errorf("%d labels_refs", n)
				}
				return nil
			}),
			wrong: faultV2(func(r *writev2.Request) { r.Timeseries[0].LabelsRefs = nil })},
		{id: "2.0#message.5", sentence: "At least one element in samples or in histograms MUST be provided",
			check: eachV2(func(_ *writev2.Request, ts *writev2.TimeSeries) error {
				if len(ts.Samples)+len(ts.Histograms) == 0 {
					return errors.New("no sample and no histogram")
				}
				return nil
			}),
			wrong: faultV2(func(r *writev2.Request) { r.Timeseries[11].Samples = nil })},
		{id: "2.0#message.6", sentence: "A TimeSeries MUST NOT include both samples and histograms",
			check: eachV2(func(_ *writev2.Request, ts *writev2.TimeSeries) error {
				if len(ts.Samples) > 0 && len(ts.Histograms) > 0 {
					return errors.New("samples and histograms")
				}
				return nil
			}),
			wrong: faultV2(func(r *writev2.Request) { r.Timeseries[3].Histograms = make([]writev2.Histogram, 1) })},
		{id: "2.0#message.7", sentence: "For series which would mix float and histogram samples, a separate TimeSeries message MUST be used",
			outside: "there are no histograms", check: eachV2(noHistogram),
			wrong: faultV2(func(r *writev2.Request) { r.Timeseries[3].Histograms = make([]writev2.Histogram, 1) })},
		{id: "2.0#message.8", sentence: "metadata sub-fields SHOULD be provided",
			// The unit is optional: no family has one in the sense of OpenMetrics.
			do: pushFamilies, check: eachV2(func(_ *writev2.Request, ts *writev2.TimeSeries) error {
				if ts.Metadata.Type == writev2.Metadata_METRIC_TYPE_UNSPECIFIED || ts.Metadata.HelpRef == 0 {
					return fmt.Errorf("metadata %v", ts.Metadata)
				}
				return nil
			}),
			wrong: faultV2(func(r *writev2.Request) { r.Timeseries[1].Metadata.HelpRef = 0 })},
		{id: "2.0#message.9", sentence: "Exemplars SHOULD be provided if they exist for a series",
			outside: "none exist", check: eachV2(noExemplar), wrong: faultExemplar},
		{id: "2.0#symbols.1", sentence: "The symbols table MUST be provided",
			check: readable(func(m *message) error {
				if len(m.v2.Symbols) == 0 {
					return errors.New("no symbols")
				}
				return nil
			}),
			wrong: faultV2(func(r *writev2.Request) { r.Symbols = nil })},
		{id: "2.0#symbols.2", sentence: "it MUST contain deduplicated strings used in series, exemplar labels, and metadata strings",
			check: readable(func(m *message) error {
				if n := len(slices.Compact(slices.Sorted(slices.Values(m.v2.Symbols)))); n != len(m.v2.Symbols) {
					return fmt.Errorf("%d symbols, of which %d are different", len(m.v2.Symbols), n)
				}
				return nil
			}),
			wrong: faultV2(func(r *writev2.Request) { r.Symbols = append(r.Symbols, r.Symbols[1]) })},
		{id: "2.0#symbols.3", sentence: "The first element of the symbols table MUST be an empty string",
			check: readable(firstSymbol), wrong: faultV2(func(r *writev2.Request) { r.Symbols[0], r.Symbols[1] = r.Symbols[1], r.Symbols[0] })},
		{id: "2.0#symbols.4", sentence: "References MUST point to the existing index in the symbols string array",
			check: eachV2(func(w *writev2.Request, ts *writev2.TimeSeries) error {
				refs := append(slices.Clone(ts.LabelsRefs), ts.Metadata.HelpRef, ts.Metadata.UnitRef)
				if ref := slices.Max(refs); int(ref) >= len(w.Symbols) {
					return fmt.Errorf("reference %d, where there are %d symbols", ref, len(w.Symbols))
				}
				return nil
			}),
			wrong: faultV2(func(r *writev2.Request) { r.Timeseries[0].Metadata.UnitRef = uint32(len(r.Symbols)) })},
	}
}

// seriesV2 are the sentences about series, their samples and metadata.
func seriesV2() []rule {
	return append(labelRules("2.0#labels.", labelSentences{
		"The complete set of labels MUST be sent with each Sample or Histogram sample",
		"(the label set) SHOULD contain a __name__ label",
		"(the label set) MUST NOT contain repeated label names",
		"(the label set) MUST have label names sorted in lexicographical order",
		"(the label set) MUST NOT contain any empty label names",
		"(the label set) MUST NOT contain any empty label values",
		"Metric names, label names, and label values MUST be any sequence of UTF-8 characters",
		"Metric names SHOULD adhere to the regex [a-zA-Z_:]([a-zA-Z0-9_:])*",
		"Label names SHOULD adhere to the regex [a-zA-Z_]([a-zA-Z0-9_])*",
		`Label names beginning with "__" are RESERVED for system usage and SHOULD NOT be used`,
	}), []rule{
		{id: "2.0#samples.1", sentence: "Senders MUST send samples (or histograms) for any given TimeSeries in timestamp order",
			batch: 3, answers: overloaded, do: pushOnEach(3), check: inOrder, wrong: fault{backlog: true}},
		{id: "2.0#samples.2", sentence: "start_timestamp SHOULD be provided for types that follow counter semantics",
			outside: "all series are gauges", do: pushFamilies, check: eachV2(isGauge), wrong: faultV2(func(r *writev2.Request) {
				r.Timeseries[0].Metadata.Type = writev2.Metadata_METRIC_TYPE_COUNTER
			})},
		{id: "2.0#samples.3", sentence: `To represent the unlikely 0 unix timestamp (start_timestamp), "1" or "-1" value MUST be used`,
			outside: "gauges have no start_timestamp", check: eachV2(func(_ *writev2.Request, ts *writev2.TimeSeries) error {
				if ts.Samples[0].StartTimestamp != 0 {
					return errors.New("a gauge that started")
				}
				return nil
			}),
			wrong: faultV2(func(r *writev2.Request) { r.Timeseries[0].Samples[0].StartTimestamp = 1 })},
		{id: "2.0#stale.1", sentence: "Senders SHOULD send stale markers when a time series will no longer be appended to",
			do: pushStale, check: markedOnce, wrong: faultNoMarkers},
		{id: "2.0#stale.2", sentence: "Senders MUST send stale markers if the discontinuation of time series is possible to detect",
			do: pushStale, check: markedOnce, wrong: faultNoMarkers},
		{id: "2.0#stale.3", sentence: "Stale markers MUST be signalled by the special NaN value 0x7ff0000000000002",
			do: pushStale, check: markersOnly, wrong: faultValue(otherNaN)},
		{id: "2.0#stale.4", sentence: "This value MUST NOT be used otherwise",
			do: pushNaN, check: noMarkers, wrong: faultValue(asMarker)},
		{id: "2.0#metadata.1", sentence: "Metadata SHOULD follow the official Prometheus guidelines for Type and Help",
			do: pushFamilies, check: describedAsWritten,
			wrong: faultV2(func(r *writev2.Request) { r.Timeseries[2].Metadata.HelpRef = r.Timeseries[1].Metadata.HelpRef })},
		{id: "2.0#exemplars.1", sentence: "Each exemplar MUST contain a value",
			outside: "none is sent", check: eachV2(noExemplar), wrong: faultExemplar},
		{id: "2.0#exemplars.2", sentence: "If the exemplar references a trace it SHOULD use the trace_id label name",
			outside: "none is sent", check: eachV2(noExemplar), wrong: faultExemplar},
		{id: "2.0#exemplars.3", sentence: "(Each exemplar) MUST contain a timestamp",
			outside: "none is sent", check: eachV2(noExemplar), wrong: faultExemplar},
	}...)
}

func faultV2(change func(*writev2.Request)) fault { return fault{v2: change} }

var faultExemplar = faultV2(func(r *writev2.Request) { r.Timeseries[0].Exemplars = make([]writev2.Exemplar, 1) })

func firstSymbol(m *message) error {
	if len(m.v2.Symbols) == 0 || m.v2.Symbols[0] != "" {
		return fmt.Errorf("symbols %q", m.v2.Symbols)
	}
	return nil
}

func noHistogram(_ *writev2.Request, ts *writev2.TimeSeries) error {
	if len(ts.Histograms) > 0 {
		return errors.New("a histogram")
	}
	return nil
}

func noExemplar(_ *writev2.Request, ts *writev2.TimeSeries) error {
	if len(ts.Exemplars) > 0 {
		return errors.New("an exemplar")
	}
	return nil
}

func isGauge(_ *writev2.Request, ts *writev2.TimeSeries) error {
	if ts.Metadata.Type != writev2.Metadata_METRIC_TYPE_GAUGE {
		return fmt.Errorf("a %s", ts.Metadata.Type)
	}
	return nil
}

// describedAsWritten requires the type and help of every family.
func describedAsWritten(s *scene) error {
	families := metrics.Families()
	for i, w := range s.messages {
		if len(w.series) != len(families) {
			return fmt.Errorf("request %d: %d series, want one of each family", i, len(w.series))
		}
		for k, f := range families {
			m := w.v2.Timeseries[k].Metadata
			if kind := m.Type.String(); kind != "METRIC_TYPE_GAUGE" || f.Type != "gauge" || w.v2.Symbols[m.HelpRef] != f.Help {
				return fmt.Errorf("%s is a %s, %q", f.Name, kind, w.v2.Symbols[m.HelpRef])
			}
		}
	}
	return deliveredSome(s)
}
