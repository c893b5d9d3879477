// Package wire encodes series as Remote-Write messages, 1.0 and 2.0: labels are
// validated, series appended to a message, and an encoded message is split or
// converted from 2.0 to 1.0. It does not compress, and knows nothing of HTTP,
// retries or accounting.
package wire

import "github.com/aws-exporters/ecr-remote-write/pkg/metrics"

// Protocol is a version of Remote-Write.
type Protocol string

const (
	// V1 is Remote-Write 1.0, which every receiver but the OpenTelemetry
	// collector's accepts: https://prometheus.io/docs/specs/prw/remote_write_spec/.
	V1 Protocol = "1.0"
	// V2 is Remote-Write 2.0, with metadata in each series and an exact count of
	// written samples: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/.
	V2 Protocol = "2.0"
)

// ContentType is the value of the header Content-Type.
func (p Protocol) ContentType() string {
	if p == V2 {
		return "application/x-protobuf;proto=io.prometheus.write.v2.Request"
	}
	return "application/x-protobuf"
}

// Version is the value of the header X-Prometheus-Remote-Write-Version.
func (p Protocol) Version() string {
	if p == V2 {
		return "2.0.0"
	}
	return "0.1.0"
}

// Message is the uncompressed body of one request. It keeps its memory when it is
// reset.
type Message interface {
	// Reset empties the message. All samples added later have the timestamp at, in
	// milliseconds since 1970.
	Reset(at int64)
	// Add appends a series with the labels that Validator.Check returned for it. If
	// the message would exceed limit bytes, Add leaves it unchanged and returns false.
	Add(labels []*Label, s metrics.Series, limit int) bool
	// Bytes is the encoded message, valid until the next Add or Reset.
	Bytes() []byte
}

// NewMessage returns a message of the version. Reset it before the first Add.
func NewMessage(p Protocol) Message {
	if p == V2 {
		return new(messageV2)
	}
	return new(messageV1)
}

// Split cuts an encoded message of n series, n at least 2, into two messages with
// the first n/2 series and the rest. Their memory may be part of raw.
func Split(p Protocol, raw []byte, n int) (left, right []byte, err error) {
	if p == V2 {
		return splitV2(raw, n)
	}
	return splitV1(raw, n)
}
