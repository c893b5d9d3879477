package remotewrite

import (
	"iter"
	"math"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// downgrade turns an encoded 2.0 message into 1.0, for a receiver that turned out
// not to understand it. It yields one message or more and the number of series in
// each: the same series and samples in the same order, each once. A yielded
// message is valid until the next one is asked for.
//
// No message is larger than limit or has more than maxSeries series, except that
// one series too large for limit is a message alone, which the receiver may
// answer with 413: without a symbol table, series are larger than they were.
// maxSeries 0 is no limit. 1.0 has metadata apart from the series, so they are not
// in it.
func downgrade(raw []byte, limit, maxSeries int) (iter.Seq2[[]byte, int], error) {
	req, err := decodeV2(raw)
	if err != nil {
		return nil, err
	}
	return func(yield func([]byte, int) bool) {
		var (
			m      messageV1
			n      int
			at     int64
			labels []metrics.Label
		)
		for i := range req.Timeseries {
			ts := &req.Timeseries[i]
			labels = labels[:0]
			for k := 0; k < len(ts.LabelsRefs); k += 2 {
				labels = append(labels, metrics.Label{Name: req.Symbols[ts.LabelsRefs[k]], Value: req.Symbols[ts.LabelsRefs[k+1]]})
			}
			for _, sample := range ts.Samples {
				s := metrics.Series{Value: sample.Value}
				// A message has one timestamp; so has the one that this came from.
				full := n > 0 && (n == maxSeries || sample.Timestamp != at)
				if n > 0 && !full && m.add(labels, s, limit) {
					n++
					continue
				}
				if n > 0 && !yield(m.bytes(), n) {
					return
				}
				at = sample.Timestamp
				m.reset(at)
				if !m.add(labels, s, limit) {
					m.add(labels, s, math.MaxInt)
				}
				n = 1
			}
		}
		if n > 0 {
			yield(m.bytes(), n)
		}
	}, nil
}
