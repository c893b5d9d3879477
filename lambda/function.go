package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"

	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
)

// function is the Lambda function in one execution environment. Its exporter keeps the
// inventory, connections and rate limits from one invocation to the next.
type function struct {
	exporter *exporter.Exporter // nil with TARGETS
	many     *many              // nil without
	log      *slog.Logger
	request  *requestID
	// startError is why the function could not start. Every invocation fails with it, so
	// that the function's error metric shows it.
	startError error
}

// newFunction configures the function from the environment. It makes no AWS call.
func newFunction(environ []string, stdout io.Writer) *function {
	return newFunctionOver(nil, environ, stdout)
}

// newFunctionOver is newFunction with a transport in place of the network, unless it is nil.
func newFunctionOver(transport http.RoundTripper, environ []string, stdout io.Writer) *function {
	f := &function{request: &requestID{}}
	c, err := config.Load(environ, config.ToSend)
	f.log = newLogger(stdout, c, environ, f.request)
	w := wiring{log: f.log, budget: true, stdout: stdout, name: lambdacontext.FunctionName, transport: transport}
	switch {
	case err != nil:
	case c.Targets != "":
		f.many, err = newMany(context.Background(), c, environ, config.ToSend, w)
	default:
		f.exporter, err = wire(context.Background(), c, w)
	}
	f.startError = err
	return f
}

// handle handles one invocation. It returns the Summary or, for a batch of SQS messages, the
// messages to deliver again. The Summary is also logged, as Lambda drops the result of an
// asynchronous invocation.
func (f *function) handle(ctx context.Context, payload json.RawMessage) (any, error) {
	if lc, ok := lambdacontext.FromContext(ctx); ok {
		f.request.set(lc.AwsRequestID)
	}
	if f.startError != nil {
		f.log.ErrorContext(ctx, "the function cannot start", slog.Any("error", f.startError))
		return nil, f.request.failure(failedStart, f.startError)
	}
	e, err := parseEvent(payload)
	if err != nil {
		f.log.ErrorContext(ctx, "event rejected", slog.Any("error", err))
		return nil, f.request.failure(failedEvent, err)
	}
	if f.many != nil {
		response, err := f.many.handle(ctx, e)
		if err != nil {
			return nil, f.request.failure(failedRun, err)
		}
		return response, nil
	}
	if e.messages != nil {
		return f.handleBatch(ctx, e), nil
	}
	summary, err := process(ctx, f.exporter, e)
	report(ctx, f.log, summary, err)
	if err != nil {
		return nil, f.request.failure(failedRun, err)
	}
	return summary, nil
}

// handleBatch handles a batch from SQS. Invalid messages are dropped: the next refresh makes
// up for them. Messages are delivered again only if what they taught could not be saved. If
// reading a repository or the push failed they are not: the repository stays due, the next
// run pushes everything, and a message that is delivered again blocks its group.
func (f *function) handleBatch(ctx context.Context, e event) events.SQSEventResponse {
	for _, m := range e.messages {
		if m.err != nil {
			f.log.ErrorContext(ctx, "message dropped", slog.String("messageId", m.id), slog.Any("error", m.err))
		}
	}
	summary, err := process(ctx, f.exporter, e)
	report(ctx, f.log, summary, err)
	return batchResponse(e.messages, summary != nil && summary.Errors["save"] != "")
}

func report(ctx context.Context, log *slog.Logger, summary *exporter.Summary, err error) {
	switch {
	case err != nil:
		log.ErrorContext(ctx, "run finished with errors", slog.Any("summary", summary))
	case summary == nil:
		log.InfoContext(ctx, "event needs no run")
	default:
		log.InfoContext(ctx, "run done", slog.Any("summary", summary))
	}
}

// process makes the runs that an event needs. The Summary is nil if there are none.
func process(ctx context.Context, export *exporter.Exporter, e event) (*exporter.Summary, error) {
	if !e.hasWork() {
		return nil, nil //nolint:nilnil // no run and no error
	}
	if !e.run {
		summary, err := export.Apply(ctx, e.events)
		return &summary, err
	}
	var applied error
	if len(e.events) > 0 {
		_, applied = export.Apply(ctx, e.events)
	}
	summary, err := export.Run(ctx)
	return &summary, errors.Join(applied, err)
}
