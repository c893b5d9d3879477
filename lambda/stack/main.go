//go:build unix

// Command stack deploys template.yaml with the SAM CLI to MiniStack, an AWS emulator, on
// this machine only, and checks what arrives in VictoriaMetrics: the schedule, events, a
// cold start, updates and the deletion. `make stack` builds what it needs and starts it. It
// says what the emulator cannot do; those things need a stack in AWS.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
)

func main() {
	// SIGHUP: the terminal was closed. SIGPIPE: the reader of our output is gone. Ending
	// without cleaning up would leave processes and folders.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	err := run(ctx, os.Args[1:])
	stop()
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "stack:", err)
		os.Exit(2)
	default:
		fmt.Fprintf(os.Stderr, "\nfailed: %v\n", err)
		os.Exit(1)
	}
}

// options are the flags.
type options struct {
	ministack, victoriaMetrics, out string
	broken                          string
	keep                            bool
	organisation                    bool
}

var errUsage = errors.New("wrong usage")

// faults are what -break can break after the deployment, to see that the checks find it.
var faults = []string{"", "policy", "mapping", "state"}

func run(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("stack", flag.ContinueOnError)
	flags.StringVar(&o.ministack, "ministack", ".build/ministack/bin/python", "the Python that has MiniStack, `FILE`")
	flags.StringVar(&o.victoriaMetrics, "victoriametrics", ".build/victoria-metrics", "the built VictoriaMetrics, `FILE`")
	flags.StringVar(&o.out, "out", ".build/stack", "where the built stack and the logs go, `FOLDER`")
	flags.StringVar(&o.broken, "break", "", "what to break after the deployment, so that the checks have to fail: "+strings.Join(faults[1:], ", "))
	flags.BoolVar(&o.organisation, "organisation", false, "check only a stack with several registries")
	flags.BoolVar(&o.keep, "keep", false, "once everything but the deletion is checked, leave it running until Ctrl-C")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return err
	case err != nil:
		return errUsage
	case flags.NArg() > 0:
		return fmt.Errorf("%w: unexpected argument %q; see -help", errUsage, flags.Arg(0))
	case !slices.Contains(faults, o.broken):
		return fmt.Errorf("%w: -break has to be one of %s", errUsage, strings.Join(faults[1:], ", "))
	}
	s := &session{options: o}
	err := s.run(ctx)
	stopErr := s.stop()
	if ctx.Err() != nil && err != nil {
		err = errors.New("stopped before everything was checked")
	}
	return errors.Join(err, stopErr)
}
