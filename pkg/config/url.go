package config

import (
	"fmt"
	"net/url"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// URL is an absolute http or https URL.
type URL struct{ url.URL }

// String omits user info and query, which can hold secrets.
func (u URL) String() string { return remotewrite.PublicURL(&u.URL) }

// Format prints what String returns, also where a verb would look into the fields.
func (u URL) Format(state fmt.State, verb rune) {
	_, _ = fmt.Fprintf(state, fmt.FormatString(state, verb), u.String())
}

// MarshalText writes what String returns.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// UnmarshalText reads the URL.
func (u *URL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	if err != nil {
		return errRule
	}
	u.URL = *parsed
	return must((u.Scheme == "http" || u.Scheme == "https") && u.Host != "" && u.Fragment == "")
}

// redact removes what can be secret from the text of a URL. If user info may be elsewhere
// than in its place, nothing is shown.
func redact(value string) string {
	u, err := url.Parse(value)
	if err != nil || u.Opaque != "" {
		return secret.Redacted
	}
	if text := remotewrite.PublicURL(u); !strings.Contains(text, "@") {
		return text
	}
	return secret.Redacted
}
