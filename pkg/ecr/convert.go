package ecr

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Bounds of one image's record (see docs/limits.md). ECR has a quota of 1,000 tags an image,
// and seven severities.
const (
	maxTags       = 10_000
	maxSeverities = 20
)

// The SDK's strings are slices of the memory of a whole page. They are copied, or a few
// bytes of tags would keep all of it allocated.

// shared returns one copy of a string that many records have.
func shared(s string) string { return unique.Make(s).Value() }

// converter converts the records of one subject: a repository, or an image of it. A value
// that cannot be true is counted and stays unknown, so that it makes no series.
type converter struct {
	invalid *awsapi.Invalid
	subject string
}

func (c converter) reject(field string, value any) {
	c.invalid.Add("%s %.100q of %s", field, fmt.Sprint(value), c.subject)
}

// text returns a text, empty if it is absent or too long.
func (c converter) text(field string, s *string) string {
	text, ok := awsapi.Text(aws.ToString(s))
	if !ok {
		c.reject(field, text)
		return ""
	}
	return text
}

// word returns a status and the like, empty if it is absent or cannot be one.
func (c converter) word(field, s string) string {
	if s == "" {
		return ""
	}
	if !awsapi.ValidWord(s) {
		c.reject(field, s)
		return ""
	}
	return shared(s)
}

// time returns a time, zero if it is absent or out of range.
func (c converter) time(field string, t *time.Time) inventory.Time {
	switch {
	case t == nil:
		return 0
	case !awsapi.ValidTime(*t):
		c.reject(field, t.UTC().Format(time.RFC3339))
		return 0
	}
	return inventory.TimeOf(*t)
}

// repository converts an API record. Without a name, nothing says which repository it is.
func (c *Client) repository(in *types.Repository) (*inventory.Repository, error) {
	convert := converter{&c.invalid, "repository " + aws.ToString(in.RepositoryName)}
	name := convert.text("repositoryName", in.RepositoryName)
	if name == "" {
		return nil, fmt.Errorf("%w: a repository without a name", awsapi.ErrIncomplete)
	}
	out := &inventory.Repository{
		Name:          strings.Clone(name),
		ARN:           strings.Clone(convert.text("repositoryArn", in.RepositoryArn)),
		URI:           strings.Clone(convert.text("repositoryUri", in.RepositoryUri)),
		RegistryID:    convert.word("registryId", aws.ToString(in.RegistryId)),
		CreatedAt:     convert.time("createdAt", in.CreatedAt),
		TagMutability: convert.word("imageTagMutability", string(in.ImageTagMutability)),
	}
	if encryption := in.EncryptionConfiguration; encryption != nil {
		out.EncryptionType = convert.word("encryptionType", string(encryption.EncryptionType))
		out.KMSKey = shared(convert.text("kmsKey", encryption.KmsKey))
	}
	if scanning := in.ImageScanningConfiguration; scanning != nil {
		out.ScanOnPush = aws.Bool(scanning.ScanOnPush)
	}
	return out, nil
}

var errOtherDigest = errors.New("a digest of another algorithm")

// image converts an API record. Without a digest, nothing says which image it is. A digest
// of another algorithm than SHA-256, which ECR does not have today, is of none that is known.
func (c *Client) image(repository string, in *types.ImageDetail) (inventory.Image, error) {
	if name := aws.ToString(in.RepositoryName); name != "" && name != repository {
		return inventory.Image{}, fmt.Errorf("%w: an image of repository %q", awsapi.ErrIncomplete, name)
	}
	text := aws.ToString(in.ImageDigest)
	convert := converter{&c.invalid, repository + "@" + text}
	digest, err := inventory.ParseDigest(text)
	if algorithm, _, ok := strings.Cut(text, ":"); err != nil && ok && algorithm != "sha256" {
		convert.reject("imageDigest", text)
		return inventory.Image{}, errOtherDigest
	}
	if err != nil {
		return inventory.Image{}, fmt.Errorf("%w: %w", awsapi.ErrIncomplete, err)
	}
	out := inventory.Image{
		Digest:       digest,
		SizeBytes:    -1,
		PushedAt:     convert.time("imagePushedAt", in.ImagePushedAt),
		PulledAt:     inventory.SecondOf(convert.time("lastRecordedPullTime", in.LastRecordedPullTime)),
		MediaType:    inventory.WordOf(convert.text("imageManifestMediaType", in.ImageManifestMediaType)),
		ArtifactType: inventory.WordOf(convert.text("artifactMediaType", in.ArtifactMediaType)),
		Status:       inventory.WordOf(convert.word("imageStatus", string(in.ImageStatus))),
		HasSubject:   aws.ToString(in.SubjectManifestDigest) != "",
		Scan:         convert.scan(in),
	}
	switch size := in.ImageSizeInBytes; {
	case size == nil:
	case *size < 0:
		convert.reject("imageSizeInBytes", *size)
	default:
		out.SizeBytes = *size
	}
	if len(in.ImageTags) > maxTags {
		convert.reject("number of imageTags", len(in.ImageTags))
		in.ImageTags = in.ImageTags[:maxTags]
	}
	if len(in.ImageTags) > 0 {
		out.Tags = make([]string, 0, len(in.ImageTags))
		for i := range in.ImageTags {
			if tag := convert.text("imageTags", &in.ImageTags[i]); tag != "" {
				out.Tags = append(out.Tags, strings.Clone(tag))
			}
		}
	}
	return out, nil
}

// scan returns the scan in an image's record, nil if there is none. Since February 2026
// DescribeImages returns none, for basic and enhanced scanning.
func (c converter) scan(in *types.ImageDetail) *inventory.Scan {
	if in.ImageScanFindingsSummary == nil && in.ImageScanStatus == nil {
		return nil
	}
	out := &inventory.Scan{}
	if status := in.ImageScanStatus; status != nil {
		out.Status = inventory.WordOf(c.word("imageScanStatus", string(status.Status)))
	}
	if summary := in.ImageScanFindingsSummary; summary != nil {
		out.CompletedAt = c.time("imageScanCompletedAt", summary.ImageScanCompletedAt)
		out.Severities, _ = c.severities(summary.FindingSeverityCounts)
	}
	return out
}

// severities returns the counts that can be true, sorted by severity, and whether all can.
func (c converter) severities(counts map[string]int32) (_ inventory.Counts, ok bool) {
	if len(counts) > maxSeverities {
		c.reject("number of findingSeverityCounts", len(counts))
		return "", false
	}
	list := make(inventory.Severities, 0, len(counts))
	ok = true
	for severity, count := range counts {
		switch {
		case severity == "":
		case !awsapi.ValidWord(severity):
			c.reject("severity", severity)
			ok = false
		case count < 0:
			c.reject("findings of severity "+severity, count)
			ok = false
		default:
			list = append(list, inventory.SeverityCount{Severity: inventory.WordOf(severity), Count: count})
		}
	}
	slices.SortFunc(list, func(a, b inventory.SeverityCount) int { return a.Severity.Compare(b.Severity) })
	return inventory.CountsOf(list), ok
}
