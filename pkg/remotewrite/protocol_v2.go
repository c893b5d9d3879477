package remotewrite

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// v2 is Remote-Write 2.0, https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/.
//
// The body is an io.prometheus.write.v2.Request. Its fields used here, as in
// https://github.com/prometheus/prometheus/blob/main/prompb/io/prometheus/write/v2/types.proto:
//
//	Request.symbols    = 4   TimeSeries.labels_refs = 1 (packed)   Sample.value     = 1 (double)   Metadata.type     = 1 (enum)
//	Request.timeseries = 5   TimeSeries.samples     = 2            Sample.timestamp = 2 (int64)    Metadata.help_ref = 3 (uint32)
//	                         TimeSeries.metadata    = 5
//
// Texts are in the symbol table once a message, and series refer to them. The
// families of this project have no unit in the sense of OpenMetrics, so unit_ref
// is left out, which is a reference to the empty text.
type v2 struct{}

func (v2) contentType() string { return "application/x-protobuf;proto=io.prometheus.write.v2.Request" }
func (v2) version() string     { return "2.0.0" }
func (v2) newMessage() message { return new(messageV2) }

// The keys of the fields above, where they are not those of 1.0.
const (
	keySeriesV2   = 5<<3 | wireBytes
	keyLabelsRefs = 1<<3 | wireBytes
	keyMetadata   = 5<<3 | wireBytes
	keyType       = 1<<3 | wireVarint
	keyHelpRef    = 3<<3 | wireVarint
)

// messageV2 keeps the symbols and the series apart until the message is whole: a
// receiver that resolves references while it reads wants the symbols first.
type messageV2 struct {
	symbols symbols
	series  []byte
	stamp   []byte // as in messageV1
	refs    memo[familyRefs, labelRefs]
}

// packed is an encoded part of a series, of at most eight bytes: the first n of
// bits, the lowest first.
type packed struct {
	bits uint64
	n    int
}

func (p *packed) push(b byte) {
	p.bits |= uint64(b) << (8 * p.n)
	p.n++
}

// ref appends a reference as a varint, of at most four bytes.
func (p *packed) ref(ref uint32) {
	for ref >= 1<<7 {
		p.push(byte(ref) | 0x80)
		ref >>= 7
	}
	p.push(byte(ref))
}

func (p *packed) appendTo(b []byte) []byte {
	// All eight bytes are written at once, and those beyond n left out again.
	return binary.LittleEndian.AppendUint64(b, p.bits)[:len(b)+p.n]
}

// maxSymbols is what keeps a reference within four bytes.
const maxSymbols = 1 << 28

// familyRefs is what the series of a family have in common: its metadata, and the
// references of the label __name__. Neither is known while its n is 0.
type familyRefs struct{ metadata, name packed }

// labelRefs are the references of a label. That of its name is 0 at first.
type labelRefs struct {
	name  uint32
	label packed
}

func (m *messageV2) reset(at int64) {
	m.symbols.reset()
	m.series = m.series[:0]
	m.stamp = appendStamp(m.stamp[:0], at)
	m.refs.forget()
}

// bytes puts the series after the symbols, in the memory of these: one copy a
// message.
func (m *messageV2) bytes() []byte {
	n := len(m.symbols.buf)
	m.symbols.buf = append(m.symbols.buf, m.series...)
	whole := m.symbols.buf
	m.symbols.buf = whole[:n]
	return whole
}

func (m *messageV2) add(labels []metrics.Label, s metrics.Series, limit int) bool {
	t := &m.symbols
	if len(t.texts)+2*len(labels)+1 > maxSymbols {
		return false
	}
	t.reserve(2*len(labels) + 1)
	texts, size, before := len(t.texts), len(t.buf), len(m.series)

	// Both lengths are nearly always below 128, and take one byte.
	b := m.series
	if cap(b)-before < room {
		b = withRoom(b, limit)
	}
	b = append(b, keySeriesV2, 0, keyLabelsRefs, 0)
	start := len(b)
	var metadata packed
	var l *layout[familyRefs]
	if sameLabels(labels, s.Labels) {
		l = m.refs.of(&s)
	}
	if l != nil {
		b = m.appendRefs(b, l, &s)
		if l.made.metadata.n == 0 {
			l.made.metadata = m.describe(s.Family)
		}
		metadata = l.made.metadata
	} else {
		for i := range labels {
			p := pack(t.ref(labels[i].Name), t.ref(labels[i].Value))
			b = p.appendTo(b)
		}
		if s.Family != nil {
			metadata = m.describe(s.Family)
		}
	}
	b = closeRecord(b, start-1, start)
	b = appendSample(b, s.Value, m.stamp)
	if metadata.n > 0 {
		b = append(b, keyMetadata, byte(metadata.n))
		b = metadata.appendTo(b)
	}
	b = closeRecord(b, start-3, start-2)
	if len(t.buf)+len(b) > limit {
		t.undo(texts, size)
		m.series = b[:before]
		m.refs.forget()
		return false
	}
	m.series = b
	return true
}

// appendRefs appends the references of a series' labels.
func (m *messageV2) appendRefs(b []byte, l *layout[familyRefs], s *metrics.Series) []byte {
	labels, columns := s.Labels, m.refs.columns
	for i, k := range l.columns {
		c, label := &columns[k], &labels[i]
		p := &c.made.label
		if !c.has(s.Subject, label.Value) {
			if same(label.Value, s.Family.Name) && label.Name == nameLabel {
				p = &l.made.name
			} else {
				c.subject, c.value, p.n = s.Subject, label.Value, 0
			}
			if p.n == 0 {
				if c.made.name == 0 {
					c.made.name = m.symbols.ref(label.Name)
				}
				*p = pack(c.made.name, m.symbols.ref(label.Value))
			}
		}
		b = p.appendTo(b)
	}
	return b
}

// pack encodes the two references of a label.
func pack(name, value uint32) (p packed) {
	p.ref(name)
	p.ref(value)
	return p
}

// describe encodes the metadata of a family.
func (m *messageV2) describe(f *metrics.Family) (p packed) {
	if kind := metricType(f.Type); kind != writev2.Metadata_METRIC_TYPE_UNSPECIFIED {
		p.push(keyType)
		p.push(byte(kind))
	}
	if help := m.symbols.ref(f.Help); help != 0 {
		p.push(keyHelpRef)
		p.ref(help)
	}
	return p
}

// metricType is the enumeration's value for the exposition format's word.
func metricType(word string) writev2.Metadata_MetricType {
	switch word {
	case "gauge":
		return writev2.Metadata_METRIC_TYPE_GAUGE
	case "counter":
		return writev2.Metadata_METRIC_TYPE_COUNTER
	case "histogram":
		return writev2.Metadata_METRIC_TYPE_HISTOGRAM
	case "gaugehistogram":
		return writev2.Metadata_METRIC_TYPE_GAUGEHISTOGRAM
	case "summary":
		return writev2.Metadata_METRIC_TYPE_SUMMARY
	case "info":
		return writev2.Metadata_METRIC_TYPE_INFO
	case "stateset":
		return writev2.Metadata_METRIC_TYPE_STATESET
	}
	return writev2.Metadata_METRIC_TYPE_UNSPECIFIED
}

// split decodes the message and encodes each half with the symbols that it needs.
// That is slow, and rare: a receiver takes less than MaxBytes.
func (v2) split(raw []byte, n int) (left, right []byte, err error) {
	req, err := decodeV2(raw)
	if err != nil {
		return nil, nil, err
	}
	if len(req.Timeseries) != n {
		return nil, nil, fmt.Errorf("%d series in a message of %d", len(req.Timeseries), n)
	}
	if left, err = part(req, 0, n/2); err != nil {
		return nil, nil, err
	}
	right, err = part(req, n/2, n)
	return left, right, err
}

// part encodes the series from one place to another. They then refer to the
// part's own symbols, and no longer to those of req.
func part(req *writev2.Request, from, to int) ([]byte, error) {
	table := writev2.NewSymbolTable()
	half := writev2.Request{Timeseries: req.Timeseries[from:to]}
	for i := range half.Timeseries {
		ts := &half.Timeseries[i]
		for k, ref := range ts.LabelsRefs {
			ts.LabelsRefs[k] = table.Symbolize(req.Symbols[ref])
		}
		ts.Metadata.HelpRef = table.Symbolize(req.Symbols[ts.Metadata.HelpRef])
		ts.Metadata.UnitRef = table.Symbolize(req.Symbols[ts.Metadata.UnitRef])
	}
	half.Symbols = table.Symbols()
	raw, err := half.OptimizedMarshal(nil)
	if err != nil {
		return nil, fmt.Errorf("encoding a part of a message: %w", err)
	}
	return raw, nil
}

// decodeV2 decodes a message whose references are all within its symbols.
func decodeV2(raw []byte) (*writev2.Request, error) {
	req := new(writev2.Request)
	if err := req.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decoding a message: %w", err)
	}
	if len(req.Symbols) == 0 || req.Symbols[0] != "" {
		return nil, errors.New("a message whose first symbol is not empty")
	}
	known := uint32(len(req.Symbols))
	for i := range req.Timeseries {
		ts := &req.Timeseries[i]
		if len(ts.LabelsRefs)%2 != 0 {
			return nil, errors.New("a series with a label that has no value")
		}
		if ts.Metadata.HelpRef >= known || ts.Metadata.UnitRef >= known ||
			slices.ContainsFunc(ts.LabelsRefs, func(ref uint32) bool { return ref >= known }) {
			return nil, errors.New("a series that refers to a symbol that is not there")
		}
	}
	return req, nil
}
