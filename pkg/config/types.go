package config

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"
)

// errRule stands for "breaks the rule": Load reports the rule itself.
var errRule = errors.New("breaks the rule")

// reason is what is wrong with a value, where the rule alone does not tell. It has
// nothing of a secret.
type reason string

func (r reason) Error() string { return string(r) }

// must turns a condition into an error.
func must(ok bool) error {
	if !ok {
		return errRule
	}
	return nil
}

// URL is an absolute http or https URL.
type URL struct{ url.URL }

// String leaves out user info and query, which can hold secrets.
func (u URL) String() string { return withoutSecrets(u.URL) }

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

// Auth is a way to authenticate requests.
type Auth string

// The ways to authenticate.
const (
	AuthSigV4  Auth = "sigv4"
	AuthBasic  Auth = "basic"
	AuthBearer Auth = "bearer"
	AuthNone   Auth = "none"
)

// UnmarshalText reads one of the ways.
func (a *Auth) UnmarshalText(text []byte) error {
	*a = Auth(text)
	switch *a {
	case AuthSigV4, AuthBasic, AuthBearer, AuthNone:
		return nil
	}
	return errRule
}

// Protocol is a version of the remote-write protocol.
type Protocol string

// The protocols. ProtocolAuto is 2.0 where the endpoint takes it, else 1.0.
const (
	Protocol1    Protocol = "1.0"
	ProtocolAuto Protocol = "auto"
	Protocol2    Protocol = "2.0"
)

// UnmarshalText reads one of the protocols.
func (p *Protocol) UnmarshalText(text []byte) error {
	*p = Protocol(text)
	return must(*p == Protocol1 || *p == ProtocolAuto || *p == Protocol2)
}

// RoleARN is the ARN of an IAM role.
type RoleARN string

// A path and a name, see https://docs.aws.amazon.com/IAM/latest/APIReference/API_Role.html.
var roleARN = regexp.MustCompile(`^arn:aws(?:-cn|-us-gov)?:iam::\d{12}:role/(?:([[:graph:]]+)/)?([A-Za-z0-9_+=,.@-]+)$`)

// within matches a text whose submatches have so many bytes at most. A repetition
// with a bound would take milliseconds to compile, in every cold start.
func within(expression *regexp.Regexp, text []byte, most ...int) bool {
	match := expression.FindSubmatch(text)
	for i, bytes := range most {
		if match != nil && len(match[i+1]) > bytes {
			return false
		}
	}
	return match != nil
}

// UnmarshalText reads the ARN.
func (r *RoleARN) UnmarshalText(text []byte) error {
	*r = RoleARN(text)
	return must(within(roleARN, text, 510, 64))
}

// ExternalID is what a role's trust policy may ask for besides the caller. It is no
// secret (https://docs.aws.amazon.com/IAM/latest/UserGuide/id_roles_common-scenarios_third-party.html).
type ExternalID string

// See https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRole.html.
var externalID = regexp.MustCompile(`^[A-Za-z0-9_+=,.@:/-]+$`)

// UnmarshalText reads the text.
func (e *ExternalID) UnmarshalText(text []byte) error {
	*e = ExternalID(text)
	return must(externalID.Match(text) && len(text) >= 2 && len(text) <= 1224)
}

// ScanSource is where scan results come from.
type ScanSource string

// The sources of scan results.
const (
	ScanAuto      ScanSource = "auto"
	ScanFindings  ScanSource = "findings"
	ScanInspector ScanSource = "inspector"
	ScanSummary   ScanSource = "summary"
	ScanNone      ScanSource = "none"
)

// UnmarshalText reads one of the sources.
func (s *ScanSource) UnmarshalText(text []byte) error {
	*s = ScanSource(text)
	switch *s {
	case ScanAuto, ScanFindings, ScanInspector, ScanSummary, ScanNone:
		return nil
	}
	return errRule
}

// Region is the name of an AWS Region.
type Region string

var regionName = regexp.MustCompile(`^[a-z]{2}(-[a-z]+)+-\d$`)

// UnmarshalText reads the name.
func (r *Region) UnmarshalText(text []byte) error {
	*r = Region(text)
	return must(regionName.Match(text))
}

// AccountID is an AWS account, twelve digits.
type AccountID string

var accountID = regexp.MustCompile(`^\d{12}$`)

// UnmarshalText reads the digits.
func (a *AccountID) UnmarshalText(text []byte) error {
	*a = AccountID(text)
	return must(accountID.Match(text))
}

// Label is a name and a value put on every series.
type Label struct{ Name, Value string }

// Labels are written name=value,name=value. A value has no comma in it.
type Labels []Label

var (
	labelName      = regexp.MustCompile(`^[a-zA-Z_][a-zA-Z0-9_]*$`)
	maxLabelLength = 2048
)

// UnmarshalText reads the pairs; white space around names and values is left out.
func (l *Labels) UnmarshalText(text []byte) error {
	*l = nil
	seen := map[string]bool{}
	for pair := range strings.SplitSeq(string(text), ",") {
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		switch {
		case !ok, !labelName.MatchString(name), strings.HasPrefix(name, "__"), seen[name]:
			return errRule
		case value == "", len(value) > maxLabelLength, !utf8.ValidString(value):
			return errRule
		}
		seen[name] = true
		*l = append(*l, Label{name, value})
	}
	return nil
}

// LogLevel is the least severe level that is logged.
type LogLevel struct{ level *slog.Level }

// Level returns the level, INFO if none was set.
func (l LogLevel) Level() slog.Level {
	if l.level == nil {
		return slog.LevelInfo
	}
	return *l.level
}

// logLevels are slog's names, those the Python exporter takes, and Lambda's.
var logLevels = map[string]slog.Level{
	"TRACE": slog.LevelDebug, "DEBUG": slog.LevelDebug, "INFO": slog.LevelInfo,
	"WARN": slog.LevelWarn, "WARNING": slog.LevelWarn,
	"ERROR": slog.LevelError, "CRITICAL": slog.LevelError, "FATAL": slog.LevelError,
}

// UnmarshalText reads the name of a level in either case.
func (l *LogLevel) UnmarshalText(text []byte) error {
	level, ok := logLevels[strings.ToUpper(string(text))]
	if ok {
		l.level = &level
	}
	return must(ok)
}
