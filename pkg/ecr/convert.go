package ecr

import (
	"log/slog"
	"slices"
	"strings"
	"unique"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// The SDK's strings are slices of the memory of a whole page. They are copied, or a few
// bytes of tags would keep all of it allocated.

// shared returns one copy of a string that many records have.
func shared(s string) string { return unique.Make(s).Value() }

// repository converts an API record. It returns nil for one without a name.
func (c *Client) repository(in *types.Repository) *inventory.Repository {
	name := aws.ToString(in.RepositoryName)
	if name == "" {
		c.log.Warn("skipping a repository without a name", slog.String("arn", aws.ToString(in.RepositoryArn)))
		return nil
	}
	out := &inventory.Repository{
		Name:          strings.Clone(name),
		ARN:           strings.Clone(aws.ToString(in.RepositoryArn)),
		URI:           strings.Clone(aws.ToString(in.RepositoryUri)),
		RegistryID:    shared(aws.ToString(in.RegistryId)),
		CreatedAt:     inventory.TimeOf(aws.ToTime(in.CreatedAt)),
		TagMutability: shared(string(in.ImageTagMutability)),
	}
	if encryption := in.EncryptionConfiguration; encryption != nil {
		out.EncryptionType = shared(string(encryption.EncryptionType))
		out.KMSKey = shared(aws.ToString(encryption.KmsKey))
	}
	if scanning := in.ImageScanningConfiguration; scanning != nil {
		out.ScanOnPush = aws.Bool(scanning.ScanOnPush)
	}
	return out
}

// image converts an API record. ok is false for one without a valid digest.
func (c *Client) image(repository string, in *types.ImageDetail) (_ inventory.Image, ok bool) {
	digest, err := inventory.ParseDigest(aws.ToString(in.ImageDigest))
	if err != nil {
		c.log.Warn("skipping an image without a valid digest", slog.String("repository", repository), slog.Any("error", err))
		return inventory.Image{}, false
	}
	out := inventory.Image{
		Digest:       digest,
		SizeBytes:    -1,
		PushedAt:     inventory.TimeOf(aws.ToTime(in.ImagePushedAt)),
		PulledAt:     inventory.TimeOf(aws.ToTime(in.LastRecordedPullTime)),
		MediaType:    shared(aws.ToString(in.ImageManifestMediaType)),
		ArtifactType: shared(aws.ToString(in.ArtifactMediaType)),
		Status:       shared(string(in.ImageStatus)),
		Scan:         scan(in),
	}
	if in.ImageSizeInBytes != nil && *in.ImageSizeInBytes >= 0 {
		out.SizeBytes = *in.ImageSizeInBytes
	}
	if len(in.ImageTags) > 0 {
		out.Tags = make([]string, 0, len(in.ImageTags))
		for _, tag := range in.ImageTags {
			if tag != "" {
				out.Tags = append(out.Tags, strings.Clone(tag))
			}
		}
	}
	return out, true
}

// scan returns the scan in an image's record, nil if there is none. Since February 2026
// DescribeImages returns none, for basic and enhanced scanning.
func scan(in *types.ImageDetail) *inventory.Scan {
	if in.ImageScanFindingsSummary == nil && in.ImageScanStatus == nil {
		return nil
	}
	out := &inventory.Scan{}
	if status := in.ImageScanStatus; status != nil {
		out.Status = shared(string(status.Status))
	}
	if summary := in.ImageScanFindingsSummary; summary != nil {
		out.CompletedAt = inventory.TimeOf(aws.ToTime(summary.ImageScanCompletedAt))
		out.Severities = severities(summary.FindingSeverityCounts)
	}
	return out
}

func severities(counts map[string]int32) []inventory.SeverityCount {
	list := make([]inventory.SeverityCount, 0, len(counts))
	for severity, count := range counts {
		if severity != "" && count >= 0 {
			list = append(list, inventory.SeverityCount{Severity: shared(severity), Count: count})
		}
	}
	slices.SortFunc(list, func(a, b inventory.SeverityCount) int { return strings.Compare(a.Severity, b.Severity) })
	return list
}
