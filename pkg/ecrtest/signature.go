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

// credential is the part of an Authorization header that says who signed, and for what.
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-authentication-methods.html
type credential struct {
	accessKey, region, service string
	signed                     bool // the header is complete
}

// readCredential reads a request's Authorization header. What it lacks is empty.
func readCredential(r *http.Request) credential {
	var signature string
	var scope []string
	fields, _ := strings.CutPrefix(r.Header.Get("Authorization"), signingAlgorithm+" ")
	for field := range strings.SplitSeq(fields, ",") {
		switch name, value, _ := strings.Cut(strings.TrimSpace(field), "="); name {
		case "Credential":
			scope = strings.Split(value, "/") // ACCESSKEY/DATE/REGION/SERVICE/aws4_request
		case "Signature":
			signature = value
		}
	}
	if len(scope) != 5 {
		return credential{}
	}
	return credential{accessKey: scope[0], region: scope[2], service: scope[3], signed: signature != ""}
}

// unrecognized is the error for a key, or a session's token, that AWS does not know.
func unrecognized() *apiError {
	return newError("UnrecognizedClientException", "The security token included in the request is invalid.")
}

// authenticate checks who signed a request, see RequireAccessKey and [Organisation]. The
// session is nil if the server is of no organisation.
func (s *Server) authenticate(r *http.Request, service string) (*session, *apiError) {
	s.mu.Lock()
	want, organisation := s.accessKey, s.organisation
	s.mu.Unlock()
	if want == "" && organisation == nil {
		return nil, nil
	}
	header := r.Header.Get("Authorization")
	if header == "" {
		return nil, newError("MissingAuthenticationTokenException", "Missing Authentication Token")
	}
	if !strings.HasPrefix(header, signingAlgorithm+" ") {
		return nil, newError("IncompleteSignatureException", "Unsupported AWS 'algorithm'")
	}
	from := readCredential(r)
	if !from.signed {
		return nil, newError("IncompleteSignatureException", "Authorization header requires 'Credential' and 'Signature' parameters")
	}
	if want != "" && from.accessKey != want {
		return nil, unrecognized()
	}
	if from.service != service {
		return nil, newError("InvalidSignatureException", "Credential should be scoped to correct service: '%s'.", service)
	}
	if organisation == nil {
		return nil, nil
	}
	return organisation.authenticate(from, r.Header.Get("X-Amz-Security-Token"))
}
