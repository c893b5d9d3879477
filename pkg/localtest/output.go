//go:build unix

package localtest

import (
	"bytes"
	"io"
	"sync"
)

// keptOutput is how much of the end of a process's output is kept, in bytes.
const keptOutput = 32 << 10

// Output receives the output of a process. It keeps the end, which is shown if the process
// fails.
type Output struct {
	// Also receives everything, if it is set.
	Also io.Writer
	// Line is called with each complete line, without the line break, if it is set.
	Line func([]byte)

	mu   sync.Mutex
	kept []byte
	open []byte // a line that is not complete
}

func (o *Output) Write(p []byte) (int, error) {
	o.mu.Lock()
	o.kept = append(o.kept, p...)
	if len(o.kept) > 2*keptOutput {
		o.kept = append(o.kept[:0], o.kept[len(o.kept)-keptOutput:]...)
	}
	o.mu.Unlock()
	if o.Line != nil {
		o.split(p)
	}
	if o.Also != nil {
		return o.Also.Write(p)
	}
	return len(p), nil
}

// split calls line for each complete line. It is called from one goroutine.
func (o *Output) split(p []byte) {
	for {
		before, after, complete := bytes.Cut(p, []byte("\n"))
		o.open = append(o.open, before...)
		if !complete {
			return
		}
		o.Line(o.open)
		o.open, p = o.open[:0], after
	}
}

// String returns the end of the output, in complete lines, or "(nothing)".
func (o *Output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	text := o.kept
	if len(text) > keptOutput {
		text = text[len(text)-keptOutput:]
		if _, whole, ok := bytes.Cut(text, []byte("\n")); ok {
			text = whole
		}
	}
	if text = bytes.TrimRight(text, "\n"); len(text) == 0 {
		return "(nothing)"
	}
	return string(text)
}
