package auth

import (
	"errors"
	"net/textproto"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"
)

// The rules for what a header can carry. Their errors do not show the text.

// CheckPassword checks the password of Basic, and CheckUser a user name:
// https://www.rfc-editor.org/rfc/rfc7617#section-2.
func CheckPassword(text string) error {
	switch {
	case strings.HasSuffix(text, "\n"):
		return errors.New("it has a line break at its end")
	case !utf8.ValidString(text), strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return errors.New("it has control characters or is not UTF-8")
	}
	return nil
}

// CheckUser checks the user name of Basic, which may be empty.
func CheckUser(name string) error {
	if strings.Contains(name, ":") {
		return errors.New("it has a colon")
	}
	return CheckPassword(name)
}

// CheckHeaderValue checks the value of a header. HTTP drops leading and trailing spaces:
// https://www.rfc-editor.org/rfc/rfc9110#section-5.5.
func CheckHeaderValue(text string) error {
	switch {
	case text == "":
		return errors.New("it is empty")
	case strings.Trim(text, " ") != text:
		return errors.New("it has spaces at its ends")
	}
	return CheckPassword(text)
}

// CheckToken checks the token of Bearer.
func CheckToken(text string) error {
	if strings.ContainsFunc(strings.TrimSpace(text), func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("it has characters other than visible ASCII")
	}
	return CheckHeaderValue(text)
}

// headerName is a token: https://www.rfc-editor.org/rfc/rfc9110#name-tokens.
var headerName = regexp.MustCompile("^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")

// reserved are the headers that cannot be configured, in canonical form; a * is any
// rest. The sender, the method of authentication or AWS sets them, or they belong to
// one connection (https://www.rfc-editor.org/rfc/rfc9110#name-connection). Credentials
// have settings of their own, so Authorization and Cookie are a mistake here.
var reserved = []string{
	"Accept-Encoding", "Authorization", "Connection", "Content-*", "Cookie", "Date", "Expect", "Host", "Http2-Settings", "Keep-Alive", "Proxy-*",
	"Te", "Trailer", "Transfer-Encoding", "Upgrade", "User-Agent", "X-Amz-*", "X-Amzn-*", "X-Prometheus-Remote-Write-*",
}

// CheckHeaderNames checks the names of headers that are configured: valid, distinct and
// not reserved. The error shows no name, which may be a secret in the wrong place.
func CheckHeaderNames(names ...string) error {
	for i, name := range names {
		if !headerName.MatchString(name) {
			return errors.New("a name is not that of a header")
		}
		canonical := textproto.CanonicalMIMEHeaderKey(name)
		if slices.ContainsFunc(names[:i], func(other string) bool { return strings.EqualFold(other, name) }) {
			return errors.New("a name is given twice")
		}
		for _, r := range reserved {
			if prefix, wildcard := strings.CutSuffix(r, "*"); canonical == r || wildcard && strings.HasPrefix(canonical, prefix) {
				return errors.New(r + " cannot be set")
			}
		}
	}
	return nil
}
