package config

import (
	"net/textproto"
	"regexp"
	"slices"
	"strings"
)

// Header is an HTTP header that each request to the endpoint carries.
type Header struct {
	Name  string
	Value Secret
}

// Headers are written Name=value,Name=value. A value has no comma in it.
type Headers []Header

// headerName is a token, as https://www.rfc-editor.org/rfc/rfc9110#name-tokens has it.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// reserved are the headers that are not for the user to set, in canonical form; those
// with a * at the end are beginnings. They are set by the sender or by what authenticates,
// or belong to one connection and not to the request
// (https://www.rfc-editor.org/rfc/rfc9110#name-connection).
var reserved = []string{
	"Accept-Encoding", "Authorization", "Connection", "Content-*", "Cookie", "Date", "Expect", "Host", "Http2-Settings", "Keep-Alive", "Proxy-*",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "X-Amz-*", "X-Amzn-*", "X-Prometheus-Remote-Write-*",
}

// UnmarshalText reads the pairs; white space around names and values is left out. Its
// errors have nothing of the text, as even a name may be a secret in the wrong place.
func (h *Headers) UnmarshalText(text []byte) error {
	*h = nil
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(string(text), ",") {
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		switch {
		case !ok:
			return reason("a pair has no =; a value may have no comma")
		case !headerName.MatchString(name):
			return reason("a name is no header's")
		case seen[canonical]:
			return reason("a name is given twice")
		}
		if i := slices.IndexFunc(reserved, func(r string) bool {
			beginning, all := strings.CutSuffix(r, "*")
			return canonical == r || all && strings.HasPrefix(canonical, beginning)
		}); i >= 0 {
			return reason(reserved[i] + " is not for the user to set")
		}
		var secret Secret
		switch err := secret.UnmarshalText([]byte(value)); {
		case value == "":
			return reason("a value is empty")
		case err != nil:
			return reason("a value is a reference that leads nowhere")
		case !plain(value):
			return reason("a value has control characters or is not UTF-8")
		}
		seen[canonical] = true
		*h = append(*h, Header{name, secret})
	}
	return nil
}
