package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
)

// longestLine bounds the lines of a printed error, in bytes.
const longestLine = 4000

// printable returns an error's text for a terminal. What comes from outside can have control
// characters, which are escaped; the lines of a joined error stay.
func printable(err error) string {
	lines := strings.Split(err.Error(), "\n")
	for i := range lines {
		lines[i] = awsapi.Printable(lines[i], longestLine)
	}
	return strings.Join(lines, "\n")
}

// newLogger returns the program's logger. In Lambda it writes JSON with Lambda's field names,
// or text if AWS_LAMBDA_LOG_FORMAT is TEXT; outside, where request is nil, text. c is nil if
// the configuration is invalid.
func newLogger(w io.Writer, c *config.Config, environ []string, request *requestID) *slog.Logger {
	level := slog.LevelInfo
	if c != nil {
		level = c.LogLevel.Level()
	}
	if request == nil {
		return slog.New(withoutErrors{slog.NewTextHandler(w, &slog.HandlerOptions{Level: level})})
	}
	options := &slog.HandlerOptions{Level: level, ReplaceAttr: lambdacontext.ReplaceAttr}
	var handler slog.Handler = slog.NewJSONHandler(w, options)
	if slices.ContainsFunc(environ, func(v string) bool { return strings.EqualFold(v, "AWS_LAMBDA_LOG_FORMAT=TEXT") }) {
		handler = slog.NewTextHandler(w, options)
	}
	return slog.New(requestHandler{handler, request})
}

// withoutErrors leaves out errors: outside Lambda, the last line shows each.
type withoutErrors struct{ slog.Handler }

func (h withoutErrors) Enabled(ctx context.Context, level slog.Level) bool {
	return level < slog.LevelError && h.Handler.Enabled(ctx, level)
}

// requestID is the ID of the current invocation. An execution environment handles one at a
// time, so it applies to every log line, including those logged without its context.
type requestID struct{ id atomic.Pointer[string] }

func (r *requestID) set(id string) { r.id.Store(&id) }

// requestHandler adds the request ID to each line.
type requestHandler struct {
	slog.Handler
	request *requestID
}

func (h requestHandler) Handle(ctx context.Context, record slog.Record) error {
	if id := h.request.id.Load(); id != nil {
		record.AddAttrs(slog.String("requestId", *id))
	}
	return h.Handler.Handle(ctx, record)
}

func (h requestHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestHandler{h.Handler.WithAttrs(attrs), h.request}
}

func (h requestHandler) WithGroup(name string) slog.Handler {
	return requestHandler{h.Handler.WithGroup(name), h.request}
}
