package main

import (
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"
)

// queueLimits are those of template.yaml.
type queueLimits struct {
	timeout, visibility, retention time.Duration
	receives                       int
}

func queueLimitsOf(t *testing.T) queueLimits {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	number := func(name string) int {
		found := regexp.MustCompile(`(?m)^ +` + name + `: (?:!If \[HasTargets, \d+, )?(\d+)`).FindSubmatch(text)
		if found == nil {
			t.Fatalf("template.yaml has no %s", name)
		}
		n, err := strconv.Atoi(string(found[1]))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	seconds := func(name string) time.Duration { return time.Duration(number(name)) * time.Second }
	return queueLimits{seconds("Timeout"), seconds("VisibilityTimeout"), seconds("MessageRetentionPeriod"), number("maxReceiveCount")}
}

// change is a change of the registry that an event reports.
type change struct {
	repository, digest string
	scan               bool
	at                 time.Time
	// acknowledged is when the event's message was deleted after handling; lost is set if
	// there was no event, or it was dead-lettered or expired.
	acknowledged time.Time
	lost         bool
}

// fifo is an SQS FIFO queue with one message group and a dead-letter queue.
type fifo struct {
	limits   queueLimits
	messages []*queued
	// deadLetters and expired count messages that were not handled.
	deadLetters, expired int
	n                    int
	arrived              chan struct{} // has an element if a message has arrived
}

type queued struct {
	id, body  string
	about     *change
	sentAt    time.Time
	visibleAt time.Time
	receives  int
}

// batchSize is the largest of a FIFO queue.
const batchSize = 10

func (q *fifo) send(id, body string, about *change) {
	q.messages = append(q.messages, &queued{id: id, body: body, about: about, sentAt: time.Now(), visibleAt: time.Now()})
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

// next is when the next message can be received; zero if there is none.
func (q *fifo) next() time.Time {
	var at time.Time
	for _, m := range q.messages { // a group waits for all its messages in flight
		if m.visibleAt.After(at) {
			at = m.visibleAt
		}
	}
	return at
}

// receive returns the next messages, none while others of the group are in flight.
func (q *fifo) receive() []*queued {
	now := time.Now()
	keep := q.messages[:0]
	for _, m := range q.messages {
		if now.Sub(m.sentAt) >= q.limits.retention {
			q.expired++
			m.about.lost = true
			continue
		}
		keep = append(keep, m)
	}
	q.messages = keep
	if q.next().After(now) {
		return nil
	}
	var batch []*queued
	keep = q.messages[:0]
	for _, m := range q.messages {
		if len(batch) < batchSize {
			if m.receives++; m.receives > q.limits.receives {
				q.deadLetters++
				m.about.lost = true
				continue
			}
			m.visibleAt = now.Add(q.limits.visibility)
			batch = append(batch, m)
		}
		keep = append(keep, m)
	}
	q.messages = keep
	return batch
}

// remove deletes a message that was handled.
func (q *fifo) remove(m *queued) {
	for i := range q.messages {
		if q.messages[i] == m {
			q.messages = append(q.messages[:i], q.messages[i+1:]...)
			m.about.acknowledged = time.Now()
			return
		}
	}
}
