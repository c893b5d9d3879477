package remotewrite

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
	"unsafe"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// v1 is Remote-Write 1.0, https://prometheus.io/docs/specs/prw/remote_write_spec/.
//
// The body is a prometheus.WriteRequest. Its fields used here, as in
// https://github.com/prometheus/prometheus/blob/main/prompb/types.proto:
//
//	WriteRequest.timeseries = 1   TimeSeries.labels  = 1   Label.name  = 1   Sample.value     = 1 (double)
//	                              TimeSeries.samples = 2   Label.value = 2   Sample.timestamp = 2 (int64)
//
// A series is appended to the batch as it comes. Building a prompb.WriteRequest
// first would cost a dozen allocations a series and hold everything twice. The
// bytes are the same, which tests check.
type v1 struct{}

func (v1) contentType() string { return "application/x-protobuf" }
func (v1) version() string     { return "0.1.0" }
func (v1) newMessage() message { return new(messageV1) }

// The wire types of protobuf that occur here, and the keys of the fields above:
// field number << 3 | wire type.
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2

	keySeries    = 1<<3 | wireBytes
	keyLabel     = 1<<3 | wireBytes
	keySample    = 2<<3 | wireBytes
	keyName      = 1<<3 | wireBytes
	keyLabelVal  = 2<<3 | wireBytes
	keySampleVal = 1<<3 | wireFixed64
	keyTimestamp = 2<<3 | wireVarint
)

type messageV1 struct {
	buf []byte
	// stamp is the encoded timestamp field that ends every sample, empty for 0:
	// proto3 leaves out a field with its zero value.
	stamp []byte
	// encoded says where in buf the labels of the present subject are, and of each
	// family the label __name__.
	encoded memo[extent, extent]
}

// extent is a part of a buffer.
type extent struct{ start, end int }

func (m *messageV1) bytes() []byte { return m.buf }

func (m *messageV1) reset(at int64) {
	m.buf = m.buf[:0]
	m.stamp = appendStamp(m.stamp[:0], at)
	m.encoded.forget()
}

// appendStamp appends the field Sample.timestamp, which both versions have alike.
func appendStamp(b []byte, at int64) []byte {
	if at == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, keyTimestamp), uint64(at))
}

func (m *messageV1) add(labels []metrics.Label, s metrics.Series, limit int) bool {
	b, before := m.buf, len(m.buf)
	if cap(b)-before < room {
		b = withRoom(b, limit)
	}
	// Nearly every series is from 128 bytes to 16 KiB long, so its length takes two.
	b = append(b, keySeries, 0, 0)
	start := len(b)
	if l := m.layout(labels, &s); l != nil {
		b = m.appendLabels(b, l, &s)
	} else {
		for i := range labels {
			b = appendLabel(b, &labels[i])
		}
	}
	b = appendSample(b, s.Value, m.stamp)
	n := len(b)
	if b = closeRecord(b, start-2, start); len(b) != n {
		m.encoded.forget() // the labels have moved
	}
	if len(b) > limit {
		m.encoded.forget()
		m.buf = b[:before]
		return false
	}
	m.buf = b
	return true
}

// room is enough for nearly any series, in bytes.
const room = 16 << 10

// withRoom returns b with room for a further series, if it may become so long. It
// grows in few steps, or what is left behind would be several times what the batches
// hold.
func withRoom(b []byte, limit int) []byte {
	const first = 4 * room
	size := min(max(4*cap(b), first), limit+room)
	if size <= cap(b) {
		return b
	}
	return append(make([]byte, 0, size), b...)
}

// layout returns the layout of the series, or nil if the labels to send are not its
// own, or not to be remembered.
func (m *messageV1) layout(labels []metrics.Label, s *metrics.Series) *layout[extent] {
	if !sameLabels(labels, s.Labels) {
		return nil
	}
	return m.encoded.of(s)
}

// sameLabels reports whether both are the same memory.
func sameLabels(a, b []metrics.Label) bool {
	return len(a) == len(b) && unsafe.SliceData(a) == unsafe.SliceData(b)
}

// appendLabels appends the labels of a series. Those that have been there are copied
// from where they are, as many at a time as lie together.
func (m *messageV1) appendLabels(b []byte, l *layout[extent], s *metrics.Series) []byte {
	var run extent // of what is to be copied
	labels, columns := s.Labels, m.encoded.columns
	for i, k := range l.columns {
		c, label := &columns[k], &labels[i]
		at := &c.made
		if !c.has(s.Subject, label.Value) {
			if same(label.Value, s.Family.Name) && label.Name == nameLabel {
				at = &l.made
			} else {
				c.subject, c.value, c.made = s.Subject, label.Value, extent{}
			}
		}
		if at.start == run.end && at.end > 0 {
			run.end = at.end
			continue
		}
		b = append(b, b[run.start:run.end]...)
		if run = *at; at.end == 0 { // has not been there
			start := len(b)
			b = appendLabel(b, label)
			*at = extent{start, len(b)}
		}
	}
	return append(b, b[run.start:run.end]...)
}

func appendLabel(b []byte, l *metrics.Label) []byte {
	b = appendLength(append(b, keyLabel), labelSize(l))
	b = appendLength(append(b, keyName), len(l.Name))
	b = append(b, l.Name...)
	b = appendLength(append(b, keyLabelVal), len(l.Value))
	return append(b, l.Value...)
}

// appendSample appends the one sample of a series, which both versions have alike.
func appendSample(b []byte, value float64, stamp []byte) []byte {
	if value == 0 { // not true of NaN, the staleness marker included
		b = append(b, keySample, byte(len(stamp)))
		return append(b, stamp...)
	}
	b = append(b, keySample, byte(1+8+len(stamp)), keySampleVal)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(value))
	return append(b, stamp...)
}

// closeRecord writes the length of the record that goes from start to the end of
// b. Room has been left for it from at to start. Should it take more or less than
// that, the record moves.
func closeRecord(b []byte, at, start int) []byte {
	n := len(b) - start
	switch room := start - at; {
	case room == 1 && n < 1<<7:
		b[at] = byte(n)
		return b
	case room == 2 && n >= 1<<7 && n < 1<<14:
		b[at], b[at+1] = byte(n)|0x80, byte(n>>7)
		return b
	}
	var length [binary.MaxVarintLen64]byte
	return slices.Replace(b, at, start, length[:binary.PutUvarint(length[:], uint64(n))]...)
}

// labelSize is the size of a Label message. Name and value are not empty.
func labelSize(l *metrics.Label) int {
	return 1 + uvarintSize(len(l.Name)) + len(l.Name) + 1 + uvarintSize(len(l.Value)) + len(l.Value)
}

func uvarintSize(n int) int {
	if n < 1<<7 {
		return 1
	}
	return (bits.Len64(uint64(n)) + 6) / 7
}

// appendLength appends the length of what follows. Nearly all are below 128.
func appendLength(b []byte, n int) []byte {
	if n < 1<<7 {
		return append(b, byte(n))
	}
	return binary.AppendUvarint(b, uint64(n))
}

// split walks the top-level records, one a series, to the middle one. The
// halves are parts of raw itself.
func (v1) split(raw []byte, n int) (left, right []byte, err error) {
	at := 0
	for range n / 2 {
		if at >= len(raw) || raw[at] != keySeries {
			return nil, nil, errors.New("no series record where one should start")
		}
		size, k := binary.Uvarint(raw[at+1:])
		if k <= 0 || size > uint64(len(raw)-at-1-k) {
			return nil, nil, errors.New("a series record that does not end within the message")
		}
		at += 1 + k + int(size)
	}
	return raw[:at:at], raw[at:], nil
}
