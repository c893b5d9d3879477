package ecrtest_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go/middleware"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

var ignoreMetadata = cmp.Options{
	cmpopts.IgnoreTypes(middleware.Metadata{}),
	cmpopts.IgnoreUnexported(
		ecr.DescribeRegistryOutput{}, ecr.DescribeRepositoriesOutput{}, ecr.DescribeImagesOutput{},
		types.ReplicationConfiguration{}, types.ReplicationRule{}, types.Repository{}, types.EncryptionConfiguration{},
		types.ImageScanningConfiguration{}, types.ImageTagMutabilityExclusionFilter{}, types.ImageDetail{},
		types.ImageScanFindingsSummary{}, types.ImageScanStatus{},
	),
}

func TestDescribeRegistry(t *testing.T) {
	t.Parallel()
	_, _, client := start(t)
	got, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
	if err != nil {
		t.Fatal(err)
	}
	want := &ecr.DescribeRegistryOutput{
		RegistryId:               aws.String(account),
		ReplicationConfiguration: &types.ReplicationConfiguration{Rules: []types.ReplicationRule{}},
	}
	if diff := cmp.Diff(want, got, ignoreMetadata); diff != "" {
		t.Error(diff)
	}
}

// Every field of a repository arrives, and one that is not set stays away.
func TestDescribeRepositoriesFields(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "bare")
	created := now.Add(-123 * time.Millisecond)
	putRepository(t, reg, ecrtest.Repository{
		Name: "team/full", CreatedAt: created, TagMutability: "MUTABLE_WITH_EXCLUSION",
		ExclusionFilters: []string{"v*", "release-*"},
		Encryption:       &ecrtest.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:eu-west-1:123456789012:key/1"},
		ScanOnPush:       new(true),
	})
	putRepository(t, reg, ecrtest.Repository{
		Name: "team/plain", TagMutability: "IMMUTABLE", Encryption: &ecrtest.Encryption{Type: "AES256"}, ScanOnPush: new(false),
	})
	got, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatal(err)
	}
	repository := func(name string) types.Repository {
		return types.Repository{
			RegistryId:     aws.String(account),
			RepositoryName: aws.String(name),
			RepositoryArn:  aws.String("arn:aws:ecr:eu-west-1:123456789012:repository/" + name),
			RepositoryUri:  aws.String("123456789012.dkr.ecr.eu-west-1.amazonaws.com/" + name),
		}
	}
	full, plain := repository("team/full"), repository("team/plain")
	full.CreatedAt = &created
	full.ImageTagMutability = types.ImageTagMutabilityMutableWithExclusion
	full.ImageTagMutabilityExclusionFilters = []types.ImageTagMutabilityExclusionFilter{
		{Filter: aws.String("v*"), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard},
		{Filter: aws.String("release-*"), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard},
	}
	full.EncryptionConfiguration = &types.EncryptionConfiguration{
		EncryptionType: types.EncryptionTypeKms, KmsKey: aws.String("arn:aws:kms:eu-west-1:123456789012:key/1"),
	}
	full.ImageScanningConfiguration = &types.ImageScanningConfiguration{ScanOnPush: true}
	plain.ImageTagMutability = types.ImageTagMutabilityImmutable
	plain.EncryptionConfiguration = &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256}
	plain.ImageScanningConfiguration = &types.ImageScanningConfiguration{}
	want := &ecr.DescribeRepositoriesOutput{Repositories: []types.Repository{repository("bare"), full, plain}}
	if diff := cmp.Diff(want, got, ignoreMetadata, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
}

// Every field of an image arrives, and one that is not set stays away.
func TestDescribeImagesFields(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "app")
	at := func(ms int) time.Time { return now.Add(time.Duration(ms) * time.Millisecond) }
	full := ecrtest.Image{
		Digest: ecrtest.Digest("full"), Tags: []string{"latest", "v1.0.0"}, SizeBytes: new(int64(1 << 40)),
		PushedAt: at(1), PulledAt: at(2),
		ManifestMediaType: "application/vnd.oci.image.manifest.v1+json",
		ArtifactMediaType: "application/vnd.oci.image.config.v1+json",
		SubjectDigest:     ecrtest.Digest("subject"),
		Status:            "ACTIVATING", ArchivedAt: at(3), ActivatedAt: at(4),
		ScanStatus: &ecrtest.ScanStatus{Status: "COMPLETE", Description: "done"},
		Scan: &ecrtest.ScanSummary{
			CompletedAt: at(5), SourceUpdatedAt: at(6), Counts: map[string]int32{"CRITICAL": 1, "UNTRIAGED": 20},
		},
	}
	clean := ecrtest.Image{Digest: ecrtest.Digest("clean"), Scan: &ecrtest.ScanSummary{Counts: map[string]int32{}}}
	uncounted := ecrtest.Image{Digest: ecrtest.Digest("uncounted"), Scan: &ecrtest.ScanSummary{CompletedAt: at(7)}}
	zero := ecrtest.Image{Digest: ecrtest.Digest("zero"), SizeBytes: new(int64(0))}
	bare := ecrtest.Image{Digest: ecrtest.Digest("bare")}
	for _, img := range []ecrtest.Image{full, clean, uncounted, zero, bare} {
		putImage(t, reg, "app", img)
	}
	got, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{
		RepositoryName: aws.String("app"),
		Filter:         &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	})
	if err != nil {
		t.Fatal(err)
	}
	detail := func(img ecrtest.Image) types.ImageDetail {
		return types.ImageDetail{RegistryId: aws.String(account), RepositoryName: aws.String("app"), ImageDigest: &img.Digest}
	}
	wantFull := detail(full)
	wantFull.ImageTags = full.Tags
	wantFull.ImageSizeInBytes = full.SizeBytes
	wantFull.ImagePushedAt, wantFull.LastRecordedPullTime = aws.Time(at(1)), aws.Time(at(2))
	wantFull.ImageManifestMediaType, wantFull.ArtifactMediaType = &full.ManifestMediaType, &full.ArtifactMediaType
	wantFull.SubjectManifestDigest = &full.SubjectDigest
	wantFull.ImageStatus = types.ImageStatusActivating
	wantFull.LastArchivedAt, wantFull.LastActivatedAt = aws.Time(at(3)), aws.Time(at(4))
	wantFull.ImageScanStatus = &types.ImageScanStatus{Status: types.ScanStatusComplete, Description: aws.String("done")}
	wantFull.ImageScanFindingsSummary = &types.ImageScanFindingsSummary{
		ImageScanCompletedAt: aws.Time(at(5)), VulnerabilitySourceUpdatedAt: aws.Time(at(6)),
		FindingSeverityCounts: map[string]int32{"CRITICAL": 1, "UNTRIAGED": 20},
	}
	wantClean := detail(clean)
	wantClean.ImageScanFindingsSummary = &types.ImageScanFindingsSummary{FindingSeverityCounts: map[string]int32{}}
	wantUncounted := detail(uncounted)
	wantUncounted.ImageScanFindingsSummary = &types.ImageScanFindingsSummary{ImageScanCompletedAt: aws.Time(at(7))}
	wantZero := detail(zero)
	wantZero.ImageSizeInBytes = aws.Int64(0)
	want := []types.ImageDetail{wantFull, wantClean, wantUncounted, wantZero, detail(bare)}
	slices.SortFunc(want, func(a, b types.ImageDetail) int { return strings.Compare(*a.ImageDigest, *b.ImageDigest) })
	if diff := cmp.Diff(want, got.ImageDetails, ignoreMetadata, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
}
