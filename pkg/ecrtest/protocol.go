package ecrtest

import (
	"encoding/json"
	"net/http"
	"strconv"
)

// protocol is how an operation goes over the wire. The zero value is awsJson1.1, which
// ECR speaks.
type protocol int

const (
	awsJSON protocol = iota
	// restJSON is restJson1, which Inspector speaks: the path names the operation, a
	// header the type of an error, whose status says of what kind it is.
	// See https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
	restJSON
)

func (p protocol) contentType() string {
	if p == restJSON {
		return "application/json"
	}
	return "application/x-amz-json-1.1"
}

// restStatuses are the statuses of errors, as far as they are not 400.
// See https://docs.aws.amazon.com/inspector/v2/APIReference/CommonErrors.html
var restStatuses = map[string]int{
	"AccessDeniedException":               http.StatusForbidden,
	"IncompleteSignatureException":        http.StatusForbidden,
	"InvalidSignatureException":           http.StatusForbidden,
	"MissingAuthenticationTokenException": http.StatusForbidden,
	"UnrecognizedClientException":         http.StatusForbidden,
	"ThrottlingException":                 http.StatusTooManyRequests,
	"InternalServerException":             http.StatusInternalServerError,
}

// status is the HTTP status of an error: its own, or the one that the protocol has for
// errors of its type.
func (p protocol) status(e *apiError) int {
	if e.status != 0 {
		return e.status
	}
	if status, ok := restStatuses[e.code]; ok && p == restJSON {
		return status
	}
	return http.StatusBadRequest
}

// fault is the type of an error for a fault of the service.
func (p protocol) fault() string {
	if p == restJSON {
		return "InternalServerException"
	}
	return "ServerException"
}

// write sends an answer.
func (p protocol) write(w http.ResponseWriter, status int, text []byte) outcome {
	w.Header().Set("Content-Type", p.contentType())
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if _, err := w.Write(text); err != nil {
		return cancelled
	}
	return outcome{status: status}
}

// wireError is the body of an error. AWS leaves the message out where it has none.
type wireError struct {
	Type    string `json:"__type,omitempty"`
	Message string `json:"message,omitempty"`
}

// writeError sends an error in place of an answer.
func (p protocol) writeError(w http.ResponseWriter, e *apiError) outcome {
	body := wireError{Type: e.code, Message: e.message}
	if p == restJSON {
		w.Header().Set("X-Amzn-Errortype", e.code)
		body.Type = ""
	}
	text, err := json.Marshal(body)
	if err != nil {
		text = nil // two strings always encode
	}
	out := p.write(w, p.status(e), text)
	if out.status != 0 {
		out.code = e.code
	}
	return out
}
