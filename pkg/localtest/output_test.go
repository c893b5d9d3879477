//go:build unix

package localtest

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestOutputLines(t *testing.T) {
	t.Parallel()
	var lines []string
	var also strings.Builder
	o := &Output{Also: &also, Line: func(line []byte) { lines = append(lines, string(line)) }}
	for _, piece := range []string{"on", "e\ntwo\n", "\nfo", "ur", "\nnot yet"} {
		if n, err := o.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Errorf("Write(%q) = %d, %v", piece, n, err)
		}
	}
	if want := []string{"one", "two", "", "four"}; !slices.Equal(lines, want) {
		t.Errorf("lines %q, want %q", lines, want)
	}
	if want := "one\ntwo\n\nfour\nnot yet"; o.String() != want || also.String() != want {
		t.Errorf("kept %q and passed on %q, want %q", o, &also, want)
	}
}

func TestOutputKeepsTheEnd(t *testing.T) {
	t.Parallel()
	if got := new(Output).String(); got != "(nothing)" {
		t.Errorf("of nothing: %q", got)
	}
	o := &Output{}
	const lines = 20_000
	for i := range lines {
		fmt.Fprintf(o, "line %d\n", i)
		if cap(o.kept) > 5*keptOutput {
			t.Fatalf("%d bytes are held", cap(o.kept))
		}
	}
	kept := strings.Split(o.String(), "\n")
	first := lines - len(kept)
	for i, line := range kept {
		if want := fmt.Sprintf("line %d", first+i); line != want {
			t.Fatalf("line %q, want %q", line, want)
		}
	}
	if size := len(o.String()); size > keptOutput || size < keptOutput-100 {
		t.Errorf("%d bytes are shown, want about %d", size, keptOutput)
	}
}
