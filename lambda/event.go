package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// event is what an invocation asks for.
type event struct {
	// name is the event's detail-type, for the log; empty for a batch and for {}.
	name string
	// run is set if it asks for a whole run: the schedule.
	run bool
	// notices are what ECR or Inspector tell. There are none in an event that is
	// known and of no concern: an action that failed, for one.
	notices []refresh.Event
	// batch is set for what SQS delivered; run and notices are then those of all
	// its messages.
	batch *batch
}

// asks reports whether there is anything to do.
func (e event) asks() bool { return e.run || len(e.notices) > 0 }

// kind is an EventBridge event that is understood.
type kind struct {
	source, detailType string
	// read returns what an event tells that happened at a moment; nil for one that
	// asks for a run.
	read func(detail json.RawMessage, at time.Time) ([]refresh.Event, error)
}

// kinds are all of them. See
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html and
// https://docs.aws.amazon.com/inspector/latest/user/eventbridge-integration.html.
var kinds = []kind{
	{"aws.events", "Scheduled Event", nil},
	{"aws.ecr", "ECR Image Action", imageAction},
	{"aws.ecr", "ECR Image Scan", imageScan},
	{"aws.ecr", "ECR Replication Action", replication},
	{"aws.ecr", "ECR Pull Through Cache Action", pullThroughCache},
	{"aws.ecr", "ECR Scan Resource Change", scanResourceChange},
	{"aws.ecr", "ECR Referrer Action", nothing},
	{"aws.inspector2", "Inspector2 Scan", inspectorScan},
}

// nothing reads an event of which no family tells: "ECR Referrer Action" is about
// signatures and the like, which have no tag.
func nothing(json.RawMessage, time.Time) ([]refresh.Event, error) { return nil, nil }

// parseEvent reads what an invocation was given:
//   - {}, which EventBridge Scheduler sends where its target has no Input, and which
//     asks for a run
//   - an EventBridge event, one of the kinds above
//   - a batch of SQS messages with such events
//
// The error tells what was got instead. A message of a batch that is not understood
// is no error: see batch.
func parseEvent(payload []byte) (event, error) {
	fields, err := fieldsOf(payload)
	if err != nil {
		return event{}, err
	}
	if records, ok := fields["Records"]; ok {
		return parseBatch(records)
	}
	return parseNotification(payload, fields)
}

// fieldsOf reads a JSON object, field by field.
func fieldsOf(payload []byte) (map[string]json.RawMessage, error) {
	if len(bytes.TrimSpace(payload)) == 0 {
		return nil, fmt.Errorf("the event is empty: %s", wanted())
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil {
		return nil, fmt.Errorf("the event is no JSON object (%w): %s", err, wanted())
	}
	if fields == nil {
		return nil, fmt.Errorf("the event is null: %s", wanted())
	}
	return fields, nil
}

// parseNotification reads what EventBridge or its Scheduler sends.
//
// See https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html.
func parseNotification(payload []byte, fields map[string]json.RawMessage) (event, error) {
	if len(fields) == 0 {
		return event{run: true}, nil
	}
	var envelope struct {
		Source     string `json:"source"`
		DetailType string `json:"detail-type"`
	}
	if err := json.Unmarshal(payload, &envelope); err != nil {
		return event{}, fmt.Errorf("the event is no EventBridge event (%w): %s", err, wanted())
	}
	for _, k := range kinds {
		if envelope.Source != k.source || envelope.DetailType != k.detailType {
			continue
		}
		e := event{name: k.detailType, run: k.read == nil}
		if !e.run {
			notices, err := k.notices(payload)
			if err != nil {
				return event{}, fmt.Errorf("reading the event %q of %s: %w", k.detailType, k.source, err)
			}
			e.notices = notices
		}
		return e, nil
	}
	return event{}, fmt.Errorf("the event is unknown (source %.100q, detail-type %.100q): %s", envelope.Source, envelope.DetailType, wanted())
}

func (k kind) notices(payload []byte) ([]refresh.Event, error) {
	var body struct {
		Time   time.Time       `json:"time"`
		Detail json.RawMessage `json:"detail"`
	}
	if err := json.Unmarshal(payload, &body); err != nil {
		return nil, err
	}
	if body.Time.IsZero() {
		return nil, errMissing("time")
	}
	if len(body.Detail) == 0 {
		return nil, errMissing("detail")
	}
	return k.read(body.Detail, body.Time)
}

func errMissing(field string) error { return fmt.Errorf("it has no %s", field) }

// wanted lists what is understood.
func wanted() string {
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
