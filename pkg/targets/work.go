package targets

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
)

// Source and DetailType are those of the events that carry work.
const (
	Source     = "ecr-remote-write"
	DetailType = "Registry Due"
)

// Message returns the work as a message of an SQS FIFO queue: an event like EventBridge's, the
// group, which keeps a registry's runs apart, and the deduplication id, with which a slot that
// is planned twice has one run. Both have at most 128 of the characters that SQS allows
// (https://docs.aws.amazon.com/AWSSimpleQueueService/latest/APIReference/API_SendMessage.html).
func (w *Work) Message() (body, group, deduplicationID string) {
	slot := w.Slot.UTC()
	text, _ := json.Marshal(struct { // has an error for a rate without value only, which is none here
		Source     string    `json:"source"`
		DetailType string    `json:"detail-type"`
		Account    string    `json:"account"`
		Region     string    `json:"region"`
		Time       time.Time `json:"time"`
		Detail     Work      `json:"detail"`
	}{Source, DetailType, w.Target.Account, w.Target.Region, slot, Work{w.Target, slot, limit(w.Rate)}})
	return string(text), w.Target.String(), w.Target.String() + "/" + slot.Format(time.RFC3339)
}

// limit is a rate as JSON can have it: 0, no limit, for what is none.
func limit(rate float64) float64 {
	if rate > 0 && !math.IsInf(rate, 0) {
		return rate
	}
	return 0
}

// ReadWork reads the detail of an event and checks each field, since whoever may send to the
// queue writes it. The settings' values are for their own rules.
func ReadWork(detail json.RawMessage) (Work, error) {
	var w Work
	if err := json.Unmarshal(detail, &w); err != nil {
		return Work{}, fmt.Errorf("reading the work of a message: %w", err)
	}
	var faults []error
	must := func(ok bool, field, want string) {
		if !ok {
			faults = append(faults, fmt.Errorf("%s: want %s", field, want))
		}
	}
	t := &w.Target
	must(accountRule.ok(t.Account), "account", accountRule.want)
	must(regionRule.ok(t.Region), "region", regionRule.want)
	must(t.Name == "" || nameRule.ok(t.Name), "name", nameRule.want)
	must(t.Role == "" || isRoleOf(t.Role, t.Account), "role", "the ARN of a role of the account")
	must(t.ExternalID == "" || externalIDRule.ok(t.ExternalID), "external_id", externalIDRule.want)
	must(validInterval(t.Interval), "interval", intervalRule.want)
	must(len(t.Labels) <= maxLabels && len(t.Settings) <= maxSettings && length(t.Labels)+length(t.Settings) <= maxTexts,
		"labels and settings", fmt.Sprintf("at most %d labels and %d settings, with %d bytes", maxLabels, maxSettings, maxTexts))
	for name, value := range t.Labels {
		must(labelNameRule.ok(name) && labelValueRule.ok(value), "labels."+shown(name), labelNameRule.want+", with "+labelValueRule.want)
	}
	for name, value := range t.Settings {
		must(settingNameRule.ok(name) && settingValueRule.ok(value), "settings."+shown(name), settingNameRule.want+", with "+settingValueRule.want)
	}
	must(w.Slot.Unix() > 0 && w.Slot.Equal(w.Slot.Truncate(time.Minute)), "slot", "a whole minute after 1970")
	must(w.Rate >= 0, "rate", "0 or more samples a second")
	if len(faults) > 0 {
		return Work{}, fmt.Errorf("reading the work of a message: %w", errors.Join(faults...))
	}
	w.Slot = w.Slot.UTC()
	return w, nil
}

// isRoleOf reports whether an ARN is that of a role of the account, in any partition.
func isRoleOf(arn, account string) bool {
	parts := strings.SplitN(arn, ":", 3)
	if len(parts) < 3 || parts[1] != "aws" && parts[1] != "aws-cn" && parts[1] != "aws-us-gov" {
		return false
	}
	same, err := RoleARN(arn, account, parts[1])
	return err == nil && same == arn
}
