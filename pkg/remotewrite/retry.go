package remotewrite

import (
	"crypto/tls"
	"errors"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// verdict is what a response means for its request body.
type verdict int

const (
	accepted verdict = iota // the receiver has it
	again                   // the same bytes may be accepted later
	tooLarge                // two smaller bodies may be accepted
	refused                 // it will never be accepted
)

// judge is the one place that decides what a status means. Remote-Write 1.0
// requires that 2xx is success, that 5xx is retried, that 4xx is not, and leaves
// 429 to the sender. 413 is final for this body, not for its halves. A redirect is
// final: the signature is for the host it was made for, and a POST that turns into
// a GET would be answered 200 and lost.
func judge(status int) verdict {
	switch {
	case status >= 200 && status <= 299:
		return accepted
	case status == http.StatusTooManyRequests, status >= 500 && status <= 599:
		return again
	case status == http.StatusRequestEntityTooLarge:
		return tooLarge
	default:
		return refused
	}
}

// Permanent is implemented by errors of a client's transport, such as missing
// credentials. If Permanent returns true, another attempt would fail as well, and none is
// made.
type Permanent interface{ Permanent() bool }

// permanent also covers what a handshake ends with: a certificate that is not trusted, a
// server without TLS, and the server's alerts, such as a missing client certificate, which
// crypto/tls reports as an operation of the name below.
func permanent(err error) bool {
	var p Permanent
	if errors.As(err, &p) && p.Permanent() {
		return true
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return true
	}
	return errors.Is(err, http.ErrSchemeMismatch) || failedOperation(err) == "remote error"
}

// unreachable reports whether no connection could be made.
func unreachable(err error) bool { return failedOperation(err) == "dial" }

func failedOperation(err error) string {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Op
	}
	return ""
}

// backoff computes how long to wait before an attempt.
type backoff struct {
	min, max time.Duration
	// maxRetryAfter caps what a receiver may ask for with Retry-After.
	maxRetryAfter time.Duration
}

// wait returns the time to wait after the given number of failed attempts, at
// least 1. It doubles with each, and the upper half is random, so that batches that
// failed together are not retried together. It is at least the Retry-After of the
// response, 0 if there was none.
func (b backoff) wait(attempts int, retryAfter time.Duration) time.Duration {
	d := b.min
	for ; attempts > 1 && d < b.max; attempts-- {
		d *= 2
	}
	d = min(d, b.max)
	if half := d / 2; half > 0 {
		d = half + rand.N(half+1)
	}
	return max(d, min(retryAfter, b.maxRetryAfter))
}

// parseRetryAfter reads a Retry-After header, a number of seconds or an HTTP date
// (RFC 9110, section 10.2.3). Anything else and a date in the past are 0.
func parseRetryAfter(value string, now time.Time) time.Duration {
	const most = 365 * 24 * time.Hour
	value = strings.Trim(value, " \t")
	if value != "" && strings.Trim(value, "0123456789") == "" {
		seconds, err := strconv.ParseInt(value, 10, 64)
		if err != nil || seconds > int64(most/time.Second) { // a number of any length is valid
			return most
		}
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most)
}
