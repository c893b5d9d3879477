package remotewrite

import (
	"math/rand/v2"
	"net/http"
	"strings"
	"time"
)

// verdict is what an HTTP answer means for the batch it answers.
type verdict int

const (
	accepted verdict = iota // the receiver has it
	again                   // the same bytes may be taken later
	tooLarge                // two smaller batches may be taken
	refused                 // it will never be taken
)

// judge is the one place that decides what a status means. Remote-Write 1.0
// demands that 2xx is success, that 5xx is retried, that 4xx is not, and leaves
// 429 to the sender. 413 is final for this batch, not for its halves. A
// redirect is final: the signature is for the host it was made for, and a
// POST that turns into a GET would be answered 200 and lost.
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

// backoff computes how long to wait before an attempt.
type backoff struct {
	min, max time.Duration
	// longest caps what a receiver may ask for with Retry-After.
	longest time.Duration
}

// wait returns the time to wait after the given number of failed attempts, at
// least 1. It doubles with each, and the upper half of it is random, so that
// batches that failed together do not return together. A Retry-After, 0 if there
// was none, is the least it returns.
func (b backoff) wait(attempts int, retryAfter time.Duration) time.Duration {
	d := b.min
	for ; attempts > 1 && d < b.max; attempts-- {
		d *= 2
	}
	d = min(d, b.max)
	if half := d / 2; half > 0 {
		d = half + rand.N(half+1)
	}
	return max(d, min(retryAfter, b.longest))
}

// parseRetryAfter reads a Retry-After header, a number of seconds or an HTTP
// date (RFC 9110, section 10.2.3). Whatever is neither, negative numbers
// included, is 0, as is a date in the past.
func parseRetryAfter(value string, now time.Time) time.Duration {
	value = strings.Trim(value, " \t")
	if value == "" {
		return 0
	}
	const most = 365 * 24 * 60 * 60 // a number as long as one likes is a valid one
	seconds, digits := 0, true
	for i := range len(value) {
		if digits = digit(value[i]); !digits {
			break
		}
		seconds = min(seconds*10+int(value[i]-'0'), most)
	}
	if digits {
		return time.Duration(seconds) * time.Second
	}
	at, err := http.ParseTime(value)
	if err != nil {
		return 0
	}
	return min(max(at.Sub(now), 0), most*time.Second)
}
