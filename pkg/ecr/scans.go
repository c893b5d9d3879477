package ecr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

var getScanningConfiguration = awsapi.Permission{Action: "ecr:GetRegistryScanningConfiguration", Resource: "*"}

// ScanType returns the type of scanning, BASIC or ENHANCED, that a registry is configured for,
// and the registry's account: the caller's own, as the operation has no registryId.
func (c *Client) ScanType(ctx context.Context) (scanType, account string, err error) {
	out, err := c.api.GetRegistryScanningConfiguration(ctx, &ecr.GetRegistryScanningConfigurationInput{})
	if err != nil {
		return "", "", fmt.Errorf("reading the registry's scanning configuration: %w", err)
	}
	convert := converter{&c.invalid, "the registry's scanning configuration"}
	if out.ScanningConfiguration != nil {
		scanType = convert.word("scanType", string(out.ScanningConfiguration.ScanType))
	}
	if scanType == "" {
		return "", "", fmt.Errorf("reading the registry's scanning configuration: %w: no scanType", awsapi.ErrIncomplete)
	}
	return scanType, aws.ToString(out.RegistryId), nil
}

// ScanOperation is the operation that Scan calls, once for each image.
const ScanOperation = "DescribeImageScanFindings"

var (
	describeScanFindings = awsapi.Permission{Action: "ecr:DescribeImageScanFindings", Resource: anyRepository}
	// With enhanced scanning, ECR reads the findings from Inspector on the caller's behalf.
	listFindings = awsapi.Permission{Action: "inspector2:ListFindings", Resource: "*"}
)

// countsDelay is how long after its completion a scan without findings is treated as
// unfinished: ECR can report COMPLETE seconds before the counts.
const countsDelay = time.Minute

// Scan returns the result of the scan of one image. A missing scan or image is not an
// error (see inventory.ScanNotFound and ScanImageNotFound). Unfinished is set if a later
// call can return another result.
//
// Every page has the counts of all findings, so one page with one finding is requested.
func (c *Client) Scan(ctx context.Context, repository string, digest inventory.Digest) (*inventory.Scan, error) {
	out, err := c.api.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{
		RegistryId: c.registryID, RepositoryName: aws.String(repository), MaxResults: aws.Int32(1),
		ImageId: &types.ImageIdentifier{ImageDigest: aws.String(digest.String())},
	})
	var (
		noScan  *types.ScanNotFoundException
		noImage *types.ImageNotFoundException
	)
	switch {
	case errors.As(err, &noScan):
		return &inventory.Scan{Status: inventory.ScanNotFound}, nil
	case errors.As(err, &noImage):
		return &inventory.Scan{Status: inventory.ScanImageNotFound}, nil
	case err != nil:
		return nil, fmt.Errorf("reading the scan of %s@%s: %w", repository, digest, err)
	}
	convert := converter{&c.invalid, "scan of " + repository + "@" + digest.String()}
	scan := &inventory.Scan{}
	if out.ImageScanStatus != nil {
		scan.Status = inventory.WordOf(convert.word("imageScanStatus", string(out.ImageScanStatus.Status)))
	}
	if id := out.ImageId; scan.Status == 0 || id != nil && id.ImageDigest != nil && *id.ImageDigest != digest.String() {
		return nil, fmt.Errorf("reading the scan of %s@%s: %w: no status of this image's scan", repository, digest, awsapi.ErrIncomplete)
	}
	if findings := out.ImageScanFindings; findings != nil {
		scan.CompletedAt = convert.time("imageScanCompletedAt", findings.ImageScanCompletedAt)
		var valid bool
		scan.Severities, valid = convert.severities(findings.FindingSeverityCounts)
		if !valid {
			scan.Unfinished = 1
		}
	}
	if unfinished(scan, out.ImageScanFindings) {
		scan.Unfinished = 1
	}
	return scan, nil
}

func unfinished(scan *inventory.Scan, findings *types.ImageScanFindings) bool {
	switch types.ScanStatus(scan.Status.String()) {
	case types.ScanStatusInProgress, types.ScanStatusPending:
		return true
	case types.ScanStatusComplete, types.ScanStatusActive:
		// Counts that are absent are unknown, and not 0.
		if findings == nil || findings.FindingSeverityCounts == nil || scan.CompletedAt.IsZero() && scan.Severities == "" {
			return true
		}
		return scan.Severities == "" && time.Since(scan.CompletedAt.Time()) < countsDelay
	default:
		return false
	}
}
