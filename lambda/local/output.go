//go:build unix

package main

import (
	"bytes"
	"io"
	"sync"
)

// keptOutput is how much of a process's output is kept, in bytes.
const keptOutput = 32 << 10

// output takes what a process writes. It keeps the end of it, to be shown should the
// process fail.
type output struct {
	// also gets everything as it comes, if it is set.
	also io.Writer
	// line is told each line once it is whole, without its end, if it is set.
	line func([]byte)

	mu   sync.Mutex
	kept []byte
	open []byte // a line that is not whole yet
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	o.kept = append(o.kept, p...)
	if len(o.kept) > 2*keptOutput {
		o.kept = append(o.kept[:0], o.kept[len(o.kept)-keptOutput:]...)
	}
	o.mu.Unlock()
	if o.line != nil {
		o.split(p)
	}
	if o.also != nil {
		return o.also.Write(p)
	}
	return len(p), nil
}

// split tells the lines. Only the one goroutine that writes comes here.
func (o *output) split(p []byte) {
	for {
		before, after, whole := bytes.Cut(p, []byte("\n"))
		o.open = append(o.open, before...)
		if !whole {
			return
		}
		o.line(o.open)
		o.open, p = o.open[:0], after
	}
}

// String returns the last of it, in whole lines, "(nothing)" if there is none.
func (o *output) String() string {
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
