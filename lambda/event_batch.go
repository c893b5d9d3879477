package main

import (
	"encoding/json"
	"errors"
	"fmt"

	"github.com/aws/aws-lambda-go/events"
)

// batch is what SQS delivered at once: messages in the order of their group.
//
// A message that is not understood is dropped, and so counts as handled: it would
// not be understood the next time either, and would hold up all that come after it.
type batch struct {
	messages []message
}

// message is one of them, with an EventBridge event as its body.
type message struct {
	id    string
	event event
	err   error // why the body was not understood; event is then empty
}

// parseBatch reads the Records of an invocation by SQS.
//
// See https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html.
func parseBatch(text json.RawMessage) (event, error) {
	var records []struct {
		Source    string `json:"eventSource"`
		MessageID string `json:"messageId"`
		Body      string `json:"body"`
	}
	if err := json.Unmarshal(text, &records); err != nil {
		return event{}, fmt.Errorf("reading a batch of SQS messages: %w", err)
	}
	if records == nil {
		return event{}, errors.New("reading a batch of SQS messages: it has no Records")
	}
	e := event{batch: &batch{}}
	for i, record := range records {
		switch {
		case record.Source != "aws:sqs":
			return event{}, fmt.Errorf("record %d of a batch is of %.100q, want aws:sqs", i, record.Source)
		case record.MessageID == "":
			// Without it its failure could not be told.
			return event{}, fmt.Errorf("record %d of a batch of SQS messages has no messageId", i)
		}
		m := message{id: record.MessageID}
		m.event, m.err = parseBody(record.Body)
		e.batch.messages = append(e.batch.messages, m)
		e.run = e.run || m.event.run
		e.notices = append(e.notices, m.event.notices...)
	}
	return e, nil
}

func parseBody(body string) (event, error) {
	fields, err := fieldsOf([]byte(body))
	if err != nil {
		return event{}, err
	}
	return parseNotification([]byte(body), fields)
}

// response tells SQS which messages to deliver again: the first one that failed and
// all after it, so that the order of their group is kept. failed is asked about the
// events that were understood; without it none failed.
//
// See https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-errorhandling.html.
func (b *batch) response(failed func(event) bool) events.SQSEventResponse {
	response := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	if failed == nil {
		return response
	}
	again := false
	for _, m := range b.messages {
		if again = again || m.err == nil && failed(m.event); again {
			response.BatchItemFailures = append(response.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.id})
		}
	}
	return response
}
