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
	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// function is the built bootstrap in one execution environment.
type function struct {
	environment *lambdatest.Environment
	out         *localtest.Output
}

// functionSetup configures a function.
type functionSetup struct {
	path string
	// registry is the source, remoteWrite the URL of the destination.
	registry    *localtest.Registry
	remoteWrite string
	// settings are further ones.
	settings []string
	// environ is the user's environment.
	environ []string
	// log receives the function's log; it may be nil.
	log io.Writer
}

// invocationTimeout is the template's function timeout.
const invocationTimeout = 110 * time.Second

// passed are the settings that are taken from the user's environment. Those that select
// another registry, endpoint or state, or other series, are not.
var passed = []string{
	"CACHE_REFRESH_INTERVAL", "ECR_CONCURRENCY", "ECR_REQUESTS_PER_SECOND", "EXTERNAL_LABELS", "LOG_LEVEL", "REFRESH_BUDGET",
	"REMOTE_WRITE_CONCURRENCY", "REMOTE_WRITE_MAX_BYTES", "REMOTE_WRITE_MAX_SERIES", "REMOTE_WRITE_TIMEOUT",
	"SCAN_REFRESH_INTERVAL", "SCAN_REQUESTS_PER_SECOND",
}

// startFunction starts the function and waits until it requests its first event.
func startFunction(ctx context.Context, setup functionSetup) (*function, error) {
	f := &function{out: &localtest.Output{Also: setup.log}}
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

// env is the function's environment, apart from the variables of Lambda.
func (s *functionSetup) env() []string {
	return slices.Concat([]string{
		"AWS_ENDPOINT_URL=" + s.registry.Server.URL(),
		"REMOTE_WRITE_URL=" + s.remoteWrite,
	}, s.settings, settings(s.environ))
}

// settings are those of the function, of which some are taken from the user's environment.
func settings(environ []string) []string {
	env := []string{
		// Every push shows the changes since the previous one.
		"CACHE_REFRESH_INTERVAL=1s",
		// A simulated registry needs no rate limit.
		"ECR_REQUESTS_PER_SECOND=1000",
		"SCAN_REQUESTS_PER_SECOND=10000",
		// There is something to see.
		"REPOSITORY_TAGS=team,cost-center",
		"LIFECYCLE_POLICIES=true",
		"REGISTRY_DETAILS=true",
		"FAMILIES_INCLUDE=.*",
	}
	for _, variable := range environ {
		if name, _, _ := strings.Cut(variable, "="); slices.Contains(passed, name) {
			env = append(env, variable)
		}
	}
	return env
}

// summary is the part of a run's Summary that is shown here. It is declared again because
// users who process the logs rely on the names.
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

// scans are the counts of scan results in a Summary.
type scans struct {
	Answered int `json:"answered"`
	Pending  int `json:"pending"`
}

// invoke invokes the function with an event. If it fails, the error includes the end of
// its log, and the function is stopped.
func (f *function) invoke(ctx context.Context, event []byte) (summary, error) {
	var s summary
	result, err := f.environment.Invoke(ctx, event, invocationTimeout)
	if err == nil && result.FunctionError != nil {
		err = result.FunctionError
	}
	if err != nil {
		// The log arrives through a pipe, and is complete once the process has ended.
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
