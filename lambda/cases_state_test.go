package main

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// The cases of what is stored: rules 1, 2, 7 and 8.
var casesOfState = []issueCase{
	{rule: 1, name: "counts of a scan event survive a cold start", run: func(w *caseWorld) {
		w.wantAcknowledged(w.scan("app", "v1", 1))
		w.run()
		w.wantHigh("app", "v1", 1)
		w.wantAcknowledged(w.scan("app", "v1", 5))
		w.restart()
		w.run()
		w.wantHigh("app", "v1", 5)
		if n := w.requests["DescribeImageScanFindings"]; n != 0 {
			w.Errorf("%d scans were requested, so the row checks nothing", n)
		}
	}},
	{rule: 1, name: "push to a new repository while DescribeRepositories fails", run: func(w *caseWorld) {
		w.create("new")
		_, event := w.push("new", "v1")
		w.deny("DescribeRepositories", "", ecrtest.Always)
		w.wantAcknowledged(event)
		w.calm()
		w.restart()
		w.run()
		w.wantTags("new", "v1")
	}},
	{rule: 1, name: "a name that only an event told has no series and is not counted", run: func(w *caseWorld) {
		w.create("new")
		_, event := w.push("new", "v1")
		w.deny("DescribeRepositories", "", ecrtest.Always)
		w.wantAcknowledged(event)
		w.run()
		if n := len(w.receiver.Find(contracttest.Repository, "name", "new")); n > 0 || w.summary.Repositories != 1 {
			w.Errorf("%d series, Summary %+v", n, w.summary)
		}
	}},
	{rule: 1, name: "names that only events told are bounded", test: "pkg/refresh.TestDueNames/part:\"many\""},
	{rule: 1, name: "what an event made due is saved when its listing ran out of time", run: func(w *caseWorld) {
		_, event := w.push("app", "v3")
		w.hang("DescribeImages")
		w.wantAcknowledged(event)
		w.calm()
		w.restart()
		w.run()
		w.wantTags("app", "v1", "v2", "v3")
	}},
	{rule: 1, name: "two scan events of one image in one second", run: func(w *caseWorld) {
		time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second)))
		first := w.scan("app", "v1", 2)
		time.Sleep(300 * time.Millisecond)
		second := w.scan("app", "v1", 3)
		w.wantAcknowledged(first, second)
		w.run()
		w.wantHigh("app", "v1", 3)
	}},
	{rule: 1, name: "settings that an event told of and a response that says nothing", run: func(w *caseWorld) {
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: "app", TagMutability: "IMMUTABLE"}))
		w.respond("DescribeRepositories", "", "{}")
		w.wantAcknowledged(w.event("ECR Scan Resource Change", `{"action-type":"SCAN_FREQUENCY_CHANGE","resource-type":"REPOSITORY","repositories":[{"repository-name":"app"}]}`))
		w.calm()
		w.restart()
		w.run()
		w.wantClean()
		if n := len(w.receiver.Find(contracttest.Repository, "name", "app", "tag_mutability", "IMMUTABLE")); n != 1 {
			w.Error("the settings are not read in the next run")
		}
	}},

	{rule: 2, name: "killed between the push and the save", run: func(w *caseWorld) {
		w.push("app", "v3")
		w.killAfter = serviceReceiver
		w.runDue()
		if len(w.receiver.Find(contracttest.ImagePushed, "tag", "v3")) == 0 {
			w.Fatal("v3 was not pushed, so the row checks nothing")
		}
		w.restart()
		w.remove("app", "v3")
		w.runDue()
		w.wantTags("app", "v1", "v2")
	}},
	{rule: 2, name: "killed between the push of markers and the save", run: func(w *caseWorld) {
		w.remove("app", "v2")
		w.killAfter = serviceReceiver
		w.runDue()
		w.restart()
		w.run()
		w.wantTags("app", "v1")
	}},
	{rule: 2, name: "changes are applied to the whole", test: "pkg/inventory.TestChanges"},
	{rule: 2, name: "the changes are emptied after the whole is written", test: "pkg/state.TestChanges/part:emptied"},
	{rule: 2, name: "too many changes are stored as a whole", test: "pkg/state.TestManyChanges"},
	{rule: 2, name: "if the write fails the push goes on, the run reports it, and the messages go back", run: func(w *caseWorld) {
		_, event := w.push("app", "v3")
		w.fault = func(req *request) (*http.Response, error) {
			if req.service == serviceS3 && req.Method == http.MethodPut {
				return s3Error(http.StatusForbidden, "AccessDenied").Result(), nil
			}
			return nil, nil //nolint:nilnil // the service responds
		}
		if n := w.messages(event); n != 1 {
			w.Errorf("%d messages go back", n)
		}
		w.wantError("save", "AccessDenied")
		w.wantTags("app", "v1", "v2", "v3")
		w.calm()
		w.wantAcknowledged(event)
	}},
	{rule: 2, name: "the same for a file", test: "lambda.TestBatchNotSaved"},
	{rule: 2, name: "with memory: kept means in memory", settings: []string{"STATE_URL=memory:"}, run: func(w *caseWorld) {
		_, event := w.push("app", "v3")
		w.deny("DescribeImages", "", 1)
		w.wantAcknowledged(event)
		w.runDue()
		w.wantTags("app", "v1", "v2", "v3")
	}},

	{rule: 7, name: "invalid UTF-8 in a tag", run: func(w *caseWorld) {
		w.respond("DescribeImages", "app", `{"imageDetails":[{"imageDigest":"`+ecrtest.Digest("x")+`","imagePushedAt":946684800,"imageTags":["a`+"\xff"+`"]}]}`)
		w.runDue()
		w.wantClean()
		w.wantTags("app", "a\uFFFD")
		w.wantStateIsRead()
	}},
	{rule: 7, name: "140,000 tags", settings: []string{"FAMILIES_INCLUDE=aws_ecr_image_pushed_at_timestamp_seconds"}, run: func(w *caseWorld) {
		tags := make([]string, 140_000)
		for i := range tags {
			tags[i] = fmt.Sprintf(`"%06d"`, i)
		}
		w.respond("DescribeImages", "app", `{"imageDetails":[{"imageDigest":"`+ecrtest.Digest("x")+`","imagePushedAt":946684800,"imageTags":[`+strings.Join(tags, ",")+`]}]}`)
		w.runDue()
		w.wantClean()
		if n := len(w.live(contracttest.ImagePushed, "app", "tag")); n != 10_000 {
			w.Errorf("%d tags", n)
		}
		w.wantStateIsRead()
	}},
	{rule: 7, name: "records of any content", test: "pkg/inventory.FuzzRoundTrip"},
	{rule: 7, name: "a list of 140,000 elements in the state", test: "pkg/inventory.TestRoundTripOfMany"},

	{rule: 8, name: "state of another registry", settings: []string{"ECR_REGISTRY_ID=" + account}, run: func(w *caseWorld) {
		w.wantSetAside(&inventory.Registry{ID: "210987654321", Region: region, ListedAt: 1})
	}},
	{rule: 8, name: "state of another registry that only the listing shows", run: func(w *caseWorld) {
		w.wantSetAside(&inventory.Registry{ID: "210987654321", ListedAt: 1, Repositories: []*inventory.Repository{{Name: "theirs", Mark: inventory.Mark{Shown: true}}}})
	}},
	{rule: 8, name: "state of another Region", run: func(w *caseWorld) {
		w.wantSetAside(&inventory.Registry{ID: account, Region: "us-east-1", ListedAt: 1})
	}},
	{rule: 8, name: "state of a later format", test: "pkg/state.TestLaterFormat"},
	{rule: 8, name: "a temporary file that a killed save left", test: "pkg/state.TestTemporaryFiles"},
	{rule: 8, name: "-dry-run and -dump touch nothing", test: "lambda.TestNothingIsWritten"},

	{rule: 9, name: "a state that unpacks to 1.5 GB", run: func(w *caseWorld) {
		var text bytes.Buffer
		zip := gzip.NewWriter(&text)
		_, _ = zip.Write([]byte("\xa3\x01\x78\x1aecr-remote-write inventory\x02\x02\x03\x00")) // the header
		_, _ = zip.Write(binary.BigEndian.AppendUint64([]byte("\xa1\x01\x7b"), 1500<<20))      // an ID, of which the first part follows
		for range 40 {
			_, _ = zip.Write(make([]byte, 1<<20))
		}
		w.check(zip.Close())
		w.s3.objects[objectKey] = text.Bytes()
		w.restart()
		w.run()
		w.wantClean()
		if !bytes.Equal(w.s3.objects[objectKey+".damaged"], text.Bytes()) || !strings.Contains(w.log.String(), "an item is larger than 32 MiB") {
			w.Errorf("not set aside: %s", &w.log)
		}
		w.wantTags("app", "v1", "v2")
	}},
}

// wantStateIsRead checks that a cold start reads the state.
func (w *caseWorld) wantStateIsRead() {
	w.Helper()
	w.calm()
	before := w.summary.Images
	w.restart()
	w.run()
	w.wantClean()
	if w.s3.objects[objectKey+".damaged"] != nil || w.requests["DescribeImages"] > 0 || w.summary.Images != before {
		w.Errorf("the state was not read: %d listings, %d images, want %d", w.requests["DescribeImages"], w.summary.Images, before)
	}
}

// wantSetAside checks that a cold start sets another registry's state aside, ends none of its
// series, and goes on with its own.
func (w *caseWorld) wantSetAside(theirs *inventory.Registry) {
	w.Helper()
	var text bytes.Buffer
	w.check(inventory.Encode(&text, theirs))
	w.s3.objects[objectKey] = text.Bytes()
	w.restart()
	w.run()
	w.wantClean()
	if !bytes.Equal(w.s3.objects[objectKey+".other"], text.Bytes()) || !strings.Contains(w.log.String(), "set aside") {
		w.Errorf("not set aside: %s", &w.log)
	}
	if w.summary.Registry != account || w.summary.Ended > 0 {
		w.Errorf("Summary %+v", w.summary)
	}
	w.wantTags("app", "v1", "v2")
	w.wantStateIsRead()
}
