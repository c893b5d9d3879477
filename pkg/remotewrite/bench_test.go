package remotewrite

import (
	"slices"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// BenchmarkEncode is the time that a series costs before it leaves: checked,
// encoded and compressed, as Push does it, beside building a prompb.WriteRequest,
// marshalling and compressing it, which checks nothing. path=prompb does that anew
// for each batch, path=prompb-reused in the memory of the batch before.
//
//	go test -run=- -bench=Encode ./pkg/remotewrite
func BenchmarkEncode(b *testing.B) {
	const n = 2400
	var series []metrics.Series
	for s := range images(n) {
		s.Labels = slices.Clone(s.Labels)
		series = append(series, s)
	}
	stamp := at.UnixMilli()
	perSeries := func(b *testing.B) {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/series")
	}

	b.Run("path=append", func(b *testing.B) {
		var (
			rules  rules
			msg    = v1{}.newMessage()
			packed []byte
		)
		encode := func() {
			msg.reset(stamp)
			for _, s := range series {
				labels, f := rules.check(s)
				if f.reason != "" || !msg.add(labels, s, DefaultMaxBytes) {
					b.Fatal("refused")
				}
			}
			packed = compress(packed, msg.bytes())
		}
		encode() // a Sender keeps its buffers
		b.ReportAllocs()
		b.SetBytes(int64(len(msg.bytes())))
		for b.Loop() {
			encode()
		}
		perSeries(b)
	})

	b.Run("path=prompb", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			req := prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, 0, n)}
			for _, s := range series {
				labels := make([]prompb.Label, 0, len(s.Labels))
				for _, l := range s.Labels {
					labels = append(labels, prompb.Label{Name: l.Name, Value: l.Value})
				}
				req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
					Labels:  labels,
					Samples: []prompb.Sample{{Value: s.Value, Timestamp: stamp}},
				})
			}
			raw, err := req.Marshal()
			if err != nil {
				b.Fatal(err)
			}
			snappy.Encode(nil, raw)
			b.SetBytes(int64(len(raw)))
		}
		perSeries(b)
	})

	b.Run("path=prompb-reused", func(b *testing.B) {
		var (
			req         prompb.WriteRequest
			labels      []prompb.Label
			samples     []prompb.Sample
			raw, packed []byte
		)
		encode := func() {
			req.Timeseries, labels, samples = req.Timeseries[:0], labels[:0], samples[:0]
			for _, s := range series {
				for _, l := range s.Labels {
					labels = append(labels, prompb.Label{Name: l.Name, Value: l.Value})
				}
				samples = append(samples, prompb.Sample{Value: s.Value, Timestamp: stamp})
				req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
					Labels: labels[len(labels)-len(s.Labels):], Samples: samples[len(samples)-1:],
				})
			}
			size := req.Size()
			raw = slices.Grow(raw[:0], size)[:size]
			if _, err := req.MarshalToSizedBuffer(raw); err != nil {
				b.Fatal(err)
			}
			packed = compress(packed, raw)
		}
		encode()
		b.ReportAllocs()
		b.SetBytes(int64(len(raw)))
		for b.Loop() {
			encode()
		}
		perSeries(b)
	})
}
