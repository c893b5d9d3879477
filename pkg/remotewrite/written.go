package remotewrite

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
)

// The headers in which a receiver of 2.0 reports what it has written,
// https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#required-written-response-headers.
const (
	samplesWritten    = "X-Prometheus-Remote-Write-Samples-Written"
	histogramsWritten = "X-Prometheus-Remote-Write-Histograms-Written"
	exemplarsWritten  = "X-Prometheus-Remote-Write-Exemplars-Written"
)

// What can be wrong with a response to a 2.0 message besides its status.
var (
	errNoWritten  = errors.New("no X-Prometheus-Remote-Write-*-Written header, so the receiver may not support remote write 2.0")
	errMalformed  = errors.New("the header " + samplesWritten + " is not a count")
	errAllWritten = errors.New("the receiver responds with an error and reports all samples as written")
	errNot20      = errors.New("the receiver does not support remote write 2.0")
)

// written is the content of a response's Written headers.
type written struct {
	// present: at least one of the three is there, which only a receiver of 2.0 sets.
	present bool
	// samples is the number of samples written, 0 if that header is absent.
	samples int64
	// malformed: the header is there and is not a count.
	malformed bool
}

// parseWritten reads the Written headers. Only samples are ever sent, so of the
// other two only the presence matters.
func parseWritten(h http.Header) written {
	w := written{present: len(h.Values(samplesWritten))+len(h.Values(histogramsWritten))+len(h.Values(exemplarsWritten)) > 0}
	for i, value := range h.Values(samplesWritten) {
		n, err := strconv.ParseInt(strings.Trim(value, " \t"), 10, 64)
		if err != nil || n < 0 || i > 0 && n != w.samples {
			return written{present: true, malformed: true}
		}
		w.samples = n
	}
	return w
}

// result is what became of the series of one request body.
type result struct {
	accepted, refused, unconfirmed, notSent int
	// err is what is wrong with the response besides its status.
	err error
	// counted: the response reports how many samples were written; overcounted: more
	// than were sent.
	counted, overcounted bool
	// unread: the response is about the request, and says nothing about its series.
	unread bool
	// unanswered: there was no final response.
	unanswered bool
}

// lost is the number of series that the receiver is not known to have.
func (r result) lost() int { return r.refused + r.unconfirmed + r.notSent }

// unanswered is the result of n series without a final response.
func unanswered(n int, inDoubt bool) result {
	if inDoubt {
		return result{unconfirmed: n, unanswered: true}
	}
	return result{notSent: n, unanswered: true}
}

// resultOf is the one place that decides what the last response to a message of n
// series means for them. Each series has one sample, so samples written are series
// written.
//
// A redirect, 401, 403, 413 and 415 refuse the request as a whole: nothing of it is
// stored. Without a final response (429, 5xx until the deadline) all is unconfirmed: AMP
// answers 429 at its series limit, and a gateway 504 for what it has passed on.
//
// 1.0: a 2xx is all of them. Of what it answers with another 4xx a receiver may have
// stored a part, and cannot report how much: these are unconfirmed. Cortex, AMP and Mimir
// store what is valid; Prometheus 3.16 stores nothing of a batch in which one sample is
// out of order, nor does Cortex of a batch that is too large (400, not 413).
//
// 2.0: an absent Written header stands for 0 if another is present, as the
// specification allows to assume. It allows that also for a 4xx without any, but
// Thanos has stored a part of what it answers so with 409, and a proxy in between
// knows nothing of it: these are unconfirmed, as with 1.0. So are those of a 4xx
// that claims to have written everything, which Mimir does for every batch. A 2xx
// without any header is no response to a 2.0 message at all: a receiver of 1.0 that
// ignores the Content-Type decodes it as an empty message. A receiver must not
// answer a partial write with 2xx; if it does, the count is trusted and not the
// status. No count above what was sent is trusted.
//
// The counts of a 429 or 5xx are ignored with both: the specification requires to
// send the whole message again, and a receiver that writes a part each time would
// be counted several times.
func resultOf(p Protocol, status int, w written, n int) result {
	verdict := judge(status)
	switch {
	case verdict == again:
		return unanswered(n, true)
	case status == http.StatusUnauthorized, status == http.StatusForbidden, verdict == refused && (status < 400 || status > 499):
		return result{refused: n, unread: true}
	case verdict == tooLarge:
		return result{refused: n}
	case status == http.StatusUnsupportedMediaType && p == V2:
		return result{refused: n, unread: true, err: errNot20}
	case status == http.StatusUnsupportedMediaType:
		return result{refused: n, unread: true}
	case p != V2 && verdict == accepted:
		return result{accepted: n}
	case p != V2:
		return result{unconfirmed: n}
	case w.malformed:
		return result{unconfirmed: n, err: errMalformed}
	case !w.present && verdict == accepted:
		return result{unconfirmed: n, err: errNoWritten}
	case !w.present:
		return result{unconfirmed: n}
	case verdict == refused && w.samples >= int64(n):
		return result{unconfirmed: n, err: errAllWritten}
	}
	stored := int(min(w.samples, int64(n)))
	return result{accepted: stored, refused: n - stored, counted: true, overcounted: w.samples > int64(n)}
}

// after returns the result of a last response, given that the receiver may have stored
// the series in an earlier attempt: what it refuses now it may have stored then. The counts
// of 2.0 are about the last request only.
func (r result) after(inDoubt bool) result {
	if inDoubt {
		r.unconfirmed, r.refused = r.unconfirmed+r.refused, 0
	}
	return r
}
