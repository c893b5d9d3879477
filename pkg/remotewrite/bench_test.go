package remotewrite

import (
	"crypto/sha256"
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// inventoryOf is a registry of n tagged and scanned images, ten a repository.
func inventoryOf(n int) *inventory.Registry {
	severities := []string{"CRITICAL", "HIGH", "INFORMATIONAL", "LOW", "MEDIUM"}
	r := &inventory.Registry{ID: "123456789012", ListedAt: 1, ScanSource: inventory.ScansFromFindings}
	for i := range n {
		if i%10 == 0 {
			name := fmt.Sprintf("team-%02d/service-%05d", i/10%17, i/10)
			r.Repositories = append(r.Repositories, &inventory.Repository{
				Name: name, URI: r.ID + ".dkr.ecr.eu-west-1.amazonaws.com/" + name, RegistryID: r.ID,
				TagMutability: "MUTABLE", EncryptionType: "AES256",
			})
		}
		repository := r.Repositories[len(r.Repositories)-1]
		image := inventory.Image{
			Digest:    sha256.Sum256(fmt.Append(nil, i)),
			Tags:      []string{fmt.Sprintf("v1.%d.%d", i/100, i%100)},
			SizeBytes: int64(100_000_000 + i*1237), PushedAt: inventory.Time(1_790_000_000_000 + i*61_000),
			Scan: &inventory.Scan{Status: "COMPLETE", CompletedAt: inventory.Time(1_790_000_100_000 + i*61_000)},
		}
		for k := range i % (len(severities) + 1) {
			image.Scan.Severities = append(image.Scan.Severities, inventory.SeverityCount{Severity: severities[k], Count: int32(i % (7 + k))})
		}
		repository.Images = append(repository.Images, image)
	}
	return r
}

// pushed are the series of a registry in the order of a push.
func pushed(r *inventory.Registry) iter.Seq[metrics.Series] {
	return metrics.ByRepository(r, metrics.Families(), metrics.Options{})
}

// kept are series with the memory that they have in the iterator: what it builds
// in place is there once a subject.
func kept(series iter.Seq[metrics.Series]) []metrics.Series {
	var (
		all  []metrics.Series
		last uint64
		same map[string]string
	)
	for s := range series {
		if s.Subject != last {
			last, same = s.Subject, map[string]string{}
		}
		s.Labels = slices.Clone(s.Labels)
		for i := range s.Labels {
			l := &s.Labels[i]
			if l.Name != "digest" && l.Name != "image" {
				continue // lies in the inventory
			}
			if _, ok := same[l.Value]; !ok {
				same[l.Value] = strings.Clone(l.Value)
			}
			l.Value = same[l.Value]
		}
		all = append(all, s)
	}
	return all
}

// BenchmarkEncode is the time that a series costs before it leaves: checked,
// encoded and compressed, as Push does it (path=push). Beside it, of the same
// series in the same order:
//
//   - path=anew builds the official types, marshals and compresses them, each batch
//     in new memory. It checks nothing.
//   - path=prometheus does so in the way of Prometheus's own sender, in memory that
//     it uses again (populateTimeSeries and buildWriteRequest, and those of 2.0, in
//     https://github.com/prometheus/prometheus/blob/main/storage/remote/queue_manager.go).
//     They are not exported, so they are done again here with the same parts.
//
// Run it with
//
//	make bench BENCH=Encode
func BenchmarkEncode(b *testing.B) {
	series := kept(pushed(inventoryOf(360)))
	for _, p := range []struct {
		name  string
		paths map[string]func([]metrics.Series) func() []byte
	}{
		{"proto=1.0", map[string]func([]metrics.Series) func() []byte{"push": pushPath(v1{}), "anew": anewV1, "prometheus": prometheusV1}},
		{"proto=2.0", map[string]func([]metrics.Series) func() []byte{"push": pushPath(v2{}), "anew": anewV2, "prometheus": prometheusV2}},
	} {
		for _, path := range []string{"anew", "prometheus", "push"} {
			b.Run(p.name+"/path="+path, func(b *testing.B) {
				encode := p.paths[path](series)
				packed := encode() // a Sender keeps its buffers
				b.ReportAllocs()
				for b.Loop() {
					encode()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(series)), "ns/series")
				b.ReportMetric(float64(len(packed))/float64(len(series)), "B/series")
			})
		}
	}
}

func pushPath(p protocol) func([]metrics.Series) func() []byte {
	return func(series []metrics.Series) func() []byte {
		var (
			rules  rules
			msg    = p.newMessage()
			packed []byte
		)
		return func() []byte {
			rules.begin()
			msg.reset(at.UnixMilli())
			for _, s := range series {
				labels, f := rules.check(s)
				if f.reason != "" || !msg.add(labels, s, DefaultMaxBytes) {
					panic("refused")
				}
			}
			packed = compress(packed, msg.bytes())
			return packed
		}
	}
}

func anewV1(series []metrics.Series) func() []byte {
	return func() []byte {
		req := prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, 0, len(series))}
		for _, s := range series {
			labels := make([]prompb.Label, 0, len(s.Labels))
			for _, l := range s.Labels {
				if l.Value != "" {
					labels = append(labels, prompb.Label{Name: l.Name, Value: l.Value})
				}
			}
			req.Timeseries = append(req.Timeseries, prompb.TimeSeries{
				Labels:  labels,
				Samples: []prompb.Sample{{Value: s.Value, Timestamp: at.UnixMilli()}},
			})
		}
		raw, err := req.Marshal()
		if err != nil {
			panic(err)
		}
		return snappy.Encode(nil, raw)
	}
}

func anewV2(series []metrics.Series) func() []byte {
	return func() []byte {
		table := writev2.NewSymbolTable()
		req := writev2.Request{Timeseries: make([]writev2.TimeSeries, 0, len(series))}
		for _, s := range series {
			refs := make([]uint32, 0, 2*len(s.Labels))
			for _, l := range s.Labels {
				if l.Value != "" {
					refs = append(refs, table.Symbolize(l.Name), table.Symbolize(l.Value))
				}
			}
			req.Timeseries = append(req.Timeseries, writev2.TimeSeries{
				LabelsRefs: refs,
				Samples:    []writev2.Sample{{Value: s.Value, Timestamp: at.UnixMilli()}},
				Metadata:   writev2.Metadata{Type: writev2.Metadata_METRIC_TYPE_GAUGE, HelpRef: table.Symbolize(s.Family.Help)},
			})
		}
		req.Symbols = table.Symbols()
		raw, err := req.Marshal()
		if err != nil {
			panic(err)
		}
		return snappy.Encode(nil, raw)
	}
}

// queued is what Prometheus's sender has of a series.
type queued struct {
	labels   labels.Labels
	value    float64
	at       int64
	metadata *metadata.Metadata
}

func queue(series []metrics.Series) []queued {
	families := map[*metrics.Family]*metadata.Metadata{}
	queue := make([]queued, len(series))
	for i, s := range series {
		m := families[s.Family]
		if m == nil {
			m = &metadata.Metadata{Type: "gauge", Help: s.Family.Help}
			families[s.Family] = m
		}
		builder := labels.NewScratchBuilder(len(s.Labels))
		for _, l := range s.Labels {
			if l.Value != "" {
				builder.Add(l.Name, l.Value)
			}
		}
		queue[i] = queued{builder.Labels(), s.Value, at.UnixMilli(), m}
	}
	return queue
}

func prometheusV1(series []metrics.Series) func() []byte {
	var (
		batch       = queue(series)
		pending     = make([]prompb.TimeSeries, len(batch))
		raw, packed []byte
	)
	return func() []byte {
		for i, d := range batch {
			pending[i].Samples = pending[i].Samples[:0]
			pending[i].Labels = prompb.FromLabels(d.labels, pending[i].Labels)
			pending[i].Samples = append(pending[i].Samples, prompb.Sample{Value: d.value, Timestamp: d.at})
		}
		// buildTimeSeries takes what is too old out of the batch.
		highest, lowest := int64(0), int64(math.MaxInt64)
		pending = slices.DeleteFunc(pending, func(ts prompb.TimeSeries) bool {
			highest, lowest = max(highest, ts.Samples[0].Timestamp), min(lowest, ts.Samples[0].Timestamp)
			return false
		})
		// As proto.Buffer.Marshal does.
		req := &prompb.WriteRequest{Timeseries: pending}
		raw = slices.Grow(raw[:0], req.Size())
		raw = raw[:req.Size()]
		if _, err := req.MarshalToSizedBuffer(raw); err != nil {
			panic(err)
		}
		packed = compress(packed, raw)
		return packed
	}
}

func prometheusV2(series []metrics.Series) func() []byte {
	var (
		batch       = queue(series)
		pending     = make([]writev2.TimeSeries, len(batch))
		table       = writev2.NewSymbolTable()
		raw, packed []byte
	)
	return func() []byte {
		table.Reset()
		for i, d := range batch {
			p := &pending[i]
			p.Samples = p.Samples[:0]
			p.Metadata.Type = writev2.FromMetadataType(d.metadata.Type)
			p.Metadata.HelpRef = table.Symbolize(d.metadata.Help)
			p.Metadata.UnitRef = table.Symbolize(d.metadata.Unit)
			p.LabelsRefs = table.SymbolizeLabels(d.labels, p.LabelsRefs)
			p.Samples = append(p.Samples, writev2.Sample{Value: d.value, Timestamp: d.at})
		}
		highest, lowest := int64(0), int64(math.MaxInt64)
		pending = slices.DeleteFunc(pending, func(ts writev2.TimeSeries) bool {
			highest, lowest = max(highest, ts.Samples[0].Timestamp), min(lowest, ts.Samples[0].Timestamp)
			return false
		})
		req := &writev2.Request{Symbols: table.Symbols(), Timeseries: pending}
		var err error
		if raw, err = req.OptimizedMarshal(raw); err != nil {
			panic(err)
		}
		packed = compress(packed, raw)
		return packed
	}
}

// BenchmarkCompress is the part of it that all paths have in common.
func BenchmarkCompress(b *testing.B) {
	series := kept(pushed(inventoryOf(360)))
	for _, p := range []protocol{v1{}, v2{}} {
		b.Run("proto="+p.version(), func(b *testing.B) {
			var r rules
			m := p.newMessage()
			m.reset(at.UnixMilli())
			for _, s := range series {
				labels, _ := r.check(s)
				m.add(labels, s, 1<<30)
			}
			raw := m.bytes()
			var packed []byte
			for b.Loop() {
				packed = compress(packed, raw)
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*len(series)), "ns/series")
			b.ReportMetric(float64(len(raw))/float64(len(series)), "rawB/series")
		})
	}
}
