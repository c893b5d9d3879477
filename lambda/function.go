package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
)

// function is the Lambda function in one execution environment. Its exporter
// lives as long as the environment does, and with it the inventory, connections
// and what was learned of rates.
type function struct {
	exporter *exporter.Exporter
	log      *slog.Logger
	request  *requestID
	// broken is why the function cannot work; every invocation fails with it,
	// so that it is seen where one looks first.
	broken error
}

// newFunction wires the function up from the environment. It makes no AWS call.
func newFunction(environ []string, stdout io.Writer) *function {
	f := &function{request: &requestID{}}
	c, err := config.Load(environ, config.ToSend)
	f.log = newLogger(stdout, c, environ, f.request)
	if err == nil {
		f.exporter, err = wire(context.Background(), c, wiring{log: f.log, budget: true})
	}
	if f.broken = err; err != nil {
		f.log.Error("the function cannot work", slog.Any("error", err))
	}
	return f
}

// handle handles one invocation. The Summary is logged too: Lambda keeps what an
// asynchronous invocation returns for nobody.
func (f *function) handle(ctx context.Context, payload json.RawMessage) (*exporter.Summary, error) {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		f.request.set(lc.AwsRequestID)
	}
	if f.broken != nil {
		return nil, f.broken
	}
	if err := checkEvent(payload); err != nil {
		f.log.ErrorContext(ctx, "event refused", slog.Any("error", err))
		return nil, err
	}
	summary, err := f.exporter.Run(ctx)
	level, message := slog.LevelInfo, "run done"
	if err != nil {
		level, message = slog.LevelError, "run failed in part"
	}
	f.log.Log(ctx, level, message, slog.Any("summary", summary))
	if err != nil {
		return nil, err
	}
	return &summary, nil
}

// runOnce makes one run outside Lambda, without the refresh budget unless it is
// for an event, which is handled as the function would. The Summary goes to
// standard output, or to standard error where that is for the series.
func runOnce(ctx context.Context, o options, environ []string, stdout, stderr io.Writer) error {
	use := config.ToSend
	if o.dryRun {
		use = config.ToPrint
	}
	c, err := config.Load(environ, use)
	if err != nil {
		return err
	}
	if o.event != "" {
		payload, err := readEvent(o.event)
		if err != nil {
			return err
		}
		if err := checkEvent(payload); err != nil {
			return err
		}
	}
	progress := newProgress(stderr)
	log := newLogger(progress, c, environ, nil)
	export, err := wire(ctx, c, wiring{log: log, budget: !o.once && !o.dryRun, print: o.dryRun, progress: progress.show})
	if err != nil {
		return err
	}
	var summary exporter.Summary
	out := stdout
	if o.dryRun {
		summary, err = export.Print(ctx, stdout)
		out = progress
	} else {
		summary, err = export.Run(ctx)
	}
	text, jsonErr := json.MarshalIndent(summary, "", "  ")
	fmt.Fprintln(out, string(text))
	return errors.Join(err, jsonErr)
}

func readEvent(name string) ([]byte, error) {
	var payload []byte
	var err error
	if name == "-" {
		payload, err = io.ReadAll(os.Stdin)
	} else {
		payload, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the event: %w", err)
	}
	return payload, nil
}
