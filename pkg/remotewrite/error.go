package remotewrite

import (
	"fmt"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
)

// DeliveryError is why a batch, or several for the same reason, was not delivered.
type DeliveryError struct {
	// URL is the endpoint, without user info and query.
	URL string
	// Protocol is the version of the last attempt.
	Protocol Protocol
	// Status is the last HTTP status, 0 if there was no response.
	Status int
	// RetryAfter is the wait that the last response asked for, uncapped; 0 if none.
	RetryAfter time.Duration
	// Body is the start of the last response's body, at most 1 KiB. Credentials of the
	// request that it repeats are replaced.
	Body string
	// Attempts is the number of requests made.
	Attempts int
	// Series is the number of series that the receiver is not known to have.
	Series int
	// Unconfirmed is the number of those that it may have all the same.
	Unconfirmed int
	// Sent and Written are the numbers of samples sent and, according to the response,
	// written. Both are 0 if it does not say.
	Sent, Written int
	// Err is what ended the attempts if it was not the response, or what is wrong with
	// the response besides its status: the last network error, the deadline, or
	// missing Written headers.
	Err error
}

// Error names the endpoint and quotes the last response.
func (e *DeliveryError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "remote write of %s series to %s", quantity.Grouped(e.Series), e.URL)
	if e.Attempts > 1 {
		fmt.Fprintf(&b, ", %s attempts", quantity.Grouped(e.Attempts))
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, ": HTTP %d", e.Status)
		if e.Body != "" {
			fmt.Fprintf(&b, " %q", e.Body)
		}
	}
	if e.Sent > 0 {
		fmt.Fprintf(&b, ", %s of %s samples written", quantity.Grouped(e.Written), quantity.Grouped(e.Sent))
	}
	if e.Err != nil {
		fmt.Fprintf(&b, ": %v", e.Err)
	}
	return b.String()
}

// Unwrap returns Err.
func (e *DeliveryError) Unwrap() error { return e.Err }

// sameReason reports whether both failed for the same reason.
func (e *DeliveryError) sameReason(o *DeliveryError) bool {
	return e.Status == o.Status && e.Protocol == o.Protocol && e.Body == o.Body && fmt.Sprint(e.Err) == fmt.Sprint(o.Err)
}

// maxDeliveries is the number of reasons that a PushError keeps.
const maxDeliveries = 3

// PushError is the error of a push of which some series are not known to have
// arrived.
type PushError struct {
	// Deliveries are the first reasons, at most three. Batches that failed for the same
	// reason are added up in one.
	Deliveries []*DeliveryError
	// Series is the number of those series: refused, unconfirmed or not sent.
	Series int
	// Batches is the number of batches, or parts of one, that failed.
	Batches int
}

// Error names the first reasons and the number of series.
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
		fmt.Fprintf(&b, "; and %s more series for other reasons", quantity.Grouped(rest))
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

// add counts d, which must not be used by the caller any more.
func (e *PushError) add(d *DeliveryError) {
	e.Series += d.Series
	e.Batches++
	for _, have := range e.Deliveries {
		if have.sameReason(d) {
			have.Series += d.Series
			have.Unconfirmed += d.Unconfirmed
			have.Sent += d.Sent
			have.Written += d.Written
			have.Attempts = max(have.Attempts, d.Attempts)
			return
		}
	}
	if len(e.Deliveries) < maxDeliveries {
		e.Deliveries = append(e.Deliveries, d)
	}
}
