package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/aws/aws-lambda-go/events"
)

// message is a message from SQS with an EventBridge event as its body.
type message struct {
	id    string
	group string // of a FIFO queue; empty for another queue
	sent  time.Time
	event event
	err   error // of reading the body; event is then empty
}

// parseBatch reads the payload of an invocation by SQS.
//
// See https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html.
func parseBatch(payload []byte) (event, error) {
	var records []struct {
		Source     string `json:"eventSource"`
		MessageID  string `json:"messageId"`
		Body       string `json:"body"`
		Attributes struct {
			Group string `json:"MessageGroupId"`
			Sent  string `json:"SentTimestamp"` // milliseconds since 1970
		} `json:"attributes"`
	}
	if err := json.Unmarshal(payload, &struct{ Records any }{&records}); err != nil {
		return event{}, fmt.Errorf("reading a batch of SQS messages: %w", err)
	}
	if records == nil {
		return event{}, errors.New("reading a batch of SQS messages: Records is null")
	}
	e := event{messages: []message{}}
	for i, record := range records {
		switch {
		case record.Source != "aws:sqs":
			return event{}, fmt.Errorf("record %d of a batch is from %.100q, want aws:sqs", i, record.Source)
		case record.MessageID == "":
			// A message without it could not be delivered again.
			return event{}, fmt.Errorf("record %d of a batch of SQS messages has no messageId", i)
		}
		m := message{id: record.MessageID, group: record.Attributes.Group}
		if sent, err := strconv.ParseInt(record.Attributes.Sent, 10, 64); err == nil {
			m.sent = time.UnixMilli(sent)
		}
		m.event, m.err = parseBody([]byte(record.Body))
		e.messages = append(e.messages, m)
		e.run = e.run || m.event.run
		e.events = append(e.events, m.event.events...)
	}
	return e, nil
}

func parseBody(body []byte) (event, error) {
	fields, err := fieldsOf(body)
	if err != nil {
		return event{}, err
	}
	return parseSingle(body, fields)
}

// batchResponse lists the messages that SQS is to deliver again. If failed, these are of
// each message group the first with work to do and all after it, which keeps their order. An
// invalid message counts as handled: it would fail each time and block those after it.
//
// See https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.
func batchResponse(messages []message, failed bool) events.SQSEventResponse {
	// Lambda takes null for a failure of the whole batch.
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	again := map[string]bool{}
	for _, m := range messages {
		if again[m.group] = again[m.group] || failed && m.event.hasWork(); again[m.group] {
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.id})
		}
	}
	return response
}
