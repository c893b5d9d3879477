package main

import (
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"
)

// groupQueue is the part of an SQS FIFO queue that the planner and an event source mapping use:
// deduplication for five minutes, and one message of a group at a time.
//
// See https://docs.aws.amazon.com/AWSSimpleQueueService/latest/SQSDeveloperGuide/FIFO-queues-understanding-logic.html
type groupQueue struct {
	visibility time.Duration
	messages   []*groupMessage // in the order in which they were sent
	known      map[string]time.Time
	arrived    chan struct{} // holds one value if a message may be there to take
	sent       int           // messages
	requests   int
}

type groupMessage struct {
	id, body, group string
	sent, hidden    time.Time
	received        int
}

func newGroupQueue(visibility time.Duration) *groupQueue {
	return &groupQueue{visibility: visibility, known: map[string]time.Time{}, arrived: make(chan struct{}, 1)}
}

// serve handles a request of the AWS JSON protocol.
func (q *groupQueue) serve(operation string, body []byte) *http.Response {
	q.requests++
	w := httptest.NewRecorder()
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	var in struct {
		Entries []struct {
			ID      string `json:"Id"`
			Body    string `json:"MessageBody"`
			Group   string `json:"MessageGroupId"`
			Deduped string `json:"MessageDeduplicationId"`
		}
	}
	must(json.Unmarshal(body, &in))
	switch operation {
	case "GetQueueAttributes":
		fmt.Fprintf(w, `{"Attributes":{"ApproximateNumberOfMessages":"%d"}}`, q.waiting())
	case "SendMessageBatch":
		var out []string
		for _, entry := range in.Entries {
			if at, again := q.known[entry.Deduped]; !again || time.Since(at) >= 5*time.Minute {
				q.known[entry.Deduped] = time.Now()
				q.sent++
				q.messages = append(q.messages, &groupMessage{id: fmt.Sprint("message-", q.sent), body: entry.Body, group: entry.Group, sent: time.Now()})
			}
			sum := md5.Sum([]byte(entry.Body))
			out = append(out, fmt.Sprintf(`{"Id":%q,"MessageId":%q,"MD5OfMessageBody":%q}`, entry.ID, entry.ID, hex.EncodeToString(sum[:])))
		}
		fmt.Fprintf(w, `{"Successful":[%s],"Failed":[]}`, strings.Join(out, ","))
		q.notify()
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
	return w.Result()
}

func (q *groupQueue) notify() {
	select {
	case q.arrived <- struct{}{}:
	default:
	}
}

func (q *groupQueue) waiting() (n int) {
	for _, m := range q.messages {
		if !m.hidden.After(time.Now()) {
			n++
		}
	}
	return n
}

// receive takes the first message whose group has none in flight; nil if there is none, and then
// when there may be one.
func (q *groupQueue) receive() (taken *groupMessage, next time.Time) {
	now, busy := time.Now(), map[string]bool{}
	for _, m := range q.messages {
		switch {
		case busy[m.group]:
		case m.hidden.After(now):
			if next.IsZero() || m.hidden.Before(next) {
				next = m.hidden
			}
		default:
			m.hidden = now.Add(q.visibility)
			m.received++
			return m, time.Time{}
		}
		busy[m.group] = true
	}
	return nil, next
}

func (q *groupQueue) remove(done *groupMessage) {
	for i, m := range q.messages {
		if m == done {
			q.messages = append(q.messages[:i], q.messages[i+1:]...)
			break
		}
	}
	q.notify() // the group has room
}
