package e2e

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/lambdatest"
)

// region is that of the simulated registries and functions.
const region = "eu-west-1"

// invocationTimeout is the template's function timeout.
const invocationTimeout = 110 * time.Second

// summary is the part of a run's Summary that these tests read. It is declared here
// again because users who process the logs rely on the names.
type summary struct {
	Timestamp    time.Time         `json:"timestamp"`
	Registry     string            `json:"registry"`
	Repositories int               `json:"repositories"`
	Images       int               `json:"images"`
	Due          int               `json:"due"`
	Refreshed    int               `json:"refreshed"`
	Denied       int               `json:"denied"`
	Failed       int               `json:"failed"`
	Left         int               `json:"left"`
	Scans        scans             `json:"scans"`
	Events       *eventCounts      `json:"events"`
	Series       int               `json:"series"`
	Ended        int               `json:"ended"`
	Accepted     int               `json:"accepted"`
	Dropped      map[string]int    `json:"dropped"`
	Refused      int               `json:"refused"`
	Unconfirmed  int               `json:"unconfirmed"`
	NotSent      int               `json:"notSent"`
	Protocol     string            `json:"protocol"`
	Batches      int               `json:"batches"`
	Retries      int               `json:"retries"`
	Calls        map[string]int    `json:"calls"`
	Errors       map[string]string `json:"errors"`
}

type scans struct {
	Source   string `json:"source"`
	Due      int    `json:"due"`
	Answered int    `json:"answered"`
	Left     int    `json:"left"`
	Pending  int    `json:"pending"`
}

type eventCounts struct {
	Repositories []string `json:"repositories"`
	Ignored      int      `json:"ignored"`
}

// scansFromSummary is the setting of tests that are not about scans: only the lists of
// images are read, with the scan summaries that they contain.
const scansFromSummary = "SCAN_SOURCE=summary"

// function is the built bootstrap in one execution environment.
type function struct {
	*lambdatest.Environment
	log *logLines
	// secrets are those that must not be in the log, besides planted ones.
	secrets []string
	checked sync.Once
}

// startFunction starts the bootstrap against a simulated ECR and a remote-write
// endpoint, with a rate limit that does not matter, planted credentials and all log
// lines; env adds settings or overrides. When the function stops, its log is searched
// for planted secrets.
func startFunction(t testing.TB, server *ecrtest.Server, endpoint string, env ...string) *function {
	t.Helper()
	return startProgram(t, bootstrap(t), server, endpoint, env...)
}

// startProgram does it with another program.
func startProgram(t testing.TB, path string, server *ecrtest.Server, endpoint string, env ...string) *function {
	t.Helper()
	f := &function{log: newLogLines()}
	var err error
	f.Environment, err = lambdatest.Start(t.Context(), lambdatest.Function{
		Path:     path,
		Region:   region,
		MemoryMB: 128,
		Output:   f.log,
		Env: append([]string{
			"AWS_ENDPOINT_URL=" + server.URL(),
			"REMOTE_WRITE_URL=" + endpoint,
			"ECR_REQUESTS_PER_SECOND=10000",
			"ECR_CONCURRENCY=16",
			"LOG_LEVEL=DEBUG",
			"AWS_SECRET_ACCESS_KEY=" + planted + "-of-aws",
			"AWS_SESSION_TOKEN=" + planted + "-session",
		}, env...),
	})
	if err != nil {
		t.Fatalf("start the function: %v\n%s", err, f.log)
	}
	t.Cleanup(func() {
		f.stop(t)
		if t.Failed() {
			t.Logf("the function's log:\n%s", f.log)
		}
	})
	return f
}

// stop ends the process and returns its peak resident memory, in bytes.
func (f *function) stop(t testing.TB) int64 {
	t.Helper()
	exit, err := f.Close()
	if err != nil {
		t.Errorf("stop the function: %v", err)
	}
	f.checked.Do(func() {
		for _, found := range leaks(f.log.String(), f.secrets...) {
			t.Errorf("a secret is in the log: …%s…", found)
		}
	})
	return exit.PeakRSS
}

// invoke makes a run that must succeed, for an event of the folder events.
func (f *function) invoke(t testing.TB, event string, timeout time.Duration) summary {
	t.Helper()
	s, failure := f.try(t, event, timeout)
	if failure != nil {
		t.Fatalf("the invocation failed: %v\nerrors: %v", failure, s.Errors)
	}
	return s
}

// try makes a run that may fail, and returns its summary and its failure.
func (f *function) try(t testing.TB, event string, timeout time.Duration) (summary, *lambdatest.FunctionError) {
	t.Helper()
	payload, err := os.ReadFile(filepath.Join("..", "..", "events", event))
	if err != nil {
		t.Fatal(err)
	}
	return f.send(t, payload, timeout)
}

// send invokes the function with an event that must lead to a run, and returns the run's
// summary and failure. The summary is the logged one, because a failed invocation returns
// its error, and a batch of messages the failed ones; any other must return the same.
func (f *function) send(t testing.TB, payload []byte, timeout time.Duration) (summary, *lambdatest.FunctionError) {
	t.Helper()
	result, err := f.Invoke(t.Context(), payload, timeout)
	if err != nil {
		t.Fatalf("invoke: %v", err)
	}
	if failure := result.FunctionError; failure != nil && failure.Type == lambdatest.TypeTimedOut {
		t.Fatalf("invoke: %v", failure)
	}

	logged := f.log.summary(t, result.RequestID)
	if bytes.HasPrefix(result.Payload, []byte(`{"batchItemFailures"`)) {
		if !sameJSON(t, result.Payload, []byte(`{"batchItemFailures":[]}`)) {
			t.Errorf("messages of the batch failed: %s", result.Payload)
		}
	} else if result.FunctionError == nil && !sameJSON(t, logged, result.Payload) {
		t.Errorf("the response is not the logged summary\nresponse: %s\nlogged: %s", result.Payload, logged)
	}
	var s summary
	if err := json.Unmarshal(logged, &s); err != nil {
		t.Fatalf("read the summary: %v", err)
	}
	return s, result.FunctionError
}

// deliver invokes the function with events that must lead to a run, and returns its
// summary: a single event as EventBridge does, several as SQS.
func (f *function) deliver(t testing.TB, events ...json.RawMessage) summary {
	t.Helper()
	payload := []byte(events[0])
	if len(events) > 1 {
		payload = sqsBatch(t, events...)
	}
	s, failure := f.send(t, payload, invocationTimeout)
	if failure != nil {
		t.Fatalf("the invocation failed: %v\nerrors: %v", failure, s.Errors)
	}
	return s
}

// sqsBatch is the batch in which SQS delivers events that EventBridge put into a queue.
func sqsBatch(t testing.TB, events ...json.RawMessage) []byte {
	t.Helper()
	type record struct {
		MessageID   string `json:"messageId"`
		EventSource string `json:"eventSource"`
		Body        string `json:"body"`
	}
	var batch struct{ Records []record }
	for i, event := range events {
		batch.Records = append(batch.Records, record{"message-" + strconv.Itoa(i), "aws:sqs", string(event)})
	}
	payload, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func sameJSON(t testing.TB, a, b []byte) bool {
	t.Helper()
	var compact [2]bytes.Buffer
	for i, text := range [][]byte{a, b} {
		if err := json.Compact(&compact[i], text); err != nil {
			t.Errorf("not JSON: %v: %s", err, text)
		}
	}
	return bytes.Equal(compact[0].Bytes(), compact[1].Bytes())
}

// logLines collects the log of a function. It arrives through a pipe, possibly later
// than the function's response.
type logLines struct {
	mu   sync.Mutex
	more *sync.Cond
	text bytes.Buffer
}

func newLogLines() *logLines {
	l := &logLines{}
	l.more = sync.NewCond(&l.mu)
	return l
}

func (l *logLines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.more.Broadcast()
	return l.text.Write(p)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// wait waits until enough reports true of the log, and reports whether it did in time.
func (l *logLines) wait(atMost time.Duration, enough func(text []byte) bool) bool {
	deadline := time.Now().Add(atMost)
	wake := time.AfterFunc(atMost, l.more.Broadcast)
	defer wake.Stop()
	l.mu.Lock()
	defer l.mu.Unlock()
	for !enough(l.text.Bytes()) {
		if !time.Now().Before(deadline) {
			return false
		}
		l.more.Wait()
	}
	return true
}

// summary waits for the log line with an invocation's summary, and returns the summary.
func (l *logLines) summary(t testing.TB, requestID string) json.RawMessage {
	t.Helper()
	var found json.RawMessage
	read := 0 // bytes, in whole lines
	inTime := l.wait(30*time.Second, func(text []byte) bool {
		for line := range bytes.Lines(text[read:]) {
			if !bytes.HasSuffix(line, []byte("\n")) {
				break
			}
			read += len(line)
			if !bytes.Contains(line, []byte(requestID)) || !bytes.Contains(line, []byte(`"summary"`)) {
				continue
			}
			var fields struct {
				RequestID string          `json:"requestId"`
				Summary   json.RawMessage `json:"summary"`
			}
			if json.Unmarshal(line, &fields) == nil && fields.RequestID == requestID && fields.Summary != nil {
				found = bytes.Clone(fields.Summary)
				return true
			}
		}
		return false
	})
	if !inTime {
		t.Fatalf("no summary of %s in the log:\n%s", requestID, l)
	}
	return found
}
