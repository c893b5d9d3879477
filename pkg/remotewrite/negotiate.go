package remotewrite

import (
	"net/http"
	"sync"
)

// negotiation determines which version to send. All that the specification offers
// a sender for that is the response to a 2.0 message.
type negotiation struct {
	auto bool

	mu sync.Mutex
	// protocol is V1 or V2, or empty while Auto has no result.
	protocol Protocol
	// confirmed: a response has come that only a receiver of 2.0 gives. Until then a
	// 400 may be from a receiver that took 2.0 for a broken 1.0 message.
	confirmed bool
	// final: 2.0 was answered with 415, so that there is no way back from 1.0.
	final bool
}

func newNegotiation(p Protocol) *negotiation {
	if p == Auto {
		return &negotiation{auto: true}
	}
	return &negotiation{protocol: p}
}

// current is the version found so far, empty if none.
func (n *negotiation) current() Protocol {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.protocol
}

// next returns the version for the next batch, and whether that has to be sent alone
// because its response decides the version of those after it.
func (n *negotiation) next() (p Protocol, alone bool) {
	if p := n.current(); p != "" {
		return p, false
	}
	return V2, true
}

// set starts from an earlier result. A 400 without any Written header may still
// disprove it.
func (n *negotiation) set(p Protocol) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.auto && n.protocol == "" && (p == V1 || p == V2) {
		n.protocol = p
	}
}

// outdated reports whether a message of version p was encoded before the receiver
// turned out not to support that version.
func (n *negotiation) outdated(p Protocol) bool {
	return n.auto && p == V2 && n.current() == V1
}

// observe learns from a response to a message of version p. It reports whether that
// message has to be sent again as 1.0, and whether the version has changed to 1.0
// just now.
//
// 2.0 requires to treat a 2xx without any Written header as a 415, and to expect a
// 400 instead of 415 from a 1.x receiver. A receiver of 2.0 answers 400 too, for
// invalid samples, but reports then how many it has written: the headers are
// required "with success or failure". So a 400 means 1.0 only without them, and
// only while no other response had them.
//
// 429, 5xx and the responses of a gateway (401, 403, 404 …) decide nothing.
func (n *negotiation) observe(p Protocol, status int, w written) (fallBack, changed bool) {
	if !n.auto {
		return false, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	unsupported := status == http.StatusUnsupportedMediaType
	if p == V1 {
		// Either the receiver supports only 2.0, and the 400 was not about the version,
		// or an earlier result no longer holds. The next batch decides.
		if unsupported && n.protocol == V1 && !n.final {
			n.protocol, n.confirmed = "", false
		}
		return false, false
	}
	switch {
	case judge(status) == again:
	case unsupported,
		!w.present && judge(status) == accepted,
		!w.present && status == http.StatusBadRequest && !n.confirmed:
		changed = n.protocol != V1
		n.protocol = V1
		n.final = n.final || unsupported
		return true, changed
	case w.present:
		n.confirmed = true
		if n.protocol == "" {
			n.protocol = V2
		}
	}
	return false, false
}
