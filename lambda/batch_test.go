package main

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// Every sample event is handled, alone and as an SQS message, although its repositories do
// not exist.
func TestHandleSamples(t *testing.T) {
	s := surround(t)
	f := newFunction(s.environ(), &bytes.Buffer{})
	files, err := filepath.Glob("../events/*.json")
	if err != nil || len(files) < 10 {
		t.Fatalf("samples %v, %v", files, err)
	}
	for _, file := range files {
		payload, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if answer, err := f.handle(t.Context(), payload); err != nil {
			t.Errorf("%s: %v, %v", file, answer, err)
		}
		if got := again(t, f, string(payload)); len(got) != 0 {
			t.Errorf("%s as a message: to be delivered again: %v", file, got)
		}
	}
}

// again handles messages with these bodies and the IDs 1, 2 and so on, and returns the IDs
// of those to be delivered again.
func again(t *testing.T, f *function, bodies ...string) []string {
	t.Helper()
	return againInGroups(t, f, make([]string, len(bodies)), bodies)
}

// againInGroups is again for messages in these message groups.
func againInGroups(t *testing.T, f *function, groups, bodies []string) []string {
	t.Helper()
	var batch events.SQSEvent
	for i, body := range bodies {
		batch.Records = append(batch.Records, events.SQSMessage{
			MessageId: string(rune('1' + i)), EventSource: "aws:sqs", Body: body, Attributes: map[string]string{"MessageGroupId": groups[i]},
		})
	}
	payload, err := json.Marshal(batch)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := f.handle(t.Context(), payload)
	if err != nil {
		t.Fatal(err)
	}
	var response events.SQSEventResponse
	text, err := json.Marshal(answer)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &response); err != nil {
		t.Fatalf("answer %s: %v", text, err)
	}
	// Lambda takes null for a failure of the whole batch.
	if !strings.Contains(string(text), `"batchItemFailures":[`) {
		t.Errorf("answer %s has no list", text)
	}
	var ids []string
	for _, failure := range response.BatchItemFailures {
		ids = append(ids, failure.ItemIdentifier)
	}
	return ids
}

func TestHandleBatch(t *testing.T) {
	s := surround(t)
	var log bytes.Buffer
	f := newFunction(s.environ(), &log)
	if _, err := f.handle(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest("2"), Tags: []string{"v2"}, SizeBytes: new(int64)}); err != nil {
		t.Fatal(err)
	}
	push := string(s.registry.PushEvent("app", ecrtest.Digest("2"), "v2", time.Now()))
	log.Reset()
	if got := again(t, f, "garbage", push, `{"source":"aws.s3","detail-type":"Object Created"}`, push); len(got) != 0 {
		t.Errorf("to be delivered again: %v", got)
	}
	if got := s.receiver.Find("aws_ecr_image_size_in_bytes", "tag", "v2"); len(got) != 1 {
		t.Errorf("the pushed image's series: %v", got)
	}
	lines := logged(t, &log)
	dropped := slices.DeleteFunc(slices.Clone(lines), func(l line) bool { return l.Message != "message dropped" })
	var last exporter.Summary
	if err := json.Unmarshal(lines[len(lines)-1].Summary, &last); err != nil {
		t.Fatal(err)
	}
	if len(dropped) != 2 || last.Events == nil || last.Accepted == 0 || last.Accepted != last.Series {
		t.Errorf("%d dropped, Summary %+v", len(dropped), last)
	}

	// If the push failed, the next run makes up for it, and no message is delivered again.
	s.receiver.Answer(remotewritetest.Answer{Status: 403})
	if got := again(t, f, "garbage", push, push); len(got) != 0 {
		t.Errorf("after a failed push, to be delivered again: %v", got)
	}
	// If reading failed, the repository is due, and no message is delivered again.
	s.server.Fail(ecrtest.Match{Operation: "DescribeImages"}, 8, ecrtest.Fault{Status: 400, Code: "AccessDeniedException"})
	if got := again(t, f, push); len(got) != 0 {
		t.Errorf("to be delivered again: %v", got)
	}
}

// A repository that a message reported and that cannot be read is kept by its name: the
// message is acknowledged, and the next run reads it, even in another environment.
func TestBatchOfUnreadRepository(t *testing.T) {
	s := surround(t)
	environ := s.environ("STATE_URL=file://" + filepath.Join(t.TempDir(), "state"))
	f := newFunction(environ, &bytes.Buffer{})
	if _, err := f.handle(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.registry.PutRepository(ecrtest.Repository{Name: "new"}); err != nil {
		t.Fatal(err)
	}
	if err := s.registry.PutImage("new", ecrtest.Image{Digest: ecrtest.Digest("3"), Tags: []string{"v3"}, SizeBytes: new(int64)}); err != nil {
		t.Fatal(err)
	}
	push := string(s.registry.PushEvent("new", ecrtest.Digest("3"), "v3", time.Now()))
	s.server.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, 1, ecrtest.Fault{Status: 400, Code: "AccessDeniedException"})
	if got := again(t, f, push); len(got) != 0 {
		t.Errorf("to be delivered again: %v", got)
	}
	if got := len(s.receiver.Find("aws_ecr_repository_created_timestamp_seconds", "name", "new")); got != 0 {
		t.Errorf("%d series of a repository of which only the name is known", got)
	}
	if _, err := newFunction(environ, &bytes.Buffer{}).handle(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if got := s.receiver.Find("aws_ecr_image_size_in_bytes", "tag", "v3"); len(got) != 1 {
		t.Errorf("the pushed image's series: %v", got)
	}
}

// A message whose news could not be saved is delivered again, with those after it in its
// message group; what was pushed stays.
func TestBatchNotSaved(t *testing.T) {
	s := surround(t)
	folder := filepath.Join(t.TempDir(), "folder")
	f := newFunction(s.environ("STATE_URL=file://"+folder+"/state"), &bytes.Buffer{})
	if _, err := f.handle(t.Context(), []byte("{}")); err != nil {
		t.Fatal(err)
	}
	if err := s.registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest("2"), Tags: []string{"v2"}, SizeBytes: new(int64)}); err != nil {
		t.Fatal(err)
	}
	push := string(s.registry.PushEvent("app", ecrtest.Digest("2"), "v2", time.Now()))
	if err := os.RemoveAll(folder); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(folder, nil, 0o600); err != nil { // where a folder has to be
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"2", "3"}, again(t, f, "garbage", push, push)); diff != "" {
		t.Errorf("to be delivered again (-want +got):\n%s", diff)
	}
	// In one group only an invalid message is before what has to go back, in the other nothing
	// had to be saved.
	noWork := strings.Replace(push, "SUCCESS", "FAILURE", 1)
	if diff := cmp.Diff([]string{"2", "4", "6"}, againInGroups(t, f, []string{"a", "a", "b", "a", "b", "a"}, []string{"garbage", push, noWork, noWork, "garbage", push})); diff != "" {
		t.Errorf("of two groups, to be delivered again (-want +got):\n%s", diff)
	}
	if got := s.receiver.Find("aws_ecr_image_size_in_bytes", "tag", "v2"); len(got) != 1 {
		t.Errorf("the pushed image's series: %v", got)
	}
	if err := os.Remove(folder); err != nil {
		t.Fatal(err)
	}
	if got := again(t, f, push); len(got) != 0 {
		t.Errorf("with the folder back, to be delivered again: %v", got)
	}
}
