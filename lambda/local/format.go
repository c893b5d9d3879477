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

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
)

// indent is the indentation of lines below a headline.
const indent = "  "

// writeResult writes the title of a query, the query, and its result as a table, the
// largest value first.
func writeResult(w io.Writer, q namedQuery, result []localtest.Sample) {
	headline(w, q.title)
	for line := range strings.Lines(q.promQL) {
		fmt.Fprintf(w, "%s%s\n", indent, strings.TrimSuffix(line, "\n"))
	}
	fmt.Fprintln(w)
	if len(result) == 0 {
		fmt.Fprintf(w, "%s(no series)\n", indent)
		return
	}
	result = slices.Clone(result)
	slices.SortFunc(result, func(a, b localtest.Sample) int {
		return cmp.Or(-cmp.Compare(a.Value, b.Value), slices.Compare(q.row(a), q.row(b)))
	})
	values := []string{q.unit}
	for _, s := range result {
		values = append(values, strconv.FormatFloat(s.Value, 'f', q.digits, 64))
	}
	alignRight(values)
	table := newTable(w)
	writeRow(table, append(slices.Clone(q.labels), values[0]))
	for i, s := range result {
		writeRow(table, append(q.row(s), values[i+1]))
	}
	_ = table.Flush() // errors of the terminal are ignored
}

// row are the cells before the value.
func (q *namedQuery) row(s localtest.Sample) []string {
	row := make([]string, 0, len(q.labels)+1)
	for _, label := range q.labels {
		row = append(row, s.Labels[label])
	}
	return row
}

// newTable returns a writer that aligns cells separated by tabs.
func newTable(w io.Writer) *tabwriter.Writer {
	const gap = 3
	return tabwriter.NewWriter(w, 0, 0, gap, ' ', 0)
}

func writeRow(table io.Writer, cells []string) {
	fmt.Fprintf(table, "%s%s\n", indent, strings.Join(cells, "\t"))
}

// alignRight pads texts on the left to the same width.
func alignRight(texts []string) {
	width := 0
	for _, text := range texts {
		width = max(width, utf8.RuneCountInString(text))
	}
	for i, text := range texts {
		texts[i] = strings.Repeat(" ", width-utf8.RuneCountInString(text)) + text
	}
}

// The formats of numbers.
var grouped, plural = quantity.Grouped, quantity.Plural

// byteSize formats a number of bytes with two or three digits and a decimal unit.
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
