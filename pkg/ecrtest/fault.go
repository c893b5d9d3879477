package ecrtest

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"time"
)

// Fault is a failure of a request. The ones below are known from ECR and from the network.
type Fault struct {
	// Status and Code are those of an error of the API: Code is its __type. Without a Code
	// the response has Body, or no body.
	Status  int
	Code    string
	Message string
	// Header is added to the response, for instance Retry-After.
	Header http.Header
	// Body is sent instead of an error of the API, by default with status 200.
	Body string
	// Reset closes the connection without a response; a TCP connection gets a RST.
	Reset bool
	// Truncate sends the first half of the correct response and closes the connection.
	Truncate bool
	// BodyDelay pauses in the middle of the correct response.
	BodyDelay time.Duration
}

// Faults for [Server.Fail].
var (
	// FaultThrottling is the throttling error of ECR.
	FaultThrottling = Fault{Status: http.StatusBadRequest, Code: "ThrottlingException", Message: "Rate exceeded"}
	// FaultThrottle is the same by another name of the ECR guide, which the SDK does not
	// recognise as throttling:
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/common-errors.html
	FaultThrottle = Fault{Status: http.StatusBadRequest, Code: "ThrottleException", Message: "Rate exceeded"}
	// FaultTooManyRequests is the same with the HTTP status 429.
	FaultTooManyRequests = Fault{Status: http.StatusTooManyRequests, Code: "TooManyRequestsException", Message: "Rate exceeded"}
	// FaultBare429 is a 429 from a proxy.
	FaultBare429 = Fault{Status: http.StatusTooManyRequests}
	// FaultServer is the API's internal error.
	FaultServer = Fault{Status: http.StatusInternalServerError, Code: "ServerException", Message: "Internal error"}
	// FaultUnavailable is the response of a load balancer without a service.
	FaultUnavailable = Fault{Status: http.StatusServiceUnavailable, Body: "<html><body><b>Http/1.1 Service Unavailable</b></body></html>"}
	// FaultReset closes the connection before the response.
	FaultReset = Fault{Reset: true}
	// FaultTruncated closes the connection in the middle of the response.
	FaultTruncated = Fault{Truncate: true}
	// FaultGarbage is a success with a body that is not JSON.
	FaultGarbage = Fault{Body: "\x00\xff{not JSON"}
)

// runs reports whether the operation runs and only the transfer of its response fails.
func (f *Fault) runs() bool {
	return f.Status == 0 && f.Body == "" && !f.Reset
}

// writeFault responds instead of the operation.
func (p protocol) writeFault(w http.ResponseWriter, f *Fault) response {
	if f.Reset {
		breakConnection(w)
		return response{code: "reset"}
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
		return response{status: status, code: bareCode(status)}
	}
	out := p.write(w, status, []byte(f.Body))
	if out.code == "" {
		out.code = bareCode(status)
	}
	return out
}

// bareCode is the [Request.Code] of a response that is not one of the API.
func bareCode(status int) string {
	if status == http.StatusOK {
		return "damaged"
	}
	return "HTTP " + strconv.Itoa(status)
}

// writeWithFault sends the correct response with a fault in its transfer.
func (p protocol) writeWithFault(ctx context.Context, w http.ResponseWriter, text []byte, f *Fault) response {
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
		return response{status: http.StatusOK, code: "damaged"}
	}
	if _, err := w.Write(text[half:]); err != nil {
		return cancelled
	}
	return response{status: http.StatusOK}
}

// breakConnection closes the connection under a request, with a RST if it can.
func breakConnection(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// Not an HTTP/1 connection: this is how net/http aborts a response.
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // for a RST instead of a FIN
	}
	_ = conn.Close()
}

// sleep waits for a duration or the end of the context, and returns the latter's cause.
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
