package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"log/slog"
	"slices"
	"testing"

	"github.com/aws/aws-lambda-go/lambda/messages"
)

// Of what aws-lambda-go logs, failed invocations are in the log already; a panic is not.
func TestStandardLog(t *testing.T) {
	t.Parallel()
	request := &requestID{}
	request.set("a-1")
	for _, c := range []struct {
		err  error
		want bool
	}{
		{request.failure(failedStart, errors.New("no")), false},
		{request.failure(failedEvent, errors.New("no")), false},
		{request.failure(failedRun, errors.New("lost\n3 series")), false},
		{messages.InvokeResponse_Error{Type: "runtimeError", Message: "index out of range"}, true},
	} {
		payload, err := json.Marshal(c.err)
		if err != nil {
			t.Fatal(err)
		}
		var log bytes.Buffer
		line := slices.Concat(payload, []byte("\n"))
		if n, err := (standardLog{newLogger(&log, nil, nil, request)}).Write(line); n != len(line) || err != nil {
			t.Errorf("Write: %d, %v", n, err)
		}
		var got struct{ Level, Message, RequestID string }
		if !c.want {
			if log.Len() > 0 {
				t.Errorf("%s is logged again: %s", payload, &log)
			}
		} else if err := json.Unmarshal(log.Bytes(), &got); err != nil || got.Level != slog.LevelError.String() || got.Message != string(payload) || got.RequestID != "a-1" {
			t.Errorf("%s is logged as %s, error %v", payload, &log, err)
		}
	}
}
