package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"
)

// progress writes log lines to standard error and, at a terminal, keeps one line
// below them that says how far a long refresh is.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	begun    time.Time
	shown    time.Time
	line     bool // the cursor stands behind a progress line
}

// How long a refresh takes before a progress line appears, and how often it is
// written anew.
const (
	progressAfter = time.Second
	progressEvery = 200 * time.Millisecond
)

func newProgress(w io.Writer) *progress {
	file, ok := w.(*os.File)
	return &progress{w: w, terminal: ok && term.IsTerminal(int(file.Fd())), begun: time.Now()}
}

// eraseLine goes to the start of the line and erases it (ECMA-48).
const eraseLine = "\r\x1b[K"

// Write writes a log line in place of the progress line.
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

// show says how many repositories or scans of those due are done.
func (p *progress) show(what string, done, due int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if !p.terminal || now.Sub(p.begun) < progressAfter || now.Sub(p.shown) < progressEvery && done < due {
		return
	}
	p.shown, p.line = now, done < due
	fmt.Fprintf(p.w, "%srefreshing: %d of %d %s", eraseLine, done, due, what)
	if done == due {
		fmt.Fprintln(p.w)
	}
}
