package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/prometheus/prometheus/prompb"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// The wire types of protobuf used here, and the keys (field number << 3 | wire
// type) of the fields of prometheus.WriteRequest, as in
// https://github.com/prometheus/prometheus/blob/main/prompb/types.proto:
//
//	WriteRequest.timeseries = 1   TimeSeries.labels  = 1   Label.name  = 1   Sample.value     = 1 (double)
//	                              TimeSeries.samples = 2   Label.value = 2   Sample.timestamp = 2 (int64)
const (
	wireVarint  = 0
	wireFixed64 = 1
	wireBytes   = 2

	keySeries     = 1<<3 | wireBytes
	keyLabel      = 1<<3 | wireBytes
	keySample     = 2<<3 | wireBytes
	keyName       = 1<<3 | wireBytes
	keyLabelValue = 2<<3 | wireBytes
	keySampleVal  = 1<<3 | wireFixed64
	keyTimestamp  = 2<<3 | wireVarint
)

// messageV1 is a prometheus.WriteRequest to which series are appended one by one.
// Building a prompb.WriteRequest first would cost a dozen allocations a series and
// hold everything twice. The bytes are the same, which tests check.
type messageV1 struct {
	buf []byte
	// stamp is the encoded timestamp field that ends every sample, empty for 0:
	// proto3 omits a field with its zero value.
	stamp []byte
}

// Bytes implements Message.
func (m *messageV1) Bytes() []byte { return m.buf }

// Reset implements Message.
func (m *messageV1) Reset(at int64) {
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

// Add implements Message.
func (m *messageV1) Add(labels []*Label, s metrics.Series, limit int) bool {
	b, before := withRoom(m.buf, limit), len(m.buf)
	// The length of nearly every series, 128 bytes to 16 KiB, takes two bytes.
	b = append(b, keySeries, 0, 0)
	start := len(b)
	for _, l := range labels {
		b = append(b, l.encoded...)
	}
	b = appendSample(b, s.Value, m.stamp)
	b = closeRecord(b, start-2, start)
	if len(b) > limit {
		m.buf = b[:before]
		return false
	}
	m.buf = b
	return true
}

// withRoom returns b with room for a further series. It grows in few steps, since
// what it leaves behind would soon exceed what the batches hold.
func withRoom(b []byte, limit int) []byte {
	const room = 16 << 10 // enough for nearly any series
	if cap(b)-len(b) >= room {
		return b
	}
	size := min(max(4*cap(b), 4*room), limit+room)
	if size <= cap(b) {
		return b
	}
	return append(make([]byte, 0, size), b...)
}

func appendLabel(b []byte, name, value string) []byte {
	b = append(b, keyLabel, 0)
	start := len(b)
	b = binary.AppendUvarint(append(b, keyName), uint64(len(name)))
	b = append(b, name...)
	b = binary.AppendUvarint(append(b, keyLabelValue), uint64(len(value)))
	b = append(b, value...)
	return closeRecord(b, start-1, start)
}

// appendSample appends the one sample of a series, which both versions have alike.
func appendSample(b []byte, value float64, stamp []byte) []byte {
	if value == 0 { // not true of NaN, and so not of the staleness marker
		b = append(b, keySample, byte(len(stamp)))
		return append(b, stamp...)
	}
	b = append(b, keySample, byte(1+8+len(stamp)), keySampleVal)
	b = binary.LittleEndian.AppendUint64(b, math.Float64bits(value))
	return append(b, stamp...)
}

// closeRecord writes the length of the record from start to the end of b into the
// room left for it from at to start. The record moves if the length needs more or
// fewer bytes.
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

// splitV1 walks the top-level records, one a series, to the middle one. Both
// halves are parts of raw.
func splitV1(raw []byte, n int) (left, right []byte, err error) {
	at := 0
	for range n / 2 {
		if at >= len(raw) || raw[at] != keySeries {
			return nil, nil, errors.New("no series record where one should start")
		}
		size, k := binary.Uvarint(raw[at+1:])
		if k <= 0 || size > uint64(len(raw)-at-1-k) {
			return nil, nil, errors.New("a series record does not end within the message")
		}
		at += 1 + k + int(size)
	}
	return raw[:at:at], raw[at:], nil
}

// EncodeMetadata returns a message of 1.0 with the HELP and TYPE of the families and
// no series. It is one request an hour, so prompb does it.
func EncodeMetadata(families []*metrics.Family) ([]byte, error) {
	var req prompb.WriteRequest
	for _, f := range families {
		req.Metadata = append(req.Metadata, prompb.MetricMetadata{
			// An unknown type is 0, UNKNOWN.
			Type:             prompb.MetricMetadata_MetricType(prompb.MetricMetadata_MetricType_value[strings.ToUpper(f.Type)]),
			MetricFamilyName: f.Name,
			Help:             f.Help,
		})
	}
	raw, err := req.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encoding metadata: %w", err)
	}
	return raw, nil
}
