package remotewrite

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"iter"
	"math"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/metadata"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
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
			Scan: &inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: inventory.Time(1_790_000_100_000 + i*61_000)},
		}
		for k := range i % (len(severities) + 1) {
			image.Scan.Severities = inventory.CountsOf(append(image.Scan.Severities.List(), inventory.SeverityCount{Severity: inventory.WordOf(severities[k]), Count: int32(i % (7 + k))}))
		}
		repository.Images = append(repository.Images, image)
	}
	return r
}

// pushed are the series of a registry in the order of a push.
func pushed(r *inventory.Registry) iter.Seq[metrics.Series] {
	table, err := metrics.New(inventory.Shape{})
	if err != nil {
		panic(err)
	}
	return table.ByRepository(r, metrics.Options{})
}

// BenchmarkEncode compares the time that a series costs before it leaves, checked,
// encoded and compressed, with that of Prometheus's own sender for the same series
// in the same order: populateTimeSeries and buildWriteRequest of 1.0 and 2.0 in
// https://github.com/prometheus/prometheus/blob/main/storage/remote/queue_manager.go.
// They are not exported, so they are done here with the same parts and in memory
// that is used again. Each iteration runs both in turn, so that both see the same
// machine; the times are medians. ratio is with the labels checked in both,
// ratio-unchecked without the check in Prometheus's.
//
//	make bench BENCH=Encode
func BenchmarkEncode(b *testing.B) {
	var series []metrics.Series
	for s := range pushed(inventoryOf(360)) {
		series = append(series, s.Clone())
	}
	for _, p := range []struct {
		protocol   Protocol
		prometheus func(series []metrics.Series, check bool) func() []byte
	}{{V1, prometheusV1}, {V2, prometheusV2}} {
		b.Run("proto="+string(p.protocol), func(b *testing.B) {
			paths := []func() []byte{pushPath(p.protocol, series), p.prometheus(series, true), p.prometheus(series, false)}
			times := make([][]float64, len(paths))
			for _, encode := range paths {
				b.ReportMetric(float64(len(encode()))/float64(len(series)), "B/series") // and its buffers have grown
			}
			b.ReportAllocs()
			for b.Loop() {
				for i, encode := range paths {
					start := time.Now()
					encode()
					times[i] = append(times[i], float64(time.Since(start).Nanoseconds())/float64(len(series)))
				}
			}
			median := func(i int) float64 {
				slices.Sort(times[i])
				return times[i][len(times[i])/2]
			}
			b.ReportMetric(0, "ns/op") // of all together
			b.ReportMetric(median(0), "ns/series")
			b.ReportMetric(median(1), "prometheus-ns/series")
			b.ReportMetric(median(0)/median(1), "ratio")
			b.ReportMetric(median(0)/median(2), "ratio-unchecked")
		})
	}
}

func pushPath(p Protocol, series []metrics.Series) func() []byte {
	var (
		validator  = wire.NewValidator(Limits{})
		msg        = wire.NewMessage(wire.Protocol(p))
		compressed []byte
	)
	return func() []byte {
		msg.Reset(at.UnixMilli())
		for _, s := range series {
			labels, f := validator.Check(s.Labels)
			if f.Reason != "" || !msg.Add(labels, s, DefaultMaxBytes) {
				panic("refused")
			}
		}
		compressed = compress(compressed, msg.Bytes())
		return compressed
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

// checkLabels checks what the Validator does, with Prometheus's own functions.
func checkLabels(batch []queued) {
	for i := range batch {
		if !batch[i].labels.IsValid(model.LegacyValidation) {
			panic("refused")
		}
		if _, twice := batch[i].labels.HasDuplicateLabelNames(); twice {
			panic("refused")
		}
	}
}

func prometheusV1(series []metrics.Series, check bool) func() []byte {
	var (
		batch       = queue(series)
		pending     = make([]prompb.TimeSeries, len(batch))
		raw, packed []byte
	)
	return func() []byte {
		if check {
			checkLabels(batch)
		}
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
		size := req.Size()
		raw = slices.Grow(raw[:0], size)[:size]
		if _, err := req.MarshalToSizedBuffer(raw); err != nil {
			panic(err)
		}
		packed = compress(packed, raw)
		return packed
	}
}

func prometheusV2(series []metrics.Series, check bool) func() []byte {
	var (
		batch       = queue(series)
		pending     = make([]writev2.TimeSeries, len(batch))
		table       = writev2.NewSymbolTable()
		raw, packed []byte
	)
	return func() []byte {
		table.Reset()
		if check {
			checkLabels(batch)
		}
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

// BenchmarkSeries is the cost of a series in pushes of 10,000 to 6,000,000, made and
// encoded one by one and discarded, after a first push: ns/series by the clock and
// cpu-ns/series of all goroutines.
//
//	make bench BENCH=Series
func BenchmarkSeries(b *testing.B) {
	r := inventoryOf(1000)
	for _, n := range []int{10_000, 100_000, 1_000_000, 6_000_000} {
		b.Run(fmt.Sprintf("series=%d", n), func(b *testing.B) {
			s, err := New(Options{Discard: true})
			if err != nil {
				b.Fatal(err)
			}
			push := func() {
				if got, err := s.Push(b.Context(), at, endless(r, n), nil); err != nil || got.Accepted != n {
					b.Fatal(got, err)
				}
			}
			push()
			before := cpuTime()
			for b.Loop() {
				push()
			}
			all := float64(b.N) * float64(n)
			b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/all, "cpu-ns/series")
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/all, "ns/series")
		})
	}
}

// endless yields n series of a registry that is walked again and again, each time
// with other digests.
func endless(r *inventory.Registry, n int) iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		left := n
		for round := uint64(0); left > 0; round++ {
			for _, repository := range r.Repositories {
				for i := range repository.Images {
					binary.BigEndian.PutUint64(repository.Images[i].Digest[8:], round)
				}
			}
			for s := range pushed(r) {
				if left == 0 || !yield(s) {
					return
				}
				left--
			}
		}
	}
}

// cpuTime is the time that the process has spent on processors.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		panic(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
