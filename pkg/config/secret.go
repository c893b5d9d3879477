package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"unicode/utf8"
)

// redacted stands for every secret that is printed.
const redacted = "REDACTED"

// Secret holds a text that must not be seen: the secret itself, or a reference to
// where it is kept ("secretsmanager:ARN", "secretsmanager:ARN#json-key", "ssm:NAME",
// "file:PATH"). However it is printed, logged or marshalled it is REDACTED, or empty
// if it is not set; only Reveal gives the text.
type Secret struct {
	// A pointer, so that what prints by reflection, as fmt does with the unexported
	// fields of whatever holds a Secret, prints an address.
	text *string
}

// NewSecret returns a Secret that holds the text. An empty one is not set.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{&text}
}

// Reveal returns the text: the secret itself or a reference, empty if not set.
func (s Secret) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsSet reports whether there is a text.
func (s Secret) IsSet() bool { return s.text != nil }

// Equal reports whether both hold the same text. (== compares where it lies.)
func (s Secret) Equal(other Secret) bool { return s.Reveal() == other.Reveal() }

// String returns REDACTED, or nothing if there is no text.
func (s Secret) String() string {
	if s.text == nil {
		return ""
	}
	return redacted
}

// Format prints what String returns, whatever the verb and its flags.
func (s Secret) Format(state fmt.State, _ rune) { _, _ = fmt.Fprint(state, s.String()) }

// LogValue is what String returns.
func (s Secret) LogValue() slog.Value { return slog.StringValue(s.String()) }

// MarshalText writes what String returns.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON writes what String returns.
func (s Secret) MarshalJSON() ([]byte, error) { return json.Marshal(s.String()) }

// UnmarshalText takes the text, and refuses a reference that leads nowhere.
func (s *Secret) UnmarshalText(text []byte) error {
	*s = NewSecret(string(text))
	return must(!isReference(string(text)) || validReference(string(text)))
}

// referenceLike matches references and what must be meant as one: a scheme in other
// letters, an ARN without a scheme or with one that is misspelt.
var referenceLike = regexp.MustCompile(`^(?i:(?:secretsmanager|ssm|file):|(?:[a-z_-]+:)?arn:aws[a-z-]*:)`)

// isReference tells references, which may be shown, from secrets, which may not.
func isReference(text string) bool { return referenceLike.MatchString(text) }

var (
	// See https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_CreateSecret.html
	// for the names of secrets. No name has a # in it. What follows the # is a key
	// of the JSON object that the secret is.
	secretARN = regexp.MustCompile(`^arn:aws(?:-cn|-us-gov)?:secretsmanager:[a-z]{2}(?:-[a-z]+)+-\d:\d{12}:secret:([A-Za-z0-9/_+=.@-]+)(?:#[^#]+)?$`)
	// See https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html:
	// a name with folders begins with a slash. A version or a label may follow it:
	// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html.
	parameterName = regexp.MustCompile(`^(?:[A-Za-z0-9_.-]+|(?:/[A-Za-z0-9_.-]+)+)(?::([A-Za-z0-9_.-]+))?$`)
)

// maxParameterName is the most characters of a parameter's name.
const maxParameterName = 1011

func validReference(text string) bool {
	scheme, rest, _ := strings.Cut(text, ":")
	switch scheme {
	case "secretsmanager":
		return within(secretARN, []byte(rest), 519) && plain(rest)
	case "ssm":
		return within(parameterName, []byte(rest), 100) && len(rest) <= maxParameterName
	case "file":
		return rest != "" && plain(rest)
	}
	return false
}

// plain reports whether a text has no control characters, and is UTF-8.
func plain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == 0x7f })
}

// shownSecret is what a fault may show of a secret's value: a reference.
func shownSecret(value string) string {
	if value == "" || isReference(value) {
		return value
	}
	return redacted
}
