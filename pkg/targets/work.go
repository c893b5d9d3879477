package targets

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// Source and DetailType are those of the events that carry work.
const (
	Source     = "ecr-remote-write"
	DetailType = "Registry Due"
)

// Message returns the work, whose rate is finite, as a message of an SQS FIFO queue: an event
// like EventBridge's; the group, which keeps a registry's runs apart; and the deduplication
// id, with which a slot that is planned twice has one run. Group and id have at most 128 of
// the characters that SQS allows:
// https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html.
func (w *Work) Message() (body, group, deduplicationID string) {
	slot, t := w.Slot.UTC(), &w.Target
	text, _ := json.Marshal(struct { // only rates that are no number have an error
		Source     string    `json:"source"`
		DetailType string    `json:"detail-type"`
		Account    string    `json:"account"`
		Region     string    `json:"region"`
		Time       time.Time `json:"time"`
		Detail     *Work     `json:"detail"`
	}{Source, DetailType, t.Account, t.Region, slot, w})
	return string(text), t.String(), t.String() + "/" + slot.Format(time.RFC3339)
}

// ReadWork reads the detail of an event and checks each field, since whoever may send to the
// queue writes it. The values of settings are for their own rules.
func ReadWork(detail json.RawMessage) (Work, error) {
	var w Work
	if err := json.Unmarshal(detail, &w); err != nil {
		return Work{}, fmt.Errorf("reading the work of a message: %w", err)
	}
	var faults []error
	fault := func(field, want string) { faults = append(faults, fmt.Errorf("%s: want %s", shown(field), want)) }
	t := &w.Target
	t.check(fault)
	if !awsapi.ValidRegion(t.Region) {
		fault("region", "the name of an AWS Region")
	}
	if _, account, _, _ := readRole(t.Role); t.Role != "" && account != t.Account {
		fault("role", "the ARN of a role of the account")
	}
	if w.Slot.Unix() <= 0 || !w.Slot.Equal(w.Slot.Truncate(time.Minute)) {
		fault("slot", "a whole minute after 1970")
	}
	if w.Rate < 0 { // JSON has no NaN
		fault("rate", "0 or more samples per second")
	}
	if len(faults) > 0 {
		return Work{}, fmt.Errorf("reading the work of a message: %w", errors.Join(faults...))
	}
	return w, nil
}
