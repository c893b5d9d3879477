package auth

import (
	"errors"
	"fmt"
	"net/http"
	"net/textproto"
	"slices"
	"strings"
)

// Header is a header to be set on every request. Its value may be secret.
type Header struct {
	Name  string
	Value Secret
}

// Headers sets headers, such as X-Scope-OrgID. It stands above what signs requests,
// so that the headers are signed.
type Headers struct {
	below
	exchange exchange[[]string]
}

// NewHeaders returns a RoundTripper that sets the headers, then calls next. It makes
// no call. A nil next is http.DefaultTransport.
//
// A name that is none, is there twice or is reserved (see ReservedHeader) is an
// error. Authorization is one if next sets it: where no other method is used it can
// carry a scheme that this package does not know.
func NewHeaders(headers []Header, next http.RoundTripper) (*Headers, error) {
	var (
		errs    []error
		names   []string
		secrets []named
	)
	hs := &Headers{below: newBelow(next)}
	_, authorized := hs.next.(interface{ setsAuthorization() })
	for _, h := range headers {
		name := textproto.CanonicalMIMEHeaderKey(h.Name)
		switch {
		case !headerName(h.Name):
			errs = append(errs, fmt.Errorf("%.100q is no name of a header", h.Name))
		case ReservedHeader(name):
			errs = append(errs, fmt.Errorf("header %s is reserved", name))
		case name == "Authorization" && authorized:
			errs = append(errs, errors.New("header Authorization is set by the method of authentication"))
		case slices.Contains(names, name):
			errs = append(errs, fmt.Errorf("header %s is there twice", name))
		case h.Value == nil:
			errs = append(errs, fmt.Errorf("header %s has no value", name))
		}
		names = append(names, name)
		secrets = append(secrets, named{"value of header " + name, h.Value})
	}
	if len(errs) > 0 {
		return nil, fmt.Errorf("setting up headers: %w", errors.Join(errs...))
	}
	hs.exchange = byHeaders(secrets, hs.next, func(h http.Header, texts []string) {
		for i, text := range texts {
			h[names[i]] = []string{text}
		}
	})
	return hs, nil
}

// RoundTrip implements http.RoundTripper. The request itself is not changed. An
// error of its own is a *CredentialError.
func (h *Headers) RoundTrip(req *http.Request) (*http.Response, error) { return h.exchange.do(req) }

// reserved are the headers that are the sender's (the remote-write specification
// demands them), the transport's (RFC 9110, section 7.6.1, names those that are for
// one connection only) or a proxy's, in lower case.
var reserved = []string{
	"host", "user-agent", "accept-encoding", "expect", "date",
	"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
}

// reservedPrefixes are those of the body's headers, of the protocol's, of AWS
// signatures, and of credentials for a proxy.
var reservedPrefixes = []string{"content-", "x-prometheus-remote-write-", "x-amz-", "x-amzn-", "proxy-"}

// ReservedHeader reports whether a header cannot be set by configuration, in any
// case of its letters. Authorization and Cookie can: the first is only an error
// beside a method that sets it itself, and for the second some proxies in front of a
// receiver ask. Both are secret.
func ReservedHeader(name string) bool {
	name = strings.ToLower(name)
	return slices.Contains(reserved, name) ||
		slices.ContainsFunc(reservedPrefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
}

// headerName reports whether a text is a token (RFC 9110, section 5.6.2).
func headerName(name string) bool {
	for i := range len(name) {
		c := name[i]
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0) {
			return false
		}
	}
	return name != ""
}
