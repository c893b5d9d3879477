package remotewrite

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"

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
}

func (m *messageV1) bytes() []byte { return m.buf }

func (m *messageV1) reset(at int64) {
	m.buf = m.buf[:0]
	m.stamp = appendStamp(m.stamp[:0], at)
}

// appendStamp appends the field Sample.timestamp, which both versions have alike.
func appendStamp(b []byte, at int64) []byte {
	if at == 0 {
		return b
	}
	return binary.AppendUvarint(append(b, keyTimestamp), uint64(at))
}

func (m *messageV1) add(labels []metrics.Label, s metrics.Series, limit int) bool {
	value := s.Value
	size := 0
	for i := range labels {
		n := labelSize(labels[i])
		size += 1 + uvarintSize(n) + n
	}
	sample := len(m.stamp)
	if value != 0 { // also true of NaN, the staleness marker included
		sample += 1 + 8
	}
	size += 1 + 1 + sample
	record := 1 + uvarintSize(size) + size
	if len(m.buf)+record > limit {
		return false
	}

	b := slices.Grow(m.buf, record)
	b = appendLength(append(b, keySeries), size)
	for i := range labels {
		l := &labels[i]
		b = appendLength(append(b, keyLabel), labelSize(*l))
		b = appendLength(append(b, keyName), len(l.Name))
		b = append(b, l.Name...)
		b = appendLength(append(b, keyLabelVal), len(l.Value))
		b = append(b, l.Value...)
	}
	b = append(b, keySample, byte(sample))
	if value != 0 {
		b = append(b, keySampleVal)
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(value))
	}
	b = append(b, m.stamp...)
	m.buf = b
	return true
}

// labelSize is the size of a Label message. Name and value are not empty.
func labelSize(l metrics.Label) int {
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
