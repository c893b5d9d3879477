package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// caseWorld is the function in one process and in virtual time, with simulated services, for
// one row of the table of cases. It begins with the repository app and its images v1 and v2,
// which were pushed.
type caseWorld struct {
	*testing.T
	registry *ecrtest.Registry
	aws      *ecrtest.Server
	s3       *objectStore
	receiver *remotewritetest.Receiver
	settings []string

	function *function
	log      bytes.Buffer // of the last invocation
	summary  *exporter.Summary
	// err is the last invocation's.
	err error

	mu       sync.Mutex
	requests map[string]int // of the last invocation, by service and by operation
	// fault, if set, may respond to a request in place of its service: with a response or an
	// error.
	fault func(req *request) (*http.Response, error)
	// answer, if set, is the receiver's.
	answer func() remotewritetest.Answer
	// killAfter, if set, is the service after whose next response the process is killed.
	killAfter string
	killed    bool
}

// caseInterval is the time between two listings.
const caseInterval = 30 * time.Minute

func newCaseWorld(t *testing.T, settings ...string) *caseWorld {
	w := &caseWorld{
		T: t, registry: ecrtest.NewRegistry(account, region), s3: &objectStore{objects: map[string][]byte{}},
		receiver: remotewritetest.New(remotewritetest.Options{}), settings: settings,
	}
	w.aws = ecrtest.New(w.registry)
	w.create("app")
	w.push("app", "v1")
	w.push("app", "v2")
	w.restart()
	w.run()
	w.wantClean()
	w.wantTags("app", "v1", "v2")
	return w
}

func (w *caseWorld) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// restart begins a new execution environment, as after a kill or a change of settings.
func (w *caseWorld) restart(settings ...string) {
	w.killed, w.killAfter = false, ""
	environ := append([]string{
		"REMOTE_WRITE_URL=https://" + hostReceiver + "/api/v1/write", "REMOTE_WRITE_AUTH=none", "STATE_URL=s3://" + bucketName + "/" + objectKey,
		"ECR_REQUESTS_PER_SECOND=10000", "SCAN_REQUESTS_PER_SECOND=10000", "CLOUDWATCH_METRICS=false", "CACHE_REFRESH_INTERVAL=" + caseInterval.String(),
	}, w.settings...)
	w.function = newFunctionOver(w, append(environ, settings...), &w.log)
}

func (w *caseWorld) create(name string) {
	w.Helper()
	w.check(w.registry.PutRepository(ecrtest.Repository{Name: name, CreatedAt: time.Now()}))
}

// push pushes an image and returns its digest and the event.
func (w *caseWorld) push(repository, tag string) (digest, event string) {
	w.Helper()
	digest = ecrtest.Digest(repository + tag)
	w.check(w.registry.PutImage(repository, ecrtest.Image{Digest: digest, Tags: []string{tag}, SizeBytes: new(int64(7)), PushedAt: time.Now()}))
	return digest, string(w.registry.PushEvent(repository, digest, tag, time.Now()))
}

// remove deletes an image.
func (w *caseWorld) remove(repository, tag string) {
	w.Helper()
	w.check(w.registry.DeleteImage(repository, ecrtest.Digest(repository+tag)))
}

// scan scans an image and returns the event.
func (w *caseWorld) scan(repository, tag string, high int32) string {
	w.Helper()
	digest, now := ecrtest.Digest(repository+tag), time.Now()
	w.check(w.registry.Rescan(repository, digest, ecrtest.ScanState{At: now, CompletedAt: now, Counts: map[string]int32{"HIGH": high}}))
	event, err := w.registry.ScanEvent(repository, digest, now)
	w.check(err)
	return string(event)
}

// event is an event of ECR with this detail.
func (w *caseWorld) event(detailType, detail string) string {
	return fmt.Sprintf(`{"source":"aws.ecr","detail-type":%q,"account":%q,"region":%q,"time":%q,"detail":%s}`, detailType, account, region, time.Now().UTC().Format(time.RFC3339), detail)
}

// invoke makes an invocation with the function's timeout. Nothing goes on after its end.
func (w *caseWorld) invoke(payload []byte) any {
	w.Helper()
	w.mu.Lock()
	w.requests = map[string]int{}
	w.mu.Unlock()
	w.log.Reset()
	ctx, cancel := context.WithTimeout(w.Context(), 110*time.Second)
	defer cancel()
	var answer any
	answer, w.err = w.function.handle(ctx, payload)
	env := &environment{}
	env.log.Write(w.log.Bytes())
	w.summary = (&simulation{}).logged(env)
	for _, violation := range w.receiver.Violations() {
		w.Errorf("the receiver: %s", violation)
	}
	if s := w.summary; s != nil && !w.killed && s.Accepted+s.DroppedTotal()+s.Refused+s.Unconfirmed+s.NotSent != s.Series {
		w.Errorf("the summary is not balanced: %+v", s.Push)
	}
	return answer
}

// run makes the next scheduled run.
func (w *caseWorld) run() {
	w.Helper()
	time.Sleep(schedule)
	w.invoke([]byte("{}"))
}

// runDue makes a run when everything is due.
func (w *caseWorld) runDue() {
	w.Helper()
	time.Sleep(caseInterval)
	w.run()
}

// messages delivers messages and returns how many go back.
func (w *caseWorld) messages(bodies ...string) int {
	w.Helper()
	time.Sleep(time.Second)
	var batch events.SQSEvent
	for i, body := range bodies {
		batch.Records = append(batch.Records, events.SQSMessage{MessageId: fmt.Sprint(i), EventSource: "aws:sqs", Body: body, Attributes: map[string]string{"MessageGroupId": "events"}})
	}
	payload, err := json.Marshal(batch)
	w.check(err)
	response, ok := w.invoke(payload).(events.SQSEventResponse)
	if !ok {
		return len(bodies)
	}
	return len(response.BatchItemFailures)
}

// RoundTrip serves a request of the function.
func (w *caseWorld) RoundTrip(r *http.Request) (*http.Response, error) {
	req, err := readRequest(r)
	if err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.killed {
		return nil, errKilled{}
	}
	w.requests[req.service]++
	w.requests[req.operation]++
	resp, err := w.serve(req)
	if w.killAfter == req.service {
		w.killed = true
		return nil, errKilled{}
	}
	if resp != nil {
		resp.Request = r
	}
	return resp, err
}

func (w *caseWorld) serve(req *request) (*http.Response, error) {
	if w.fault != nil {
		w.mu.Unlock() // it may wait
		resp, err := w.fault(req)
		w.mu.Lock()
		if resp != nil || err != nil {
			return resp, err
		}
	}
	switch req.service {
	case serviceECR:
		return answered(w.aws, req)
	case serviceS3:
		return w.s3.serve(req.Request, req.body).Result(), nil
	}
	if w.answer != nil {
		w.receiver.Answer(w.answer())
	}
	return answered(w.receiver, req)
}

// body is a response of status 200 of an AWS API.
func body(text string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text))}
}

// respond responds to the requests of an operation, about one repository or, if that is
// empty, any.
func (w *caseWorld) respond(operation, repository, text string) {
	w.fault = func(req *request) (*http.Response, error) {
		if req.operation == operation && (repository == "" || req.repository == repository) {
			return body(text), nil
		}
		return nil, nil //nolint:nilnil // the service responds
	}
}

// hang does not respond to the requests of an operation.
func (w *caseWorld) hang(operation string) {
	w.fault = func(req *request) (*http.Response, error) {
		if req.operation == operation {
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		return nil, nil //nolint:nilnil // the service responds
	}
}

// deny denies the requests of an operation.
func (w *caseWorld) deny(operation, repository string, n int) {
	w.aws.Fail(ecrtest.Match{Operation: operation, RepositoryName: repository}, n, ecrtest.Fault{Status: 400, Code: "AccessDeniedException"})
}

// calm ends all faults.
func (w *caseWorld) calm() {
	w.fault, w.answer = nil, nil
	w.aws.ClearFaults()
	w.receiver.Mend()
}

// live are the values of a family's series of a repository that have not ended, by tag or, if
// they have none, by the label that is given.
func (w *caseWorld) live(family, repository, label string) map[string]float64 {
	values := map[string]float64{}
	for _, series := range w.receiver.Find(family, "name", repository) {
		if last := series.Last(); math.Float64bits(last.Value) != staleBits {
			values[series.Labels[label]] = last.Value
		}
	}
	return values
}

// wantTags checks which tags of a repository have series that have not ended.
func (w *caseWorld) wantTags(repository string, want ...string) {
	w.Helper()
	got := slices.Sorted(maps.Keys(w.live(contracttest.ImagePushed, repository, "tag")))
	if diff := cmp.Diff(append([]string{}, want...), append([]string{}, got...)); diff != "" {
		w.Errorf("tags of %s with series (-want +got):\n%s", repository, diff)
	}
}

// wantHigh checks the number of HIGH findings that is shown of a tag, in the last push.
func (w *caseWorld) wantHigh(repository, tag string, want float64) {
	w.Helper()
	for _, series := range w.receiver.Find(contracttest.ScanSeverity, "name", repository, "tag", tag, "severity", "HIGH") {
		if last := series.Last(); last.Value == want && last.Timestamp == w.summary.Timestamp.UnixMilli() {
			return
		}
	}
	w.Errorf("HIGH of %s:%s is not %v: %v", repository, tag, want, w.receiver.Find(contracttest.ScanSeverity, "name", repository))
}

// wantClean checks that the last invocation succeeded.
func (w *caseWorld) wantClean() {
	w.Helper()
	if w.err != nil || w.summary == nil || len(w.summary.Errors) > 0 {
		w.Errorf("error %v, Summary %+v", w.err, w.summary)
	}
}

// wantError checks the error of a step of the last invocation.
func (w *caseWorld) wantError(step, want string) {
	w.Helper()
	if w.summary == nil || !strings.Contains(w.summary.Errors[step], want) || w.summary.Errors[step] == "" {
		w.Errorf("error of %s is not %q: %+v", step, want, w.summary)
	}
}

// wantAcknowledged delivers messages, none of which may go back.
func (w *caseWorld) wantAcknowledged(bodies ...string) {
	w.Helper()
	if n := w.messages(bodies...); n != 0 {
		w.Errorf("%d of %d messages go back", n, len(bodies))
	}
}
