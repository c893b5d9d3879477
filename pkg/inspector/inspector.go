// Package inspector reads the scans of a whole registry from Amazon Inspector: which
// images it covers, and how many findings each has.
//
// It is the only package that imports the Inspector client. When to call is decided in
// pkg/refresh.
package inspector

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"
	"unique"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/inspector2"
	"github.com/aws/aws-sdk-go-v2/service/inspector2/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// The largest pages (API_ListCoverage, API_ListFindingAggregations, maxResults).
const (
	coveragePage    = 200
	aggregationPage = 100
)

// maxResponse bounds a response in bytes, of which a page has about a quarter. The SDK decodes
// it to any JSON value first, which takes many times its size.
const maxResponse = 2_000_000

// Operations are the operations that this package calls.
var Operations = []string{"ListCoverage", "ListFindingAggregations"}

// Permissions are the IAM actions that this package needs.
var Permissions = []awsapi.Permission{listCoverage, listFindingAggregations}

// Client reads Inspector's lists. It is safe for concurrent use. Its errors match ErrDenied,
// ErrNoTime, ErrIncomplete and ErrTooLarge of package awsapi where these apply.
type Client struct {
	api     *inspector2.Client
	invalid awsapi.Invalid
}

// New returns a client for the Region of cfg, limited by limiter. It makes no call.
func New(cfg aws.Config, limiter *awsapi.Limiter) *Client {
	return &Client{api: inspector2.NewFromConfig(limiter.ConfigureBounded(cfg, maxResponse))}
}

// TakeInvalid returns how many values were left out because they cannot be true, since it
// was last called, and the first few.
func (c *Client) TakeInvalid() (n int, first []string) { return c.invalid.Take() }

// Prefixes of the tokens of Scans: the list that the token belongs to.
const (
	inCoverage     = "coverage:"
	inAggregations = "aggregations:"
)

// Scans returns a page of scans of an account's images, and the token of the next page. The
// token of the first page is empty, and so is the one after the last page. With an empty
// account the images of all accounts are returned that the caller, as a delegated
// administrator, can see.
//
// The first pages have the status and last scan of each covered image, the others the counts
// of images with findings. The caller merges the two parts about an image.
//
// The error matches awsapi.ErrInvalidToken if the lists have to be read from the start.
func (c *Client) Scans(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error) {
	if next, ok := strings.CutPrefix(token, inAggregations); ok {
		return c.aggregations(ctx, account, next)
	}
	scans, next, err := c.coverage(ctx, account, strings.TrimPrefix(token, inCoverage))
	if err != nil {
		return nil, "", err
	}
	if next == "" {
		return scans, inAggregations, nil
	}
	return scans, inCoverage + next, nil
}

var listCoverage = awsapi.Permission{Action: "inspector2:ListCoverage", Resource: "*"}

func (c *Client) coverage(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error) {
	equals := func(value string) []types.CoverageStringFilter {
		return []types.CoverageStringFilter{{Comparison: types.CoverageStringComparisonEquals, Value: &value}}
	}
	filter := &types.CoverageFilterCriteria{ResourceType: equals(string(types.CoverageResourceTypeAwsEcrContainerImage))}
	if account != "" {
		filter.AccountId = equals(account)
	}
	out, err := c.api.ListCoverage(ctx, &inspector2.ListCoverageInput{
		MaxResults: aws.Int32(coveragePage), NextToken: awsapi.PageToken(token), FilterCriteria: filter,
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing the images that Inspector covers: %w", tokenError(err, token))
	}
	if out.CoveredResources == nil {
		return nil, "", fmt.Errorf("listing the images that Inspector covers: %w: no list of resources", awsapi.ErrIncomplete)
	}
	var scans []inventory.ScanAnswer
	for i := range out.CoveredResources {
		resource := &out.CoveredResources[i]
		repository, digest, err := imageOf(aws.ToString(resource.ResourceId))
		if err != nil || resource.ScanStatus == nil {
			continue // not an image, or without a status
		}
		status, unfinished := statusOf(resource.ScanStatus)
		scan := inventory.ScanAnswer{Repository: repository, Digest: digest, Scan: inventory.Scan{
			Status: inventory.WordOf(status), CompletedAt: c.time("lastScannedAt", resource.LastScannedAt, resource.ResourceId),
		}}
		if unfinished {
			scan.Scan.Unfinished = 1
		}
		if metadata := resource.ResourceMetadata; metadata != nil && metadata.EcrImage != nil {
			scan.Scan.InUseCount = clamp(c.count("inUseCount", metadata.EcrImage.InUseCount, resource.ResourceId))
			scan.Scan.LastInUseAt = inventory.SecondOf(c.time("lastInUseAt", metadata.EcrImage.LastInUseAt, resource.ResourceId))
		}
		scans = append(scans, scan)
	}
	return scans, aws.ToString(out.NextToken), nil
}

var listFindingAggregations = awsapi.Permission{Action: "inspector2:ListFindingAggregations", Resource: "*"}

func (c *Client) aggregations(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error) {
	in := &inspector2.ListFindingAggregationsInput{
		MaxResults: aws.Int32(aggregationPage), NextToken: awsapi.PageToken(token),
		AggregationType:    types.AggregationTypeAwsEcrContainer,
		AggregationRequest: &types.AggregationRequestMemberAwsEcrContainerAggregation{},
	}
	if account != "" {
		in.AccountIds = []types.StringFilter{{Comparison: types.StringComparisonEquals, Value: &account}}
	}
	out, err := c.api.ListFindingAggregations(ctx, in, readLowCounts)
	if err != nil {
		return nil, "", fmt.Errorf("listing Inspector's findings by image: %w", tokenError(err, token))
	}
	if out.Responses == nil {
		return nil, "", fmt.Errorf("listing Inspector's findings by image: %w: no list of responses", awsapi.ErrIncomplete)
	}
	var scans []inventory.ScanAnswer
	low := lowCountsOf(out)
	for i, response := range out.Responses {
		row, ok := response.(*types.AggregationResponseMemberAwsEcrContainerAggregation)
		if !ok || row.Value.SeverityCounts == nil {
			continue
		}
		repository := repositoryOf(aws.ToString(row.Value.Repository))
		digest, err := inventory.ParseDigest(aws.ToString(row.Value.ImageSha))
		if err != nil || repository == "" {
			continue
		}
		scans = append(scans, inventory.ScanAnswer{Repository: repository, Digest: digest, Scan: c.counts(row.Value.SeverityCounts, &low[i], row.Value.ImageSha)})
	}
	next := aws.ToString(out.NextToken)
	if next != "" {
		next = inAggregations + next
	}
	return scans, next, nil
}

// tokenError makes an error match awsapi.ErrInvalidToken if it is about the token.
func tokenError(err error, token string) error {
	if invalid := (*types.ValidationException)(nil); token != "" && errors.As(err, &invalid) {
		return fmt.Errorf("%w: %w", awsapi.ErrInvalidToken, err)
	}
	return err
}

// imageOf reads repository and digest from the ARN of an image:
// arn:aws:ecr:REGION:ACCOUNT:repository/NAME/sha256:DIGEST.
func imageOf(arn string) (string, inventory.Digest, error) {
	name := repositoryOf(arn)
	slash := strings.LastIndexByte(name, '/')
	if slash <= 0 {
		return "", inventory.Digest{}, fmt.Errorf("%.200q is not an image", arn)
	}
	digest, err := inventory.ParseDigest(name[slash+1:])
	return shared(name[:slash]), digest, err
}

// repositoryOf returns the name in a repository's ARN, or a name unchanged.
func repositoryOf(s string) string {
	if _, name, ok := strings.Cut(s, ":repository/"); ok {
		s = name
	}
	return shared(s)
}

// counts returns an image's findings. The scan is Partial if the row does not count all of
// them by severity, as one without low counts. Without any count, or with one that cannot be
// true, it is Unfinished: the findings are unknown, and not 0.
func (c *Client) counts(in *types.SeverityCounts, low *lowCounts, of *string) inventory.Scan {
	var scan inventory.Scan
	var known int64
	severities := make(inventory.Severities, 0, 6)
	for _, severity := range []struct {
		name  string
		count *int64
	}{
		{"CRITICAL", in.Critical}, {"HIGH", in.High}, {"INFORMATIONAL", low.Informational}, {"LOW", low.Low},
		{"MEDIUM", in.Medium}, {"UNTRIAGED", low.Untriaged}, {"all severities", in.All},
	} {
		if severity.count != nil && *severity.count < 0 {
			c.invalid.Add("findings of %s %d of %s", severity.name, *severity.count, aws.ToString(of))
			return inventory.Scan{Unfinished: 1}
		}
		// A severity without findings is left out, as in ECR's responses.
		if n := clamp(aws.ToInt64(severity.count)); n > 0 && severity.count != in.All {
			severities = append(severities, inventory.SeverityCount{Severity: inventory.WordOf(severity.name), Count: n})
			known += int64(n)
		}
	}
	complete := low.complete() && in.Critical != nil && in.High != nil && in.Medium != nil
	if in.All == nil && known == 0 && !complete {
		return inventory.Scan{Unfinished: 1}
	}
	total := max(aws.ToInt64(in.All), known)
	scan.Severities = inventory.CountsOf(severities)
	scan.Total, scan.Partial = clamp(total), known < total || in.All == nil && !complete
	return scan
}

// count returns a count, 0 if it is absent or cannot be true.
func (c *Client) count(field string, n *int64, of *string) int64 {
	if n != nil && *n < 0 {
		c.invalid.Add("%s %d of %s", field, *n, aws.ToString(of))
		return 0
	}
	return aws.ToInt64(n)
}

// time returns a time, zero if it is absent or out of range.
func (c *Client) time(field string, t *time.Time, of *string) inventory.Time {
	if t != nil && !awsapi.ValidTime(*t) {
		c.invalid.Add("%s %s of %s", field, t.UTC().Format(time.RFC3339), aws.ToString(of))
		return 0
	}
	return inventory.TimeOf(aws.ToTime(t))
}

func clamp(n int64) int32 { return int32(min(max(n, 0), math.MaxInt32)) }

// statusOf translates Inspector's status to ECR's. A reason that ECR does not have is
// returned as it is.
func statusOf(status *types.ScanStatus) (_ string, unfinished bool) {
	switch reason := status.Reason; {
	// The status code of an image that waits for its first scan is ACTIVE too.
	case reason == types.ScanStatusReasonPendingInitialScan, reason == types.ScanStatusReasonPendingRevivalScan:
		return "PENDING", true
	case reason == types.ScanStatusReasonScanInProgress:
		return "IN_PROGRESS", true
	case status.StatusCode == types.ScanStatusCodeActive:
		return "ACTIVE", false
	case reason == types.ScanStatusReasonInternalError:
		return "FAILED", false
	case reason == types.ScanStatusReasonImageSizeExceeded:
		return "LIMIT_EXCEEDED", false
	case reason == types.ScanStatusReasonSuccessful, reason == types.ScanStatusReasonScanFrequencyScanOnPush:
		return "COMPLETE", false
	case slices.Contains(unsupported, reason):
		return "UNSUPPORTED_IMAGE", false
	case !awsapi.ValidWord(string(reason)):
		return "", false
	default:
		return shared(string(reason)), false
	}
}

var unsupported = []types.ScanStatusReason{
	types.ScanStatusReasonUnsupportedOs, types.ScanStatusReasonUnsupportedMediaType, types.ScanStatusReasonUnsupportedLanguage,
	types.ScanStatusReasonUnsupportedConfigFile, types.ScanStatusReasonUnsupportedRuntime,
}

// shared returns one copy of a string that many records have.
func shared(s string) string { return unique.Make(s).Value() }
