package ecrtest

import (
	"encoding/json"
	"encoding/xml"
	"net/http"
	"strconv"
)

// protocol is the wire protocol of an operation. The zero value is awsJson1.1, that of ECR.
type protocol int

const (
	awsJSON protocol = iota
	// restJSON is restJson1, that of Inspector: the path is the operation, a header has the
	// type of an error, and its status the kind.
	// See https://smithy.io/2.0/aws/protocols/aws-restjson1-protocol.html
	restJSON
	// awsQuery is that of STS: requests are forms and responses XML.
	// See https://smithy.io/2.0/aws/protocols/aws-query-protocol.html
	awsQuery
)

func (p protocol) contentType() string {
	switch p {
	case restJSON:
		return "application/json"
	case awsQuery:
		return "text/xml"
	default:
		return "application/x-amz-json-1.1"
	}
}

// encode returns the body of a response.
func (p protocol) encode(out any) ([]byte, error) {
	if p == awsQuery {
		return xml.Marshal(out)
	}
	return json.Marshal(out)
}

// restStatuses are the statuses of errors that are not 400.
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

// status is the HTTP status of an error: its own, or the protocol's for errors of its type.
func (p protocol) status(e *apiError) int {
	if e.status != 0 {
		return e.status
	}
	if status, ok := restStatuses[e.code]; ok && p == restJSON {
		return status
	}
	return http.StatusBadRequest
}

// fault is the type of internal errors.
func (p protocol) fault() string {
	if p == restJSON {
		return "InternalServerException"
	}
	return "ServerException"
}

// write sends a response.
func (p protocol) write(w http.ResponseWriter, status int, text []byte) response {
	w.Header().Set("Content-Type", p.contentType())
	w.Header().Set("Content-Length", strconv.Itoa(len(text)))
	w.WriteHeader(status)
	if _, err := w.Write(text); err != nil {
		return cancelled
	}
	return response{status: status}
}

// wireError is the body of an error. An empty message is absent.
type wireError struct {
	Type    string `json:"__type,omitempty"`
	Message string `json:"message,omitempty"`
}

// wireQueryError is the body of an error of awsQuery.
type wireQueryError struct {
	XMLName xml.Name `xml:"https://sts.amazonaws.com/doc/2011-06-15/ ErrorResponse"`
	Type    string   `xml:"Error>Type"`
	Code    string   `xml:"Error>Code"`
	Message string   `xml:"Error>Message"`
}

// writeError sends an error.
func (p protocol) writeError(w http.ResponseWriter, e *apiError) response {
	body := wireError{Type: e.code, Message: e.message}
	if p == restJSON {
		w.Header().Set("X-Amzn-Errortype", e.code)
		body.Type = ""
	}
	var text []byte
	if p == awsQuery {
		text, _ = p.encode(&wireQueryError{Type: "Sender", Code: e.code, Message: e.message})
	} else {
		text, _ = p.encode(body) // strings always encode
	}
	out := p.write(w, p.status(e), text)
	if out.status != 0 {
		out.code = e.code
	}
	return out
}
