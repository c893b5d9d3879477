package remotewrite

import (
	"cmp"
	"slices"
	"time"
)

// Report says what became of every series of one push. It always holds that
//
//	Series == Accepted + sum(Dropped) + Refused + Unconfirmed + NotSent
type Report struct {
	// Series is the number of series that the iterator yielded.
	Series int
	// Accepted is the number that the receiver says it has: with 1.0 by a 2xx, with
	// 2.0 by the number of samples written.
	Accepted int
	// Dropped counts, by reason, the series that were not sent because a
	// receiver would refuse or skip them. It is nil when there are none.
	Dropped map[Reason]int
	// Refused is the number that the receiver will never have: those of a redirect,
	// and with 2.0 those that its count of samples written leaves out, and those of
	// a 415 that counts nothing.
	Refused int
	// Unconfirmed is the number that the receiver may have, in part or in whole: with
	// 1.0 those of a batch answered with a final 4xx, of which many receivers store
	// what is valid; with 2.0 those of a 2xx or 4xx that does not say how many were
	// written, or of a 4xx that says all were.
	Unconfirmed int
	// NotSent is the number that is worth sending again: the network failed or the
	// receiver was overloaded until the deadline, or the deadline came before their
	// first attempt.
	NotSent int
	// Unsent are the places of the NotSent series in the iterator, ascending and
	// apart. They may cover a few others that were in the same batches.
	Unsent []Range

	// Protocol is the version spoken at the end of the push, empty if Auto has not
	// found out yet.
	Protocol Protocol
	// Requests is the number of HTTP requests made, all attempts and metadata
	// included. Throttled is the number of 429 among the answers.
	Requests, Throttled int
	// Downgrades is the number of batches, or parts of one, that were encoded as 2.0
	// and then sent as 1.0.
	Downgrades int
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
// refused, unconfirmed or not sent.
func (r Report) Lost() int { return r.DroppedTotal() + r.Refused + r.Unconfirmed + r.NotSent }

// Range are the series from From up to, and not including, To, counted from 0 in
// the order in which the iterator yields them.
type Range struct {
	From, To int
}

// cut returns where the first n of a message's series are, and where the rest of
// them is. Which these are is known only if nothing in the range was dropped, so
// that it holds as many series as the message; else it is the whole range for
// both.
func (r Range) cut(n, of int) (first, rest Range) {
	if r.To-r.From != of {
		return r, r
	}
	return Range{r.From, r.From + n}, Range{r.From + n, r.To}
}

// merge sorts ranges and joins those that overlap or touch.
func merge(all []Range) []Range {
	slices.SortFunc(all, func(a, b Range) int { return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To)) })
	out := all[:0]
	for _, r := range all {
		if last := len(out) - 1; last >= 0 && r.From <= out[last].To {
			out[last].To = max(out[last].To, r.To)
			continue
		}
		out = append(out, r)
	}
	return out
}

// Reason is why a series was dropped before sending. It is a label value of the
// exporter's own metrics, so the words are fixed.
type Reason string

// The reasons. The rules are those of the Remote-Write 1.0 specification
// (https://prometheus.io/docs/specs/prw/remote_write_spec/#labels), which 2.0 has
// too, though it takes more names; the lengths are those of Limits. See also
// DuplicateSeries and TooManyLabels.
const (
	// NoMetricName: the label __name__ is missing or empty.
	NoMetricName Reason = "no_metric_name"
	// InvalidMetricName: __name__ does not match [a-zA-Z_:][a-zA-Z0-9_:]*.
	InvalidMetricName Reason = "invalid_metric_name"
	// InvalidLabelName: a name does not match [a-zA-Z_][a-zA-Z0-9_]*.
	InvalidLabelName Reason = "invalid_label_name"
	// DuplicateLabel: a label name occurs twice.
	DuplicateLabel Reason = "duplicate_label_name"
	// LabelNameTooLong: a name is longer than Limits.NameBytes.
	LabelNameTooLong Reason = "label_name_too_long"
	// LabelValueTooLong: a value is longer than Limits.ValueBytes.
	LabelValueTooLong Reason = "label_value_too_long"
	// InvalidUTF8: a value is not UTF-8, as protobuf demands of a string.
	InvalidUTF8 Reason = "label_value_not_utf8"
	// SeriesTooLarge: the series alone is larger than a batch may be.
	SeriesTooLarge Reason = "series_too_large"
)

// Reasons are all of them.
var Reasons = []Reason{
	NoMetricName, InvalidMetricName, InvalidLabelName, DuplicateLabel, LabelNameTooLong,
	LabelValueTooLong, InvalidUTF8, TooManyLabels, SeriesTooLarge, DuplicateSeries,
}
