package auth

import (
	"fmt"
	"net/http"
	"net/textproto"
)

// Header is a header that every request carries, such as X-Scope-OrgID. Its value may
// be secret.
type Header struct {
	Name  string
	Value Secret
}

// NewHeaders returns a RoundTripper that sets the headers, then calls next. It goes
// above NewSigV4, so that they are signed. The names are held to CheckHeaderNames.
func NewHeaders(headers []Header, next http.RoundTripper) (http.RoundTripper, error) {
	w := &withSecrets{layer: layer{next: next}}
	names := make([]string, len(headers))
	for i, h := range headers {
		names[i] = textproto.CanonicalMIMEHeaderKey(h.Name)
		w.secrets = append(w.secrets, named{h.Value, "value of header " + names[i], CheckHeaderValue})
	}
	if err := CheckHeaderNames(names...); err != nil {
		return nil, fmt.Errorf("setting up headers: %w", err)
	}
	w.set = func(h http.Header, texts []string) {
		for i, text := range texts {
			h[names[i]] = []string{text}
		}
	}
	return w, nil
}
