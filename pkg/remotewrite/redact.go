package remotewrite

import (
	"cmp"
	"net/http"
	"net/http/httptrace"
	"slices"
	"strconv"
	"strings"
	"sync"
)

const redacted = "REDACTED"

// sentHeaders records the headers of an attempt as they are written, authentication
// included. A response names its request, but an error does not, and the HTTP
// client's errors quote a response that it cannot read, which may repeat the
// request's secrets.
type sentHeaders struct {
	mu     sync.Mutex
	header http.Header
}

// trace records what is written, on the transport's goroutine.
func (s *sentHeaders) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{WroteHeaderField: func(name string, values []string) {
		// The target is no secret except for the query, which is in the URL.
		if name == "Host" || strings.HasPrefix(name, ":") {
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.header == nil {
			s.header = make(http.Header)
		}
		for _, v := range values {
			s.header.Add(name, v) // in canonical form, which HTTP/2 does not write
		}
	}}
}

// redact returns the error without the secrets of the request in its text.
func (s *sentHeaders) redact(req *http.Request, err error) error {
	s.mu.Lock()
	sent := &http.Request{Header: s.header.Clone(), URL: req.URL}
	s.mu.Unlock()
	text := err.Error()
	for _, secret := range secretsOf(sent) {
		text = strings.ReplaceAll(text, secret, redacted)
		quoted := strconv.Quote(secret)
		text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], redacted)
	}
	if text == err.Error() {
		return err
	}
	return &redactedError{text, err}
}

// redactedError is an error with another text.
type redactedError struct {
	text string
	err  error
}

func (e *redactedError) Error() string { return e.text }
func (e *redactedError) Unwrap() error { return e.err }

// publicHeaders are the request headers without secrets. Any other may have been
// set as a credential; X-Scope-Orgid, the tenant of Cortex and Mimir, and that of
// Thanos are names that they put into most of their responses.
var publicHeaders = map[string]bool{
	"Accept-Encoding": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true,
	"User-Agent": true, "X-Prometheus-Remote-Write-Version": true,
	"X-Amz-Date": true, "X-Amz-Content-Sha256": true, "X-Scope-Orgid": true, "Thanos-Tenant": true,
}

// secretsOf returns the credentials of a request, longest first, so that none is
// hidden in another. Texts of less than four bytes are left out.
func secretsOf(req *http.Request) []string {
	var secrets []string
	for name, values := range req.Header {
		if publicHeaders[name] {
			continue
		}
		for _, v := range values {
			secrets = append(secrets, v)
			// "Bearer TOKEN": the token also without the word.
			if _, token, ok := strings.Cut(v, " "); ok {
				secrets = append(secrets, token)
			}
		}
	}
	// An attempt can have several: reading a secret from AWS is traced with it.
	for _, v := range req.Header.Values("Authorization") {
		one := http.Request{Header: http.Header{"Authorization": {v}}}
		if _, password, ok := one.BasicAuth(); ok {
			secrets = append(secrets, password)
		}
	}
	if password, ok := req.URL.User.Password(); ok {
		secrets = append(secrets, password)
	}
	if q := req.URL.RawQuery; q != "" {
		secrets = append(secrets, q)
		for _, values := range req.URL.Query() {
			secrets = append(secrets, values...)
		}
	}
	secrets = slices.DeleteFunc(secrets, func(s string) bool { return len(s) < 4 })
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return secrets
}

// redactBody returns the start of a response's body, at most maxErrorBody bytes,
// without secrets. If the text was cut off it may end with a part of one. A
// receiver may repeat them: AWS's response to a wrong signature holds the session
// token.
func redactBody(text string, cut bool, secrets []string) string {
	for _, secret := range secrets {
		text = strings.ReplaceAll(text, secret, redacted)
		for n := min(len(secret)-1, len(text)); cut && n > 0; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				text = text[:len(text)-n] + redacted
				break
			}
		}
	}
	text = strings.TrimSpace(text)
	return text[:min(len(text), maxErrorBody)]
}
