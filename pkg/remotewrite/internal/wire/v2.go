package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"

	"github.com/prometheus/common/model"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// The keys of the fields of io.prometheus.write.v2.Request that differ from 1.0, as in
// https://github.com/prometheus/prometheus/blob/main/prompb/io/prometheus/write/v2/types.proto:
//
//	Request.symbols    = 4   TimeSeries.labels_refs = 1 (packed)   Sample.value     = 1 (double)   Metadata.type     = 1 (enum)
//	Request.timeseries = 5   TimeSeries.samples     = 2            Sample.timestamp = 2 (int64)    Metadata.help_ref = 3 (uint32)
//	                         TimeSeries.metadata    = 5
const (
	keySeriesV2   = 5<<3 | wireBytes
	keyLabelsRefs = 1<<3 | wireBytes
	keyMetadata   = 5<<3 | wireBytes
	keyType       = 1<<3 | wireVarint
	keyHelpRef    = 3<<3 | wireVarint
)

// messageV2 is an io.prometheus.write.v2.Request. Symbols and series are separate
// until the message is complete: a receiver that resolves references while it reads
// needs the symbols first. No family has a unit in the sense of OpenMetrics, so
// unit_ref, a reference to the empty text, is left out.
type messageV2 struct {
	symbols symbols
	series  []byte
	stamp   []byte // as in messageV1
	refs    []labelRefs
	help    []byte // scratch
}

// labelRefs are the encoded references of a label (see Label.index), as of a version
// of its value.
type labelRefs struct {
	version uint64
	refs    packed
}

// packed is an encoded part of a series of at most eight bytes: the first n bytes
// of bits, the lowest first.
type packed struct {
	bits uint64
	n    int
}

func (p *packed) push(b byte) {
	p.bits |= uint64(b) << (8 * p.n)
	p.n++
}

// ref encodes a reference, which takes at most four bytes (see maxSymbols).
func (p *packed) ref(ref uint32) {
	for ref >= 0x80 {
		p.push(byte(ref) | 0x80)
		ref >>= 7
	}
	p.push(byte(ref))
}

func (p packed) appendTo(b []byte) []byte {
	// All eight bytes are appended, and those beyond n cut off again.
	return binary.LittleEndian.AppendUint64(b, p.bits)[:len(b)+p.n]
}

// maxSymbols keeps a reference within four bytes.
const maxSymbols = 1 << 28

// Reset implements Message.
func (m *messageV2) Reset(at int64) {
	m.symbols.reset()
	m.series = m.series[:0]
	m.stamp = appendStamp(m.stamp[:0], at)
	clear(m.refs)
}

// Bytes implements Message. It copies the series behind the symbols, in the
// memory of these.
func (m *messageV2) Bytes() []byte {
	n := len(m.symbols.buf)
	m.symbols.buf = append(m.symbols.buf, m.series...)
	whole := m.symbols.buf
	m.symbols.buf = whole[:n]
	return whole
}

// Add implements Message.
func (m *messageV2) Add(labels []*Label, s metrics.Series, limit int) bool {
	t := &m.symbols
	if len(t.texts)+2*len(labels)+1 > maxSymbols {
		return false
	}
	t.reserve(2*len(labels) + 1)
	texts, size, before := len(t.texts), len(t.buf), len(m.series)

	// Both lengths are nearly always below 128 and take one byte.
	b := append(withRoom(m.series, limit), keySeriesV2, 0, keyLabelsRefs, 0)
	start := len(b)
	for _, l := range labels {
		b = m.refsOf(l).appendTo(b)
	}
	b = closeRecord(b, start-1, start)
	b = appendSample(b, s.Value, m.stamp)
	if s.Family != nil {
		b = m.appendMetadata(b, s.Family)
	}
	b = closeRecord(b, start-3, start-2)
	if len(t.buf)+len(b) > limit {
		t.undo(texts, size)
		m.series = b[:before]
		clear(m.refs)
		return false
	}
	m.series = b
	return true
}

// refsOf returns the references of a label's name and value.
func (m *messageV2) refsOf(l *Label) packed {
	if l.index >= len(m.refs) {
		m.refs = append(m.refs, make([]labelRefs, l.index+1-len(m.refs))...)
	}
	r := &m.refs[l.index]
	if r.version != l.version {
		r.version, r.refs = l.version, packed{}
		r.refs.ref(m.symbols.ref(l.name))
		r.refs.ref(m.symbols.ref(l.value()))
	}
	return r.refs
}

func (m *messageV2) appendMetadata(b []byte, f *metrics.Family) []byte {
	var p packed
	if kind := writev2.FromMetadataType(model.MetricType(f.Type)); kind != writev2.Metadata_METRIC_TYPE_UNSPECIFIED {
		p.push(keyType)
		p.push(byte(kind))
	}
	m.help = append(m.help[:0], f.Help...)
	if ref := m.symbols.ref(m.help); ref != 0 {
		p.push(keyHelpRef)
		p.ref(ref)
	}
	if p.n == 0 {
		return b
	}
	return p.appendTo(append(b, keyMetadata, byte(p.n)))
}

// splitV2 decodes the message and encodes each half with the symbols that it needs.
// That is slow, and rare: a receiver has to accept less than MaxBytes.
func splitV2(raw []byte, n int) (left, right []byte, err error) {
	req, err := decodeV2(raw)
	if err != nil {
		return nil, nil, err
	}
	if len(req.Timeseries) != n {
		return nil, nil, fmt.Errorf("%d series in a message of %d", len(req.Timeseries), n)
	}
	if left, err = encodePart(req, 0, n/2); err != nil {
		return nil, nil, err
	}
	right, err = encodePart(req, n/2, n)
	return left, right, err
}

// encodePart encodes the series from one place to another. They then refer to the
// part's own symbols, and no longer to those of req.
func encodePart(req *writev2.Request, from, to int) ([]byte, error) {
	table := writev2.NewSymbolTable()
	part := writev2.Request{Timeseries: req.Timeseries[from:to]}
	for i := range part.Timeseries {
		ts := &part.Timeseries[i]
		for k, ref := range ts.LabelsRefs {
			ts.LabelsRefs[k] = table.Symbolize(req.Symbols[ref])
		}
		ts.Metadata.HelpRef = table.Symbolize(req.Symbols[ts.Metadata.HelpRef])
		ts.Metadata.UnitRef = table.Symbolize(req.Symbols[ts.Metadata.UnitRef])
	}
	part.Symbols = table.Symbols()
	raw, err := part.OptimizedMarshal(nil)
	if err != nil {
		return nil, fmt.Errorf("encoding a part of a message: %w", err)
	}
	return raw, nil
}

// Downgrade converts an encoded 2.0 message to 1.0, for a receiver that does not
// accept 2.0. It yields one message or more and the number of series in each: the
// same samples in the same order. A message is valid until the next one is
// yielded.
//
// No message exceeds limit bytes or maxSeries series (0: any number), except that a
// series which alone exceeds limit has a message of its own: without a symbol table
// it is larger than it was. Metadata is left out, since 1.0 has it apart from the
// series.
func Downgrade(raw []byte, limit, maxSeries int) (iter.Seq2[[]byte, int], error) {
	req, err := decodeV2(raw)
	if err != nil {
		return nil, err
	}
	return func(yield func([]byte, int) bool) {
		var (
			m      messageV1
			n      int
			at     int64
			joined Label // all labels of a series, one after the other
			labels = []*Label{&joined}
		)
		for i := range req.Timeseries {
			ts := &req.Timeseries[i]
			joined.encoded = joined.encoded[:0]
			for k := 0; k < len(ts.LabelsRefs); k += 2 {
				joined.encoded = appendLabel(joined.encoded, req.Symbols[ts.LabelsRefs[k]], req.Symbols[ts.LabelsRefs[k+1]])
			}
			for _, sample := range ts.Samples {
				s := metrics.Series{Value: sample.Value}
				// A message has one timestamp, and so has the one it comes from.
				full := n > 0 && (n == maxSeries || sample.Timestamp != at)
				if n > 0 && !full && m.Add(labels, s, limit) {
					n++
					continue
				}
				if n > 0 && !yield(m.Bytes(), n) {
					return
				}
				at = sample.Timestamp
				m.Reset(at)
				if !m.Add(labels, s, limit) {
					m.Add(labels, s, math.MaxInt)
				}
				n = 1
			}
		}
		if n > 0 {
			yield(m.Bytes(), n)
		}
	}, nil
}

// decodeV2 decodes a message whose references are all within its symbols.
func decodeV2(raw []byte) (*writev2.Request, error) {
	req := new(writev2.Request)
	if err := req.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decoding a message: %w", err)
	}
	if len(req.Symbols) == 0 || req.Symbols[0] != "" {
		return nil, errors.New("the first symbol of the message is not empty")
	}
	known := uint32(len(req.Symbols))
	for i := range req.Timeseries {
		ts := &req.Timeseries[i]
		if len(ts.LabelsRefs)%2 != 0 {
			return nil, errors.New("a label of a series has no value")
		}
		if ts.Metadata.HelpRef >= known || ts.Metadata.UnitRef >= known ||
			slices.ContainsFunc(ts.LabelsRefs, func(ref uint32) bool { return ref >= known }) {
			return nil, errors.New("a series refers to a missing symbol")
		}
	}
	return req, nil
}
