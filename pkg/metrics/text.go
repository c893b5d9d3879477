package metrics

import (
	"bufio"
	"fmt"
	"io"
	"iter"
	"strconv"
	"strings"
)

var (
	helpEscapes  = strings.NewReplacer("\\", `\\`, "\n", `\n`)
	valueEscapes = strings.NewReplacer("\\", `\\`, "\n", `\n`, "\"", `\"`)
)

// WriteText writes series in the Prometheus text exposition format, version
// 0.0.4: a HELP and a TYPE line where a family begins, then one line a series.
// It holds one series at a time, so that a registry of any size can be printed.
//
// See https://prometheus.io/docs/instrumenting/exposition_formats/.
func WriteText(w io.Writer, series iter.Seq[Series]) error {
	out := bufio.NewWriter(w)
	var family *Family
	var line []byte
	for s := range series {
		if s.Family != family {
			family = s.Family
			fmt.Fprintf(out, "# HELP %s %s\n# TYPE %s %s\n", family.Name, helpEscapes.Replace(family.Help), family.Name, family.Type)
		}
		line = appendLine(line[:0], s)
		// A bufio.Writer keeps its first error, and Flush returns it.
		if _, err := out.Write(line); err != nil {
			break
		}
	}
	if err := out.Flush(); err != nil {
		return fmt.Errorf("writing exposition text: %w", err)
	}
	return nil
}

func appendLine(b []byte, s Series) []byte {
	b = append(b, s.Family.Name...)
	separator := byte('{')
	for _, label := range s.Labels {
		if label.Name == nameLabel {
			continue
		}
		b = append(b, separator)
		b = append(b, label.Name...)
		b = append(b, '=', '"')
		b = append(b, valueEscapes.Replace(label.Value)...)
		b = append(b, '"')
		separator = ','
	}
	if separator == ',' {
		b = append(b, '}')
	}
	b = append(b, ' ')
	b = strconv.AppendFloat(b, s.Value, 'g', -1, 64)
	return append(b, '\n')
}
