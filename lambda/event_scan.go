package main

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
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
	if err := d.checkStatus(); err != nil {
		return nil, err
	}
	scan := inventory.Scan{Status: inventory.WordOf(d.Status)}
	switch d.Status {
	case "COMPLETE", "ACTIVE":
		severities, known, err := severityCounts(d.Counts)
		if err != nil {
			return nil, err
		}
		if !known {
			scan.Unfinished = 1 // the counts have to be requested
			break
		}
		scan.Severities, scan.CompletedAt = inventory.CountsOf(severities), inventory.TimeOf(at)
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
	if err := d.checkStatus(); err != nil {
		return nil, err
	}
	// INITIAL_SCAN_COMPLETE in events is ACTIVE in the API: Inspector scans continuously.
	scan := inventory.Scan{Status: inventory.WordOf("ACTIVE")}
	total := int64(-1) // differs from any sum: without a total the counts are partial
	if n := d.Counts[inspectorTotal]; n != nil {
		if total = *n; total < 0 || total > math.MaxInt32 {
			return nil, errCount(inspectorTotal, total)
		}
	}
	delete(d.Counts, inspectorTotal)
	severities, known, err := severityCounts(d.Counts)
	switch {
	case err != nil:
		return nil, err
	case !known:
		scan.Unfinished = 1
		return d.event(scan, at)
	}
	severities = slices.DeleteFunc(severities, func(s inventory.SeverityCount) bool { return s.Count == 0 })
	scan.Severities = inventory.CountsOf(severities)
	var sum int64
	for _, severity := range severities {
		sum += int64(severity.Count)
	}
	scan.CompletedAt = inventory.TimeOf(at)
	scan.Total, scan.Partial = int32(max(0, total)), sum != total
	return d.event(scan, at)
}

// checkStatus checks a status, which becomes the value of a label.
func (d *scanDetail) checkStatus() error {
	switch {
	case d.Status == "":
		return errMissing("scan-status")
	case !awsapi.ValidWord(d.Status):
		return fmt.Errorf("scan-status %.100q is too long", d.Status)
	}
	return nil
}

// maxSeverities bounds the severities of an event. ECR has seven.
const maxSeverities = 20

// severityCounts returns the counts sorted by severity, and whether they are known: not if
// they are absent, or one is null.
func severityCounts(counts map[string]*int64) (list []inventory.SeverityCount, known bool, err error) {
	if len(counts) > maxSeverities {
		return nil, false, fmt.Errorf("finding-severity-counts has %d severities, want up to %d", len(counts), maxSeverities)
	}
	known = counts != nil
	list = make([]inventory.SeverityCount, 0, len(counts))
	for severity, count := range counts {
		switch {
		case severity == "":
			continue
		case count == nil:
			known = false
			continue
		case !awsapi.ValidWord(severity):
			return nil, false, fmt.Errorf("finding-severity-counts: the severity %.100q is too long", severity)
		case *count < 0 || *count > math.MaxInt32:
			return nil, false, errCount(severity, *count)
		}
		list = append(list, inventory.SeverityCount{Severity: inventory.WordOf(severity), Count: int32(*count)})
	}
	slices.SortFunc(list, func(a, b inventory.SeverityCount) int { return a.Severity.Compare(b.Severity) })
	return list, known, nil
}

func errCount(severity string, n int64) error {
	return fmt.Errorf("finding-severity-counts: %.100q is %d, want 0 to %d", severity, n, math.MaxInt32)
}

// event returns the event of a scan's result.
func (d *scanDetail) event(scan inventory.Scan, at time.Time) ([]refresh.Event, error) {
	event, err := eventAbout(d.Repository, at)
	if err != nil {
		return nil, err
	}
	if event.Digest, err = inventory.ParseDigest(d.Digest); err != nil {
		return nil, err
	}
	event.Scan = &scan
	return []refresh.Event{event}, nil
}
