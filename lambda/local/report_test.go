//go:build unix

package main

import (
	"encoding/json"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

func TestWriteResult(t *testing.T) {
	t.Parallel()
	q := namedQuery{title: "Largest repositories", promQL: "topk(5, size)", labels: []string{"name", "tag"}, unit: "GB", digits: 1}
	tests := []struct {
		name   string
		result []localtest.Sample
		want   string
	}{
		{
			name: "largest first, then by name",
			result: []localtest.Sample{
				{Labels: map[string]string{"name": "web/api", "tag": "v1"}, Value: 9.96},
				{Labels: map[string]string{"name": "data/überlang", "tag": "1.10.0"}, Value: 1234.5},
				{Labels: map[string]string{"name": "data/a"}, Value: 9.96},
			},
			want: "" +
				"\nLargest repositories\n" +
				"  topk(5, size)\n" +
				"\n" +
				"  name            tag          GB\n" +
				"  data/überlang   1.10.0   1234.5\n" +
				"  data/a                     10.0\n" +
				"  web/api         v1         10.0\n",
		},
		{
			name: "no result",
			want: "\nLargest repositories\n  topk(5, size)\n\n  (no series)\n",
		},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var got strings.Builder
			writeResult(&got, q, test.result)
			if diff := cmp.Diff(test.want, got.String()); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

// A query of several lines is indented as a whole.
func TestWriteLongQuery(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	writeResult(&got, namedQuery{title: "Pods", promQL: "a\n* on (b)\n  c\n"}, nil)
	writeOtherPods(&got, 1)
	want := "\nPods\n  a\n  * on (b)\n    c\n\n  (no series)\n\n  docs/queries.md says why 1 other pod is not here.\n"
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// The queries about pods are those of the documentation, which the end-to-end tests
// evaluate.
func TestPodQueries(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "queries.md"))
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"pods-critical", "pods-critical-by-image"} {
		if block := "<!-- query: " + name + " -->\n```promql\n" + podQueries[i].promQL + "```\n"; !strings.Contains(string(page), block) {
			t.Errorf("docs/queries.md is without\n%s", block)
		}
	}
}

func TestWriteSummary(t *testing.T) {
	t.Parallel()
	var s summary
	err := json.Unmarshal([]byte(`{"timestamp":"2026-11-22T20:14:36.5Z","registry":"123456789012","repositories":40,"images":2082,"taggedImages":1535,
		"due":40,"refreshed":39,"gone":1,"denied":0,"failed":0,"left":0,
		"scans":{"source":"findings","due":1535,"answered":1500,"failed":0,"left":35,"pending":36},"series":13526,"ended":4,"accepted":13500,"dropped":{"label_value_too_long":20},"refused":3,"unconfirmed":2,"notSent":1,"protocol":"1.0",
		"batches":5,"bytes":4312345,"bytesCompressed":749000,"retries":1,"calls":{"DescribeRepositories":1,"DescribeImages":40,"GetRegistryScanningConfiguration":1,"DescribeImageScanFindings":1500},"throttles":{"DescribeImages":2},
		"durationsSeconds":{"load":0,"refresh":0.098,"push":1.5,"save":0.002,"total":1.625}}`), &s)
	if err != nil {
		t.Fatal(err)
	}
	want := `
The first push
  repositories   40, images of 39 listed
  images         2,082, 1,535 of them tagged
  scan results   1,500 read, 36 pending
  series         13,500 accepted, 26 lost
  batches        5 by remote write 1.0, 4.3 MB compressed to 749 kB, 1 retry
  API calls      1,500 DescribeImageScanFindings, 40 DescribeImages, 2 others; 2 throttled
  duration       1.62 s: refresh 98 ms, push 1.50 s, save 2 ms
`
	var got strings.Builder
	writeSummary(&got, s)
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWriteRuns(t *testing.T) {
	t.Parallel()
	s := summary{Timestamp: time.Date(2026, time.November, 22, 20, 14, 41, 0, time.Local), Accepted: 13534, Durations: map[string]float64{"total": 0.201}}
	var got strings.Builder
	writeHeader(&got)
	writeScheduled(&got, s, []string{"pushed web/api:v1.13.8", "deleted web/api:v1.0.0"})
	s.Ended, s.Scans = 1200, scans{Answered: 1, Pending: 2}
	writeScheduled(&got, s, []string{"pulled web/api:v1.1.0"})
	writeRun(&got, s, "event", "web/api:v1.13.9 deleted: 9 series ended")
	want := `
  time       for          series      took   what happened in the registry
  20:14:41   schedule     13,534    201 ms   pushed web/api:v1.13.8; deleted web/api:v1.0.0
  20:14:41   schedule     13,534    201 ms   pulled web/api:v1.1.0; 1,200 series ended; 1 scan read; 2 scans pending
  20:14:41   event        13,534    201 ms   web/api:v1.13.9 deleted: 9 series ended
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestDuration(t *testing.T) {
	t.Parallel()
	for s, want := range map[float64]string{0: "0 ms", 0.201: "201 ms", 0.999: "999 ms", 1: "1.00 s", 61.5: "61.50 s"} {
		if got := duration(s); got != want {
			t.Errorf("duration(%g) = %q, want %q", s, got, want)
		}
	}
}

func TestQueryURL(t *testing.T) {
	t.Parallel()
	page, err := url.Parse(tableURL("http://127.0.0.1:8428", queries[1].promQL))
	if err != nil {
		t.Fatal(err)
	}
	// vmui reads its parameters from the fragment.
	path, query, _ := strings.Cut(page.EscapedFragment(), "?")
	parameters, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	if page.Path != "/vmui/" || path != "/" || parameters.Get("g0.expr") != queries[1].promQL || parameters.Get("g0.tab") != "1" {
		t.Errorf("%s has path %q, page %q and query %q", page, page.Path, path, parameters.Get("g0.expr"))
	}
}

func TestWriteDrawn(t *testing.T) {
	t.Parallel()
	var got strings.Builder
	writeDrawn(&got, []drawn{
		{title: "Overview", panels: 8, curves: 31, changing: 12},
		{title: "Waste", panels: 4, curves: 1000, changing: 3, empty: []string{"Untagged images", "Teams"}},
	})
	want := `
Checked: what the dashboards show of the past hour

  dashboard   panels   curves   that change   without data
  Overview    8        31       12            
  Waste       4        1,000    3             Untagged images, Teams
`
	if diff := cmp.Diff(want, got.String()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
