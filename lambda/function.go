package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"

	"github.com/aws/aws-lambda-go/events"
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
		f.exporter, err = wire(context.Background(), c, wiring{log: f.log, budget: true, stdout: stdout, name: lambdacontext.FunctionName})
	}
	if f.broken = err; err != nil {
		f.log.Error("the function cannot work", slog.Any("error", err))
	}
	return f
}

// handle handles one invocation and returns its Summary, or for a batch of SQS
// messages what to deliver again. The Summary is logged too: Lambda keeps what an
// asynchronous invocation returns for nobody.
func (f *function) handle(ctx context.Context, payload json.RawMessage) (any, error) {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		f.request.set(lc.AwsRequestID)
	}
	if f.broken != nil {
		return nil, f.broken
	}
	e, err := parseEvent(payload)
	if err != nil {
		f.log.ErrorContext(ctx, "event refused", slog.Any("error", err))
		return nil, err
	}
	if e.batch != nil {
		return f.handleBatch(ctx, e), nil
	}
	summary, err := act(ctx, f.exporter, e)
	f.report(ctx, summary, err)
	if err != nil {
		return nil, err
	}
	return summary, nil
}

// handleBatch handles what SQS delivered at once. What is not understood is dropped:
// the schedule makes up for it. What could not be pushed is delivered again. What
// could not be read is not: it is due in the inventory, and the next run asks again,
// while a message would hold up the rest of its group.
func (f *function) handleBatch(ctx context.Context, e event) events.SQSEventResponse {
	for _, m := range e.batch.messages {
		if m.err != nil {
			f.log.ErrorContext(ctx, "message dropped", slog.String("messageId", m.id), slog.Any("error", m.err))
		}
	}
	summary, err := act(ctx, f.exporter, e)
	f.report(ctx, summary, err)
	if err == nil || summary.Errors["push"] == "" {
		return e.batch.response(nil)
	}
	return e.batch.response(event.asks)
}

func (f *function) report(ctx context.Context, summary *exporter.Summary, err error) {
	switch {
	case err != nil:
		f.log.ErrorContext(ctx, "run failed in part", slog.Any("summary", summary))
	case summary == nil:
		f.log.InfoContext(ctx, "nothing to do for the event")
	default:
		f.log.InfoContext(ctx, "run done", slog.Any("summary", summary))
	}
}

// act does what an event asks for. The Summary is nil if that is nothing.
func act(ctx context.Context, export *exporter.Exporter, e event) (*exporter.Summary, error) {
	if !e.asks() {
		return nil, nil //nolint:nilnil // nothing was done, and nothing failed
	}
	if !e.run {
		summary, err := export.Apply(ctx, e.notices)
		return &summary, err
	}
	var applied error
	if len(e.notices) > 0 {
		_, applied = export.Apply(ctx, e.notices)
	}
	summary, err := export.Run(ctx)
	return &summary, errors.Join(applied, err)
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
	asked := event{run: true}
	if o.event != "" {
		payload, err := readEvent(o.event)
		if err != nil {
			return err
		}
		if asked, err = parseEvent(payload); err != nil {
			return err
		}
	}
	progress := newProgress(stderr)
	log := newLogger(progress, c, environ, nil)
	export, err := wire(ctx, c, wiring{log: log, budget: !o.once && !o.dryRun, print: o.dryRun, progress: progress.show})
	if err != nil {
		return err
	}
	var summary *exporter.Summary
	out := stdout
	if o.dryRun {
		var printed exporter.Summary
		printed, err = export.Print(ctx, stdout)
		summary, out = &printed, progress
	} else {
		summary, err = act(ctx, export, asked)
	}
	text, jsonErr := json.MarshalIndent(summary, "", "  ")
	fmt.Fprintln(out, string(text))
	if summary != nil && summary.Cost != nil {
		fmt.Fprintf(out, "Pushing this costs %d samples and %d bytes a push; every %s that is %d samples and %d bytes a month.\n",
			summary.Cost.Series, summary.Cost.BytesPerPush, c.Schedule, summary.Cost.SamplesPerMonth, summary.Cost.BytesPerMonth)
	}
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
