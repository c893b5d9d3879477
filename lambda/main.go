// Command ecr-remote-write, deployed as the Lambda function's bootstrap, sends what
// is in an Amazon ECR registry to a Prometheus remote-write endpoint.
//
// Lambda starts it without arguments. On a laptop flags say what to do; see -help.
// This package is wiring and nothing else.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"syscall"

	"github.com/aws/aws-lambda-go/lambda"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
)

// version is set by the linker (see Makefile).
var version = "dev"

func main() {
	if os.Getenv("AWS_LAMBDA_RUNTIME_API") != "" {
		if limit := memoryLimit(os.Getenv); limit > 0 {
			debug.SetMemoryLimit(limit)
		}
		lambda.Start(newFunction(os.Environ(), os.Stdout).handle)
	}
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// memoryLimit is what the garbage collector is to keep to, in bytes: most of the
// function's memory, so that a large registry costs time before it costs the
// process. 0 is no limit: GOMEMLIMIT is set, or it is not known.
//
// See https://pkg.go.dev/runtime/debug#SetMemoryLimit.
func memoryLimit(getenv func(string) string) int64 {
	megabytes, err := strconv.ParseInt(getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"), 10, 32)
	if err != nil || getenv("GOMEMLIMIT") != "" {
		return 0
	}
	return megabytes << 20 / 10 * 8
}

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitInterrupted = 130 // 128 + SIGINT, as a shell has it
)

// options are the flags.
type options struct {
	once, dryRun, dump, version bool
	event, state                string
}

// run is the program outside Lambda. It returns the exit code.
func run(args, environ []string, stdout, stderr io.Writer) int {
	var o options
	flags := flag.NewFlagSet("ecr-remote-write", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.BoolVar(&o.once, "once", false, "make one run with the ambient AWS credentials: refresh all that is due, then push")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print the series as exposition text instead of pushing them; needs no endpoint")
	flags.StringVar(&o.event, "event", "", "handle the event in `FILE` (- for standard input) as the function would")
	flags.BoolVar(&o.dump, "dump", false, "print the stored inventory as JSON lines; changes nothing and needs no endpoint")
	flags.StringVar(&o.state, "state", "", "use the state at `URL` in place of STATE_URL")
	flags.BoolVar(&o.version, "version", false, "print the version")
	flags.Usage = func() { help(flags) }
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "ecr-remote-write: unexpected argument %q; see -help\n", flags.Arg(0))
		return exitUsage
	case o.version:
		fmt.Fprintf(stdout, "ecr-remote-write %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return 0
	case !o.once && !o.dryRun && !o.dump && o.event == "":
		help(flags)
		return exitUsage
	case o.once && o.dryRun:
		fmt.Fprintln(stderr, "ecr-remote-write: -once pushes and -dry-run does not: give one of them")
		return exitUsage
	case o.dump && (o.once || o.dryRun || o.event != ""):
		fmt.Fprintln(stderr, "ecr-remote-write: -dump makes no run: give it without -once, -dry-run and -event")
		return exitUsage
	}
	if o.state != "" {
		environ = append(slices.Clip(environ), "STATE_URL="+o.state)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if o.dump {
		err = runDump(ctx, environ, stdout, stderr)
	} else {
		err = runOnce(ctx, o, environ, stdout, stderr)
	}
	var faults config.Faults
	switch {
	case err == nil:
		return 0
	case ctx.Err() != nil:
		fmt.Fprintln(stderr, "ecr-remote-write: interrupted")
		return exitInterrupted
	case errors.As(err, &faults):
		fmt.Fprintln(stderr, "ecr-remote-write:", err)
		return exitUsage
	}
	fmt.Fprintln(stderr, "ecr-remote-write:", err)
	return exitFailed
}

func help(flags *flag.FlagSet) {
	out := flags.Output()
	fmt.Fprint(out, `ecr-remote-write sends what is in an Amazon ECR registry to a Prometheus
remote-write endpoint. It runs as an AWS Lambda function; outside Lambda a flag
says what to do.

`)
	flags.PrintDefaults()
	fmt.Fprint(out, "\nSettings are environment variables:\n\n")
	config.Describe(out)
}

// versionText is the linker's version, or what the Go tool recorded.
func versionText() string {
	if info, ok := debug.ReadBuildInfo(); version == "dev" && ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}
