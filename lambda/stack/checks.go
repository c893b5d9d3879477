//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	s3types "github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/aws/aws-sdk-go-v2/service/sqs"
	sqstypes "github.com/aws/aws-sdk-go-v2/service/sqs/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// logGroup is the function's, as the template names it.
const logGroup = "/aws/lambda/" + stackName

// summary is the part of a run's Summary that is used here. It is declared again because
// users who process the logs rely on the names.
type summary struct {
	Timestamp time.Time             `json:"timestamp"`
	Scans     struct{ Pending int } `json:"scans"`
	Events    *struct{}             `json:"events"` // nil if the whole registry was pushed
	Accepted  int                   `json:"accepted"`
	Ended     int                   `json:"ended"`
	Errors    map[string]string     `json:"errors"`
}

// shown is the number of series that a push leaves in the store.
func (s summary) shown() int { return s.Accepted - s.Ended }

// check returns an error if a step of the run failed.
func (s summary) check() error {
	if len(s.Errors) > 0 {
		return fmt.Errorf("the run reports errors: %v", s.Errors)
	}
	return nil
}

// invoke invokes the function as the schedule does.
func (s *session) invoke(ctx context.Context) (summary, error) {
	var pushed summary
	function := s.outputs["FunctionName"]
	out, err := s.emulator.functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: s.event})
	if err != nil {
		return pushed, fmt.Errorf("invoke the function: %w", err)
	}
	if out.FunctionError != nil {
		failed := &functionError{}
		if err := json.Unmarshal(out.Payload, failed); err != nil {
			return pushed, fmt.Errorf("read the failure: %w: %.1000s", err, out.Payload)
		}
		return pushed, failed
	}
	if err := json.Unmarshal(out.Payload, &pushed); err != nil {
		return pushed, fmt.Errorf("read the Summary: %w: %.1000s", err, out.Payload)
	}
	s.ours[pushed.Timestamp.UTC()] = true
	return pushed, nil
}

// visible is how long what was pushed may take to be found by queries.
const visible = 10 * time.Second

// poll calls check until it returns no error, for a while.
func poll(ctx context.Context, timeout, every time.Duration, check func() error) error {
	deadline := time.Now().Add(timeout)
	for {
		err := check()
		if err == nil || time.Now().After(deadline) {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(every):
		}
	}
}

// compare checks that a store has the series of the registry after a run.
func (s *session) compare(ctx context.Context, store *localtest.Store, pushed summary) error {
	want := localtest.Expect(s.registry.Registry, pushed.Timestamp, pushed.Scans.Pending)
	return poll(ctx, visible, 100*time.Millisecond, func() error {
		if err := store.Flush(ctx); err != nil {
			return err
		}
		got, err := store.Totals(ctx, pushed.Timestamp)
		if err != nil {
			return err
		}
		return localtest.Compare(want, got, pushed.shown())
	})
}

// firstRun makes the first run, before the schedule does.
func (s *session) firstRun(ctx context.Context) (string, error) {
	pushed, err := s.invoke(ctx)
	if err != nil {
		return "", err
	}
	if err := s.compare(ctx, s.stores[0], pushed); err != nil {
		return "", err
	}
	if load := pushed.Errors["load"]; load != "" {
		return "", fmt.Errorf("the state could not be loaded: %s", load)
	}
	return fmt.Sprintf("%d series, as the registry has", pushed.shown()), nil
}

// stateSaved checks that a run keeps the inventory in the bucket.
func (s *session) stateSaved(ctx context.Context) (string, error) {
	pushed, err := s.invoke(ctx)
	if err != nil {
		return "", err
	}
	if err := pushed.check(); err != nil {
		return "", err
	}
	bucket, key := s.outputs["StateBucketName"], stackName+"/inventory"
	object, err := s.emulator.objects.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
	if err != nil {
		return "", fmt.Errorf("find %s in the bucket: %w", key, err)
	}
	return fmt.Sprintf("%d bytes", *object.ContentLength), nil
}

// bucketExists reports whether the state bucket exists.
func (s *session) bucketExists(ctx context.Context) (bool, error) {
	bucket := s.outputs["StateBucketName"]
	_, err := s.emulator.objects.HeadBucket(ctx, &s3.HeadBucketInput{Bucket: &bucket})
	if errors.As(err, new(*s3types.NotFound)) {
		return false, nil
	}
	return err == nil, err
}

// imageEvent makes the next change of an image, and waits until a query shows it.
func (s *session) imageEvent(ctx context.Context) (string, error) {
	_, shown, took, err := s.change(ctx)
	return fmt.Sprintf("%s after %.2f s", shown, took.Seconds()), err
}

// change makes the next change of an image, sends its event to the queue as EventBridge does,
// and waits until a query shows the change. It returns what the query shows, and how long after
// the change.
func (s *session) change(ctx context.Context) (change localtest.Change, shown string, took time.Duration, err error) {
	if change, err = s.registry.Next(time.Now()); err != nil {
		return change, "", 0, err
	}
	url, body, group := s.outputs["EventQueueUrl"], string(change.Event), "registry"
	sent := time.Now()
	if _, err := s.emulator.queues.SendMessage(ctx, &sqs.SendMessageInput{QueueUrl: &url, MessageBody: &body, MessageGroupId: &group}); err != nil {
		return change, "", 0, fmt.Errorf("send the event to the queue: %w", err)
	}
	if err := poll(ctx, visible, 20*time.Millisecond, func() error {
		if err := s.stores[0].Flush(ctx); err != nil {
			return err
		}
		result, err := s.stores[0].Query(ctx, change.PromQL, time.Now())
		if err != nil {
			return err
		}
		shown, err = change.Check(result)
		return err
	}); err != nil {
		return change, "", 0, fmt.Errorf("%s was %s, and a query does not show it after %s: %w; %s", change.Image, change.What, visible, err, s.whereEventsAre(ctx))
	}
	return change, shown, time.Since(sent), nil
}

// queued returns the number of messages that wait in the queue, and of those in flight.
func (s *session) queued(ctx context.Context) (waiting, inFlight string, err error) {
	url := s.outputs["EventQueueUrl"]
	got, err := s.emulator.queues.GetQueueAttributes(ctx, &sqs.GetQueueAttributesInput{QueueUrl: &url, AttributeNames: []sqstypes.QueueAttributeName{"All"}})
	if err != nil {
		return "", "", fmt.Errorf("read the queue's attributes: %w", err)
	}
	return got.Attributes["ApproximateNumberOfMessages"], got.Attributes["ApproximateNumberOfMessagesNotVisible"], nil
}

// whereEventsAre describes the way of events for an error.
func (s *session) whereEventsAre(ctx context.Context) string {
	var texts []string
	function := s.outputs["FunctionName"]
	waiting, inFlight, err := s.queued(ctx)
	if err == nil {
		texts = append(texts, fmt.Sprintf("the queue has %s messages and %s in flight", waiting, inFlight))
	}
	mappings, mappingErr := s.emulator.functions.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{FunctionName: &function})
	if mappingErr == nil {
		for _, mapping := range mappings.EventSourceMappings {
			texts = append(texts, "the mapping to the function is "+*mapping.State)
		}
	}
	if err := errors.Join(err, mappingErr); err != nil {
		texts = append(texts, err.Error())
	}
	return strings.Join(texts, ", ")
}

// resume makes a run that has to start from the state in S3: it pushes everything and lists
// nothing.
func (s *session) resume(ctx context.Context, store *localtest.Store) (summary, error) {
	listings := func() int {
		calls := s.registry.Server.Calls()
		return calls["DescribeRepositories"] + calls["DescribeImages"]
	}
	before := listings()
	pushed, err := s.invoke(ctx)
	if err != nil {
		return pushed, err
	}
	if n := listings() - before; n > 0 {
		return pushed, fmt.Errorf("%d requests listed the registry again: the state was not used", n)
	}
	return pushed, errors.Join(pushed.check(), s.compare(ctx, store, pushed))
}

// coldStart ends the function's execution environment. Lambda does the same after some idle
// minutes.
func (s *session) coldStart(ctx context.Context) (string, error) {
	// The run for the last event saves after its push, which a query has shown already.
	if err := poll(ctx, visible, 50*time.Millisecond, func() error {
		waiting, inFlight, err := s.queued(ctx)
		if err == nil && (waiting != "0" || inFlight != "0") {
			err = fmt.Errorf("the queue has %s messages and %s in flight", waiting, inFlight)
		}
		return err
	}); err != nil {
		return "", err
	}
	stopped, err := s.emulator.stopFunctions()
	if err != nil {
		return "", err
	}
	if stopped != 1 {
		return "", fmt.Errorf("%d processes of functions, want 1", stopped)
	}
	pushed, err := s.resume(ctx, s.stores[0])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d series, no listing", pushed.shown()), nil
}

// schedule waits until the schedule has made a run.
func (s *session) schedule(ctx context.Context) (string, error) {
	var pushed summary
	// The default is every two minutes; the emulator looks every ten seconds.
	if err := poll(ctx, 150*time.Second, time.Second, func() error {
		runs, err := s.runs(ctx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(runs, func(r summary) bool { return r.Events == nil && !s.ours[r.Timestamp.UTC()] })
		if i < 0 {
			return fmt.Errorf("%d runs are logged, none of them the schedule's", len(runs))
		}
		pushed = runs[i]
		return nil
	}); err != nil {
		return "", err
	}
	if err := errors.Join(pushed.check(), s.compare(ctx, s.stores[0], pushed)); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d series %.0f s after the start", pushed.shown(), pushed.Timestamp.Sub(s.begun).Seconds()), nil
}

// runs returns the Summaries of all runs in the function's log.
func (s *session) runs(ctx context.Context) ([]summary, error) {
	var runs []summary
	err := s.log(ctx, func(message string) error {
		var line struct{ Summary *summary }
		if err := json.Unmarshal([]byte(message), &line); err == nil && line.Summary != nil {
			runs = append(runs, *line.Summary)
		}
		return nil
	})
	return runs, err
}
