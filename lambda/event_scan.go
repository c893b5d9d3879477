package main

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// scanDetail is what both kinds of scan events have. aws-lambda-go's ECRScanEvent is
// not for us: in it a severity that is absent counts 0.
type scanDetail struct {
	Status     string            `json:"scan-status"`
	Repository string            `json:"repository-name"`
	Digest     string            `json:"image-digest"`
	Counts     map[string]*int64 `json:"finding-severity-counts"` // nil if the event has none
}

// imageScan reads "ECR Image Scan": the result of a basic scan.
func imageScan(detail json.RawMessage, at time.Time) ([]refresh.Event, error) {
	var d scanDetail
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, err
	}
	if d.Status == "" {
		return nil, errMissing("scan-status")
	}
	scan := inventory.Scan{Status: unique.Make(d.Status).Value()}
	switch d.Status {
	case "COMPLETE", "ACTIVE":
		severities, err := severityCounts(d.Counts)
		if err != nil {
			return nil, err
		}
		if d.Counts == nil {
			scan.Unfinished = 1 // the counts are to be asked for
			break
		}
		scan.Severities, scan.CompletedAt = severities, inventory.TimeOf(at)
	case "IN_PROGRESS", "PENDING":
		scan.Unfinished = 1
	}
	return d.notice(scan, at)
}

// inspectorTotal is the word under which Inspector counts the findings of all
// severities. It is no severity.
const inspectorTotal = "TOTAL"

// inspectorScan reads "Inspector2 Scan": the result of an image's first enhanced scan.
// The same event tells of EC2 instances and Lambda functions, which concern nobody
// here.
//
// Inspector counts CRITICAL, HIGH and MEDIUM, with a 0 for none, where all of ECR's
// and Inspector's other answers leave a severity without findings out. So a 0 is left
// out here too, or its series would end at the next answer. What is below MEDIUM is
// in TOTAL only, and its split remains to be asked for.
func inspectorScan(detail json.RawMessage, at time.Time) ([]refresh.Event, error) {
	var d scanDetail
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, err
	}
	if d.Repository == "" && d.Digest == "" {
		return nil, nil
	}
	if d.Status == "" {
		return nil, errMissing("scan-status")
	}
	// What the events call INITIAL_SCAN_COMPLETE is ACTIVE in the API: Inspector
	// keeps watching the image.
	scan := inventory.Scan{Status: "ACTIVE"}
	if d.Counts == nil {
		scan.Unfinished = 1
		return d.notice(scan, at)
	}
	total, err := totalCount(d.Counts)
	if err != nil {
		return nil, err
	}
	delete(d.Counts, inspectorTotal)
	if scan.Severities, err = severityCounts(d.Counts); err != nil {
		return nil, err
	}
	scan.Severities = slices.DeleteFunc(scan.Severities, func(s inventory.SeverityCount) bool { return s.Count == 0 })
	var sum int64
	for _, severity := range scan.Severities {
		sum += int64(severity.Count)
	}
	scan.CompletedAt = inventory.TimeOf(at)
	scan.Total, scan.Partial = clamp(total), sum != total
	return d.notice(scan, at)
}

// totalCount is the number of findings of all severities; -1, which no sum is, if the
// event does not tell it.
func totalCount(counts map[string]*int64) (int64, error) {
	switch n := counts[inspectorTotal]; {
	case n == nil:
		return -1, nil
	case *n < 0:
		return 0, errCount(inspectorTotal, *n)
	default:
		return *n, nil
	}
}

// severityCounts are sorted by severity; one that is absent or null is not among them.
func severityCounts(counts map[string]*int64) ([]inventory.SeverityCount, error) {
	list := make([]inventory.SeverityCount, 0, len(counts))
	for severity, count := range counts {
		switch {
		case severity == "" || count == nil:
			continue
		case *count < 0:
			return nil, errCount(severity, *count)
		}
		list = append(list, inventory.SeverityCount{Severity: unique.Make(severity).Value(), Count: clamp(*count)})
	}
	slices.SortFunc(list, func(a, b inventory.SeverityCount) int { return strings.Compare(a.Severity, b.Severity) })
	return list, nil
}

func errCount(severity string, n int64) error {
	return fmt.Errorf("finding-severity-counts: %.100q is %d, want 0 or more", severity, n)
}

func clamp(n int64) int32 { return int32(max(0, min(n, math.MaxInt32))) }

// notice tells of a scan's result.
func (d *scanDetail) notice(scan inventory.Scan, at time.Time) ([]refresh.Event, error) {
	name, err := repositoryName(d.Repository)
	if err != nil {
		return nil, err
	}
	digest, err := inventory.ParseDigest(d.Digest)
	if err != nil {
		return nil, err
	}
	return []refresh.Event{{Repository: name, At: at, Digest: digest, Scan: &scan}}, nil
}
