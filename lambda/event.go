package main

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// envelope is what all EventBridge events have in common.
//
// See https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-events-structure.html.
type envelope struct {
	Source     string `json:"source"`
	DetailType string `json:"detail-type"`
}

// checkEvent says whether an event is one the function handles:
//   - "Scheduled Event" of aws.events, from an EventBridge rule with a schedule
//   - {}, which EventBridge Scheduler sends where its target has no Input
//
// Both ask for a run. The error tells what was got instead.
func checkEvent(payload []byte) error {
	if len(bytes.TrimSpace(payload)) == 0 {
		return fmt.Errorf("the event is empty: %s", wanted)
	}
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(payload, &fields); err != nil {
		return fmt.Errorf("the event is no JSON object (%w): %s", err, wanted)
	}
	if fields == nil {
		return fmt.Errorf("the event is null: %s", wanted)
	}
	if len(fields) == 0 {
		return nil
	}
	var event envelope
	if err := json.Unmarshal(payload, &event); err != nil {
		return fmt.Errorf("the event is no EventBridge event (%w): %s", err, wanted)
	}
	if event.Source == "aws.events" && event.DetailType == "Scheduled Event" {
		return nil
	}
	return fmt.Errorf("the event is unknown (source %.100q, detail-type %.100q): %s", event.Source, event.DetailType, wanted)
}

const wanted = `want "Scheduled Event" of aws.events, or {} as EventBridge Scheduler sends it`
