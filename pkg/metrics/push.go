package metrics

import "time"

// Push counts the series of one push by their result, and the requests that it
// took. It always holds that
//
//	Series == Accepted + DroppedTotal() + Refused + Unconfirmed + NotSent
type Push struct {
	// Series is the number of series to push, staleness markers included.
	Series int `json:"series"`
	// Accepted is the number that the receiver confirms: with 1.0 by a 2xx, with 2.0
	// by the number of samples written.
	Accepted int `json:"accepted"`
	// Dropped counts, by reason, the series that were not sent because a receiver
	// would refuse or skip them. It is nil if there are none.
	Dropped map[string]int `json:"dropped,omitempty"`
	// Refused is the number that the receiver has not stored: those of a redirect, 401,
	// 403, 413 or 415, and with 2.0 those not among the samples written. After an attempt
	// without a final response they are unconfirmed: it may have stored them then.
	Refused int `json:"refused"`
	// Unconfirmed is the number that the receiver may have stored, in part or in
	// whole: those of a request that went out and had no response, or a 429 or 5xx,
	// until the deadline; with 1.0 those of another final 4xx, of which many receivers
	// store what is valid; with 2.0 those of a 2xx or 4xx that does not say how many were
	// written, or of a 4xx that says all were.
	Unconfirmed int `json:"unconfirmed"`
	// NotSent is the number of which nothing was ever written to a connection: there
	// was none, or the deadline came before the first attempt.
	NotSent int `json:"notSent"`
	// Markers counts the staleness markers among these series.
	Markers Markers `json:"markers,omitzero"`

	// Protocol is the remote-write version at the end of the push, "1.0" or "2.0";
	// empty if automatic detection has no result yet.
	Protocol string `json:"protocol,omitempty"`
	// Batches is the number of batches that were built. A batch that was split counts
	// once.
	Batches int `json:"batches"`
	// BytesRaw and BytesCompressed are the sizes of the request bodies that were sent,
	// before and after compression: each body once, however often it was tried. A
	// batch that was also sent in parts, or as 1.0 after 2.0, is several bodies.
	// Metadata is not included.
	BytesRaw        int64 `json:"bytes"`
	BytesCompressed int64 `json:"bytesCompressed"`
	// Retries is the number of attempts beyond the first of each request body.
	Retries int `json:"retries"`
	// RateExceeded is set if batches were sent faster than the push was told to, because it would
	// not have been in time.
	RateExceeded bool `json:"rateExceeded,omitempty"`

	// Requests is the number of HTTP requests, retries and metadata included, and
	// Throttled the number of 429 responses to them.
	Requests  int `json:"-"`
	Throttled int `json:"-"`
	// Downgrades is the number of request bodies that were encoded as 2.0 and then
	// sent as 1.0.
	Downgrades int `json:"-"`
	// Splits is the number of times that a request body was split in two, after a 413
	// or repeated 429.
	Splits int `json:"-"`
	// MayBeStored: the receiver may have stored a part of the push, so it has to be sent
	// markers when these series end. It is set if any series is accepted or unconfirmed,
	// or refused for its content: Cortex reports 0 samples written for a batch of 2.0 of
	// which it has stored what its limits allow.
	MayBeStored bool `json:"-"`
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

// Markers counts the staleness markers of one push, each as in Push. It always holds
// that
//
//	Series == Accepted + Dropped + Refused + Unconfirmed + NotSent
type Markers struct {
	Series      int `json:"series"`
	Accepted    int `json:"accepted"`
	Dropped     int `json:"dropped"`
	Refused     int `json:"refused"`
	Unconfirmed int `json:"unconfirmed"`
	NotSent     int `json:"notSent"`
	// Due is the number to send again: unconfirmed, not sent, or refused together with
	// their request (by a redirect, 401, 403 or 415), which says nothing about them.
	Due int `json:"due"`
}
