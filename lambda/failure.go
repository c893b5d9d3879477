package main

import (
	"encoding/json"
	"log/slog"
	"slices"
	"strings"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// The types of failed invocations, as Lambda and its callers see them.
const (
	failedStart = "ConfigurationFailed" // the function cannot start
	failedEvent = "EventRejected"
	failedRun   = "RunFailed"
)

// failure is an error with one of these types, which aws-lambda-go otherwise takes from the
// Go type. The message names the invocation whose log has the Summary.
func (r *requestID) failure(kind string, err error) error {
	message := err.Error()
	if id := r.id.Load(); id != nil {
		message += " (logged with the requestId " + *id + ")"
	}
	return messages.InvokeResponse_Error{Type: kind, Message: message}
}

// standardLog receives what aws-lambda-go writes to Go's standard log, so that every line of
// the function's log has one format. Of a failed invocation it repeats what is logged already.
type standardLog struct{ log *slog.Logger }

// Write logs a line.
func (l standardLog) Write(line []byte) (int, error) {
	var failed messages.InvokeResponse_Error
	if json.Unmarshal(line, &failed) != nil || !slices.Contains([]string{failedStart, failedEvent, failedRun}, failed.Type) {
		l.log.Error(strings.TrimSuffix(string(line), "\n"))
	}
	return len(line), nil
}
