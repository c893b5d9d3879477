//go:build unix

package main

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"unicode/utf8"
)

// indent is what stands before every line below a headline.
const indent = "  "

// writeAnswer writes a question, its query and the answer as a table, the largest
// value first.
func writeAnswer(w io.Writer, q question, answer []sample) {
	headline(w, q.title)
	fmt.Fprintf(w, "%s%s\n\n", indent, q.promQL)
	if len(answer) == 0 {
		fmt.Fprintf(w, "%s(no series)\n", indent)
		return
	}
	answer = slices.Clone(answer)
	slices.SortFunc(answer, func(a, b sample) int {
		return cmp.Or(-cmp.Compare(a.value, b.value), slices.Compare(q.row(a), q.row(b)))
	})
	values := []string{q.unit}
	for _, s := range answer {
		values = append(values, strconv.FormatFloat(s.value, 'f', q.digits, 64))
	}
	alignRight(values)
	table := newTable(w)
	writeRow(table, append(slices.Clone(q.labels), values[0]))
	for i, s := range answer {
		writeRow(table, append(q.row(s), values[i+1]))
	}
	_ = table.Flush() // the terminal's trouble is not ours
}

// row is what stands before the value.
func (q *question) row(s sample) []string {
	row := make([]string, 0, len(q.labels)+1)
	for _, label := range q.labels {
		row = append(row, s.labels[label])
	}
	return row
}

// newTable returns a writer of columns, which cells reach with a tab between them.
func newTable(w io.Writer) *tabwriter.Writer {
	const gap = 3
	return tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
}

func writeRow(table io.Writer, cells []string) {
	fmt.Fprintf(table, "%s%s\n", indent, strings.Join(cells, "\t"))
}

// alignRight pads texts to the width of the widest.
func alignRight(texts []string) {
	width := 0
	for _, text := range texts {
		width = max(width, utf8.RuneCountInString(text))
	}
	for i, text := range texts {
		texts[i] = strings.Repeat(" ", width-utf8.RuneCountInString(text)) + text
	}
}

// byteSize writes a number of bytes with three digits or so, and a unit of 1000.
func byteSize(n float64) string {
	units := []string{"B", "kB", "MB", "GB", "TB", "PB"}
	for n >= 999.5 && len(units) > 1 {
		n, units = n/1000, units[1:]
	}
	digits := 0
	if units[0] != "B" && n < 99.95 {
		digits = 1
	}
	return strconv.FormatFloat(n, 'f', digits, 64) + " " + units[0]
}

// grouped writes a number with a comma between groups of three digits.
func grouped(n int) string {
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

// plural writes a number and what it is of.
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return grouped(n) + " " + many
}
