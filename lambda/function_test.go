package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/lambda/messages"
	"github.com/aws/aws-lambda-go/lambdacontext"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

const (
	account = "123456789012"
	region  = "eu-west-1"
)

// surroundings are a registry with one repository and image, and a remote-write receiver.
type surroundings struct {
	registry *ecrtest.Registry
	server   *ecrtest.Server
	receiver *remotewritetest.Server
}

// surround sets the variables that the AWS configuration is loaded from, so tests
// that use it are not parallel.
func surround(t *testing.T) *surroundings {
	t.Helper()
	s := &surroundings{registry: ecrtest.NewRegistry(account, region)}
	s.server = ecrtest.Start(t, s.registry)
	s.server.RequireAccessKey("AKIDEXAMPLE")
	s.receiver = remotewritetest.NewServer(t, remotewritetest.Options{SigV4: &remotewritetest.SigV4{
		AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "planted-secret-key", Region: region, Service: "aps",
	}})
	if err := s.registry.PutRepository(ecrtest.Repository{Name: "app"}); err != nil {
		t.Fatal(err)
	}
	if err := s.registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest("1"), Tags: []string{"v1"}, PushedAt: time.Unix(1, 0)}); err != nil {
		t.Fatal(err)
	}
	nowhere := filepath.Join(t.TempDir(), "none")
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": s.server.URL(), "AWS_REGION": region, "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "planted-secret-key", "AWS_SESSION_TOKEN": "",
		"AWS_PROFILE": "", "AWS_CONFIG_FILE": nowhere, "AWS_SHARED_CREDENTIALS_FILE": nowhere, "AWS_EC2_METADATA_DISABLED": "true",
	} {
		t.Setenv(name, value)
	}
	return s
}

// environ is the function's own environment.
func (s *surroundings) environ(more ...string) []string {
	return append([]string{"REMOTE_WRITE_URL=" + s.receiver.URL.String(), "REMOTE_WRITE_AUTH=sigv4", "SCAN_SOURCE=none"}, more...)
}

func sample(t *testing.T, name string) []byte {
	t.Helper()
	payload, err := os.ReadFile(filepath.Join("../events", name))
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func TestHandle(t *testing.T) {
	s := surround(t)
	var log bytes.Buffer
	f := newFunction(s.environ(), &log)
	for i, name := range []string{"schedule-rule.json", "scheduler.json"} {
		request := []string{"request-one", "request-two"}[i]
		ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: request})
		answer, err := f.handle(ctx, sample(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		summary, ok := answer.(*exporter.Summary)
		if !ok {
			t.Fatalf("%s: answer %v", name, answer)
		}
		if summary.Accepted != summary.Series || summary.Series != len(s.arrived()) || summary.Refreshed != 1-i {
			t.Errorf("%s: Summary %+v", name, summary)
		}
		// The Summary that is returned is the one that is logged.
		returned, err := json.Marshal(summary)
		if err != nil {
			t.Fatal(err)
		}
		lines := logged(t, &log)
		last := lines[len(lines)-1]
		if string(last.Summary) != string(returned) {
			t.Errorf("%s: logged %s, returned %s", name, last.Summary, returned)
		}
		for _, line := range lines {
			if line.RequestID != request || line.Timestamp == "" || line.Level == "" || line.Message == "" {
				t.Errorf("%s: line %+v", name, line)
			}
		}
	}
	got := map[string]float64{}
	for _, series := range s.arrived() {
		if slices.Contains(contracttest.Families, series.Labels["__name__"]) {
			got[key(series)] = series.Last().Value
		}
	}
	want := map[string]float64{}
	noScans := func(string, ecrtest.Image) (ecrtest.ScanState, bool) { return ecrtest.ScanState{}, false }
	for series := range contracttest.Of(s.registry, noScans) {
		want[series.Key()] = series.Value
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("series of the contract (-want +got):\n%s", diff)
	}
}

// key is a series in the text format.
func key(series remotewritetest.Series) string {
	s := contracttest.Series{Family: series.Labels["__name__"]}
	for _, name := range slices.Sorted(maps.Keys(series.Labels)) {
		if name != "__name__" {
			s.Labels = append(s.Labels, [2]string{name, series.Labels[name]})
		}
	}
	return s.Key()
}

// arrived are the series that were pushed, without the run metrics.
func (s *surroundings) arrived() []remotewritetest.Series {
	return slices.DeleteFunc(s.receiver.All(), func(series remotewritetest.Series) bool {
		return slices.ContainsFunc(metrics.RunFamilies(), func(f *metrics.Family) bool { return f.Name == series.Labels["__name__"] })
	})
}

// The run metrics are pushed last. They are also logged for CloudWatch with the function's
// name, even if the push failed.
func TestHandleReportsRun(t *testing.T) {
	s := surround(t)
	name := lambdacontext.FunctionName
	lambdacontext.FunctionName = "exporter"
	defer func() { lambdacontext.FunctionName = name }()
	for _, c := range []struct {
		name    string
		environ []string
		answer  remotewritetest.Answer
		logged  bool
		pushed  bool
	}{
		{"accepted", []string{"CLOUDWATCH_METRICS=true"}, remotewritetest.Answer{}, true, true},
		{"refused", []string{"CLOUDWATCH_METRICS=true"}, remotewritetest.Answer{Status: 403}, true, false},
		{"not logged", []string{"CLOUDWATCH_METRICS=false"}, remotewritetest.Answer{}, false, true},
		{"excluded", []string{"FAMILIES_EXCLUDE=aws_ecr_exporter_.*"}, remotewritetest.Answer{}, false, false},
	} {
		s.receiver.Answer(c.answer)
		before := len(s.receiver.Requests())
		var log bytes.Buffer
		answer, _ := newFunction(s.environ(c.environ...), &log).handle(t.Context(), []byte("{}"))
		logs := -1.0
		for text := range strings.Lines(log.String()) {
			var line struct {
				AWS          *json.RawMessage `json:"_aws"`
				FunctionName string
				Sent         *float64 `json:"aws_ecr_exporter_series_sent"`
			}
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
			if line.AWS != nil && line.FunctionName != "exporter" {
				t.Errorf("%s: a line without the function's name: %s", c.name, text)
			}
			if line.Sent != nil {
				logs = *line.Sent
			}
		}
		accepted := 0.0
		if c.answer.Status == 0 {
			accepted = float64(len(s.arrived()))
		}
		if logged := logs >= 0; logged != c.logged || logged && logs != accepted {
			t.Errorf("%s: the log has %v series sent, logged: %v; want %v", c.name, logs, c.logged, accepted)
		}
		if requests := len(s.receiver.Requests()) - before; (requests == 2) != c.pushed {
			t.Errorf("%s: %d requests", c.name, requests)
		}
		if !c.pushed {
			continue
		}
		summary, ok := answer.(*exporter.Summary)
		found := s.receiver.Find("aws_ecr_exporter_series_sent", "registry_id", summary.Registry)
		if !ok || len(found) != 1 || found[0].Last() != (remotewritetest.Sample{Timestamp: summary.Timestamp.UnixMilli(), Value: accepted}) {
			t.Errorf("%s: %v arrived, Summary %v", c.name, found, summary)
		}
	}
}

// A run tells what a month of such runs sends: each series that arrived, its own included, in
// each of 21,600 runs.
func TestRunTellsTheBill(t *testing.T) {
	s := surround(t)
	if _, err := newFunction(s.environ(), io.Discard).handle(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	samples, dollars := s.receiver.Find("aws_ecr_exporter_samples_per_month"), s.receiver.Find("aws_ecr_exporter_estimated_cost_dollars")
	if len(samples) != 1 || len(dollars) != 1 {
		t.Fatalf("%v, %v", samples, dollars)
	}
	if got, want := samples[0].Last().Value, float64(21_600*len(s.receiver.All())); got != want {
		t.Errorf("%v samples a month, want %v", got, want)
	}
	if got := dollars[0].Last().Value; got < 1 || got > 2 {
		t.Errorf("a registry of one image costs $%v, want $1 to $2: three metrics and the polls of the queue", got)
	}
}

// By default a run has the few metrics in CloudWatch that alarms need, each as one total: three
// of them, whatever fails.
func TestMetricsForAlarms(t *testing.T) {
	s := surround(t)
	for _, answer := range []remotewritetest.Answer{{}, {Status: 403}} {
		s.receiver.Answer(answer)
		var log bytes.Buffer
		_, _ = newFunction(s.environ("EXTERNAL_LABELS=a=b"), &log).handle(t.Context(), []byte("{}"))
		got := map[string]float64{}
		for text := range strings.Lines(log.String()) {
			var line map[string]any
			if err := json.Unmarshal([]byte(text), &line); err != nil {
				t.Fatal(err)
			}
			if line["_aws"] == nil {
				continue
			}
			if dimensions := fmt.Sprint(line["_aws"].(map[string]any)["CloudWatchMetrics"]); !strings.Contains(dimensions, "Dimensions:[[FunctionName]]") {
				t.Error(dimensions)
			}
			for name, value := range line {
				if n, ok := value.(float64); ok {
					got[name] = n
				}
			}
		}
		age, ok := got["aws_ecr_exporter_oldest_record_age_seconds"]
		errors := float64(min(1, answer.Status))
		want := map[string]float64{"aws_ecr_exporter_errors": errors, "aws_ecr_exporter_series_not_sent": 0, "aws_ecr_exporter_oldest_record_age_seconds": age}
		if diff := cmp.Diff(want, got); diff != "" || !ok {
			t.Errorf("%d: metrics (-want +got):\n%s", answer.Status, diff)
		}
	}
}

type line struct {
	Timestamp, Level, Message, RequestID string
	Error                                string
	Summary                              json.RawMessage
	AWS                                  *json.RawMessage `json:"_aws"`
}

// logged returns the lines logged since the last call of logged.
func logged(t *testing.T, log *bytes.Buffer) []line {
	t.Helper()
	var lines []line
	for text := range strings.Lines(log.String()) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("line %q: %v", text, err)
		}
		if l.AWS == nil { // otherwise it is for CloudWatch
			lines = append(lines, l)
		}
	}
	log.Reset()
	if len(lines) == 0 {
		t.Fatal("nothing was logged")
	}
	return lines
}

// failed returns the message of a failed invocation, and checks its type.
func failed(t *testing.T, err error, kind string) string {
	t.Helper()
	var failure messages.InvokeResponse_Error
	if !errors.As(err, &failure) || failure.Type != kind {
		t.Errorf("error %v, want one of type %s", err, kind)
	}
	return failure.Message
}

func TestHandleUnknownEvent(t *testing.T) {
	s := surround(t)
	var log bytes.Buffer
	f := newFunction(s.environ(), &log)
	for _, payload := range []string{
		``, ` `, `null`, `[]`, `"x"`, `7`, `{`, `{"source":"aws.s3","detail-type":"Object Created"}`, `{"source":"aws.events","detail-type":"Other"}`,
		`{"source":7}`, `{"records":[]}`,
	} {
		summary, err := f.handle(t.Context(), []byte(payload))
		message := failed(t, err, "EventRejected")
		if summary != nil || !strings.HasPrefix(message, "the event is ") || !strings.Contains(message, `want "Scheduled Event"`) {
			t.Errorf("%s: Summary %v, error %v", payload, summary, err)
		}
		if lines := logged(t, &log); len(lines) != 1 || lines[0].Error != message {
			t.Errorf("%s: logged %+v", payload, lines)
		}
	}
	if calls := s.server.Calls(); len(calls) != 0 || len(s.receiver.Requests()) != 0 {
		t.Errorf("calls %v, %d requests", calls, len(s.receiver.Requests()))
	}
}

// A function that could not start fails every invocation, without any request.
func TestHandleBadConfiguration(t *testing.T) {
	s := surround(t)
	var log bytes.Buffer
	f := newFunction([]string{"REMOTE_WRITE_URL=nowhere", "ECR_CONCURRENCY=no"}, &log)
	const want = `the configuration has 2 faults:
  ECR_CONCURRENCY="no": want a whole number from 1 to 256
  REMOTE_WRITE_URL="nowhere": want an absolute http or https URL`
	for range 2 {
		_, err := f.handle(t.Context(), []byte("{}"))
		if got := failed(t, err, "ConfigurationFailed"); got != want {
			t.Errorf("error %v, want %s", got, want)
		}
		if lines := logged(t, &log); len(lines) != 1 || lines[0].Error != want {
			t.Errorf("logged %+v", lines)
		}
	}
	if len(s.server.Calls()) != 0 {
		t.Error("AWS was called")
	}
}

func TestHandleFailure(t *testing.T) {
	s := surround(t)
	s.receiver.Answer(remotewritetest.Answer{Status: 403, Body: "not allowed"})
	var log bytes.Buffer
	f := newFunction(s.environ(), &log)
	ctx := lambdacontext.NewContext(t.Context(), &lambdacontext.LambdaContext{AwsRequestID: "a-1"})
	summary, err := f.handle(ctx, []byte("{}"))
	if message := failed(t, err, "RunFailed"); !strings.Contains(message, "not allowed") || !strings.HasSuffix(message, "(logged with the requestId a-1)") || summary != nil {
		t.Errorf("Summary %+v, error %v", summary, err)
	}
	lines := logged(t, &log)
	var last exporter.Summary
	if err := json.Unmarshal(lines[len(lines)-1].Summary, &last); err != nil {
		t.Fatal(err)
	}
	if lines[len(lines)-1].RequestID != "a-1" || lines[len(lines)-1].Level != "ERROR" || last.Series == 0 || last.Refused != last.Series || last.Errors["push"] == "" {
		t.Errorf("logged %+v, Summary %+v", lines, last)
	}
}

func TestLogSettings(t *testing.T) {
	s := surround(t)
	for _, c := range []struct {
		name    string
		environ []string
		want    func(text string) bool
	}{
		{"text", []string{"AWS_LAMBDA_LOG_FORMAT=Text"}, func(text string) bool { return strings.HasPrefix(text, "timestamp=") }},
		{"only errors", []string{"AWS_LAMBDA_LOG_LEVEL=ERROR"}, func(text string) bool { return text == "" }},
		{"LOG_LEVEL wins", []string{"AWS_LAMBDA_LOG_LEVEL=ERROR", "LOG_LEVEL=INFO"}, func(text string) bool { return strings.Contains(text, "run done") }},
		{"a misspelt setting", []string{"REMOTE_WRITE_ULR=x"}, func(text string) bool { return strings.Contains(text, "REMOTE_WRITE_ULR is not a setting") }},
	} {
		var log bytes.Buffer
		f := newFunction(s.environ(append(c.environ, "CLOUDWATCH_METRICS=false")...), &log)
		if _, err := f.handle(t.Context(), []byte("{}")); err != nil {
			t.Fatal(err)
		}
		if !c.want(log.String()) {
			t.Errorf("%s: logged\n%s", c.name, &log)
		}
	}
}

// Without a Region to sign for, the function does not start.
func TestNoRegion(t *testing.T) {
	s := surround(t)
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	f := newFunction(s.environ(), &bytes.Buffer{})
	_, err := f.handle(t.Context(), []byte("{}"))
	if message := failed(t, err, "ConfigurationFailed"); !strings.Contains(message, "no AWS Region") {
		t.Errorf("error %s", message)
	}
}
