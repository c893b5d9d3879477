//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
)

// functionError is the response of a failed invocation.
type functionError struct {
	Type    string `json:"errorType"`
	Message string `json:"errorMessage"`
}

func (e *functionError) Error() string {
	return fmt.Sprintf("the function failed: %s: %s", e.Type, e.Message)
}

// logged finds the invocation that the message of a failed run names.
var logged = regexp.MustCompile(`\(logged with the requestId ([0-9a-f-]+)\)$`)

// rotate changes the password of the endpoint, and the secret only after a run has failed.
// The failed run has to name the invocation under which it is logged, and the next run, two
// seconds later, has to use the new secret.
func (s *session) rotate(ctx context.Context) (string, error) {
	const password = "second"
	s.gateway.setPassword(password)
	_, err := s.invoke(ctx)
	var failed *functionError
	if !errors.As(err, &failed) {
		return "", fmt.Errorf("a run with the previous password: %w", errors.Join(err, errors.New("want a failed invocation")))
	}
	named := logged.FindStringSubmatch(failed.Message)
	if failed.Type != "RunFailed" || named == nil {
		return "", fmt.Errorf("the failure has another type than RunFailed, or names no invocation: %w", err)
	}
	if err := poll(ctx, visible, 100*time.Millisecond, func() error { return s.checkFailedLog(ctx, named[1]) }); err != nil {
		return "", err
	}
	name, value := stackName, password
	if _, err := s.emulator.secrets.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{SecretId: &name, SecretString: &value}); err != nil {
		return "", fmt.Errorf("change the secret: %w", err)
	}
	time.Sleep(2 * time.Second)
	pushed, err := s.resume(ctx, s.stores[1])
	if err != nil {
		return "", fmt.Errorf("a run with the new password: %w", err)
	}
	return fmt.Sprintf("a run fails, and is one line in the log; the next one has %d series", pushed.shown()), nil
}

// checkFailedLog checks that the log has one error of an invocation, with its Summary, and no
// line that is not JSON, apart from those of Lambda itself.
func (s *session) checkFailedLog(ctx context.Context, request string) error {
	found := 0
	err := s.log(ctx, func(message string) error {
		for _, ofLambda := range []string{"START ", "END ", "REPORT "} {
			if strings.HasPrefix(message, ofLambda+"RequestId: ") {
				return nil
			}
		}
		var line struct {
			Level, RequestID string
			Summary          *summary
		}
		if err := json.Unmarshal([]byte(message), &line); err != nil {
			return fmt.Errorf("a line of the log is not JSON: %s", message)
		}
		if line.RequestID == request && line.Level == "ERROR" && line.Summary != nil {
			found++
			s.ours[line.Summary.Timestamp.UTC()] = true
		}
		return nil
	})
	if err == nil && found != 1 {
		err = fmt.Errorf("the log has %d errors with a Summary of the failed invocation %s, want 1", found, request)
	}
	return err
}

// log calls use with each line of the function's log.
func (s *session) log(ctx context.Context, use func(message string) error) error {
	group := logGroup
	pages := cloudwatchlogs.NewFilterLogEventsPaginator(s.emulator.logs, &cloudwatchlogs.FilterLogEventsInput{LogGroupName: &group})
	for pages.HasMorePages() {
		page, err := pages.NextPage(ctx)
		if err != nil {
			return fmt.Errorf("read the function's log: %w", err)
		}
		for _, event := range page.Events {
			if err := use(strings.TrimSpace(*event.Message)); err != nil {
				return err
			}
		}
	}
	return nil
}
