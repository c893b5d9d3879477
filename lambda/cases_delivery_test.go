package main

import (
	"maps"
	"net/http"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// The cases of the receiver and the queue: rules 5 and 12.
var casesOfDelivery = []issueCase{
	{rule: 5, name: "a receiver that refuses one repository's series for good", run: func(w *caseWorld) {
		w.refuse(400, func(series remotewritetest.Series) bool { return series.Labels["name"] == "app" })
		_, event := w.push("app", "v3")
		w.wantAcknowledged(event)
		w.wantError("push", "400")
	}},
	{rule: 5, name: "a dropped series", test: "pkg/exporter.TestRunFailures/part:a series that no receiver takes is a failure"},
	{rule: 5, name: "an endpoint outage of two minutes", run: func(w *caseWorld) {
		_, event := w.push("app", "v3")
		w.reply(http.StatusServiceUnavailable)
		w.wantAcknowledged(event)
		w.wantTags("app", "v1", "v2")
		w.calm()
		w.run()
		w.wantClean()
		w.wantTags("app", "v1", "v2", "v3")
	}},
	{rule: 5, name: "a message that cannot be read is dropped alone", run: func(w *caseWorld) {
		_, event := w.push("app", "v3")
		w.wantAcknowledged("garbage", event, `{"source":"aws.s3"}`)
		w.wantTags("app", "v1", "v2", "v3")
	}},
	{rule: 5, name: "only the messages of failed groups go back", test: "lambda.TestBatchNotSaved/part:againInGroups"},
	{rule: 5, name: "visibility, receives and retention", test: "lambda.TestTemplateQueue"},
	{rule: 5, name: "throttled deliveries count as receives", file: "template.yaml", text: "A batch that finds the function busy counts as received, too."},
	{rule: 5, name: "what lands in the dead-letter queue", file: "docs/troubleshooting.md", text: "their news could not be saved (`errors` in the summary), or the function was busy each time"},

	{rule: 12, name: "nothing is accepted, and a part is stored (Cortex at its series limit)", settings: []string{"REMOTE_WRITE_PROTOCOL=1.0"}, run: func(w *caseWorld) {
		w.push("app", "v3")
		w.push("app", "v4")
		w.refuse(400, func(series remotewritetest.Series) bool { return series.Labels["tag"] != "v3" })
		w.runDue()
		w.wantOutcome(map[string]int{"unconfirmed": w.summary.Series})
		w.wantTags("app", "v1", "v2", "v3")
		w.remove("app", "v3")
		w.remove("app", "v4")
		w.calm()
		w.runDue()
		w.wantClean()
		w.wantTags("app", "v1", "v2")
	}},
	{rule: 12, name: "a slow receiver that stored everything", run: func(w *caseWorld) {
		w.push("app", "v3")
		w.fault = func(req *request) (*http.Response, error) {
			if req.service != serviceReceiver {
				return nil, nil //nolint:nilnil // the service responds
			}
			if _, err := answered(w.receiver, req); err != nil {
				return nil, err
			}
			<-req.Context().Done()
			return nil, req.Context().Err()
		}
		w.runDue()
		w.wantOutcome(map[string]int{"unconfirmed": w.summary.Series})
		w.wantTags("app", "v1", "v2", "v3")
		w.remove("app", "v3")
		w.calm()
		w.runDue()
		w.wantTags("app", "v1", "v2")
	}},
	{rule: 12, name: "a receiver that cannot be reached", run: func(w *caseWorld) {
		w.fault = func(req *request) (*http.Response, error) {
			if req.service == serviceReceiver {
				return nil, errNetwork
			}
			return nil, nil //nolint:nilnil // the service responds
		}
		w.run()
		if s := w.summary; s.Accepted+s.Refused > 0 || s.Unconfirmed+s.NotSent != s.Series {
			w.Errorf("Summary %+v", s.Push)
		}
	}},
	{rule: 12, name: "not sent are those of which nothing was written", test: "pkg/remotewrite.TestAccounts"},
	{rule: 12, name: "401 is a refusal", run: func(w *caseWorld) {
		w.reply(http.StatusUnauthorized)
		w.run()
		w.wantOutcome(map[string]int{"refused": w.summary.Series})
	}},
	{rule: 12, name: "403 is a refusal", run: func(w *caseWorld) {
		w.reply(http.StatusForbidden)
		w.run()
		w.wantOutcome(map[string]int{"refused": w.summary.Series})
	}},
	{rule: 12, name: "bytes are those of what was sent, also in the run that falls back to 1.0", test: "pkg/remotewrite.TestBytes"},
	{rule: 12, name: "what Prometheus 3.16 stores of a batch out of order", file: "docs/architecture.md", text: "Prometheus 3.16 stores nothing of one in which a sample is out of order"},
	{rule: 12, name: "what Cortex stores of a batch that is too large", file: "docs/architecture.md", text: "Cortex and Mimir store nothing of one that is too large (400, not 413)"},
	{rule: 12, name: "a batch larger than the receiver's burst", run: func(w *caseWorld) {
		w.receiver = remotewritetest.New(remotewritetest.Options{Burst: 3})
		w.run()
		w.wantOutcome(map[string]int{"accepted": w.summary.Series})
		if n := w.requests[serviceReceiver]; n < 3+w.summary.Series/3 {
			w.Errorf("%d requests, so no batch was split and the row checks nothing", n)
		}
	}},
	{rule: 12, name: "markers go first, and a record goes when they were answered, whatever became of the rest", settings: []string{"REMOTE_WRITE_CONCURRENCY=1"}, run: func(w *caseWorld) {
		w.remove("app", "v2")
		n := 0
		w.answer = func() remotewritetest.Answer {
			if n++; n == 1 {
				return remotewritetest.Answer{}
			}
			return remotewritetest.Answer{Status: http.StatusForbidden}
		}
		w.runDue()
		w.wantTags("app", "v1")
		w.calm()
		w.run()
		if w.summary.Ended > 0 {
			w.Errorf("%d markers are sent again", w.summary.Ended)
		}
	}},
	{rule: 12, name: "unconfirmed markers are sent again", run: func(w *caseWorld) {
		w.remove("app", "v2")
		w.reply(http.StatusServiceUnavailable)
		w.runDue()
		w.wantTags("app", "v1", "v2")
		w.restart()
		w.calm()
		w.run()
		w.wantTags("app", "v1")
		if w.summary.Ended == 0 || w.summary.Markers.Due != 0 {
			w.Errorf("Summary %+v", w.summary.Markers)
		}
	}},
	{rule: 12, name: "markers are accounted for apart", test: "pkg/remotewrite.TestMarkersApart"},
}

// reply lets the receiver respond with a status, and store nothing.
func (w *caseWorld) reply(status int) {
	w.answer = func() remotewritetest.Answer { return remotewritetest.Answer{Status: status} }
}

// refuse lets the receiver respond with a status, and not store the series for which refused
// is true.
func (w *caseWorld) refuse(status int, refused func(remotewritetest.Series) bool) {
	w.answer = func() remotewritetest.Answer {
		return remotewritetest.Answer{Status: status, Refuse: func(series remotewritetest.Series) string {
			if refused(series) {
				return "err: not this one"
			}
			return ""
		}}
	}
}

// wantOutcome checks what became of the series of the last push.
func (w *caseWorld) wantOutcome(want map[string]int) {
	w.Helper()
	s := w.summary.Push
	got := map[string]int{"accepted": s.Accepted, "refused": s.Refused, "unconfirmed": s.Unconfirmed, "notSent": s.NotSent}
	maps.DeleteFunc(got, func(_ string, n int) bool { return n == 0 })
	if s.Series == 0 || !maps.Equal(got, want) {
		w.Errorf("of %d series %v, want %v", s.Series, got, want)
	}
}
