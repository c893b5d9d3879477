package ecr

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

var scanningConfiguration = Permission{"ecr:GetRegistryScanningConfiguration", "*"}

// EnhancedScanning reports whether Inspector scans the registry's images. The
// operation knows no registryId: it tells of the caller's own account.
func (c *Client) EnhancedScanning(ctx context.Context) (bool, error) {
	var out *ecr.GetRegistryScanningConfigurationOutput
	err := c.call(ctx, "GetRegistryScanningConfiguration", func(with func(*ecr.Options)) (err error) {
		out, err = c.api.GetRegistryScanningConfiguration(ctx, &ecr.GetRegistryScanningConfigurationInput{}, with)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("reading the registry's scanning configuration: %w", err)
	}
	return out.ScanningConfiguration != nil && out.ScanningConfiguration.ScanType == types.ScanTypeEnhanced, nil
}

// ScanOperation is the call that asks for one image's scan: the one there are by far
// the most of.
const ScanOperation = "DescribeImageScanFindings"

var (
	scanFindings = Permission{"ecr:DescribeImageScanFindings", "repository/*"}
	// With enhanced scanning the same call reads findings of Inspector.
	listFindings = Permission{"inspector2:ListFindings", "*"}
)

// countsSettle is how long after a scan was completed a result without findings is
// not believed yet: COMPLETE can show seconds before the counts do.
const countsSettle = time.Minute

// Scan returns what is known now of the scan of one image. That it was never
// scanned, or is gone, is an answer: see inventory.ScanNotFound and
// ScanImageNotFound. Unfinished is set on an answer that is not the last word.
//
// The counts are on every page of the answer; one finding a page is the least that
// can be asked for.
func (c *Client) Scan(ctx context.Context, repository string, digest inventory.Digest) (*inventory.Scan, error) {
	var out *ecr.DescribeImageScanFindingsOutput
	err := c.call(ctx, ScanOperation, func(with func(*ecr.Options)) (err error) {
		out, err = c.api.DescribeImageScanFindings(ctx, &ecr.DescribeImageScanFindingsInput{
			RegistryId: c.registryID, RepositoryName: aws.String(repository), MaxResults: aws.Int32(1),
			ImageId: &types.ImageIdentifier{ImageDigest: aws.String(digest.String())},
		}, with)
		return err
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
		return nil, fmt.Errorf("asking for the scan of %s@%s: %w", repository, digest, err)
	}
	scan := &inventory.Scan{}
	if out.ImageScanStatus != nil {
		scan.Status = shared(string(out.ImageScanStatus.Status))
	}
	if findings := out.ImageScanFindings; findings != nil {
		scan.CompletedAt = inventory.TimeOf(aws.ToTime(findings.ImageScanCompletedAt))
		scan.Severities = severities(findings.FindingSeverityCounts)
	}
	if unfinished(scan, out.ImageScanFindings) {
		scan.Unfinished = 1
	}
	return scan, nil
}

func unfinished(scan *inventory.Scan, findings *types.ImageScanFindings) bool {
	switch types.ScanStatus(scan.Status) {
	case types.ScanStatusInProgress, types.ScanStatusPending:
		return true
	case types.ScanStatusComplete, types.ScanStatusActive:
		if findings == nil || scan.CompletedAt.IsZero() && len(scan.Severities) == 0 {
			return true
		}
		return len(scan.Severities) == 0 && time.Since(scan.CompletedAt.Time()) < countsSettle
	default:
		return false
	}
}
