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
	// ec2Query is that of EC2, the same with other errors.
	// See https://smithy.io/2.0/aws/protocols/aws-ec2-query-protocol.html
	ec2Query
)

func (p protocol) contentType() string {
	switch p {
	case restJSON:
		return "application/json"
	case awsQuery, ec2Query:
		return "text/xml"
	default:
		return "application/x-amz-json-1.1"
	}
}

// encode returns the body of a response.
func (p protocol) encode(out any) ([]byte, error) {
	if p == awsQuery || p == ec2Query {
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

// queryErrors are the names and statuses that errors have in the two query protocols, by
// their names in the others.
// See https://docs.aws.amazon.com/STS/latest/APIReference/CommonErrors.html
// and https://docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html
var queryErrors = map[protocol]map[string]apiError{
	awsQuery: {
		"AccessDeniedException":               {http.StatusForbidden, "AccessDenied", ""},
		"ExpiredTokenException":               {http.StatusForbidden, "ExpiredToken", ""},
		"IncompleteSignatureException":        {http.StatusBadRequest, "IncompleteSignature", ""},
		"InvalidSignatureException":           {http.StatusForbidden, "SignatureDoesNotMatch", ""},
		"MissingAuthenticationTokenException": {http.StatusForbidden, "MissingAuthenticationToken", ""},
		"ThrottlingException":                 {http.StatusBadRequest, "Throttling", ""},
		"UnrecognizedClientException":         {http.StatusForbidden, "InvalidClientTokenId", ""},
	},
	ec2Query: {
		"AccessDeniedException":               {http.StatusForbidden, "UnauthorizedOperation", ""},
		"ExpiredTokenException":               {http.StatusBadRequest, "RequestExpired", ""},
		"IncompleteSignatureException":        {http.StatusBadRequest, "IncompleteSignature", ""},
		"InvalidSignatureException":           {http.StatusForbidden, "SignatureDoesNotMatch", ""},
		"MissingAuthenticationTokenException": {http.StatusForbidden, "MissingAuthenticationToken", ""},
		"ThrottlingException":                 {http.StatusServiceUnavailable, "RequestLimitExceeded", ""},
		"UnrecognizedClientException":         {http.StatusUnauthorized, "AuthFailure", ""},
	},
}

// named returns an error by the name that it has in the protocol.
func (p protocol) named(e *apiError) *apiError {
	if other, ok := queryErrors[p][e.code]; ok {
		other.message = e.message
		return &other
	}
	return e
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

// wireEC2Error is the body of an error of ec2Query.
type wireEC2Error struct {
	XMLName xml.Name `xml:"Response"`
	Code    string   `xml:"Errors>Error>Code"`
	Message string   `xml:"Errors>Error>Message"`
	ID      string   `xml:"RequestID"`
}

// writeError sends an error.
func (p protocol) writeError(w http.ResponseWriter, e *apiError) response {
	body := wireError{Type: e.code, Message: e.message}
	if p == restJSON {
		w.Header().Set("X-Amzn-Errortype", e.code)
		body.Type = ""
	}
	var text []byte
	switch p { // strings always encode
	case awsQuery:
		text, _ = p.encode(&wireQueryError{Type: "Sender", Code: e.code, Message: e.message})
	case ec2Query:
		text, _ = p.encode(&wireEC2Error{Code: e.code, Message: e.message, ID: w.Header().Get("X-Amzn-Requestid")})
	default:
		text, _ = p.encode(body)
	}
	out := p.write(w, p.status(e), text)
	if out.status != 0 {
		out.code = e.code
	}
	return out
}
