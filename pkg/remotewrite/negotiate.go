package remotewrite

import (
	"net/http"
	"sync"
)

// Protocol is a version of Remote-Write, or the order to find out which one the
// receiver takes.
type Protocol string

const (
	// V1 is Remote-Write 1.0, which every receiver but the OpenTelemetry
	// collector's takes: https://prometheus.io/docs/specs/prw/remote_write_spec/.
	V1 Protocol = "1.0"
	// V2 is Remote-Write 2.0, with metadata in each series and an exact count of
	// what was written: https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/.
	V2 Protocol = "2.0"
	// Auto sends the first batch as 2.0, and again as 1.0 if the receiver turns out
	// not to take it. What was found out then goes for the Sender's life.
	Auto Protocol = "auto"
)

// wire returns the encoding of a version: 2.0 of V2, 1.0 else.
func (p Protocol) wire() protocol {
	if p == V2 {
		return v2{}
	}
	return v1{}
}

// negotiation knows which version to speak. The specification offers 2.0 senders
// nothing but to look at how 2.0 is answered.
type negotiation struct {
	auto bool

	mu sync.Mutex
	// spoken is V1, V2, or empty while Auto has not found out.
	spoken Protocol
	// confirmed: an answer has come that only a receiver of 2.0 gives. Until then
	// a 400 may be that of a receiver that took 2.0 for a broken 1.0 message.
	confirmed bool
	// final: 2.0 was answered with 415, so that there is no way back from 1.0.
	final bool
	// told: it has been reported that the receiver does not take 2.0.
	told bool
}

func newNegotiation(p Protocol) *negotiation {
	if p == Auto {
		return &negotiation{auto: true}
	}
	return &negotiation{spoken: p}
}

// now is the version found so far, empty if none.
func (n *negotiation) now() Protocol {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.spoken
}

// next returns the version for the next batch, and whether it has to go alone
// since its answer decides on those after it.
func (n *negotiation) next() (p Protocol, alone bool) {
	if now := n.now(); now != "" {
		return now, false
	}
	return V2, true
}

// assume takes over what was found out earlier. It is the same as having found it
// out, except that a 400 without any Written header may still prove it wrong.
func (n *negotiation) assume(p Protocol) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.auto && n.spoken == "" && (p == V1 || p == V2) {
		n.spoken = p
	}
}

// outdated reports whether a message of version p is one that the receiver was
// found not to take after it had been encoded.
func (n *negotiation) outdated(p Protocol) bool {
	return n.auto && p == V2 && n.now() == V1
}

// heard takes note of what an answer to a message of version p says about the
// receiver. It reports whether that message has to be sent again as 1.0, and
// whether this is the first time in the Sender's life.
//
// 2.0 has senders treat a 2xx without any Written header as a 415, and expect a
// 400 instead of 415 from a 1.x receiver. A receiver that takes 2.0 answers 400
// too, for invalid samples, but says then how many it has written: the headers
// are required "with success or failure". So a 400 decides for 1.0 only without
// them, and only while no other answer had them.
//
// 429, 5xx and what a gateway answers (401, 403, 404 …) decide nothing.
func (n *negotiation) heard(p Protocol, a *answer) (fallBack, first bool) {
	if !n.auto {
		return false, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if p == V1 {
		// The receiver is one that takes 2.0 alone, so the 400 was not about the
		// version, or what was assumed no longer holds. The next batch tells.
		if a.status == http.StatusUnsupportedMediaType && n.spoken == V1 && !n.final {
			n.spoken, n.confirmed = "", false
		}
		return false, false
	}
	unsupported := a.status == http.StatusUnsupportedMediaType
	switch {
	case judge(a.status) == again:
		return false, false
	case unsupported,
		!a.written.said && judge(a.status) == accepted,
		!a.written.said && a.status == http.StatusBadRequest && !n.confirmed:
		first = !n.told
		n.told, n.spoken = true, V1
		n.final = n.final || unsupported
		return true, first
	case a.written.said:
		n.confirmed = true
		if n.spoken == "" {
			n.spoken = V2
		}
	}
	return false, false
}
