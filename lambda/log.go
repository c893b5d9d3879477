package main

import (
	"context"
	"io"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
)

// newLogger returns the program's logger: JSON lines with Lambda's field names
// inside Lambda, unless AWS_LAMBDA_LOG_FORMAT asks for text, and text outside.
// c may be nil, as long as the configuration could not be read.
func newLogger(w io.Writer, c *config.Config, environ []string, request *requestID) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo, ReplaceAttr: lambdacontext.ReplaceAttr}
	if c != nil {
		options.Level = c.LogLevel.Level()
	}
	if request == nil {
		options.ReplaceAttr = nil
		return slog.New(slog.NewTextHandler(w, options))
	}
	if slices.ContainsFunc(environ, func(v string) bool { return strings.EqualFold(v, "AWS_LAMBDA_LOG_FORMAT=TEXT") }) {
		return slog.New(requestHandler{slog.NewTextHandler(w, options), request})
	}
	return slog.New(requestHandler{slog.NewJSONHandler(w, options), request})
}

// requestID is the id of the invocation that is being handled. An execution
// environment handles one at a time, so every line logged belongs to it, also
// one that is logged where no context reaches.
type requestID struct{ id atomic.Pointer[string] }

func (r *requestID) set(id string) { r.id.Store(&id) }

// requestHandler puts the request id on each line.
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
