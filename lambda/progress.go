package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"golang.org/x/term"

	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// progress writes log lines and, in a terminal, below them one line with the progress of a
// long refresh or push.
type progress struct {
	mu       sync.Mutex
	w        io.Writer
	terminal bool
	started  time.Time
	shown    time.Time
	line     bool // the cursor is at the end of a progress line
	done     int  // series of the push that have a result
	failures int  // attempts of the push that failed
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
	p.erase()
	return p.w.Write(b)
}

// clear removes the progress line.
func (p *progress) clear() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.erase()
}

func (p *progress) erase() {
	if p.line {
		p.line = false
		fmt.Fprint(p.w, eraseLine)
	}
}

// refreshing shows how many of the repositories or scans due are done.
func (p *progress) refreshing(what string, done, due int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(done == due, "refreshing: "+quantity.Grouped(done)+" of "+quantity.Grouped(due)+" "+what)
}

// counting shows how many of the registries are done.
func (p *progress) counting(doing string, done, due int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.show(done == due, doing+": "+quantity.Grouped(done)+" of "+quantity.Plural(due, "registry", "registries"))
}

// pushing shows how many series have a result. It writes the first failed attempt at once,
// and counts the others.
func (p *progress) pushing(done int, failed *remotewrite.DeliveryError) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if failed != nil {
		if p.failures++; p.failures == 1 {
			longest := remotewrite.DefaultRetryFor
			if operation(failed) == "dial" {
				longest = unreachableFor
			}
			p.erase()
			fmt.Fprintf(p.w, "The first attempt failed, trying again for up to %s: %s\n", longest, failed)
		}
	}
	if done < p.done { // reported late, or of the run metrics
		return
	}
	p.done = done
	text := "pushing: " + quantity.Grouped(done) + " series"
	if p.failures > 0 {
		text += ", " + quantity.Plural(p.failures, "failed attempt", "failed attempts")
	}
	p.show(false, text)
}

// show updates the progress line, which stays if it is the last one.
func (p *progress) show(last bool, text string) {
	now := time.Now()
	if !p.terminal || now.Sub(p.started) < progressAfter || now.Sub(p.shown) < progressEvery && !last {
		return
	}
	p.shown, p.line = now, !last
	fmt.Fprint(p.w, eraseLine, text)
	if last {
		fmt.Fprintln(p.w)
	}
}
