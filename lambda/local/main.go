//go:build unix

// Command local runs the built function on this machine only: it starts a simulated
// registry, VictoriaMetrics with its web UI and the Lambda Runtime API on 127.0.0.1, fills
// in what the function would have pushed in the past hour, invokes the function every few seconds while the registry changes, with scheduled events
// and events of ECR, and queries VictoriaMetrics for what arrived, also together with the
// metrics of a simulated cluster. `make run` builds the programs and starts it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

func main() {
	// SIGHUP: the terminal was closed. SIGPIPE: the reader of our output is gone (make run
	// | head). Ending without cleaning up would leave a process and a folder.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, os.Args[1:], os.Environ(), os.Stdout, os.Stderr)
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage): // parse has printed why
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "\nfailed: %v\n", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	bootstrap, victoriaMetrics string
	hour, dashboards, event    string
	every                      time.Duration
	port, ecrPort              int
	once, verbose              bool
	pictures, chromium         string
}

var errUsage = errors.New("wrong usage")

func parse(args []string, stderr io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("local", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&o.bootstrap, "bootstrap", "", "the built function, `FILE`")
	flags.StringVar(&o.victoriaMetrics, "victoriametrics", "", "the built VictoriaMetrics, `FILE`")
	flags.StringVar(&o.hour, "hour", "", "the built tests of the function, `FILE`, which run it in the past hour; the store begins empty without them")
	flags.StringVar(&o.dashboards, "dashboards", "mixin/vmui", "the dashboards of the UI, `FOLDER`")
	flags.StringVar(&o.event, "event", "events/schedule-rule.json", "the schedule's event, `FILE`")
	flags.DurationVar(&o.every, "every", 5*time.Second, "the interval of invocations")
	flags.IntVar(&o.port, "port", 0, "the port of VictoriaMetrics; 0 for a free one")
	flags.IntVar(&o.ecrPort, "ecr-port", 0, "the port of the simulated ECR, likewise")
	flags.BoolVar(&o.once, "once", false, "push once, send the events of one image, check the results of queries, and end")
	flags.StringVar(&o.pictures, "pictures", "", "push once, take pictures of the dashboards into `FOLDER`, and end")
	flags.StringVar(&o.chromium, "chromium", "chromium", "the browser that takes pictures, `FILE`")
	flags.BoolVar(&o.verbose, "v", false, "show the function's log, on standard error")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return o, err
	case err != nil:
		return o, errUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "local: unexpected argument %q; see -help\n", flags.Arg(0))
		return o, errUsage
	case o.bootstrap == "" || o.victoriaMetrics == "":
		fmt.Fprintln(stderr, "local: -bootstrap and -victoriametrics are needed; make run gives them")
		return o, errUsage
	case o.every <= 0:
		fmt.Fprintln(stderr, "local: -every has to be more than 0")
		return o, errUsage
	}
	return o, nil
}

// run is the program. Stopping it by a signal is not an error, except with -once before
// everything was checked.
func run(ctx context.Context, args, environ []string, stdout, stderr io.Writer) error {
	o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	s := &session{options: o, environ: environ, stdout: stdout, stderr: stderr}
	err = s.run(ctx)
	stopErr := s.stop()
	switch stopped := ctx.Err() != nil; {
	case stopped && o.once && err != nil:
		err = errors.New("stopped before everything was checked")
	case stopped:
		err = nil
	}
	if err = errors.Join(err, stopErr); err == nil && !o.once {
		fmt.Fprintln(stdout, "\nStopped. No process and no file is left.")
	}
	return err
}
