package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

const sampleDigest = "sha256:93e138b7daa421c3fa96332f8264fa61bf07dbb36d172d682b89e1090fe5e8ef"

func digestOf(t testing.TB, s string) inventory.Digest {
	t.Helper()
	d, err := inventory.ParseDigest(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func timeOf(t testing.TB, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

// Every event in events/ is in this table.
func TestParseSamples(t *testing.T) {
	t.Parallel()
	scannedAt, inspectedAt, changedAt := timeOf(t, "2026-11-20T09:15:02Z"), timeOf(t, "2026-11-20T09:15:04Z"), timeOf(t, "2026-11-20T08:30:00Z")
	want := map[string]event{
		"scheduler.json":     {run: true},
		"schedule-rule.json": {run: true, at: timeOf(t, "2026-11-20T09:12:00Z")},
		"registry-due.json": {run: true, work: &targets.Work{
			Target: targets.Target{
				Account: "123456789012", Region: "eu-central-1", Name: "payments",
				Role: "arn:aws:iam::123456789012:role/ecr-remote-write", ExternalID: "some-id", Interval: 2 * time.Minute,
				Labels: map[string]string{"env": "prod"}, Settings: map[string]string{"REPOSITORIES_INCLUDE": "payments/.*"}, RegionLabel: true,
			},
			Slot: timeOf(t, "2026-11-20T09:12:00Z"), Rate: 17000,
		}},
		"image-push.json": {events: []refresh.Event{
			{Repository: "payments/api", At: timeOf(t, "2026-11-20T09:14:33Z"), Images: true}}},
		"image-delete.json": {events: []refresh.Event{
			{Repository: "payments/api", At: timeOf(t, "2026-11-20T09:20:00Z"), Images: true}}},
		"image-update-storage-class.json": {events: []refresh.Event{
			{Repository: "platform/base", At: timeOf(t, "2026-11-20T03:00:12Z"), Images: true}}},
		"replication.json": {events: []refresh.Event{
			{Repository: "payments/api", At: timeOf(t, "2026-11-20T09:14:51Z"), Images: true}}},
		"pull-through-cache.json": {events: []refresh.Event{
			{Repository: "docker-hub/library/alpine", At: timeOf(t, "2026-11-20T10:02:07Z"), Images: true}}},
		"scan-resource-change.json": {events: []refresh.Event{
			{Repository: "docker-hub/library/alpine", At: changedAt, Settings: true, Scans: true},
			{Repository: "payments/api", At: changedAt, Settings: true, Scans: true},
			{Repository: "payments/worker", At: changedAt, Settings: true, Scans: true}}},
		"image-scan.json": {events: []refresh.Event{{
			Repository: "payments/api", At: scannedAt, Digest: digestOf(t, sampleDigest),
			Scan: &inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: inventory.TimeOf(scannedAt), Severities: inventory.CountsOf(inventory.Severities{
				{Severity: inventory.WordOf("CRITICAL"), Count: 1}, {Severity: inventory.WordOf("HIGH"), Count: 4}, {Severity: inventory.WordOf("LOW"), Count: 23}, {Severity: inventory.WordOf("MEDIUM"), Count: 11}})}}}},
		"inspector2-scan.json": {events: []refresh.Event{{
			Repository: "payments/api", At: inspectedAt, Digest: digestOf(t, sampleDigest),
			Scan: &inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: inventory.TimeOf(inspectedAt), Partial: true, Total: 39, Severities: inventory.CountsOf(inventory.Severities{
				{Severity: inventory.WordOf("CRITICAL"), Count: 1}, {Severity: inventory.WordOf("HIGH"), Count: 4}, {Severity: inventory.WordOf("MEDIUM"), Count: 11}})}}}},
	}
	files, err := os.ReadDir("../events")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(want) {
		t.Errorf("%d files in events/, %d are expected", len(files), len(want))
	}
	for _, e := range want {
		ofOurs(e.events, "eu-central-1")
	}
	var records []map[string]string
	var events []refresh.Event
	for _, file := range files {
		payload := sample(t, file.Name())
		got, err := parseEvent(payload)
		if err != nil {
			t.Errorf("%s: %v", file.Name(), err)
			continue
		}
		if diff := diffEvents(want[file.Name()], got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", file.Name(), diff)
		}
		records = append(records, map[string]string{"eventSource": "aws:sqs", "messageId": file.Name(), "body": string(payload)})
		events = append(events, got.events...)
	}
	// The same, as SQS delivers them.
	payload, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseEvent(payload)
	if err != nil {
		t.Fatal(err)
	}
	if diff := diffEvents(event{run: true, events: events}, event{run: got.run, events: got.events}); diff != "" {
		t.Errorf("batch (-want +got):\n%s", diff)
	}
	for i, m := range got.messages {
		if m.id != files[i].Name() || m.err != nil {
			t.Errorf("message %d is %s (error %v), want %s", i, m.id, m.err, files[i].Name())
		} else if diff := diffEvents(want[m.id], m.event); diff != "" {
			t.Errorf("%s in a batch (-want +got):\n%s", m.id, diff)
		}
	}
}

// ofOurs sets the registry of events.
func ofOurs(events []refresh.Event, region string) []refresh.Event {
	for i := range events {
		events[i].Account, events[i].Region = "123456789012", region
	}
	return events
}

func diffEvents(want, got event) string {
	return cmp.Diff(want, got, cmp.AllowUnexported(event{}, message{}))
}

// notification is an event of ECR or Inspector; %s stands for its detail.
func notification(source, detailType, detail string) string {
	return fmt.Sprintf(`{"source":%q,"detail-type":%q,"account":"123456789012","region":"eu-west-1","time":"2026-11-20T09:15:02Z","detail":%s}`, source, detailType, detail)
}

func ecrEvent(detailType, detail string) string { return notification("aws.ecr", detailType, detail) }

func scanEvent(detail string) string {
	return ecrEvent("ECR Image Scan", fmt.Sprintf(`{"repository-name":"app","image-digest":%q,%s}`, sampleDigest, detail))
}

func inspectorEvent(detail string) string {
	return notification("aws.inspector2", "Inspector2 Scan", fmt.Sprintf(`{"scan-status":"INITIAL_SCAN_COMPLETE","repository-name":"arn:aws:ecr:eu-west-1:123456789012:repository/app","image-digest":%q,%s}`, sampleDigest, detail))
}

// Failures and events that change no series are valid and need no run.
func TestParseNothing(t *testing.T) {
	t.Parallel()
	for name, payload := range map[string]string{
		"failed push":            ecrEvent("ECR Image Action", `{"result":"FAILED","action-type":"PUSH","repository-name":"app"}`),
		"action of the future":   ecrEvent("ECR Image Action", `{"result":"SUCCESS","action-type":"PULL","repository-name":"app"}`),
		"failed replication":     ecrEvent("ECR Replication Action", `{"result":"FAILED","repository-name":"app"}`),
		"failed pull through":    ecrEvent("ECR Pull Through Cache Action", `{"sync-status":"FAILURE","repository-name":"app","failure-code":"x"}`),
		"images of enhanced":     ecrEvent("ECR Scan Resource Change", `{"resource-type":"IMAGE","repositories":[{"repository-name":"app"}]}`),
		"signature restored":     ecrEvent("ECR Referrer Action", `{"result":"SUCCESS","action-type":"UPDATE_STORAGE_CLASS","repository-name":"sbom"}`),
		"scan of an instance":    notification("aws.inspector2", "Inspector2 Scan", `{"scan-status":"INITIAL_SCAN_COMPLETE","instance-id":"i-087d63509b8c97098","finding-severity-counts":{"CRITICAL":0,"TOTAL":0}}`),
		"no message in a batch":  `{"Records":[]}`,
		"failed push in a batch": `{"Records":[{"eventSource":"aws:sqs","messageId":"1","body":` + fmt.Sprintf("%q", ecrEvent("ECR Image Action", `{"result":"FAILED","action-type":"PUSH","repository-name":"app"}`)) + `}]}`,
	} {
		switch e, err := parseEvent([]byte(payload)); {
		case err != nil:
			t.Errorf("%s: %v", name, err)
		case e.hasWork():
			t.Errorf("%s: needs a run: %+v", name, e)
		case (e.messages != nil) != strings.Contains(name, "batch"):
			t.Errorf("%s: messages %v", name, e.messages)
		}
	}
}

// The scan result of each event.
func TestParseScans(t *testing.T) {
	t.Parallel()
	at := inventory.TimeOf(timeOf(t, "2026-11-20T09:15:02Z"))
	for _, c := range []struct {
		name, payload string
		want          inventory.Scan
	}{
		{"clean", scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{}`), inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: at, Severities: inventory.CountsOf(inventory.Severities{})}},
		{"a count of 0 that is there", scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"LOW":0,"HIGH":2}`), inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: at,
			Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 2}, {Severity: inventory.WordOf("LOW"), Count: 0}})}},
		{"null is unknown", scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"LOW":null,"HIGH":1}`), inventory.Scan{Status: inventory.WordOf("COMPLETE"), Unfinished: 1}},
		{"no name", scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"":1}`), inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: at, Severities: inventory.CountsOf(inventory.Severities{})}},
		{"without counts", scanEvent(`"scan-status":"COMPLETE"`), inventory.Scan{Status: inventory.WordOf("COMPLETE"), Unfinished: 1}},
		{"null counts", scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":null`), inventory.Scan{Status: inventory.WordOf("COMPLETE"), Unfinished: 1}},
		{"failed", scanEvent(`"scan-status":"FAILED","finding-severity-counts":{"LOW":1}`), inventory.Scan{Status: inventory.WordOf("FAILED")}},
		{"in progress", scanEvent(`"scan-status":"IN_PROGRESS"`), inventory.Scan{Status: inventory.WordOf("IN_PROGRESS"), Unfinished: 1}},
		{"waiting", scanEvent(`"scan-status":"PENDING"`), inventory.Scan{Status: inventory.WordOf("PENDING"), Unfinished: 1}},
		{"status of the future", scanEvent(`"scan-status":"PONDERING","finding-severity-counts":{"LOW":1}`), inventory.Scan{Status: inventory.WordOf("PONDERING")}},

		{"Inspector, exact", inspectorEvent(`"finding-severity-counts":{"CRITICAL":0,"HIGH":1,"MEDIUM":6,"TOTAL":7}`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: at, Total: 7,
			Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 1}, {Severity: inventory.WordOf("MEDIUM"), Count: 6}})}},
		{"Inspector, more below", inspectorEvent(`"finding-severity-counts":{"CRITICAL":0,"HIGH":1,"MEDIUM":6,"TOTAL":10}`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: at, Total: 10, Partial: true,
			Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 1}, {Severity: inventory.WordOf("MEDIUM"), Count: 6}})}},
		{"Inspector, clean", inspectorEvent(`"finding-severity-counts":{"CRITICAL":0,"HIGH":0,"MEDIUM":0,"TOTAL":0}`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: at, Severities: inventory.CountsOf(inventory.Severities{})}},
		{"Inspector, all below", inspectorEvent(`"finding-severity-counts":{"TOTAL":3}`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: at, Total: 3, Partial: true, Severities: inventory.CountsOf(inventory.Severities{})}},
		{"Inspector, total unknown", inspectorEvent(`"finding-severity-counts":{"HIGH":3}`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: at, Partial: true, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 3}})}},
		{"Inspector, nothing counted", inspectorEvent(`"finding-severity-counts":{}`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: at, Partial: true, Severities: inventory.CountsOf(inventory.Severities{})}},
		{"Inspector, total too small", inspectorEvent(`"finding-severity-counts":{"HIGH":3,"TOTAL":1}`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), CompletedAt: at, Total: 1, Partial: true, Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: 3}})}},
		{"Inspector, null", inspectorEvent(`"finding-severity-counts":{"CRITICAL":null,"TOTAL":3}`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), Unfinished: 1}},
		{"Inspector, without counts", inspectorEvent(`"image-tags":[]`), inventory.Scan{Status: inventory.WordOf("ACTIVE"), Unfinished: 1}},
	} {
		e, err := parseEvent([]byte(c.payload))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := ofOurs([]refresh.Event{{Repository: "app", At: at.Time().UTC(), Digest: digestOf(t, sampleDigest), Scan: &c.want}}, "eu-west-1")
		if diff := cmp.Diff(want, e.events); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.name, diff)
		}
	}
}

func TestRepositoryName(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"app":            "app",
		"a-b/c_d/e.f__g": "a-b/c_d/e.f__g",
		"arn:aws:ecr:eu-west-1:123456789012:repository/team/app":      "team/app",
		"arn:aws-cn:ecr:cn-north-1:123456789012:repository/app":       "app",
		"arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/a1": "a1",
		"arn:aws:ecr:::repository/app":                                "app",
		"":                                                            "",
		"a":                                                           "",
		"App":                                                         "",
		"app/":                                                        "",
		"a//b":                                                        "",
		"app\n":                                                       "",
		"../app":                                                      "",
		strings.Repeat("a", 257):                                      "",
		"arn:aws:ecr:eu-west-1:123456789012:repository/":             "",
		"arn:aws:ecr:eu-west-1:123456789012":                         "",
		"arn:aws:s3:eu-west-1:123456789012:repository/app":           "",
		"arn:aws:ecr:eu-west-1:123456789012:repository/app/sha256:0": "",
	} {
		event, err := eventAbout(in, time.Time{})
		got := event.Repository
		if got != want || (err == nil) != (want != "") {
			t.Errorf("eventAbout(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
}

func manySeverities() string {
	list := make([]string, 10_000)
	for i := range list {
		list[i] = fmt.Sprintf(`"S%d":1`, i)
	}
	return strings.Join(list, ",")
}

// An ARN says which registry an event is about, else where it comes from does.
func TestParseOrigin(t *testing.T) {
	t.Parallel()
	for payload, want := range map[string]string{
		push("app"):        "123456789012 eu-west-1",
		inspectorEvent(``): "",
		strings.Replace(inspectorEvent(`"image-tags":[]`), "eu-west-1:123456789012", "us-east-1:210987654321", 1): "210987654321 us-east-1",
		strings.Replace(inspectorEvent(`"image-tags":[]`), "eu-west-1:123456789012", ":", 1):                      "123456789012 eu-west-1",
	} {
		e, _ := parseEvent([]byte(payload))
		got := ""
		for _, event := range e.events {
			got += event.Account + " " + event.Region
		}
		if got != want {
			t.Errorf("%.200s: %q, want %q", payload, got, want)
		}
	}
}

func TestParseErrors(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ payload, want string }{
		{"", "the event is empty: want \"Scheduled Event\" of aws.events"},
		{" \n", "the event is empty"},
		{"null", "the event is null"},
		{`"run"`, "the event is not a JSON object"},
		{"[]", "the event is not a JSON object"},
		{"{", "the event is not a JSON object"},
		{`{"a":1}{}`, "the event is not a JSON object"},
		{`{"source":1}`, "the event is not an EventBridge event"},
		{`{"source":"aws.ecr"}`, `the event is unknown (source "aws.ecr", detail-type ""): want "Scheduled Event" of aws.events, "ECR Image Action", "ECR Image Scan", "ECR Replication Action", "ECR Pull Through Cache Action", "ECR Scan Resource Change", "ECR Referrer Action" of aws.ecr, "Inspector2 Scan" of aws.inspector2, {} as EventBridge Scheduler sends it, or a batch of them from SQS`},
		{notification("aws.inspector2", "Inspector2 Finding", "{}"), "the event is unknown"},
		{notification("me", "ECR Image Action", "{}"), "the event is unknown"},
		{ecrEvent("AWS API Call via CloudTrail", "{}"), "the event is unknown"},
		{`{"` + strings.Repeat("x", 300) + `":{}}`, "the event is unknown"},

		{`{"source":"aws.ecr","detail-type":"ECR Image Action","detail":{}}`, `reading the event "ECR Image Action" of aws.ecr: account is missing`},
		{`{"source":"aws.ecr","detail-type":"ECR Image Action","account":"123456789012","detail":{}}`, "region is missing"},
		{`{"source":"aws.ecr","detail-type":"ECR Image Action","account":"123456789012","region":"eu-west-1","detail":{}}`, "time is missing"},
		{`{"source":"aws.ecr","detail-type":"ECR Image Action","account":"123456789012","region":"eu-west-1","time":"0001-02-03T04:05:06Z","detail":{}}`, "time 0001-02-03T04:05:06Z is out of range"},
		{`{"source":"aws.ecr","detail-type":"ECR Image Action","account":"123456789012","region":"eu-west-1","time":"9026-02-03T04:05:06Z","detail":{}}`, "out of range"},
		{`{"source":"aws.ecr","detail-type":"ECR Image Action","account":"1","region":"r","time":null,"detail":{}}`, "time is missing"},
		{`{"source":"aws.ecr","detail-type":"ECR Image Action","time":"yesterday","detail":{}}`, "the event is not an EventBridge event (parsing time"},
		{`{"source":"aws.ecr","detail-type":"ECR Image Action","time":1795166073,"detail":{}}`, "Time.UnmarshalJSON"},
		{`{"source":"aws.ecr","detail-type":"ECR Image Action","account":"1","region":"r","time":"2026-11-20T09:15:02Z"}`, "detail is missing"},
		{ecrEvent("ECR Image Action", "null"), "action-type is missing"},
		{ecrEvent("ECR Image Action", `"PUSH"`), "cannot unmarshal"},
		{ecrEvent("ECR Image Action", `{"action-type":"PUSH"}`), "result is missing"},
		{ecrEvent("ECR Image Action", `{"action-type":"PUSH","result":"SUCCESS"}`), "repository-name is missing"},
		{ecrEvent("ECR Image Action", `{"action-type":"PUSH","result":"SUCCESS","repository-name":"No Such"}`), `repository-name "No Such": want a name`},
		{ecrEvent("ECR Image Action", `{"action-type":"PUSH","result":"SUCCESS","repository-name":["app"]}`), "cannot unmarshal"},
		{ecrEvent("ECR Replication Action", `{"repository-name":"app"}`), "result is missing"},
		{ecrEvent("ECR Replication Action", `[]`), "cannot unmarshal"},
		{ecrEvent("ECR Pull Through Cache Action", `{"repository-name":"app"}`), "sync-status is missing"},
		{ecrEvent("ECR Pull Through Cache Action", `1`), "cannot unmarshal"},
		{ecrEvent("ECR Scan Resource Change", `{"repositories":[{"repository-name":"app"}]}`), "resource-type is missing"},
		{ecrEvent("ECR Scan Resource Change", `{"resource-type":"REPOSITORY"}`), "repositories is missing"},
		{ecrEvent("ECR Scan Resource Change", `{"resource-type":"REPOSITORY","repositories":[{}]}`), "repository-name is missing"},
		{ecrEvent("ECR Scan Resource Change", `{"resource-type":"REPOSITORY","repositories":{}}`), "cannot unmarshal"},
		{ecrEvent("ECR Image Scan", `""`), "cannot unmarshal"},
		{ecrEvent("ECR Image Scan", `{"scan-status":"COMPLETE"}`), "repository-name is missing"},
		{ecrEvent("ECR Image Scan", `{"scan-status":"COMPLETE","repository-name":"app"}`), `image digest "": want sha256:`},
		{ecrEvent("ECR Image Scan", `{"scan-status":"COMPLETE","repository-name":"app","image-digest":"sha256:7f5bEXAMPLE"}`), "want sha256: and 64"},
		{scanEvent(`"image-tags":[]`), "scan-status is missing"},
		{scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":[]`), "cannot unmarshal"},
		{scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"HIGH":-1}`), `finding-severity-counts: "HIGH" is -1, want 0 to`},
		{scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"HIGH":9000000000}`), `"HIGH" is 9000000000, want 0 to 2147483647`},
		{scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{` + manySeverities() + `}`), "finding-severity-counts has 10000 severities, want up to 20"},
		{scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"` + strings.Repeat("X", 100) + `":1}`), "is too long"},
		{scanEvent(`"scan-status":"` + strings.Repeat("X", 100) + `"`), "is too long"},
		{scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"HIGH":1.5}`), "cannot unmarshal"},
		{scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"HIGH":"1"}`), "cannot unmarshal"},
		{scanEvent(`"scan-status":"COMPLETE","finding-severity-counts":{"HIGH":99999999999999999999}`), "cannot unmarshal"},
		{notification("aws.inspector2", "Inspector2 Scan", `[]`), "cannot unmarshal"},
		{notification("aws.inspector2", "Inspector2 Scan", `{"repository-name":"app"}`), "scan-status is missing"},
		{notification("aws.inspector2", "Inspector2 Scan", `{"repository-name":"app","scan-status":"INITIAL_SCAN_COMPLETE"}`), "image digest"},
		{inspectorEvent(`"finding-severity-counts":{"TOTAL":-1}`), `"TOTAL" is -1`},
		{inspectorEvent(`"finding-severity-counts":{"HIGH":-1,"TOTAL":1}`), `"HIGH" is -1`},

		{`{"Records":null}`, "reading a batch of SQS messages: Records is null"},
		{`{"Records":{}}`, "reading a batch of SQS messages: json: cannot unmarshal"},
		{`{"Records":[null]}`, `record 0 of a batch is from "", want aws:sqs`},
		{`{"Records":[{"eventSource":"aws:sqs","messageId":"1","body":"{}"},{"eventSource":"aws:s3"}]}`, `record 1 of a batch is from "aws:s3"`},
		{`{"Records":[{"eventSource":"aws:sqs","body":"{}"}]}`, "record 0 of a batch of SQS messages has no messageId"},
		{`{"Records":[{"eventSource":"aws:sqs","messageId":"1","body":{}}]}`, "cannot unmarshal"},
	} {
		e, err := parseEvent([]byte(c.payload))
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%.200s: error %v, want %q", c.payload, err, c.want)
		}
		if e.hasWork() || e.messages != nil {
			t.Errorf("%.200s: %+v beside the error", c.payload, e)
		}
	}
}

// batchOf is a batch as SQS delivers it; the messages' IDs are their numbers.
func batchOf(t testing.TB, bodies ...string) []byte {
	t.Helper()
	records := []map[string]any{}
	for i, body := range bodies {
		records = append(records, map[string]any{
			"eventSource": "aws:sqs", "messageId": fmt.Sprint(i), "body": body,
			"attributes": map[string]string{"MessageGroupId": "registry", "ApproximateReceiveCount": "1"},
		})
	}
	payload, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		t.Fatal(err)
	}
	return payload
}

func push(repository string) string {
	return ecrEvent("ECR Image Action", fmt.Sprintf(`{"action-type":"PUSH","result":"SUCCESS","repository-name":%q}`, repository))
}

// An invalid message is dropped; the others are handled in order.
func TestParseBatch(t *testing.T) {
	t.Parallel()
	e, err := parseEvent(batchOf(t, push("one"), "garbage", push("two"), string(batchOf(t, push("nested"))), "", push("BAD"), push("one")))
	if err != nil {
		t.Fatal(err)
	}
	at := timeOf(t, "2026-11-20T09:15:02Z")
	want := ofOurs([]refresh.Event{{Repository: "one", At: at, Images: true}, {Repository: "two", At: at, Images: true}, {Repository: "one", At: at, Images: true}}, "eu-west-1")
	if diff := cmp.Diff(want, e.events); diff != "" || e.run {
		t.Errorf("run %v, events (-want +got):\n%s", e.run, diff)
	}
	var bad []string
	for _, m := range e.messages {
		if m.err != nil {
			bad = append(bad, m.id)
			if m.event.hasWork() {
				t.Errorf("message %s needs a run and has the error %v", m.id, m.err)
			}
		}
	}
	if diff := cmp.Diff([]string{"1", "3", "4", "5"}, bad); diff != "" {
		t.Errorf("not read (-want +got):\n%s", diff)
	}
	if e, err := parseEvent(batchOf(t, push("one"), string(sample(t, "schedule-rule.json")))); err != nil || !e.run || len(e.events) != 1 {
		t.Errorf("a schedule within a batch: %+v, error %v", e, err)
	}
}

// If handling failed, the first message with work and all after it are delivered again.
func TestBatchResponse(t *testing.T) {
	t.Parallel()
	without := ecrEvent("ECR Image Action", `{"action-type":"PUSH","result":"FAILED","repository-name":"app"}`)
	e, err := parseEvent(batchOf(t, "garbage", without, push("one"), "garbage", push("one")))
	if err != nil {
		t.Fatal(err)
	}
	for failed, want := range map[bool]string{
		false: `{"batchItemFailures":[]}`,
		true:  `{"batchItemFailures":[{"itemIdentifier":"2"},{"itemIdentifier":"3"},{"itemIdentifier":"4"}]}`,
	} {
		if got, err := json.Marshal(batchResponse(e.messages, failed)); err != nil || string(got) != want {
			t.Errorf("failed %t: %s, %v, want %s", failed, got, err, want)
		}
	}
}

func FuzzParseEvent(f *testing.F) {
	files, err := os.ReadDir("../events")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		payload, err := os.ReadFile("../events/" + file.Name())
		if err != nil {
			f.Fatal(err)
		}
		f.Add(payload)
		f.Add(batchOf(f, string(payload), "garbage"))
	}
	f.Fuzz(func(t *testing.T, payload []byte) {
		e, err := parseEvent(payload)
		if err != nil {
			if e.hasWork() || e.messages != nil {
				t.Errorf("%+v beside the error %v", e, err)
			}
			return
		}
		for _, n := range e.events {
			if about, err := eventAbout(n.Repository, n.At); about.Repository != n.Repository || err != nil || n.At.IsZero() || n.Account == "" || n.Region == "" {
				t.Errorf("event %+v: %v", n, err)
			}
			if changed := n.Images || n.Settings || n.Scans; changed == (n.Scan != nil) {
				t.Errorf("event %+v is about more than one thing", n)
			}
			if n.Scan != nil && (n.Scan.Total < 0 || slices.ContainsFunc(n.Scan.Severities.List(), func(s inventory.SeverityCount) bool { return s.Count < 0 || s.Severity == 0 })) {
				t.Errorf("scan %+v", n.Scan)
			}
		}
		if e.messages == nil {
			return
		}
		count := 0
		for _, m := range e.messages {
			if count += len(m.event.events); m.id == "" || m.err != nil && m.event.hasWork() {
				t.Errorf("message %+v", m)
			}
		}
		if failures := batchResponse(e.messages, true).BatchItemFailures; count != len(e.events) || len(failures) > len(e.messages) || (len(failures) > 0) != e.hasWork() {
			t.Errorf("%d events of %d, %d failures of %d messages", count, len(e.events), len(failures), len(e.messages))
		}
	})
}
