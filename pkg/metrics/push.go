package metrics

import "time"

// Push counts the series of one push by their result, and the requests that it
// took. It always holds that
//
//	Series == Accepted + DroppedTotal() + Refused + Unconfirmed + NotSent
type Push struct {
	// Series is the number of series to push.
	Series int `json:"series"`
	// Accepted is the number that the receiver confirms: with 1.0 by a 2xx, with 2.0
	// by the number of samples written.
	Accepted int `json:"accepted"`
	// Dropped counts, by reason, the series that were not sent because a receiver
	// would refuse or skip them. It is nil if there are none.
	Dropped map[string]int `json:"dropped,omitempty"`
	// Refused is the number that the receiver will not store: those of a redirect,
	// and with 2.0 those not among the samples written, and those of a 415 without
	// such a count.
	Refused int `json:"refused"`
	// Unconfirmed is the number that the receiver may have stored, in part or in
	// whole: with 1.0 those of a batch answered with a final 4xx, of which many
	// receivers store what is valid; with 2.0 those of a 2xx or 4xx that does not say
	// how many were written, or of a 4xx that says all were.
	Unconfirmed int `json:"unconfirmed"`
	// NotSent is the number that is worth sending again: the network failed or the
	// receiver was overloaded until the deadline, or the deadline came before their
	// first attempt.
	NotSent int `json:"notSent"`

	// Protocol is the remote-write version at the end of the push, "1.0" or "2.0";
	// empty if automatic detection has no result yet.
	Protocol string `json:"protocol,omitempty"`
	// Batches is the number of batches that were built. A batch that was split after
	// a 413 counts once.
	Batches int `json:"batches"`
	// BytesRaw and BytesCompressed are the sizes of the batches before and after
	// compression, each batch counted once. A batch that the deadline left without an
	// attempt is in neither.
	BytesRaw        int64 `json:"bytes"`
	BytesCompressed int64 `json:"bytesCompressed"`
	// Retries is the number of attempts beyond the first of each request body.
	Retries int `json:"retries"`

	// Requests is the number of HTTP requests, retries and metadata included, and
	// Throttled the number of 429 responses to them.
	Requests  int `json:"-"`
	Throttled int `json:"-"`
	// Downgrades is the number of request bodies that were encoded as 2.0 and then
	// sent as 1.0.
	Downgrades int `json:"-"`
	// Splits is the number of times that a request body was split in two after a 413.
	Splits int `json:"-"`
	// Duration is the time that the push took.
	Duration time.Duration `json:"-"`
}

// DroppedTotal is the number of series dropped before sending, for any reason.
func (p Push) DroppedTotal() int {
	total := 0
	for _, n := range p.Dropped {
		total += n
	}
	return total
}
