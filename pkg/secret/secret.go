// Package secret reads texts that must not be shown from where they are kept: AWS
// Secrets Manager, SSM Parameter Store or a file. Its types print as REDACTED.
//
// A text is read with its first use, once for all callers that wait for it, and then
// kept. It is read again only after an endpoint refused it.
package secret

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
)

// Redacted is printed in place of a secret.
const Redacted = "REDACTED"

// hidden makes a struct that embeds it print as REDACTED.
type hidden struct{}

// Format prints REDACTED, whatever the verb.
func (hidden) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// MarshalText returns REDACTED, also for encoding/json and log/slog.
func (hidden) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// Text is a setting: a secret, or a reference to where it is kept. The zero Text is
// not set. Parse makes one.
type Text struct {
	hidden
	// Of a struct with an unexported Text fmt calls no methods, but of a *string it
	// prints the address. Likewise for the other secrets of this package.
	literal   *string
	reference *reference
}

// IsSet reports whether there is a text.
func (t Text) IsSet() bool { return t.literal != nil || t.reference != nil }

// Literal returns the text if it is the secret itself; ok is false for a reference and
// if nothing is set.
func (t Text) Literal() (text string, ok bool) {
	if t.literal == nil {
		return "", false
	}
	return *t.literal, true
}

// Secret is a secret that is read when it is used. Resolver.Secret makes one. It is
// safe for concurrent use.
type Secret struct {
	Text
	source *source // nil of a literal
}

// Value returns the text. It takes at most 8 s. The error is an *Error.
func (s *Secret) Value(ctx context.Context) (string, error) {
	if s.literal != nil {
		return *s.literal, nil
	}
	text, err := s.source.get(ctx)
	if err == nil {
		var value string
		if value, err = s.reference.pick(text); err == nil {
			return value, nil
		}
		s.source.refused(text) // so that a correction is seen
	}
	return "", &Error{Reference: s.reference.String(), Err: err}
}

// Refused records that an endpoint refused this value. If it is still the current one the
// next call of Value reads the secret again, at most every 10 s of one run.
func (s *Secret) Refused(value string) {
	if s.literal != nil {
		return
	}
	if text, err := s.source.last(); err == nil {
		if current, err := s.reference.pick(text); err == nil && current == value {
			s.source.refused(text)
		}
	}
}

// Error is why a secret could not be read.
type Error struct {
	// Reference is the setting, such as ssm:/prometheus/token.
	Reference string
	// Err is the cause.
	Err error
}

// Error names the reference and the cause.
func (e *Error) Error() string { return "reading the secret " + e.Reference + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether another attempt soon would fail too: the secret is missing,
// malformed, or must not be read. Timeouts, throttling and connection errors pass.
// It implements remotewrite.Permanent.
func (e *Error) Permanent() bool {
	return retry.IsErrorRetryables(retry.DefaultRetryables).IsErrorRetryable(e.Err) != aws.TrueTernary &&
		!errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled)
}
