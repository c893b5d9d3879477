package metrics

import (
	"strings"
	"unicode/utf8"
)

// MaxLabelValue is the longest value of a label, in bytes: the default of Cortex's
// max_length_label_value, which AMP has too.
const MaxLabelValue = 2048

// ValidExternalLabel reports whether a label can be put on every series. Names that begin with
// __ are Prometheus's own.
func ValidExternalLabel(name, value string) bool {
	return ValidLabelName(name) && !strings.HasPrefix(name, "__") && value != "" && len(value) <= MaxLabelValue && utf8.ValidString(value)
}

// ValidLabelName reports whether a name matches [a-zA-Z_][a-zA-Z0-9_]*, the only form
// that remote write 1.0 knows. Prometheus 3 takes any UTF-8, Cortex does not.
func ValidLabelName(name string) bool {
	for i := range len(name) {
		c := name[i]
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return name != ""
}
