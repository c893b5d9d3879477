package main

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// pair matches Name=value or ParameterKey=Name,ParameterValue=value at the beginning of a
// text. The value is in quotes if it contains spaces.
var pair = regexp.MustCompile(`^(?:ParameterKey=(\w+),ParameterValue=|(\w+)=)("(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:\\.|[^\s"\\])*)(?:\s+|$)`)

// parse adds the pairs of a text as SAM reads them, except that SAM skips in silence what
// is not a pair.
func parse(given map[string]string, text string) (faults []error) {
	for rest := strings.TrimSpace(text); rest != ""; {
		match := pair.FindStringSubmatch(rest)
		if match == nil {
			name, _, _ := strings.Cut(rest, "=") // the value may be a secret
			return append(faults, fmt.Errorf("the parameters are not Name=value Name=value at %.40q: quote a value that contains spaces", name))
		}
		given[match[1]+match[2]] = unquote(match[3])
		rest = rest[len(match[0]):]
	}
	return faults
}

// unquote does what SAM does to each value.
func unquote(value string) string {
	if n := len(value); n > 1 && value[0] == value[n-1] && (value[0] == '"' || value[0] == '\'') {
		value = value[1 : n-1]
	}
	return strings.NewReplacer(`\ `, ` `, `\"`, `"`, `\'`, `'`).Replace(value)
}

var unquoted = regexp.MustCompile(`\\([ "'])`)

// escape makes a value come out of unquote as it is.
func escape(value string) string {
	value = unquoted.ReplaceAllString(value, `\\$1`)
	if value != "" && (value[0] == '"' || value[0] == '\'') {
		return `"` + value + `"`
	}
	return value
}

// readConfig returns the parameters of an environment of samconfig.toml: a text, a list of
// texts and tables, or a table.
func readConfig(file, env string) (given map[string]string, faults []error, err error) {
	var config map[string]toml.Primitive
	meta, err := toml.DecodeFile(file, &config)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", file, err)
	}
	section, ok := config[env]
	if !ok {
		return nil, nil, fmt.Errorf("%s has no environment %q", file, env)
	}
	type command struct {
		Parameters struct {
			Overrides any `toml:"parameter_overrides"`
		} `toml:"parameters"`
	}
	var commands struct{ Deploy, Global command }
	if err := meta.PrimitiveDecode(section, &commands); err != nil {
		return nil, nil, fmt.Errorf("reading %s: environment %s: %w", file, env, err)
	}
	overrides := commands.Deploy.Parameters.Overrides
	if overrides == nil {
		overrides = commands.Global.Parameters.Overrides
	}
	given = map[string]string{}
	var add func(any)
	add = func(value any) {
		switch value := value.(type) {
		case nil:
		case string:
			faults = append(faults, parse(given, value)...)
		case []any:
			for _, item := range value {
				add(item)
			}
		case map[string]any:
			for name, item := range value {
				given[name] = unquote(fmt.Sprint(item))
			}
		default:
			faults = append(faults, fmt.Errorf("%s: parameter_overrides of environment %s has %v, want a text, a list or a table", file, env, value))
		}
	}
	add(overrides)
	return given, faults, nil
}
