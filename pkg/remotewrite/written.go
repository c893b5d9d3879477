package remotewrite

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// The headers in which a receiver of 2.0 says what it has written,
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#required-written-response-headers.
const (
	samplesWritten    = "X-Prometheus-Remote-Write-Samples-Written"
	histogramsWritten = "X-Prometheus-Remote-Write-Histograms-Written"
	exemplarsWritten  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

// What can be wrong with an answer to a 2.0 message besides its status.
var (
	errNoWritten  = errors.New("no X-Prometheus-Remote-Write-*-Written header, so the receiver may not take remote write 2.0")
	errMalformed  = errors.New("the header " + samplesWritten + " is not a count")
	errAllWritten = errors.New("the receiver answers with an error and says that it has written all samples")
	errNot20      = errors.New("the receiver does not take remote write 2.0")
)

// written is what an answer's Written headers say.
type written struct {
	// said: at least one of the three is there, as only a receiver of 2.0 has it.
	said bool
	// samples is the number of samples written, 0 if that header is absent.
	samples int64
	// malformed: the header is there and is not a count.
	malformed bool
}

// parseWritten reads the Written headers. Nothing but samples is ever sent, so
// of the other two only the presence matters.
func parseWritten(h http.Header) written {
	w := written{said: len(h.Values(samplesWritten))+len(h.Values(histogramsWritten))+len(h.Values(exemplarsWritten)) > 0}
	for i, value := range h.Values(samplesWritten) {
		n, err := strconv.ParseInt(strings.Trim(value, " \t"), 10, 64)
		if err != nil || n < 0 || i > 0 && n != w.samples {
			return written{said: true, malformed: true}
		}
		w.samples = n
	}
	return w
}

// fate is what became of the series of one message.
type fate struct {
	accepted, refused, unconfirmed, notSent int
	// err is what is wrong with the answer besides its status.
	err error
	// counted: the answer says how many samples it has written.
	counted bool
	// odd is what is strange about an answer that costs no series.
	odd string
}

// lost is the number of series that the receiver is not known to have.
func (f fate) lost() int { return f.refused + f.unconfirmed + f.notSent }

// fateOf is the one place that decides what the last answer to a message of n
// series means for them. Each series has one sample, so that samples written are
// series written.
//
// 1.0: a 2xx is all of them. A receiver may store the valid part of what it
// answers with 4xx, and has no way to say how much: these are unconfirmed.
//
// 2.0: an absent Written header stands for 0 if another is there, as the
// specification permits to assume. It also permits that of a 4xx without any, but
// Thanos has stored a part of what it so answers with 409, and a proxy in between
// knows nothing of it: these are unconfirmed, as with 1.0. So are those of a 4xx
// that claims to have written everything, which Mimir does of every batch. A
// 2xx without any is no answer to a 2.0 message at all: a receiver of 1.0 that
// does not look at the Content-Type decodes it as an empty message. What became
// of the series then is unconfirmed. A receiver must not answer a part with 2xx;
// if it does, the count is believed and not the status. No count is believed
// that is larger than what was sent.
//
// The counts of a 429 or 5xx are left aside in both: the specification has the
// whole message sent again after them, and a receiver that may write a part
// each time would be added up to more than there is. Their series are not sent,
// also when there was no time for the next attempt, and go first in the next
// run.
func fateOf(p Protocol, a *answer, n int) fate {
	verdict := judge(a.status)
	clientError := a.status >= 400 && a.status <= 499
	switch {
	case verdict == again:
		return fate{notSent: n}
	case verdict != accepted && !clientError:
		return fate{refused: n}
	case p != V2 && verdict == accepted:
		return fate{accepted: n}
	case p != V2:
		return fate{unconfirmed: n}
	case a.written.malformed:
		return fate{unconfirmed: n, err: errMalformed}
	case !a.written.said && verdict == accepted:
		return fate{unconfirmed: n, err: errNoWritten}
	case !a.written.said && a.status == http.StatusUnsupportedMediaType:
		return fate{refused: n, err: errNot20}
	case !a.written.said:
		return fate{unconfirmed: n}
	case clientError && a.written.samples >= int64(n):
		return fate{unconfirmed: n, err: errAllWritten}
	}
	f := fate{counted: true}
	f.accepted = int(min(a.written.samples, int64(n)))
	f.refused = n - f.accepted
	if a.written.samples > int64(n) {
		f.odd = "the receiver says that it has written more samples than were sent"
	}
	return f
}
