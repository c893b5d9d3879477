// Package auth authenticates requests to the remote-write endpoint: one
// http.RoundTripper a method. The sender's retries are above them, so every attempt is
// authenticated anew. pkg/secret reads the secrets, and pkg/config decides which method
// is used.
//
// From the outside in: NewHeaders, then one of NewSigV4, NewBasic and NewBearer, then
// NewTLS or another transport. None makes a call or reads a secret before its first
// request, or sends anything where a redirect leads.
package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Method is how requests are authenticated, as a setting names it.
type Method string

// The methods.
const (
	SigV4  Method = "sigv4"
	Basic  Method = "basic"
	Bearer Method = "bearer"
	None   Method = "none"
)

// Secret is a text to authenticate with, such as a *secret.Secret.
type Secret interface {
	// Value returns the text. It is called for each request.
	Value(context.Context) (string, error)
	// Refused reports that the endpoint answered 401 or 403 to this value, so that a
	// later call of Value may return another.
	Refused(value string)
}

// named is a secret, what it is called in errors, and the rule for its text.
type named struct {
	Secret
	what  string
	check func(text string) error
}

// withSecrets sets headers from secrets: what Basic, Bearer and Headers have in common.
//
// A request that is answered 401 or 403 fails, but the next one uses the present
// secrets, so that a rotation costs one request for each worker.
type withSecrets struct {
	layer
	secrets []named
	set     func(h http.Header, texts []string)
}

// RoundTrip implements http.RoundTripper.
func (w *withSecrets) RoundTrip(req *http.Request) (*http.Response, error) {
	texts, err := w.texts(req)
	if err != nil {
		return nil, notSent(req, err)
	}
	out := req.Clone(req.Context())
	w.set(out.Header, texts)
	resp, err := w.next.RoundTrip(out)
	if err == nil && unauthorized(resp) {
		for i, s := range w.secrets {
			s.Refused(texts[i])
		}
	}
	return resp, err
}

func (w *withSecrets) texts(req *http.Request) ([]string, error) {
	if err := refuseRedirect(req); err != nil {
		return nil, err
	}
	texts := make([]string, len(w.secrets))
	for i, s := range w.secrets {
		text, err := s.Value(req.Context())
		if err == nil {
			if err = s.check(text); err != nil {
				s.Refused(text) // so that a correction is seen
				err = permanentError{err}
			}
		}
		if err != nil {
			return nil, fmt.Errorf("the %s: %w", s.what, err)
		}
		texts[i] = text
	}
	return texts, nil
}

// unauthorized reports whether the response refuses the credentials. AWS answers 403
// where others answer 401.
func unauthorized(resp *http.Response) bool {
	return resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden
}

// refuseRedirect refuses a request that follows a redirect: credentials are only for
// the host that they were configured for.
func refuseRedirect(req *http.Request) error {
	if req.Response == nil {
		return nil
	}
	return permanentError{errors.New("it follows a redirect, and credentials are only for the host that redirects")}
}

// notSent is the error of a request that could not be authenticated. It closes the
// body, as http.RoundTripper demands.
func notSent(req *http.Request, err error) error {
	closeBody(req)
	return fmt.Errorf("authenticating a request to %s: %w", req.URL.Host, err)
}

func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// permanentError is an error that another attempt would meet again. It implements
// remotewrite.Permanent, as *secret.Error does.
type permanentError struct{ error }

// Permanent is false if only time ran out.
func (e permanentError) Permanent() bool {
	return !errors.Is(e.error, context.DeadlineExceeded) && !errors.Is(e.error, context.Canceled)
}

// Unwrap returns the cause.
func (e permanentError) Unwrap() error { return e.error }

// layer is a RoundTripper's part that hands requests on.
type layer struct {
	opaque
	next http.RoundTripper
}

// opaque hides the struct that embeds it from package fmt, which follows pointers, with
// some verbs, to secrets.
type opaque struct{}

// Format prints a constant, whatever the verb.
func (opaque) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "auth.RoundTripper") }
