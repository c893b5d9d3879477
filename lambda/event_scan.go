package main

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// scanDetail is the detail of both kinds of scan events. aws-lambda-go's ECRScanEvent
// does not distinguish an absent severity from a count of 0.
type scanDetail struct {
	Status     string            `json:"scan-status"`
	Repository string            `json:"repository-name"`
	Digest     string            `json:"image-digest"`
	Counts     map[string]*int64 `json:"finding-severity-counts"` // nil if absent
}

// imageScan reads "ECR Image Scan": the result of a basic scan.
func imageScan(d scanDetail, at time.Time) ([]refresh.Event, error) {
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
			scan.Unfinished = 1 // the counts have to be requested
			break
		}
		scan.Severities, scan.CompletedAt = severities, inventory.TimeOf(at)
	case "IN_PROGRESS", "PENDING":
		scan.Unfinished = 1
	}
	return d.event(scan, at)
}

// inspectorTotal is the key under which Inspector counts the findings of all severities.
const inspectorTotal = "TOTAL"

// inspectorScan reads "Inspector2 Scan": the result of an image's first enhanced scan.
// Those of EC2 instances and Lambda functions, which name no repository, are ignored.
//
// These events count CRITICAL, HIGH and MEDIUM, and have 0 for a severity without findings.
// It is left out here, as in all responses of ECR and Inspector: otherwise its series would
// end with the next response. Findings below MEDIUM are only in TOTAL: their counts have to
// be requested.
func inspectorScan(d scanDetail, at time.Time) ([]refresh.Event, error) {
	if d.Repository == "" && d.Digest == "" {
		return nil, nil
	}
	if d.Status == "" {
		return nil, errMissing("scan-status")
	}
	// INITIAL_SCAN_COMPLETE in events is ACTIVE in the API: Inspector scans continuously.
	scan := inventory.Scan{Status: "ACTIVE"}
	if d.Counts == nil {
		scan.Unfinished = 1
		return d.event(scan, at)
	}
	total := int64(-1) // differs from any sum: without a total the counts are partial
	if n := d.Counts[inspectorTotal]; n != nil {
		if total = *n; total < 0 {
			return nil, errCount(inspectorTotal, total)
		}
	}
	delete(d.Counts, inspectorTotal)
	severities, err := severityCounts(d.Counts)
	if err != nil {
		return nil, err
	}
	scan.Severities = slices.DeleteFunc(severities, func(s inventory.SeverityCount) bool { return s.Count == 0 })
	var sum int64
	for _, severity := range scan.Severities {
		sum += int64(severity.Count)
	}
	scan.CompletedAt = inventory.TimeOf(at)
	scan.Total, scan.Partial = clamp(total), sum != total
	return d.event(scan, at)
}

// severityCounts returns the counts sorted by severity, without null ones.
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

// event returns the event of a scan's result.
func (d *scanDetail) event(scan inventory.Scan, at time.Time) ([]refresh.Event, error) {
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
