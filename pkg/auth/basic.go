package auth

import (
	"encoding/base64"
	"fmt"
	"net/http"
)

// NewBasic returns a RoundTripper that sends a user name and a password (RFC 7617), then
// calls next. A nil password is empty.
func NewBasic(user string, password Secret, next http.RoundTripper) (http.RoundTripper, error) {
	if err := CheckUser(user); err != nil {
		return nil, fmt.Errorf("setting up basic authentication: the user name: %w", err)
	}
	b := &withSecrets{layer: layer{next: next}}
	if password != nil {
		b.secrets = []named{{password, "password", CheckPassword}}
	}
	b.set = func(h http.Header, texts []string) {
		credentials := user + ":"
		for _, text := range texts {
			credentials += text
		}
		h.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(credentials)))
	}
	return b, nil
}
