package remotewrite

import (
	"time"
)

// Report says what became of every series of one push. It always holds that
//
//	Series == Accepted + sum(Dropped) + Refused + NotSent
type Report struct {
	// Series is the number of series that the iterator yielded.
	Series int
	// Accepted is the number that the receiver answered with 2xx.
	Accepted int
	// Dropped counts, by reason, the series that were not sent because a
	// receiver would refuse or skip them. It is nil when there are none.
	Dropped map[Reason]int
	// Refused is the number whose last HTTP answer was an error: a final one, or
	// one that was retried until the deadline.
	Refused int
	// NotSent is the number that no HTTP answer came for: the network failed until
	// the deadline, or the deadline came before their first attempt.
	NotSent int

	// Batches is the number of batches that were built. A batch that a receiver
	// found too large (413) is counted once, whatever its parts.
	Batches int
	// Splits is the number of times that a 413 had a batch split in two.
	Splits int
	// Retries is the number of attempts beyond the first of each request body.
	Retries int
	// BytesRaw and BytesCompressed are the sizes of the batches before and after
	// compression, each batch counted once. A batch that was never compressed,
	// since the deadline came first, is in neither.
	BytesRaw, BytesCompressed int64
	// Duration is the time that Push took.
	Duration time.Duration
}

// DroppedTotal is the number of series dropped before sending, for any reason.
func (r Report) DroppedTotal() int {
	n := 0
	for _, c := range r.Dropped {
		n += c
	}
	return n
}

// Lost is the number of series that the receiver is not known to have: dropped,
// refused or not sent.
func (r Report) Lost() int { return r.DroppedTotal() + r.Refused + r.NotSent }

// Reason is why a series was dropped before sending. It is a label value of the
// exporter's own metrics, so the words are fixed.
type Reason string

// The reasons. The rules are those of the Remote-Write 1.0 specification
// (https://prometheus.io/docs/specs/prw/remote_write_spec/#labels), the lengths
// the defaults of Cortex, on which AMP is built.
const (
	// NoMetricName: the label __name__ is missing or empty.
	NoMetricName Reason = "no_metric_name"
	// InvalidMetricName: __name__ does not match [a-zA-Z_:][a-zA-Z0-9_:]*.
	InvalidMetricName Reason = "invalid_metric_name"
	// InvalidLabelName: a name does not match [a-zA-Z_][a-zA-Z0-9_]*.
	InvalidLabelName Reason = "invalid_label_name"
	// DuplicateLabel: a label name occurs twice.
	DuplicateLabel Reason = "duplicate_label_name"
	// LabelNameTooLong: a name is longer than 1024 bytes.
	LabelNameTooLong Reason = "label_name_too_long"
	// LabelValueTooLong: a value is longer than 2048 bytes.
	LabelValueTooLong Reason = "label_value_too_long"
	// InvalidUTF8: a value is not UTF-8, as protobuf demands of a string.
	InvalidUTF8 Reason = "label_value_not_utf8"
	// SeriesTooLarge: the series alone is larger than a batch may be.
	SeriesTooLarge Reason = "series_too_large"
)
