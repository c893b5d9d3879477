package ecrtest

import (
	"net/http"
	"strings"
)

// RequireAccessKey makes the server refuse requests that are not signed with this access key
// for the operation's service. It checks the credential and not the signature, which is the
// SDK's. Empty, the default, requires no signature.
func (s *Server) RequireAccessKey(id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accessKey = id
}

const signingAlgorithm = "AWS4-HMAC-SHA256"

// authenticate checks the Authorization header, see RequireAccessKey.
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
func (s *Server) authenticate(r *http.Request, service string) *apiError {
	s.mu.Lock()
	want := s.accessKey
	s.mu.Unlock()
	if want == "" {
		return nil
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return newError("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	fields, ok := strings.CutPrefix(header, signingAlgorithm+" ")
	if !ok {
		return newError("IncompleteSignatureException", "Unsupported AWS 'algorithm'")
	}
	var credential, signature string
	for field := range strings.SplitSeq(fields, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
		case "Credential":
			credential = value
		case "Signature":
			signature = value
		}
	}
	// ACCESSKEY/DATE/REGION/SERVICE/aws4_request
	scope := strings.Split(credential, "/")
	if len(scope) != 5 || signature == "" {
		return newError("IncompleteSignatureException", "Authorization header requires 'Credential' and 'Signature' parameters")
	}
	if scope[0] != want {
		return newError("UnrecognizedClientException", "The security token included in the request is invalid.")
	}
	if scope[3] != service {
		return newError("InvalidSignatureException", "Credential should be scoped to correct service: '%s'.", service)
	}
	return nil
}
