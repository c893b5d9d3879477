package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// unreachableFor is how long a push outside Lambda is tried without any connection.
var unreachableFor = 30 * time.Second

// runOnce makes one run outside Lambda: with -event as the function does, else without the
// refresh budget. Standard output gets the Summary or the series, standard error what
// people need to know.
func runOnce(ctx context.Context, o options, environ []string, stdout, stderr io.Writer) error {
	use := config.ToSend
	if o.prints() {
		use = config.ToPrint
	}
	c, err := config.Load(environ, use)
	if err != nil {
		return err
	}
	if o.brief {
		c.ScanSource, c.IndexScans = refresh.ScanNone, false // lists are enough to count images
	}
	e := event{run: true}
	if o.event != "" {
		payload, err := readEvent(o.event)
		if err != nil {
			return err
		}
		if e, err = parseEvent(payload); err != nil {
			return err
		}
	}
	progress := newProgress(stderr)
	for _, m := range e.messages {
		if m.err != nil {
			fmt.Fprintf(progress, "message %s dropped: %v\n", m.id, m.err)
		}
	}
	defer progress.clear()
	w := wiring{log: newLogger(progress, c, environ, nil), budget: !o.once && !o.prints(), print: o.prints(), laptop: progress}
	var export *exporter.Exporter
	if c.Targets != "" {
		var done bool
		if export, c, done, err = runMany(ctx, &o, c, environ, use, w, stdout); done {
			return err
		}
	} else if o.targets || o.target != "" {
		return config.Faults{{Variable: "TARGETS", Rule: "required with -targets and -target"}}
	} else if export, err = wire(ctx, c, w); err != nil {
		return err
	}
	if o.prints() {
		estimator, err := newEstimator(c, export.Table, o.prices)
		if err != nil {
			return err
		}
		series, bill := stdout, io.Writer(progress)
		if o.cost {
			series, bill = io.Discard, stdout
		}
		summary, err := export.Print(ctx, series)
		if useful(&summary, err) {
			if o.dryRun {
				fmt.Fprintf(progress, "Printed %s series of %s in %s; nothing was pushed.\n", quantity.Grouped(summary.Series), contents(&summary), took(&summary))
			}
			err = errors.Join(err, writeCost(bill, c, estimator, export, &summary, o.brief))
		}
		return explain(c, err)
	}
	summary, err := process(ctx, export, e)
	progress.clear()
	if useful(summary, err) {
		text, jsonErr := json.MarshalIndent(summary, "", "  ")
		if jsonErr != nil {
			return jsonErr
		}
		fmt.Fprintln(stdout, string(text))
	}
	if summary == nil || useful(summary, err) {
		writePushed(progress, summary, e, c.RemoteWriteURL.String())
	}
	return explain(c, err)
}

// useful reports whether a Summary says more than the error.
func useful(s *exporter.Summary, err error) bool {
	return s != nil && (err == nil || s.Accepted > 0 && s.Repositories > 0)
}

// writePushed writes what was pushed for an event. The Summary is nil if it needed no run.
func writePushed(w io.Writer, s *exporter.Summary, e event, endpoint string) {
	var what string
	switch {
	case s == nil:
		fmt.Fprintln(w, "The event changes no series: nothing was pushed.")
		return
	case e.run:
		what = contents(s)
	case s.Events == nil:
		fmt.Fprintln(w, "The event is about another registry, or about a repository that REPOSITORIES_INCLUDE or REPOSITORIES_EXCLUDE leaves out: nothing was pushed.")
		return
	default:
		for _, name := range s.Events.Missing {
			fmt.Fprintf(w, "There is no repository %s in the registry.\n", name)
		}
		if s.Series == 0 {
			fmt.Fprintln(w, "Nothing was pushed.")
			return
		}
		what = strings.Join(s.Events.Repositories, ", ")
	}
	pushed := quantity.Grouped(s.Accepted)
	if s.Accepted < s.Series {
		pushed += " of " + quantity.Grouped(s.Series)
	}
	fmt.Fprintf(w, "Pushed %s series of %s to %s in %s.\n", pushed, what, endpoint, took(s))
}

func contents(s *exporter.Summary) string {
	return quantity.Plural(s.Repositories, "repository", "repositories") + " and " + quantity.Plural(s.Images, "image", "images")
}

// took is how long a run took, with a precision that people need.
func took(s *exporter.Summary) time.Duration {
	d := time.Duration(s.Durations["total"] * float64(time.Second))
	if d < time.Second {
		return d.Round(time.Millisecond)
	}
	return d.Round(100 * time.Millisecond)
}

// maxEvent bounds the event that is read, in bytes. It is the largest with which Lambda
// invokes a function.
const maxEvent = 6 << 20

// readEvent reads an event from a file, or from standard input if the name is -.
func readEvent(name string) ([]byte, error) {
	in := os.Stdin
	if name != "-" {
		var err error
		if in, err = os.Open(name); err != nil {
			return nil, fmt.Errorf("reading the event: %w", err)
		}
		defer in.Close()
	}
	payload, err := io.ReadAll(io.LimitReader(in, maxEvent+1))
	if err == nil && len(payload) > maxEvent {
		err = fmt.Errorf("more than %d MiB", maxEvent>>20)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	return payload, nil
}
