// Package quantity formats numbers for people. It is not for logs' fields or metrics, which
// programs read.
package quantity

import "strconv"

// Grouped formats a number with commas between groups of three digits.
func Grouped(n int) string {
	text := strconv.Itoa(n)
	first := 0
	if n < 0 {
		first = 1
	}
	for i := len(text) - 3; i > first; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

// Plural formats a number with its noun.
func Plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return Grouped(n) + " " + many
}
