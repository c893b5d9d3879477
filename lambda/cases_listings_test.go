package main

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// The cases of what AWS responds and what settings hide: rules 3, 4, 6 and 10.
var casesOfListings = []issueCase{
	{rule: 3, name: "responses that say nothing", run: func(w *caseWorld) {
		w.create("other")
		w.push("other", "v9")
		w.runDue()
		for _, operation := range []string{"DescribeRepositories", "DescribeImages"} {
			for _, text := range []string{
				"", "{}", `{"repositories":null,"imageDetails":null}`, `{"layers":[]}`,
				`{"repositories":[{"repositoryArn":"x"}],"imageDetails":[{"imageTags":["v9"]}]}`, `{"repositories":[null],"imageDetails":[null]}`,
			} {
				w.respond(operation, "", text)
				w.runDue()
				w.wantError("refresh", "incomplete response")
				if w.summary.Ended > 0 || w.summary.Repositories != 2 || w.summary.Images != 3 {
					w.Errorf("%s %q: Summary %+v", operation, text, w.summary)
				}
				w.wantTags("app", "v1", "v2")
				w.calm()
			}
		}
		w.runDue()
		w.wantClean()
	}},
	{rule: 3, name: "a page that repeats its own token", run: func(w *caseWorld) { w.wantCycle("a") }},
	{rule: 3, name: "createdAt is missing once", run: func(w *caseWorld) {
		w.respond("DescribeRepositories", "", `{"repositories":[{"repositoryName":"app","registryId":"`+account+`","repositoryUri":"`+w.registry.URI("app")+`"}]}`)
		w.runDue()
		w.wantClean()
		w.calm()
		w.runDue()
		w.wantClean()
		if w.summary.Ended > 0 {
			w.Errorf("Summary %+v", w.summary)
		}
		w.wantTags("app", "v1", "v2")
	}},
	{rule: 3, name: "an empty list with a token goes on", run: func(w *caseWorld) {
		w.fault = func(req *request) (*http.Response, error) {
			if req.operation != "DescribeImages" {
				return nil, nil //nolint:nilnil // the service responds
			}
			if !strings.Contains(string(req.body), "nextToken") {
				return body(`{"imageDetails":[],"nextToken":"a"}`), nil
			}
			return body(`{"imageDetails":[{"imageDigest":"` + ecrtest.Digest("x") + `","imagePushedAt":946684800,"imageTags":["v5"]}]}`), nil
		}
		w.runDue()
		w.wantClean()
		w.wantTags("app", "v5")
	}},
	{rule: 3, name: "a registry without any repositories is believed when a second listing says the same", run: func(w *caseWorld) {
		w.aws.Fail(ecrtest.Match{Operation: "DescribeRepositories"}, 1, ecrtest.Fault{Body: `{"repositories":[]}`})
		w.runDue()
		w.wantClean()
		w.wantTags("app", "v1", "v2")
		w.registry.DeleteRepository("app")
		w.runDue()
		w.wantClean()
		w.wantTags("app")
	}},

	{rule: 4, name: "TAGS_EXCLUDE", run: func(w *caseWorld) {
		w.restart("TAGS_EXCLUDE=v1")
		w.run()
		w.wantTags("app", "v2")
	}},
	{rule: 4, name: "TAGS_INCLUDE", run: func(w *caseWorld) {
		w.restart("TAGS_INCLUDE=v1")
		w.run()
		w.wantTags("app", "v1")
	}},
	{rule: 4, name: "FAMILIES_EXCLUDE", run: func(w *caseWorld) {
		w.restart("FAMILIES_EXCLUDE=" + contracttest.ImagePushed)
		w.run()
		w.wantTags("app")
		if n := len(w.live(contracttest.ImageSize, "app", "digest")); n != 2 {
			w.Errorf("%d series of another family", n)
		}
	}},
	{rule: 4, name: "FAMILIES_INCLUDE", run: func(w *caseWorld) {
		w.restart("FAMILIES_INCLUDE=" + contracttest.ImagePushed)
		w.run()
		w.wantTags("app", "v1", "v2")
		if n := len(w.live(contracttest.ImageSize, "app", "digest")); n != 0 {
			w.Errorf("%d series of another family", n)
		}
	}},
	{rule: 4, name: "EXTERNAL_LABELS", run: func(w *caseWorld) {
		w.restart("EXTERNAL_LABELS=zone=a")
		w.run()
		if zones := w.live(contracttest.ImagePushed, "app", "zone"); len(zones) != 1 || zones["a"] == 0 {
			w.Errorf("zones %v", zones)
		}
	}},
	{rule: 4, name: "a change that a run cannot hold ends in the next ones", run: func(w *caseWorld) {
		w.hang("write")
		w.restart("TAGS_EXCLUDE=v1")
		w.run()
		w.calm()
		w.run()
		w.wantTags("app", "v2")
	}},
	{rule: 4, name: "a family that an upgrade removes", file: "docs/architecture.md", text: "A family that a new version of the program no longer has gets no markers: it disappears with the lookback."},

	{rule: 6, name: "a timestamp NaN", run: func(w *caseWorld) {
		w.create("other")
		w.push("other", "v9")
		w.respond("DescribeImages", "app", `{"imageDetails":[{"imageDigest":"`+ecrtest.Digest("x")+`","imagePushedAt":"NaN","imageTags":["v5"]}]}`)
		w.runDue()
		if w.summary == nil || w.summary.Refreshed != 2 || w.summary.Invalid != 1 {
			w.Errorf("Summary %+v", w.summary)
		}
		w.wantTags("other", "v9")
	}},
	{rule: 6, name: "a panic in the SDK", test: "pkg/awsapi.TestPanic"},
	{rule: 6, name: "one denied scan silences no other", run: func(w *caseWorld) {
		w.create("other")
		w.push("other", "v9")
		w.push("app", "v3")
		for repository, tags := range map[string][]string{"app": {"v3"}, "other": {"v9"}} {
			for _, tag := range tags {
				w.scan(repository, tag, 4)
			}
		}
		w.deny("DescribeImageScanFindings", "app", 1)
		w.runDue()
		w.wantHigh("other", "v9", 4)
		w.runDue()
		w.run()
		w.wantHigh("app", "v3", 4)
	}},

	{rule: 10, name: "times beyond range and negative sizes", run: func(w *caseWorld) {
		w.respond("DescribeImages", "app", `{"imageDetails":[{"imageDigest":"`+ecrtest.Digest("x")+`","imagePushedAt":1e18,"imageSizeInBytes":-5,"imageTags":["v5"]}]}`)
		w.runDue()
		w.wantClean()
		if w.summary.Invalid != 2 || w.summary.Images != 1 || !strings.Contains(w.log.String(), "values that cannot be true were left out") {
			w.Errorf("Summary %+v, log %s", w.summary, &w.log)
		}
		w.wantTags("app")
		if sizes := w.live(contracttest.ImageSize, "app", "digest"); len(sizes) > 0 {
			w.Errorf("sizes %v", sizes)
		}
	}},
	{rule: 10, name: "a null URI", run: func(w *caseWorld) {
		w.respond("DescribeRepositories", "", `{"repositories":[{"repositoryName":"app","repositoryUri":null},{"repositoryName":"new","repositoryUri":null}]}`)
		w.runDue()
		if w.summary.Repositories != 1 || w.summary.Ended > 0 {
			w.Errorf("Summary %+v", w.summary)
		}
		for _, series := range w.receiver.All() {
			if strings.HasPrefix(series.Labels["image"], ":") {
				w.Errorf("%v", series)
			}
		}
		w.wantTags("app", "v1", "v2")
	}},
	{rule: 10, name: "a null count", run: func(w *caseWorld) {
		w.push("app", "v3")
		w.respond("DescribeImageScanFindings", "app", `{"imageScanStatus":{"status":"COMPLETE"},"imageScanFindings":{"imageScanCompletedAt":946684800,"findingSeverityCounts":{"HIGH":null}}}`)
		w.runDue()
		if counts := w.live(contracttest.ScanSeverity, "app", "severity"); len(counts) > 0 {
			w.Errorf("counts %v", counts)
		}
	}},
}

// wantCycle checks that pages whose tokens repeat fail the listings, and end nothing.
func (w *caseWorld) wantCycle(tokens ...string) {
	w.Helper()
	w.create("other")
	w.push("other", "v9")
	w.runDue()
	for operation, list := range map[string]string{"DescribeImages": "imageDetails", "DescribeRepositories": "repositories"} {
		n := 0
		w.fault = func(req *request) (*http.Response, error) {
			if req.operation == operation && (operation == "DescribeRepositories" || req.repository == "app") {
				n++
				return body(fmt.Sprintf(`{%q:[],"nextToken":%q}`, list, tokens[n%len(tokens)])), nil
			}
			return nil, nil //nolint:nilnil // the service responds
		}
		w.runDue()
		w.wantError("refresh", "token of an earlier page")
		if n > 20 || w.summary.Ended > 0 {
			w.Errorf("%s: %d pages, Summary %+v", operation, n, w.summary)
		}
		w.wantTags("app", "v1", "v2")
		w.wantTags("other", "v9")
	}
}
