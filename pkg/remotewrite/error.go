package remotewrite

import (
	"fmt"
	"strings"
	"time"
)

// DeliveryError says why a batch, or several in the same way, did not reach
// the receiver.
type DeliveryError struct {
	// URL is where it was sent, without user info and query.
	URL string
	// Protocol is the version that it was sent in last.
	Protocol Protocol
	// Status is the last HTTP status that came, 0 if none did.
	Status int
	// RetryAfter is what the last answer asked to wait, uncapped, 0 if nothing.
	RetryAfter time.Duration
	// Body is the start of the last answer's body, at most 1 KiB, with the
	// credentials of the request blanked out should it repeat them.
	Body string
	// Attempts is the number of requests made.
	Attempts int
	// Series is the number of series that the receiver is not known to have.
	Series int
	// Unconfirmed is the number of those that it may have all the same.
	Unconfirmed int
	// Sent and Written are the number of samples sent and how many of them the
	// answer says were written, if it does; else both are 0. Series is what Written
	// falls short by.
	Sent, Written int
	// Err is what ended the attempts, if it was not the answer, or what is wrong
	// with the answer besides its status: the last network error, the deadline, or
	// missing Written headers.
	Err error
}

// Error names the endpoint and the last answer, quoted.
func (e *DeliveryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "remote write of %d series to %s", e.Series, e.URL)
	if e.Attempts > 1 {
		fmt.Fprintf(&b, ", %d attempts", e.Attempts)
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
		if e.Body != "" {
			fmt.Fprintf(&b, " %q", e.Body)
		}
	}
	if e.Sent > 0 {
		fmt.Fprintf(&b, ", %d of %d samples written", e.Written, e.Sent)
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *DeliveryError) Unwrap() error { return e.Err }

// same reports whether both failed in the same way.
func (e *DeliveryError) same(o *DeliveryError) bool {
	return e.Status == o.Status && e.Protocol == o.Protocol && e.Body == o.Body && errText(e.Err) == errText(o.Err)
}

// wording is the same for failures that differ only in particulars, such as the
// series that a body names.
func (e *DeliveryError) wording() string {
	return likeness(e.Body) + "\n" + likeness(errText(e.Err))
}

func errText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// maxDeliveries is how many kinds of failure a PushError keeps.
const maxDeliveries = 3

// PushError is the error of a push of which some series are not known to have
// arrived.
type PushError struct {
	// Deliveries are the first kinds of failure, at most three. Batches that
	// failed in the same way are added up in one.
	Deliveries []*DeliveryError
	// Series is the number of those series: refused, unconfirmed or not sent.
	Series int
	// Batches is the number of batches, or parts of one, that failed.
	Batches int
}

// Error names the first kinds of failure and the number of series.
func (e *PushError) Error() string {
	var b strings.Builder
	shown := 0
	for i, d := range e.Deliveries {
		if i > 0 {
			b.WriteString("; ")
		}
		b.WriteString(d.Error())
		shown += d.Series
	}
	if rest := e.Series - shown; rest > 0 {
		fmt.Fprintf(&b, "; and %d series more in other ways", rest)
	}
	return b.String()
}

// Unwrap returns the delivery errors, so that errors.As finds the first.
func (e *PushError) Unwrap() []error {
	errs := make([]error, len(e.Deliveries))
	for i, d := range e.Deliveries {
		errs[i] = d
	}
	return errs
}

// add counts d. It reports whether d is the first of its kind that is kept. What
// is kept is a copy, since d goes to the log, which may still be reading it while
// further batches are added up.
func (e *PushError) add(d *DeliveryError) bool {
	e.Series += d.Series
	e.Batches++
	for _, have := range e.Deliveries {
		if have.same(d) {
			have.Series += d.Series
			have.Unconfirmed += d.Unconfirmed
			have.Sent += d.Sent
			have.Written += d.Written
			have.Attempts = max(have.Attempts, d.Attempts)
			return false
		}
	}
	if len(e.Deliveries) == maxDeliveries {
		return false
	}
	sum := *d
	e.Deliveries = append(e.Deliveries, &sum)
	return true
}
