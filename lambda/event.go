package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// event is the payload of an invocation.
type event struct {
	// run is set if the schedule, or planned work, requests a whole run.
	run bool
	// at is when the schedule was due; zero if its event does not say.
	at time.Time
	// work is set for work on one of many registries.
	work *targets.Work
	// events are from ECR or Inspector. An event that changes no series, such as a failed
	// push, leaves it empty.
	events []refresh.Event
	// messages is set for a batch from SQS; run and events then combine those of its
	// messages.
	messages []message
}

// hasWork reports whether there is anything to do.
func (e event) hasWork() bool { return e.run || len(e.events) > 0 }

// kind is a kind of EventBridge event.
type kind struct {
	source, detailType string
	// read converts the detail of an event that happened at that time; nil for the schedule.
	read func(detail json.RawMessage, at time.Time) ([]refresh.Event, error)
}

// kinds are the supported kinds; any other event is an error. See
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html and
// https://docs.aws.amazon.com/inspector/latest/user/eventbridge-integration.html.
var kinds = []kind{
	{"aws.events", "Scheduled Event", nil},
	{"aws.ecr", "ECR Image Action", reader(imageAction)},
	{"aws.ecr", "ECR Image Scan", reader(imageScan)},
	{"aws.ecr", "ECR Replication Action", reader(replication)},
	{"aws.ecr", "ECR Pull Through Cache Action", reader(pullThroughCache)},
	{"aws.ecr", "ECR Scan Resource Change", reader(scanResourceChange)},
	{"aws.ecr", "ECR Referrer Action", reader(ignored)},
	{"aws.inspector2", "Inspector2 Scan", reader(inspectorScan)},
}

// reader decodes an event's detail for read.
func reader[T any](read func(detail T, at time.Time) ([]refresh.Event, error)) func(json.RawMessage, time.Time) ([]refresh.Event, error) {
	return func(text json.RawMessage, at time.Time) ([]refresh.Event, error) {
		var detail T
		if err := json.Unmarshal(text, &detail); err != nil {
			return nil, err
		}
		return read(detail, at)
	}
}

// ignored is for events that change no series: "ECR Referrer Action" is about signatures
// and the like, which have no tag.
func ignored(json.RawMessage, time.Time) ([]refresh.Event, error) { return nil, nil }

// parseEvent reads the payload of an invocation:
//   - {}, which EventBridge Scheduler sends for a target without Input: a run
//   - an EventBridge event of one of the kinds above
//   - a batch of SQS messages with such events
//
// Anything else is an error that names what is supported. Each message of a batch has its
// own error.
func parseEvent(payload []byte) (event, error) {
	fields, err := fieldsOf(payload)
	if err != nil {
		return event{}, err
	}
	if fields["Records"] {
		return parseBatch(payload)
	}
	return parseSingle(payload, fields)
}

// field is a field of a JSON object without its value, which can have megabytes.
type field bool

// UnmarshalJSON is called for each field.
func (f *field) UnmarshalJSON([]byte) error { *f = true; return nil }

// fieldsOf returns the names of the fields of a JSON object.
func fieldsOf(payload []byte) (map[string]field, error) {
	if len(bytes.TrimSpace(payload)) == 0 {
		return nil, fmt.Errorf("the event is empty: %s", supported())
	}
	var fields map[string]field
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil, fmt.Errorf("the event is not a JSON object (%w): %s", err, supported())
	}
	if fields == nil {
		return nil, fmt.Errorf("the event is null: %s", supported())
	}
	return fields, nil
}

// parseSingle reads an event of EventBridge or EventBridge Scheduler.
//
// See https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html.
func parseSingle(payload []byte, fields map[string]field) (event, error) {
	if len(fields) == 0 {
		return event{run: true}, nil
	}
	var envelope struct {
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
		origin
		Detail json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal(payload, &envelope); err != nil {
		return event{}, fmt.Errorf("the event is not an EventBridge event (%w): %s", err, supported())
	}
	if envelope.Source == targets.Source && envelope.DetailType == targets.DetailType {
		work, err := targets.ReadWork(envelope.Detail)
		if err != nil {
			return event{}, fmt.Errorf("reading planned work: %w", err)
		}
		return event{run: true, work: &work}, nil
	}
	for _, k := range kinds {
		if envelope.Source != k.source || envelope.DetailType != k.detailType {
			continue
		}
		if k.read == nil {
			return event{run: true, at: envelope.Time}, nil
		}
		events, err := k.events(envelope.Detail, envelope.origin)
		if err != nil {
			return event{}, fmt.Errorf("reading the event %q of %s: %w", k.detailType, k.source, err)
		}
		return event{events: events}, nil
	}
	return event{}, fmt.Errorf("the event is unknown (source %.100q, detail-type %.100q): %s", envelope.Source, envelope.DetailType, supported())
}

// origin is where and when an event happened.
type origin struct {
	Account string    `json:"account"`
	Region  string    `json:"region"`
	Time    time.Time `json:"time"`
}

// events reads an event's detail. An event that names a repository by its ARN is about the
// registry in the ARN, any other about the one it comes from. Whether that is this one is
// decided in pkg/refresh.
func (k kind) events(detail json.RawMessage, from origin) ([]refresh.Event, error) {
	switch {
	case from.Account == "":
		return nil, errMissing("account")
	case from.Region == "":
		return nil, errMissing("region")
	case from.Time.IsZero():
		return nil, errMissing("time")
	case !awsapi.ValidTime(from.Time):
		return nil, fmt.Errorf("time %s is out of range", from.Time.Format(time.RFC3339))
	case len(detail) == 0:
		return nil, errMissing("detail")
	}
	events, err := k.read(detail, from.Time)
	for i := range events {
		events[i].Account, events[i].Region = cmp.Or(events[i].Account, from.Account), cmp.Or(events[i].Region, from.Region)
	}
	return events, err
}

func errMissing(field string) error { return fmt.Errorf("%s is missing", field) }

// supported lists the kinds of events, for an error.
func supported() string {
	var b strings.Builder
	b.WriteString("want ")
	for i, k := range kinds {
		fmt.Fprintf(&b, "%q", k.detailType)
		if i+1 == len(kinds) || kinds[i+1].source != k.source {
			b.WriteString(" of " + k.source)
		}
		b.WriteString(", ")
	}
	b.WriteString("{} as EventBridge Scheduler sends it, or a batch of them from SQS")
	return b.String()
}
