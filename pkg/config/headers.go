package config

import (
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// Header is a header that every request to the endpoint carries.
type Header struct {
	Name  string
	Value secret.Text
}

// Headers are written Name=value,Name=value. A value has no comma.
type Headers []Header

// UnmarshalText reads the pairs, without white space around names and values. Its errors
// show nothing of the text, as even a name may be a secret in the wrong place.
func (h *Headers) UnmarshalText(text []byte) error {
	*h = nil
	var names []string
	for pair := range strings.SplitSeq(string(text), ",") {
		name, value, ok := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if !ok {
			return reason("a pair has no =; a value may have no comma")
		}
		names = append(names, name)
		if err := auth.CheckHeaderNames(names...); err != nil {
			return reason(err.Error())
		}
		parsed, err := secret.Parse(value)
		if literal, ok := parsed.Literal(); ok || value == "" {
			err = auth.CheckHeaderValue(literal)
		}
		if err != nil {
			return reason("a value: " + err.Error())
		}
		*h = append(*h, Header{name, parsed})
	}
	return nil
}
