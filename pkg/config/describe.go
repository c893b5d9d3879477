package config

import (
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"reflect"
	"strings"
)

// source has the comments of the settings, which are their descriptions.
//
//go:embed config.go
var source string

// Describe writes each setting's variable, default, and description in one sentence.
func Describe(w io.Writer) {
	for field := range reflect.TypeFor[Config]().Fields() {
		variable := field.Tag.Get("env")
		if variable == "-" {
			continue
		}
		fmt.Fprint(w, "  ", variable)
		if byDefault := cmp.Or(field.Tag.Get("envDefault"), field.Tag.Get("note")); byDefault == "required" {
			fmt.Fprint(w, " (required to push)")
		} else if byDefault != "" {
			fmt.Fprintf(w, " (default %s)", byDefault)
		}
		fmt.Fprintf(w, "\n        %s\n", sentence(variable))
	}
}

// sentence returns the first sentence of the comment above a setting.
func sentence(variable string) string {
	above, _, _ := strings.Cut(source, "`env:\""+variable+`"`)
	lines := strings.Split(above, "\n")
	comment := strings.TrimPrefix(lines[max(0, len(lines)-2)], "\t// ")
	first, _, _ := strings.Cut(comment, ". ")
	return strings.ReplaceAll(strings.TrimSuffix(first, "."), "`", "") + "."
}
