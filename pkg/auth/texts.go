package auth

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// named is a secret text and what it is, for errors.
type named struct {
	what string
	Secret
}

// valueError says that the text that a secret is cannot be used. It is a refusal as
// well: somebody may have put the secret right.
type valueError struct{ text string }

func (e *valueError) Error() string { return e.text }

// values returns the secrets' current texts.
func values(ctx context.Context, secrets []named) ([]string, error) {
	texts := make([]string, len(secrets))
	for i, s := range secrets {
		text, err := s.Value(ctx)
		if err != nil {
			return nil, fmt.Errorf("the %s: %w", s.what, err)
		}
		texts[i] = text
	}
	return texts, nil
}

// byHeaders is the exchange of the methods that only set headers from secrets: set
// is given the header, and the texts in the order of the secrets.
func byHeaders(secrets []named, next http.RoundTripper, set func(h http.Header, texts []string)) exchange[[]string] {
	return exchange[[]string]{
		current: func(ctx context.Context) ([]string, error) { return values(ctx, secrets) },
		same:    slices.Equal[[]string],
		send: func(req *http.Request, texts []string) (*http.Response, error) {
			for i, text := range texts {
				if err := checkValue(text); err != nil {
					closeBody(req)
					return nil, &CredentialError{req.URL.Host, fmt.Errorf("the %s: %w", secrets[i].what, err)}
				}
			}
			set(req.Header, texts)
			return next.RoundTrip(req)
		},
		refused: func(texts []string, resp *http.Response, err error) bool {
			var bad *valueError
			if !unauthorized(resp) && !errors.As(err, &bad) {
				return false
			}
			for i, text := range texts {
				secrets[i].Refused(text)
			}
			return true
		},
	}
}

// checkValue refuses what cannot stand in a header (RFC 9110, section 5.5), and
// spaces at the ends, which would not arrive.
func checkValue(text string) error {
	for i := range len(text) {
		switch c := text[i]; {
		case c == '\n' && i == len(text)-1:
			return &valueError{"it has a line break at its end"}
		case c < ' ' && c != '\t', c == 0x7f:
			return &valueError{"it has characters that no header can have"}
		}
	}
	switch {
	case text == "":
		return &valueError{"it is empty"}
	case strings.Trim(text, " \t") != text:
		return &valueError{"it has spaces at its ends"}
	}
	return nil
}
