//go:build unix

package main

import (
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

func TestExpect(t *testing.T) {
	t.Parallel()
	pushed := time.Unix(1_700_000_000, 0)
	registry := ecrtest.NewRegistry(account, region)
	for _, name := range []string{"team/app", "team/empty"} {
		if err := registry.PutRepository(ecrtest.Repository{Name: name}); err != nil {
			t.Fatal(err)
		}
	}
	images := []ecrtest.Image{
		{Digest: ecrtest.Digest("two tags"), Tags: []string{"1", "latest"}, SizeBytes: new(int64(100)), PushedAt: pushed},
		{Digest: ecrtest.Digest("clean, without a size"), Tags: []string{"2"}, PushedAt: pushed.Add(900 * time.Millisecond)},
		{Digest: ecrtest.Digest("no time"), Tags: []string{"3"}, SizeBytes: new(int64(7)), Status: "ACTIVE"},
		{Digest: ecrtest.Digest("unsupported"), Tags: []string{"4"}},
		{Digest: ecrtest.Digest("untagged"), SizeBytes: new(int64(1000)), PushedAt: pushed},
		{Digest: ecrtest.Digest("archived"), Tags: []string{"0"}, SizeBytes: new(int64(1000)), PushedAt: pushed, Status: "ARCHIVED"},
	}
	for _, image := range images {
		if err := registry.PutImage("team/app", image); err != nil {
			t.Fatal(err)
		}
	}
	for name, state := range map[string]ecrtest.ScanState{
		"two tags":              {CompletedAt: pushed.Add(5 * time.Second), Counts: map[string]int32{"CRITICAL": 3, "LOW": 4}},
		"clean, without a size": {CompletedAt: pushed, Counts: map[string]int32{}},
		"unsupported":           {Status: "UNSUPPORTED_IMAGE"},
		"untagged":              {CompletedAt: pushed, Counts: map[string]int32{"HIGH": 9}},
		"archived":              {CompletedAt: pushed, Counts: map[string]int32{"HIGH": 9}},
	} {
		state.At = pushed.Add(time.Minute)
		if err := registry.SetScan("team/app", ecrtest.Digest(name), ecrtest.Scan{States: []ecrtest.ScanState{state}}); err != nil {
			t.Fatal(err)
		}
	}
	want := map[string]total{
		"aws_ecr_repository_exporter_up":                    {1, 1},
		"aws_ecr_repository_count":                          {1, 2},
		"aws_ecr_repository_info":                           {2, 2},
		"aws_ecr_image_size_in_bytes":                       {3, 207},
		"aws_ecr_image_pushed_at_timestamp_seconds":         {3, 3 * 1_700_000_000},
		"aws_ecr_image_scan_severity_count":                 {4, 14},
		"aws_ecr_image_scan_completed_at_timestamp_seconds": {3, 3*1_700_000_000 + 10},
		"aws_ecr_image_scan_status":                         {5, 5}, // one is of an image that was never scanned
		"aws_ecr_exporter_images_scan_pending":              {1, 2},
		"aws_ecr_exporter_scan_oldest_answer_age_seconds":   {1, 0},
	}
	if diff := cmp.Diff(want, expect(registry, pushed.Add(time.Hour), 2), cmp.AllowUnexported(total{})); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	delete(want, "aws_ecr_image_scan_severity_count")
	delete(want, "aws_ecr_image_scan_completed_at_timestamp_seconds")
	if diff := cmp.Diff(want, expect(registry, pushed, 2), cmp.AllowUnexported(total{})); diff != "" {
		t.Errorf("before the scans (-want +got):\n%s", diff)
	}
}

func TestCompare(t *testing.T) {
	t.Parallel()
	want := map[string]total{"a": {2, 10}, "b": {1, 1}}
	tests := []struct {
		name     string
		got      map[string]total
		accepted int
		errs     []string
	}{
		{"equal", map[string]total{"a": {2, 10}, "b": {1, 1}}, 3, nil},
		{"a series is missing", map[string]total{"a": {1, 9}, "b": {1, 1}}, 3, []string{
			"a: 1 series with the sum 9 can be queried, the registry has 2 with 10", "2 series can be queried, the Summary says 3",
		}},
		{"a value differs", map[string]total{"a": {2, 11}, "b": {1, 1}}, 3, []string{"a: 2 series with the sum 11"}},
		{"a family is missing", map[string]total{"a": {2, 10}}, 3, []string{"b: 0 series with the sum 0 can be queried, the registry has 1 with 1"}},
		{"a family is too much", map[string]total{"a": {2, 10}, "b": {1, 1}, "c": {1, 5}}, 4, []string{"c: 1 series with the sum 5 can be queried, the registry has 0 with 0"}},
		{"more than was accepted", map[string]total{"a": {2, 10}, "b": {1, 1}}, 2, []string{"3 series can be queried, the Summary says 2 were accepted"}},
		{"nothing", nil, 3, []string{"a: 0 series", "b: 0 series", "0 series can be queried"}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			err := compare(want, test.got, test.accepted)
			if (err != nil) != (test.errs != nil) {
				t.Fatalf("error: %v", err)
			}
			for _, want := range test.errs {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error lacks %q:\n%v", want, err)
				}
			}
		})
	}
}

// Results that are still to come are missed, those that should not be there are not.
func TestCompareWithPendingScans(t *testing.T) {
	t.Parallel()
	all := func(pending float64) map[string]total {
		return map[string]total{severities: {4, 14}, completions: {3, 30}, statuses: {5, 5}, pendings: {1, pending}, ages: {1, 0}}
	}
	part := map[string]total{severities: {2, 7}, statuses: {2, 2}, pendings: {1, 3}, ages: {1, 12.5}}
	more := maps.Clone(part)
	more[severities] = total{5, 7}
	larger := maps.Clone(part)
	larger[severities] = total{2, 15}
	for _, c := range []struct {
		name     string
		want     map[string]total
		got      map[string]total
		accepted int
		err      string
	}{
		{"a part", all(3), part, 6, ""},
		{"a part, as if all were there", all(0), part, 6, severities},
		{"other than the Summary says", all(2), part, 6, pendings},
		{"more than there is", all(3), more, 9, severities},
		{"larger than there is", all(3), larger, 6, severities},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			err := compare(c.want, c.got, c.accepted)
			if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want one about %q", err, c.err)
			}
		})
	}
}
