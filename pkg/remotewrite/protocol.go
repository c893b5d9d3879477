package remotewrite

import "github.com/aws-exporters/ecr-remote-write/pkg/metrics"

// protocol is one version of the wire format. Compression is not part of it:
// both versions use snappy's block format.
type protocol interface {
	// contentType and version are the values of Content-Type and of
	// X-Prometheus-Remote-Write-Version.
	contentType() string
	version() string
	// newMessage returns an empty message.
	newMessage() message
	// split cuts an encoded message of n series, n at least 2, into two messages
	// that together hold the same series in the same order, the first n/2 of them.
	// They may share memory with it.
	split(raw []byte, n int) (left, right []byte, err error)
}

// message is the request body that a batch is built in, before compression.
// Its memory is kept from one use to the next.
type message interface {
	// reset empties the message. All samples that follow have the timestamp at,
	// in milliseconds since 1970.
	reset(at int64)
	// add appends a series, unless the message would then be larger than limit:
	// then it is left as it was and add returns false. The labels have been
	// checked and stand for those of s, of which they may lack empty ones.
	add(labels []metrics.Label, s metrics.Series, limit int) bool
	// bytes is the encoded message. It is valid until the next call of add or
	// reset.
	bytes() []byte
}
