package ecrtest

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is one way for a request to go wrong. The named ones below are those that
// ECR, or what lies between, is known for.
type Fault struct {
	// Status and Code are answered as an error of the API: Code becomes its
	// __type. Without a Code the answer has Body, or no body at all.
	Status  int
	Code    string
	Message string
	// Header is added to the answer, for instance Retry-After.
	Header http.Header
	// Body is sent as it is, in place of a modelled error; with no Status, under
	// 200.
	Body string
	// Reset closes the connection without an answer; a TCP connection gets a RST.
	Reset bool
	// Truncate sends the first half of the true answer and closes the connection.
	Truncate bool
	// BodyDelay sends the true answer, with a pause in its middle.
	BodyDelay time.Duration
}

// Faults to give to [Server.Fail].
var (
	// FaultThrottling is what ECR's describing operations answer when called too
	// often.
	FaultThrottling = Fault{Status: http.StatusBadRequest, Code: "ThrottlingException", Message: "Rate exceeded"}
	// FaultThrottle is the same by the other name that the ECR guide has for it,
	// which the SDK does not take for a throttle:
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors.html
	FaultThrottle = Fault{Status: http.StatusBadRequest, Code: "ThrottleException", Message: "Rate exceeded"}
	// FaultTooManyRequests is the same with the status that the word has in HTTP.
	FaultTooManyRequests = Fault{Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Rate exceeded"}
	// FaultBare429 is a 429 from something that does not speak the API.
	FaultBare429 = Fault{Status: http.StatusTooManyRequests}
	// FaultServer is a fault of the service, modelled.
	FaultServer = Fault{Status: http.StatusInternalServerError, Code: "ServerException", Message: "Internal error"}
	// FaultUnavailable is a load balancer without a service behind it.
	FaultUnavailable = Fault{Status: http.StatusServiceUnavailable, Body: "<html><body><b>Http/1.1 Service Unavailable</b></body></html>"}
	// FaultReset is a connection that breaks before the answer.
	FaultReset = Fault{Reset: true}
	// FaultTruncated is a connection that breaks in the middle of the answer.
	FaultTruncated = Fault{Truncate: true}
	// FaultGarbage is a success with a body that is no JSON.
	FaultGarbage = Fault{Body: "\x00\xff{not JSON"}
)

// answers reports whether the operation is answered in truth, and only the way of
// the answer is disturbed.
func (f *Fault) answers() bool {
	return f.Status == 0 && f.Body == "" && !f.Reset
}

// writeFault answers in place of the operation.
func (p protocol) writeFault(w http.ResponseWriter, f *Fault) outcome {
	if f.Reset {
		breakConnection(w)
		return outcome{code: "reset"}
	}
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	status := f.Status
	if status == 0 {
		status = http.StatusOK
	}
	if f.Code != "" {
		return p.writeError(w, &apiError{status: status, code: f.Code, message: f.Message})
	}
	if f.Body == "" {
		w.Header().Set("Content-Length", "0")
		w.WriteHeader(status)
		return outcome{status: status, code: bareCode(status)}
	}
	out := p.write(w, status, []byte(f.Body))
	if out.code == "" {
		out.code = bareCode(status)
	}
	return out
}

// bareCode stands for the error type of an answer that is not of the API.
func bareCode(status int) string {
	if status == http.StatusOK {
		return "damaged"
	}
	return "HTTP " + strconv.Itoa(status)
}

// writeDamaged sends the true answer in the way that a fault says.
func (p protocol) writeDamaged(ctx context.Context, w http.ResponseWriter, text []byte, f *Fault) outcome {
	for name, values := range f.Header {
		w.Header()[name] = values
	}
	if !f.Truncate && f.BodyDelay == 0 {
		return p.write(w, http.StatusOK, text)
	}
	w.Header().Set("Content-Type", p.contentType())
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(http.StatusOK)
	half := len(text) / 2
	if _, err := w.Write(text[:half]); err != nil {
		return cancelled
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return cancelled
	}
	if err := sleep(ctx, f.BodyDelay); err != nil {
		return cancelled
	}
	if f.Truncate {
		breakConnection(w)
		return outcome{status: http.StatusOK, code: "damaged"}
	}
	if _, err := w.Write(text[half:]); err != nil {
		return cancelled
	}
	return outcome{status: http.StatusOK}
}

// breakConnection closes the connection under a request, with a RST if it can.
func breakConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// Not an HTTP/1 connection. What is left is net/http's own way to end one.
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // without it the client sees an orderly end
	}
	_ = conn.Close()
}

// sleep waits for a duration or for the end of the context, whose cause it then
// returns.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-timer.C:
		return nil
	}
}
