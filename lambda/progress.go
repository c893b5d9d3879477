package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress writes log lines and, in a terminal, below them one line with the progress of a
// long refresh.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	started  time.Time
	shown    time.Time
	line     bool // the cursor is at the end of a progress line
}

const (
	progressAfter = time.Second            // since the start, until the progress line appears
	progressEvery = 200 * time.Millisecond // between updates of the line
)

func newProgress(w io.Writer) *progress {
	file, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && term.IsTerminal(int(file.Fd())), started: time.Now()}
}

// eraseLine moves the cursor to the start of the line and erases the line (ECMA-48).
const eraseLine = "\r\x1b[K"

// Write replaces the progress line with a log line.
func (p *progress) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.line {
		p.line = false
		if _, err := io.WriteString(p.w, eraseLine); err != nil {
			return 0, err
		}
	}
	return p.w.Write(b)
}

// show updates the progress line: how many of the repositories or scans due are done.
func (p *progress) show(what string, done, due int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.terminal || now.Sub(p.started) < progressAfter || now.Sub(p.shown) < progressEvery && done < due {
		return
	}
	p.shown, p.line = now, done < due
	fmt.Fprintf(p.w, "%srefreshing: %d of %d %s", eraseLine, done, due, what)
	if done == due {
		fmt.Fprintln(p.w)
	}
}
