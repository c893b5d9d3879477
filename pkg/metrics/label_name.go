package metrics

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
