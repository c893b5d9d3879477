package config

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// Fault is one setting that breaks its rule.
type Fault struct {
	Variable string
	Value    string // as it was set; empty if it was not
	Rule     string
}

// String returns the variable, the value and the rule.
func (f Fault) String() string {
	if f.Value == "" {
		return fmt.Sprintf("%s: %s", f.Variable, f.Rule)
	}
	return fmt.Sprintf("%s=%.200q: want %s", f.Variable, f.Value, f.Rule)
}

// Faults are all faults of a configuration, in the order of their variables.
type Faults []Fault

// Error lists all faults, one a line if there are several.
func (f Faults) Error() string {
	if len(f) == 1 {
		return "the configuration has a fault: " + f[0].String()
	}
	text := fmt.Sprintf("the configuration has %d faults:", len(f))
	for _, fault := range f {
		text += "\n  " + fault.String()
	}
	return text
}

// add records that a field's value breaks its rule; a reason says more.
func (f *Faults) add(vars map[string]string, fieldName string, why error) {
	text := rule(fieldName)
	if r, ok := why.(reason); ok { //nolint:errorlint // of this package, and never wrapped
		text += " (" + string(r) + ")"
	}
	field, _ := reflect.TypeFor[Config]().FieldByName(fieldName)
	variable := field.Tag.Get("env")
	f.note(vars, variable, text)
}

// note records a fault, unless the variable has one.
func (f *Faults) note(vars map[string]string, variable, text string) {
	if f.has(variable) {
		return
	}
	*f = append(*f, Fault{variable, shown(variable, vars[variable]), text})
}

// has reports whether a variable has a fault.
func (f *Faults) has(variable string) bool {
	return slices.ContainsFunc(*f, func(known Fault) bool { return known.Variable == variable })
}

// longestWord is the longest value that is shown of a setting whose values are numbers or
// words, in bytes: a longer one may be a secret in the wrong place.
const longestWord = 40

// shown returns the part of a variable's value that is not secret.
func shown(variable, value string) string {
	for field := range reflect.TypeFor[Config]().Fields() {
		if field.Tag.Get("env") != variable || value == "" {
			continue
		}
		switch field.Type {
		case reflect.TypeFor[URL]():
			return redact(value)
		case reflect.TypeFor[secret.Text]():
			return secret.Shown(value)
		case reflect.TypeFor[Headers]():
			return secret.Redacted
		case reflect.TypeFor[StateURL]():
			if strings.ContainsAny(value, "@?") {
				return secret.Redacted // user info and query have no place in it
			}
		case reflect.TypeFor[Regexp](), reflect.TypeFor[Labels](), reflect.TypeFor[RoleARN](), reflect.TypeFor[ExternalID](), reflect.TypeFor[RoleName](), reflect.TypeFor[Targets]():
		default:
			if len(value) > longestWord {
				return secret.Redacted
			}
		}
	}
	if variable == "REMOTE_WRITE_USERNAME" && auth.CheckUser(value) != nil {
		return secret.Redacted // it may be name:password
	}
	return value
}

func rule(fieldName string) string {
	field, _ := reflect.TypeFor[Config]().FieldByName(fieldName)
	return field.Tag.Get("rule")
}

// errRule is replaced by the rule when it becomes a Fault.
var errRule = errors.New("breaks the rule")

// reason is an error that becomes part of a Fault. It shows nothing of a secret.
type reason string

func (r reason) Error() string { return string(r) }

// must returns an error unless the condition holds.
func must(ok bool) error {
	if !ok {
		return errRule
	}
	return nil
}
