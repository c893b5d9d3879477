//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/lambdatest"
)

// function is the built bootstrap in one execution environment.
type function struct {
	environment *lambdatest.Environment
	out         *output
}

// functionSetup is what a function needs.
type functionSetup struct {
	path string
	// registry is where it reads, remoteWrite the URL it pushes to.
	registry    *registry
	remoteWrite string
	// environ is the user's environment.
	environ []string
	// log gets the function's log as it comes; it may be nil.
	log io.Writer
}

// invocationTimeout is the template's function timeout.
const invocationTimeout = 110 * time.Second

// passed are the settings that are taken from the user's environment, to be played
// with. Those that would lead to another registry, endpoint or state, or to other
// series, are not.
var passed = []string{
	"CACHE_REFRESH_INTERVAL", "ECR_CONCURRENCY", "ECR_REQUESTS_PER_SECOND", "EXTERNAL_LABELS", "LOG_LEVEL", "REFRESH_BUDGET",
	"REMOTE_WRITE_CONCURRENCY", "REMOTE_WRITE_MAX_BYTES", "REMOTE_WRITE_MAX_SERIES", "REMOTE_WRITE_TIMEOUT",
	"SCAN_REFRESH_INTERVAL", "SCAN_REQUESTS_PER_SECOND",
}

// startFunction starts the function and waits until it asks for its first event.
func startFunction(ctx context.Context, setup functionSetup) (*function, error) {
	f := &function{out: &output{also: setup.log}}
	var err error
	f.environment, err = lambdatest.Start(ctx, lambdatest.Function{
		Path:      setup.path,
		Region:    setup.registry.Region(),
		AccountID: setup.registry.ID(),
		Env:       setup.env(),
		Output:    f.out,
	})
	if err != nil {
		return nil, fmt.Errorf("start the function: %w; it wrote:\n%s", err, f.out)
	}
	return f, nil
}

// env is what the function finds in its environment besides what Lambda sets.
func (s *functionSetup) env() []string {
	env := []string{
		"AWS_ENDPOINT_URL=" + s.registry.server.URL(),
		"REMOTE_WRITE_URL=" + s.remoteWrite,
		// Every push is to show what has changed since the one before.
		"CACHE_REFRESH_INTERVAL=1s",
		// A simulated registry need not be spared.
		"ECR_REQUESTS_PER_SECOND=1000",
		"SCAN_REQUESTS_PER_SECOND=10000",
	}
	for _, variable := range s.environ {
		if name, _, _ := strings.Cut(variable, "="); slices.Contains(passed, name) {
			env = append(env, variable)
		}
	}
	return env
}

// summary is what a run says of itself, as far as it is shown here. The names are a
// contract with those who watch the logs, hence a type of its own.
type summary struct {
	Timestamp       time.Time          `json:"timestamp"`
	Repositories    int                `json:"repositories"`
	Images          int                `json:"images"`
	TaggedImages    int                `json:"taggedImages"`
	Refreshed       int                `json:"refreshed"`
	Scans           scans              `json:"scans"`
	Series          int                `json:"series"`
	Ended           int                `json:"ended"`
	Accepted        int                `json:"accepted"`
	Dropped         map[string]int     `json:"dropped"`
	Refused         int                `json:"refused"`
	Unconfirmed     int                `json:"unconfirmed"`
	NotSent         int                `json:"notSent"`
	Protocol        string             `json:"protocol"`
	Batches         int                `json:"batches"`
	Bytes           int64              `json:"bytes"`
	BytesCompressed int64              `json:"bytesCompressed"`
	Retries         int                `json:"retries"`
	Calls           map[string]int     `json:"calls"`
	Throttles       map[string]int     `json:"throttles"`
	Durations       map[string]float64 `json:"durationsSeconds"`
}

// scans is what a Summary says of scan results.
type scans struct {
	Answered int `json:"answered"`
	Pending  int `json:"pending"`
}

// invoke invokes the function with an event. A function that fails is an error, with
// the end of its log.
func (f *function) invoke(ctx context.Context, event []byte) (summary, error) {
	var s summary
	result, err := f.environment.Invoke(ctx, event, invocationTimeout)
	if err == nil && result.FunctionError != nil {
		err = result.FunctionError
	}
	if err != nil {
		// Its log comes through a pipe, and is all there once it has ended.
		return s, errors.Join(fmt.Errorf("invoke the function: %w", err), f.stop(), fmt.Errorf("the function wrote:\n%s", f.out))
	}
	if err := json.Unmarshal(result.Payload, &s); err != nil {
		return s, fmt.Errorf("read the Summary: %w: %.1000s", err, result.Payload)
	}
	return s, nil
}

func (f *function) stop() error {
	_, err := f.environment.Close()
	return err
}

// readEvent reads the event to invoke the function with.
func readEvent(path string) ([]byte, error) {
	event, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read the event: %w", err)
	}
	return event, nil
}
