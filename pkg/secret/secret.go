// Package secret holds texts that must not be seen, and reads them from where they
// are kept: AWS Secrets Manager, SSM Parameter Store, or a file.
//
// A text is read when it is first needed, once in the life of the process, however
// many ask at the same time. It is read again only after somebody was refused who
// used it, and at most once a minute.
package secret

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// redacted is how every Secret prints.
const redacted = "REDACTED"

// Secret is a text that does not show: with every verb of package fmt, in log/slog,
// encoding/json and as text it prints as REDACTED. It is made by Resolver.Secret,
// and is safe for concurrent use.
type Secret struct {
	reference Reference
	// The text stands behind a pointer. Printing a struct that has a Secret in an
	// unexported field calls no method of it, and shows no more than an address.
	literal *string
	source  *source
}

// Value returns the text. An error of its own is an *Error. How long it takes is
// bounded by ctx, and by 8 s.
func (s *Secret) Value(ctx context.Context) (string, error) {
	switch {
	case s == nil || s.literal == nil && s.source == nil:
		return "", errors.New("a secret that was not made by a resolver has no value")
	case s.literal != nil:
		return *s.literal, nil
	}
	text, err := s.source.get(ctx)
	if err != nil {
		return "", &Error{Reference: s.reference.String(), Err: err}
	}
	value, err := s.reference.pick(text)
	if err != nil {
		// Else a secret that was put right would stay wrong for this process.
		s.source.refused(text)
		return "", &Error{Reference: s.reference.String(), Err: err}
	}
	return value, nil
}

// Refused says that a receiver did not take this value. If it is still the current
// one, the next call of Value reads the secret again, but no sooner than a minute
// after it was last read again: a receiver that always refuses must not become one
// call a request. A literal text never changes.
func (s *Secret) Refused(value string) {
	if s == nil || s.source == nil {
		return
	}
	if text, ok := s.source.known(); ok {
		if current, err := s.reference.pick(text); err == nil && current == value {
			s.source.refused(text)
		}
	}
}

// String returns REDACTED.
func (Secret) String() string { return redacted }

// Format prints REDACTED, whatever the verb.
func (Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// MarshalText returns REDACTED, which is also what encoding/json shows.
func (Secret) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns REDACTED.
func (Secret) LogValue() slog.Value { return slog.StringValue(redacted) }

// Error says that a secret could not be had.
type Error struct {
	// Reference is what was asked for, such as ssm:/prometheus/token.
	Reference string
	// Err is the cause.
	Err error
}

// Error names what was asked for.
func (e *Error) Error() string { return "reading the secret " + e.Reference + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Permanent reports whether asking again soon is of no use: the secret is missing,
// or not what it should be, or must not be read. Lack of time, throttling and
// failing connections pass.
func (e *Error) Permanent() bool {
	var p *passing
	return !errors.As(e.Err, &p) &&
		!errors.Is(e.Err, context.DeadlineExceeded) && !errors.Is(e.Err, context.Canceled)
}

// passing marks a cause that may be gone by the next time.
type passing struct{ error }

func (p *passing) Unwrap() error { return p.error }
