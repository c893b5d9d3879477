package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// The cases of bounds and of whose events are handled: rules 9 and 11. The state's bound is
// with the other cases of the state.
var casesOfBounds = []issueCase{
	{rule: 9, name: "token cycles", run: func(w *caseWorld) { w.wantCycle("a", "b") }},
	{rule: 9, name: "an endless string in a response", run: func(w *caseWorld) {
		read := 0
		w.fault = func(req *request) (*http.Response, error) {
			if req.operation != "DescribeImages" {
				return nil, nil //nolint:nilnil // the service responds
			}
			endless := io.MultiReader(strings.NewReader(`{"imageDetails":[{"imageTags":["`), readerFunc(func(p []byte) (int, error) {
				for i := range p {
					p[i] = 'x'
				}
				read += len(p)
				return len(p), nil
			}))
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(endless), ContentLength: -1}, nil
		}
		w.runDue()
		w.wantError("refresh", "response too large")
		if read > 10_000_000 {
			w.Errorf("%d bytes were read", read)
		}
		w.wantTags("app", "v1", "v2")
	}},
	{rule: 9, name: "10,000 severities in an event", run: func(w *caseWorld) {
		counts := map[string]int{}
		for i := range 10_000 {
			counts[fmt.Sprint("S", i)] = i
		}
		text, err := json.Marshal(map[string]any{"scan-status": "COMPLETE", "repository-name": "app", "image-digest": ecrtest.Digest("appv1"), "finding-severity-counts": counts})
		w.check(err)
		w.wantAcknowledged(w.event("ECR Image Scan", string(text)))
		if !strings.Contains(w.log.String(), "has 10000 severities, want up to 20") {
			w.Errorf("log %s", &w.log)
		}
		w.run()
		if got := w.live(contracttest.ScanSeverity, "app", "severity"); len(got) > 0 {
			w.Errorf("severities %v", got)
		}
	}},
	{rule: 9, name: "5,000 warnings in a refresh", run: func(w *caseWorld) {
		for i := range 500 {
			w.create(fmt.Sprint("more-", i))
		}
		w.deny("DescribeImages", "", ecrtest.Always)
		w.runDue()
		if n := strings.Count(w.log.String(), `"level":"WARN"`); n > 7 || w.summary.Denied != 501 || len(w.summary.Errors["refresh"]) > 10_000 {
			w.Errorf("%d warnings, %d denied, an error of %d bytes", n, w.summary.Denied, len(w.summary.Errors["refresh"]))
		}
	}},
	{rule: 9, name: "413 to everything", settings: []string{"REMOTE_WRITE_MAX_SERIES=50"}, run: func(w *caseWorld) {
		for i := range 200 {
			w.push("app", fmt.Sprint("t", i))
		}
		w.reply(http.StatusRequestEntityTooLarge)
		w.runDue()
		// Two for each split, one for each batch, and those of the run metrics.
		if n, most := w.requests[serviceReceiver], 2*16*4+w.summary.Series/50+30; n > most || w.summary.Refused != w.summary.Series {
			w.Errorf("%d requests, want up to %d; Summary %+v", n, most, w.summary.Push)
		}
		w.calm()
		w.run()
		w.wantClean()
	}},
	{rule: 9, name: "listings in progress across runs count against memory", test: "pkg/refresh.TestBoundUnfinished"},
	{rule: 9, name: "bounds are stated in the docs", test: "lambda.TestLimits"},
	{rule: 9, name: "an event from standard input", test: "lambda.TestEventTooLarge"},

	{rule: 11, name: "events of another account", run: func(w *caseWorld) {
		_, event := w.push("app", "v3")
		w.wantAcknowledged(strings.ReplaceAll(event, account, "210987654321"))
		w.wantForeign()
		scan := w.scan("app", "v1", 9)
		w.wantAcknowledged(strings.ReplaceAll(scan, account, "210987654321"))
		w.wantForeign()
	}},
	{rule: 11, name: "events of another Region", run: func(w *caseWorld) {
		_, event := w.push("app", "v3")
		w.wantAcknowledged(strings.ReplaceAll(event, region, "us-east-1"))
		w.wantForeign()
	}},
	{rule: 11, name: "an Inspector event with an ARN of another account", run: func(w *caseWorld) {
		for _, arn := range []string{"arn:aws:ecr:" + region + ":210987654321:repository/app", "arn:aws:ecr:us-east-1:" + account + ":repository/app"} {
			w.wantAcknowledged(fmt.Sprintf(`{"source":"aws.inspector2","detail-type":"Inspector2 Scan","account":%q,"region":%q,"time":%q,"detail":`+
				`{"scan-status":"INITIAL_SCAN_COMPLETE","repository-name":%q,"image-digest":%q,"finding-severity-counts":{"CRITICAL":99,"TOTAL":99}}}`,
				account, region, time.Now().UTC().Format(time.RFC3339), arn, ecrtest.Digest("appv1")))
			w.wantForeign()
		}
	}},
	{rule: 11, name: "control characters in what is printed last", test: "lambda.TestPrintable"},
	{rule: 11, name: "base64 forms of secrets", test: "pkg/remotewrite.TestSecretForms"},
	{rule: 11, name: "configuration errors echo no private values", test: "pkg/config.TestMisplacedSecrets"},
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// wantForeign checks that the last event was ignored: nothing was read, and the next run
// shows nothing of it.
func (w *caseWorld) wantForeign() {
	w.Helper()
	if w.requests[serviceECR] > 0 || !strings.Contains(w.log.String(), "event of another registry ignored") {
		w.Errorf("%d requests, log %s", w.requests[serviceECR], &w.log)
	}
	w.run()
	w.wantTags("app", "v1", "v2")
	if got := w.live(contracttest.ScanSeverity, "app", "severity"); slices.Contains([]float64{9, 99}, max(got["HIGH"], got["CRITICAL"])) {
		w.Errorf("severities %v", got)
	}
}
