package config

import (
	"cmp"
	"fmt"
	"io"
	"reflect"
)

// Describe writes each setting's variable, default and rule.
func Describe(w io.Writer) {
	for field := range reflect.TypeFor[Config]().Fields() {
		variable := field.Tag.Get("env")
		if variable == "-" {
			continue
		}
		fmt.Fprintf(w, "  %s\n        %s", variable, field.Tag.Get("rule"))
		if byDefault := cmp.Or(field.Tag.Get("envDefault"), field.Tag.Get("note")); byDefault == "required" {
			fmt.Fprint(w, " (required to push)")
		} else if byDefault != "" {
			fmt.Fprintf(w, " (default %s)", byDefault)
		}
		fmt.Fprintln(w)
	}
}
