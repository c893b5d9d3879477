package config

import (
	"fmt"
	"net/url"
	"reflect"
	"strings"
)

// Fault is one setting that breaks its rule.
type Fault struct {
	Variable string
	Value    string // as it was set; empty if it was not
	Rule     string
}

func (f Fault) String() string {
	if f.Value == "" {
		return fmt.Sprintf("%s: %s", f.Variable, f.Rule)
	}
	return fmt.Sprintf("%s=%.200q: want %s", f.Variable, f.Value, f.Rule)
}

// Faults are all faults of a configuration, in the order of their variables.
type Faults []Fault

func (f Faults) Error() string {
	lines := make([]string, len(f))
	for i, fault := range f {
		lines[i] = fault.String()
	}
	return "the configuration has faults: " + strings.Join(lines, "; ")
}

// add notes that a field's value breaks its rule, once.
func (f *Faults) add(vars map[string]string, fieldName string) {
	field, _ := reflect.TypeFor[Config]().FieldByName(fieldName)
	variable := field.Tag.Get("env")
	for _, known := range *f {
		if known.Variable == variable {
			return
		}
	}
	value := vars[variable]
	if field.Type == reflect.TypeFor[URL]() {
		value = redact(value)
	}
	*f = append(*f, Fault{variable, value, rule(fieldName)})
}

// redact leaves out of a URL what can be secret; of one that cannot be parsed it
// shows nothing.
func redact(value string) string {
	u, err := url.Parse(value)
	if err != nil {
		return "(not shown)"
	}
	return withoutSecrets(*u)
}

func withoutSecrets(u url.URL) string {
	u.User, u.RawQuery, u.Fragment = nil, "", ""
	return u.String()
}

func rule(fieldName string) string {
	field, _ := reflect.TypeFor[Config]().FieldByName(fieldName)
	return field.Tag.Get("rule")
}
