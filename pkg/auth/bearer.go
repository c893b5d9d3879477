package auth

import (
	"errors"
	"net/http"
)

// Bearer authenticates with a token (RFC 6750).
type Bearer struct {
	below
	exchange exchange[[]string]
}

// NewBearer returns a RoundTripper that sends the token, then calls next. It makes
// no call. A nil next is http.DefaultTransport.
func NewBearer(token Secret, next http.RoundTripper) (*Bearer, error) {
	if token == nil {
		return nil, errors.New("setting up bearer authentication: no token")
	}
	b := &Bearer{below: newBelow(next)}
	b.exchange = byHeaders([]named{{"token", token}}, b.next, func(h http.Header, texts []string) {
		h.Set("Authorization", "Bearer "+texts[0])
	})
	return b, nil
}

// RoundTrip implements http.RoundTripper. The request itself is not changed. An
// error of its own is a *CredentialError.
func (b *Bearer) RoundTrip(req *http.Request) (*http.Response, error) { return b.exchange.do(req) }

func (*Bearer) setsAuthorization() {}
