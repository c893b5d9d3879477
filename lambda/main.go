// Command ecr-remote-write sends metrics about an Amazon ECR registry to a Prometheus
// remote-write endpoint. It is the bootstrap of a Lambda function; outside Lambda, flags say
// what to do (see -help).
//
// This package only connects the others.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
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
		f := newFunction(os.Environ(), os.Stdout)
		log.SetFlags(0)
		log.SetOutput(standardLog{f.log})
		lambda.Start(handler(f.handle))
	}
	os.Exit(run(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
}

// handler is a lambda.Handler that gets the payload as it is: decoding it to a json.RawMessage
// would copy up to 6 MB.
type handler func(ctx context.Context, payload json.RawMessage) (any, error)

// Invoke handles an invocation.
func (h handler) Invoke(ctx context.Context, payload []byte) ([]byte, error) {
	response, err := h(ctx, payload)
	if err != nil {
		return nil, err
	}
	return json.Marshal(response)
}

// memoryLimit returns the garbage collector's limit in bytes: 80 % of the function's memory,
// so that a large registry makes runs slower before memory runs out. It returns 0, for no
// limit, if GOMEMLIMIT is set or the function's memory is unknown.
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
	exitInterrupted = 130 // 128 + SIGINT, as in a shell
)

// options are the flags.
type options struct {
	once, dryRun, dump, version bool
	event, state                string
	targets                     bool
	target                      string

	cost, brief   bool
	images, inUse int
	prices        string
	given         map[string]bool // the flags by name
}

// prints reports whether a run only prints the registry, its cost or the registries of TARGETS.
func (o *options) prints() bool { return o.dryRun || o.cost || o.targets }

// run runs the program outside Lambda and returns the exit code.
func run(args, environ []string, stdout, stderr io.Writer) int {
	o := options{given: map[string]bool{}}
	flags := flag.NewFlagSet("ecr-remote-write", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	flags.BoolVar(&o.once, "once", false, "make one run with the ambient AWS credentials: refresh everything due, then push")
	flags.BoolVar(&o.dryRun, "dry-run", false, "print the series as exposition text instead of pushing them; needs no endpoint")
	flags.StringVar(&o.event, "event", "", "handle the event in `FILE` (- for standard input) as the function does")
	flags.BoolVar(&o.dump, "dump", false, "print the stored inventory as JSON lines; changes nothing and needs no endpoint")
	flags.BoolVar(&o.targets, "targets", false, "list the registries of TARGETS, with what is stored of them and what a month costs; needs no endpoint")
	flags.StringVar(&o.target, "target", "", "with -once, -dry-run, -cost and -event: only the registry `ACCOUNT/REGION` of TARGETS")
	flags.StringVar(&o.state, "state", "", "use the state at `URL` instead of STATE_URL")
	flags.BoolVar(&o.cost, "cost", false, "print what a month costs: with -images of a typical registry, without any request, else of this registry; needs no endpoint")
	flags.IntVar(&o.images, "images", 0, "with -cost: the `NUMBER` of tagged images")
	flags.IntVar(&o.inUse, "in-use", 0, "with -cost and -images: the `NUMBER` of these that are in use, by default one in 25")
	flags.BoolVar(&o.brief, "brief", false, "with -cost: print one line, of a typical registry with as many images")
	flags.StringVar(&o.prices, "prices", "", "with -cost and -dry-run: the prices in `FILE` instead of the list prices, see docs/cost.md")
	flags.BoolVar(&o.version, "version", false, "print the version")
	usage, err := "", flags.Parse(args)
	flags.Visit(func(f *flag.Flag) { o.given[f.Name] = true })
	switch {
	case errors.Is(err, flag.ErrHelp):
		help(stdout, flags)
		return 0
	case err != nil:
		usage = err.Error()
	case flags.NArg() > 0:
		usage = fmt.Sprintf("unexpected argument %q", flags.Arg(0))
	case o.version:
		fmt.Fprintf(stdout, "ecr-remote-write %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return 0
	case !o.once && !o.dryRun && !o.dump && !o.cost && !o.targets && o.event == "":
		usage = "nothing to do: want -once, -dry-run, -event, -dump, -cost or -targets"
	case o.targets && (o.once || o.dryRun || o.dump || o.cost || o.event != "" || o.target != ""):
		usage = "-targets prints nothing else: use it without -once, -dry-run, -dump, -cost, -event and -target"
	case o.once && o.dryRun:
		usage = "-once pushes and -dry-run does not: use only one of them"
	case o.dryRun && o.event != "":
		usage = "-dry-run prints the whole registry: use it without -event"
	case o.dump && (o.once || o.dryRun || o.event != "" || o.target != ""):
		usage = "-dump makes no run: use it without -once, -dry-run, -event and -target"
	case o.cost && (o.once || o.dryRun || o.dump || o.event != ""):
		usage = "-cost prints nothing else: use it without -once, -dry-run, -dump and -event"
	case !o.cost && (o.given["images"] || o.given["in-use"] || o.brief) || o.prices != "" && !o.cost && !o.dryRun:
		usage = "-images, -in-use and -brief are for -cost, -prices is for -cost and -dry-run"
	case o.images < 0 || o.images > maxImages || o.inUse < 0 || o.inUse > o.images:
		usage = fmt.Sprintf("-images is at most %d, and -in-use at most -images", maxImages)
	}
	if usage != "" {
		fmt.Fprintf(stderr, "ecr-remote-write: %s; see -help\n", usage)
		return exitUsage
	}
	if !o.given["in-use"] {
		o.inUse = o.images / inUseShare
	}
	if o.state != "" {
		environ = append(slices.Clip(environ), "STATE_URL="+o.state)
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	switch {
	case o.dump:
		err = runDump(ctx, environ, stdout, stderr)
	case o.given["images"]:
		err = runCost(o, environ, stdout)
	default:
		err = runOnce(ctx, o, environ, stdout, stderr)
	}
	if err == nil {
		return 0
	}
	if ctx.Err() != nil {
		fmt.Fprintln(stderr, "ecr-remote-write: interrupted")
		return exitInterrupted
	}
	fmt.Fprintln(stderr, "ecr-remote-write:", printable(err))
	if errors.As(err, new(config.Faults)) {
		return exitUsage
	}
	return exitFailed
}

// help writes how to use the program.
func help(w io.Writer, flags *flag.FlagSet) {
	fmt.Fprint(w, `Usage: ecr-remote-write -once | -dry-run | -event FILE | -dump [-state URL] | -cost [-images NUMBER] | -targets

Sends metrics about an Amazon ECR registry to a Prometheus remote-write endpoint.
It runs as an AWS Lambda function; outside Lambda, flags say what to do:

`)
	flags.SetOutput(w)
	flags.PrintDefaults()
	fmt.Fprint(w, `
Examples:

  AWS_REGION=eu-west-1 ecr-remote-write -dry-run > series.txt
  AWS_REGION=eu-west-1 REMOTE_WRITE_URL=http://localhost:9090/api/v1/write ecr-remote-write -once

Settings are environment variables:

`)
	config.Describe(w)
}

// versionText returns the version set by the linker, else the one that the Go tool recorded.
func versionText() string {
	if info, ok := debug.ReadBuildInfo(); version == "dev" && ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return version
}
