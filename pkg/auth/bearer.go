package auth

import (
	"errors"
	"net/http"
)

// NewBearer returns a RoundTripper that sends a token (RFC 6750), then calls next.
func NewBearer(token Secret, next http.RoundTripper) (http.RoundTripper, error) {
	if token == nil {
		return nil, errors.New("setting up bearer authentication: no token")
	}
	return &withSecrets{
		layer:   layer{next: next},
		secrets: []named{{token, "token", CheckToken}},
		set:     func(h http.Header, texts []string) { h.Set("Authorization", "Bearer "+texts[0]) },
	}, nil
}
