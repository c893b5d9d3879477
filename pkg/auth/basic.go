package auth

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
)

// Basic authenticates with a user name and a password (RFC 7617).
type Basic struct {
	below
	exchange exchange[[]string]
}

// NewBasic returns a RoundTripper that sends user and password, then calls next.
// It makes no call. A nil next is http.DefaultTransport.
func NewBasic(user string, password Secret, next http.RoundTripper) (*Basic, error) {
	switch {
	case password == nil:
		return nil, errors.New("setting up basic authentication: no password")
	case strings.Contains(user, ":"):
		return nil, errors.New("setting up basic authentication: a user name cannot have a colon in it")
	case user != "" && checkValue(user) != nil:
		return nil, errors.New("setting up basic authentication: the user name has characters that no header can have, or spaces at its ends")
	}
	b := &Basic{below: newBelow(next)}
	b.exchange = byHeaders([]named{{"password", password}}, b.next, func(h http.Header, texts []string) {
		token := base64.StdEncoding.EncodeToString([]byte(user + ":" + texts[0]))
		h.Set("Authorization", "Basic "+token)
	})
	return b, nil
}

// RoundTrip implements http.RoundTripper. The request itself is not changed. An
// error of its own is a *CredentialError.
func (b *Basic) RoundTrip(req *http.Request) (*http.Response, error) { return b.exchange.do(req) }

func (*Basic) setsAuthorization() {}
