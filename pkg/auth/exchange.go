package auth

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
)

// Secret is a text to authenticate with. pkg/secret has such.
type Secret interface {
	// Value returns the text. It is called for each request.
	Value(context.Context) (string, error)
	// Refused says that the receiver did not take this value, so that a later call
	// of Value may find out whether there is a new one.
	Refused(value string)
}

// maxDrained is how much of a refusing answer is read so that its connection can
// be used again for the second request.
const maxDrained = 64 << 10

// exchange is a request and, if what it authenticated with turns out to be out of
// date, the same request with what is current: the one place where a 401 or a 403
// is acted upon. V is what a method authenticates with, such as a password.
//
// This is no retry of a 4xx, which the remote-write specification forbids: what was
// refused are the credentials and not the data, and the second request has others.
// RFC 9110 allows it for 401 (section 15.5.2) and for 403 (15.5.4), with new
// credentials only. So a request is repeated once at most, and only if asking for
// the credentials anew brought other ones, which happens once a rotation. Else the
// answer is returned as it came.
type exchange[V any] struct {
	// current returns what to authenticate with now.
	current func(context.Context) (V, error)
	// same compares two of them.
	same func(a, b V) bool
	// send sends the request, which it may change, authenticated with v.
	send func(req *http.Request, v V) (*http.Response, error)
	// refused reports whether the outcome of send says that v was refused, and
	// tells whoever v is from.
	refused func(v V, resp *http.Response, err error) bool
	// failed is the error of a request that could not be authenticated; nil stands
	// for a *CredentialError.
	failed func(req *http.Request, err error) error
}

// do sends a clone of the request.
func (e exchange[V]) do(req *http.Request) (*http.Response, error) {
	err := checkFirst(req)
	var first V
	if err == nil {
		first, err = e.current(req.Context())
	}
	if err != nil {
		closeBody(req)
		if e.failed != nil {
			return nil, e.failed(req, err)
		}
		return nil, &CredentialError{Host: req.URL.Host, Err: err}
	}
	resp, err := e.send(req.Clone(req.Context()), first)
	if !e.refused(first, resp, err) {
		return resp, err
	}
	again := req.Clone(req.Context())
	if req.Body != nil && req.Body != http.NoBody {
		if req.GetBody == nil {
			return resp, err
		}
		body, errBody := req.GetBody()
		if errBody != nil {
			return resp, err // the first outcome says more
		}
		again.Body = body
	}
	second, errSecond := e.current(req.Context())
	if errSecond != nil || e.same(first, second) {
		closeBody(again)
		return resp, err
	}
	if resp != nil {
		// What can be had of it; else the connection is closed.
		_, _ = io.CopyN(io.Discard, resp.Body, maxDrained)
		_ = resp.Body.Close()
	}
	// If this is refused as well, so will the next request be, and asks again.
	return e.send(again, second)
}

// checkFirst refuses a request that follows a redirect: credentials are for the
// host that they were configured for.
func checkFirst(req *http.Request) error {
	if req.Response == nil {
		return nil
	}
	return errors.New("it follows a redirect, and credentials are only for the host that redirects")
}

// closeBody closes the body, as a RoundTripper does even when it fails.
func closeBody(req *http.Request) {
	if req.Body != nil {
		_ = req.Body.Close()
	}
}

// unauthorized reports whether the answer refuses who sent the request.
func unauthorized(resp *http.Response) bool {
	return resp != nil && (resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden)
}

// CredentialError says that a request could not be authenticated, so it never left.
type CredentialError struct {
	// Host is where the request was to go.
	Host string
	// Err is the cause.
	Err error
}

// Error names what was being done.
func (e *CredentialError) Error() string {
	return fmt.Sprintf("authenticating a request to %s: %v", e.Host, e.Err)
}

// Unwrap returns the cause.
func (e *CredentialError) Unwrap() error { return e.Err }

// Permanent reports whether asking again is of no use. The cause may know, as
// *secret.Error does; lack of time passes.
func (e *CredentialError) Permanent() bool {
	var p interface{ Permanent() bool }
	if errors.As(e.Err, &p) {
		return p.Permanent()
	}
	return !errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled)
}

// below is what a method stands on.
type below struct {
	opaque
	next http.RoundTripper
}

// newBelow takes nil for http.DefaultTransport.
func newBelow(next http.RoundTripper) below {
	if next == nil {
		next = http.DefaultTransport
	}
	return below{next: next}
}

// CloseIdleConnections closes those of the transport below, as
// http.Client.CloseIdleConnections asks for.
func (b below) CloseIdleConnections() {
	if c, ok := b.next.(interface{ CloseIdleConnections() }); ok {
		c.CloseIdleConnections()
	}
}

// opaque prints nothing of the struct that it is part of: package fmt follows
// pointers, with some verbs, to what is secret or in use.
type opaque struct{}

// Format prints what it is, whatever the verb.
func (opaque) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, "auth.RoundTripper") }
