package fleet_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/hex"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const queueURL = "http://sqs.test/123456789012/ecr-remote-write.fifo"

// entry is a message as SQS gets it.
type entry struct {
	ID                     string `json:"Id"`
	MessageBody            string
	MessageGroupID         string `json:"MessageGroupId"`
	MessageDeduplicationID string `json:"MessageDeduplicationId"`
}

// queue is a stand-in for SQS that can do what Moto's cannot: refuse, and be in virtual time.
type queue struct {
	mu      sync.Mutex
	batches []int // the number of messages of each
	entries []entry
	waiting string // the number of messages, as it is answered
	// refuse, if set, returns why a message of a batch is refused; respond, if set, may answer
	// a whole request.
	refuse  func(entry) string
	respond func(http.ResponseWriter, *http.Request) bool
}

func (q *queue) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.respond != nil && q.respond(w, r) {
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.0")
	if strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetQueueAttributes") {
		_ = json.NewEncoder(w).Encode(map[string]any{"Attributes": map[string]string{"ApproximateNumberOfMessages": q.waiting}})
		return
	}
	var in struct{ Entries []entry }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		panic(err)
	}
	q.batches = append(q.batches, len(in.Entries))
	var successful, failed []map[string]any
	for _, e := range in.Entries {
		if q.refuse != nil {
			if why := q.refuse(e); why != "" {
				failed = append(failed, map[string]any{"Id": e.ID, "Code": "InternalError", "Message": why, "SenderFault": false})
				continue
			}
		}
		q.entries = append(q.entries, e)
		sum := md5.Sum([]byte(e.MessageBody))
		successful = append(successful, map[string]any{"Id": e.ID, "MessageId": e.MessageDeduplicationID, "MD5OfMessageBody": hex.EncodeToString(sum[:])})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"Successful": successful, "Failed": failed})
}

// RoundTrip serves a request without a connection, so that it works in virtual time.
func (q *queue) RoundTrip(r *http.Request) (*http.Response, error) {
	w := httptest.NewRecorder()
	q.ServeHTTP(w, r)
	return w.Result(), r.Context().Err()
}

// take returns the messages since it was last called.
func (q *queue) take() []entry {
	q.mu.Lock()
	defer q.mu.Unlock()
	entries := q.entries
	q.entries, q.batches = nil, nil
	return entries
}

func (q *queue) client() *fleet.Queue {
	return fleet.NewQueue(aws.Config{
		Region: "eu-north-1", HTTPClient: &http.Client{Transport: q},
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}, queueURL, awsapi.NewLimiter(1000))
}

// countingObject counts what is written.
type countingObject struct {
	state.MemoryObject
	writes  int
	refused error // of reading
}

func (o *countingObject) Read(ctx context.Context) ([]byte, error) {
	if o.refused != nil {
		return nil, o.refused
	}
	return o.MemoryObject.Read(ctx)
}

func (o *countingObject) Write(ctx context.Context, content []byte) error {
	o.writes++
	return o.MemoryObject.Write(ctx, content)
}

// world is a planner and what surrounds it.
type world struct {
	*fleet.Planner
	t        *testing.T
	queue    *queue
	kept     *countingObject
	receiver *remotewritetest.Server
	log      *bytes.Buffer
	// list is what the source has; sourceErr is why it cannot be read.
	list      string
	sourceErr error
	parseErr  error // other than faults
	// regions are those of any account; asked are the accounts that were asked.
	regions    []string
	regionsErr error
	asked      []string
}

const interval = 2 * time.Minute

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, queue: &queue{waiting: "0"}, kept: &countingObject{}, receiver: remotewritetest.NewPipe(t, remotewritetest.Options{}), log: &bytes.Buffer{}}
	w.list = "111122223333:eu-west-1,222233334444:eu-west-1,222233334444:us-east-1"
	w.restart(fleet.Options{})
	return w
}

// restart makes a new planner, as in a new execution environment.
func (w *world) restart(o fleet.Options) {
	w.t.Helper()
	table, err := metrics.New(inventory.Shape{Region: "eu-north-1"})
	if err != nil {
		w.t.Fatal(err)
	}
	o.Logger = slog.New(slog.NewTextHandler(w.log, nil))
	sender, err := remotewrite.New(remotewrite.Options{URL: w.receiver.URL, Client: &http.Client{Transport: w.receiver.Transport}, RetryFor: time.Second})
	if err != nil {
		w.t.Fatal(err)
	}
	o.Source = func(context.Context) ([]byte, error) { return []byte(w.list), w.sourceErr }
	o.Parse = func(_ context.Context, text []byte) (*targets.Document, error) {
		if w.parseErr != nil {
			return nil, w.parseErr
		}
		return targets.ParseList(string(text), targets.Defaults{Account: "111122223333", Partition: "aws", Role: "member", Interval: interval})
	}
	o.Regions = func(_ context.Context, account targets.Target) ([]string, error) {
		w.asked = append(w.asked, account.Account)
		return w.regions, w.regionsErr
	}
	o.Kept, o.Queue, o.Table, o.Sender = w.kept, w.queue.client(), table, sender
	w.Planner = fleet.New(o)
}

// minute makes a plan at the present and lets a minute pass.
func (w *world) minute() (fleet.Summary, error) {
	w.t.Helper()
	s, err := w.Plan(w.t.Context(), time.Now())
	time.Sleep(time.Until(time.Now().Truncate(time.Minute).Add(time.Minute)))
	return s, err
}

// plan is minute without an error.
func (w *world) plan() fleet.Summary {
	w.t.Helper()
	s, err := w.minute()
	if err != nil {
		w.t.Errorf("%s: %v", s.Slot, err)
	}
	return s
}

// series is the value of a series that was pushed in the last minute; -1 without one.
func (w *world) series(name string, labels ...string) float64 {
	value := -1.0
	for _, s := range w.receiver.Find(name, labels...) {
		if last := s.Samples[len(s.Samples)-1]; time.Since(time.UnixMilli(last.Timestamp)) <= time.Minute {
			value = last.Value
		}
	}
	return value
}

var errPlanted = errors.New("planted")
