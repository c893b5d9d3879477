// Package inspector reads the scans of a whole registry from Amazon Inspector: what
// it covers, and how many findings each image has.
//
// It is the only package that knows the Inspector client.
package inspector

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"unique"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/inspector2"
	"github.com/aws/aws-sdk-go-v2/service/inspector2/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/pace"
)

// The most rows that the lists give at once (API_ListCoverage,
// API_ListFindingAggregations, maxResults).
const (
	coveragePage    = 200
	aggregationPage = 100
)

// Operations are the calls this package makes.
var Operations = []string{"ListCoverage", "ListFindingAggregations"}

// Actions are the IAM actions they need. They know no resources.
var Actions = []string{"inspector2:ListCoverage", "inspector2:ListFindingAggregations"}

// Client reads the lists. It is safe for concurrent use.
type Client struct {
	api  *inspector2.Client
	pace *pace.Pace
}

// New returns a client for the Region of cfg. It makes no call.
func New(cfg aws.Config, at *pace.Pace) *Client {
	return &Client{
		api:  inspector2.NewFromConfig(cfg, func(o *inspector2.Options) { o.Retryer = pace.Retryer() }),
		pace: at,
	}
}

// What a token of Scans begins with: the list that it goes on with.
const (
	inCoverage     = "coverage:"
	inAggregations = "aggregations:"
)

// Scans returns a page of answers about the images of an account's registry, and the
// token of the next page; an empty token ends the lists. The first page has the empty
// token. A delegated administrator sees many accounts; an empty account means all
// that the caller sees.
//
// What is covered comes first: each image's status and last scan. Then come the
// counts, for those images that have findings. Answers about one image add up.
//
// The error matches inventory.ErrDenied if it may not be read, and
// inventory.ErrToken if the token is no longer good.
func (c *Client) Scans(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error) {
	if next, ok := strings.CutPrefix(token, inAggregations); ok {
		return c.aggregations(ctx, account, next)
	}
	answers, next, err := c.coverage(ctx, account, strings.TrimPrefix(token, inCoverage))
	if err != nil {
		return nil, "", err
	}
	if next == "" {
		return answers, inAggregations, nil
	}
	return answers, inCoverage + next, nil
}

func (c *Client) coverage(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error) {
	in := &inspector2.ListCoverageInput{
		MaxResults: aws.Int32(coveragePage),
		FilterCriteria: &types.CoverageFilterCriteria{
			ResourceType: []types.CoverageStringFilter{{
				Comparison: types.CoverageStringComparisonEquals, Value: aws.String(string(types.CoverageResourceTypeAwsEcrContainerImage)),
			}},
		},
	}
	if account != "" {
		in.FilterCriteria.AccountId = []types.CoverageStringFilter{{Comparison: types.CoverageStringComparisonEquals, Value: aws.String(account)}}
	}
	if token != "" {
		in.NextToken = aws.String(token)
	}
	var out *inspector2.ListCoverageOutput
	err := c.call(ctx, "ListCoverage", token, func(with func(*inspector2.Options)) (err error) {
		out, err = c.api.ListCoverage(ctx, in, with)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing what Inspector covers: %w", err)
	}
	var answers []inventory.ScanAnswer
	for i := range out.CoveredResources {
		resource := &out.CoveredResources[i]
		repository, digest, err := imageOf(aws.ToString(resource.ResourceId))
		if err != nil || resource.ScanStatus == nil {
			continue // of another kind, or without what is wanted
		}
		status, unfinished := word(resource.ScanStatus)
		answer := inventory.ScanAnswer{Repository: repository, Digest: digest, Scan: inventory.Scan{
			Status: status, CompletedAt: inventory.TimeOf(aws.ToTime(resource.LastScannedAt)),
		}}
		if unfinished {
			answer.Scan.Unfinished = 1
		}
		if metadata := resource.ResourceMetadata; metadata != nil && metadata.EcrImage != nil {
			answer.Scan.InUseCount = aws.ToInt64(metadata.EcrImage.InUseCount)
			answer.Scan.LastInUseAt = inventory.TimeOf(aws.ToTime(metadata.EcrImage.LastInUseAt))
		}
		answers = append(answers, answer)
	}
	return answers, following(token, out.NextToken), nil
}

func (c *Client) aggregations(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error) {
	in := &inspector2.ListFindingAggregationsInput{
		AggregationType:    types.AggregationTypeAwsEcrContainer,
		AggregationRequest: &types.AggregationRequestMemberAwsEcrContainerAggregation{},
		MaxResults:         aws.Int32(aggregationPage),
	}
	if account != "" {
		in.AccountIds = []types.StringFilter{{Comparison: types.StringComparisonEquals, Value: aws.String(account)}}
	}
	if token != "" {
		in.NextToken = aws.String(token)
	}
	var out *inspector2.ListFindingAggregationsOutput
	err := c.call(ctx, "ListFindingAggregations", token, func(with func(*inspector2.Options)) (err error) {
		out, err = c.api.ListFindingAggregations(ctx, in, with)
		return err
	})
	if err != nil {
		return nil, "", fmt.Errorf("listing Inspector's findings by image: %w", err)
	}
	var answers []inventory.ScanAnswer
	for _, response := range out.Responses {
		row, ok := response.(*types.AggregationResponseMemberAwsEcrContainerAggregation)
		if !ok || row.Value.SeverityCounts == nil {
			continue
		}
		repository := repositoryOf(aws.ToString(row.Value.Repository))
		digest, err := inventory.ParseDigest(aws.ToString(row.Value.ImageSha))
		if err != nil || repository == "" {
			continue
		}
		answers = append(answers, inventory.ScanAnswer{Repository: repository, Digest: digest, Scan: counts(row.Value.SeverityCounts)})
	}
	next := following(token, out.NextToken)
	if next != "" {
		next = inAggregations + next
	}
	return answers, next, nil
}

// call makes one call of an operation, at its pace.
func (c *Client) call(ctx context.Context, operation, token string, do func(with func(*inspector2.Options)) error) error {
	err := c.pace.Call(ctx, operation, func(register func(*middleware.Stack) error) error {
		return do(func(o *inspector2.Options) { o.APIOptions = append(o.APIOptions, register) })
	})
	if invalid := (*types.ValidationException)(nil); token != "" && errors.As(err, &invalid) {
		return fmt.Errorf("%w: %w", inventory.ErrToken, err)
	}
	return err
}

// following is the next page's token; one that leads back to its own page ends the
// list, which would have no end otherwise.
func following(token string, next *string) string {
	if aws.ToString(next) == token {
		return ""
	}
	return aws.ToString(next)
}

// imageOf reads repository and digest from the ARN of an image:
// arn:aws:ecr:REGION:ACCOUNT:repository/NAME/sha256:DIGEST.
func imageOf(arn string) (string, inventory.Digest, error) {
	name := repositoryOf(arn)
	slash := strings.LastIndexByte(name, '/')
	if slash <= 0 {
		return "", inventory.Digest{}, fmt.Errorf("%.200q is no image", arn)
	}
	digest, err := inventory.ParseDigest(name[slash+1:])
	return shared(name[:slash]), digest, err
}

// repositoryOf reads the name from a repository's ARN; a name is left as it is.
func repositoryOf(s string) string {
	if _, name, ok := strings.Cut(s, ":repository/"); ok {
		s = name
	}
	return shared(s)
}

// counts are an image's findings. Inspector counts what is below MEDIUM in All only,
// so that the split of the rest remains to be asked for.
func counts(in *types.SeverityCounts) inventory.Scan {
	var scan inventory.Scan
	var known int64
	for _, severity := range []struct {
		name  string
		count *int64
	}{{"CRITICAL", in.Critical}, {"HIGH", in.High}, {"MEDIUM", in.Medium}} {
		// A severity without findings is not reported, as in ECR's own answers.
		if n := clamp(aws.ToInt64(severity.count)); n > 0 {
			scan.Severities = append(scan.Severities, inventory.SeverityCount{Severity: severity.name, Count: n})
			known += int64(n)
		}
	}
	total := max(aws.ToInt64(in.All), known)
	scan.Total, scan.Partial = clamp(total), known < total
	return scan
}

func clamp(n int64) int32 { return int32(min(max(n, 0), math.MaxInt32)) }

// word translates Inspector's status to ECR's words, which users know; a reason
// that ECR has no word for stays as it is.
func word(status *types.ScanStatus) (_ string, unfinished bool) {
	switch reason := status.Reason; {
	// An image that waits for its first scan is ACTIVE already.
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
	default:
		return shared(string(reason)), false
	}
}

var unsupported = []types.ScanStatusReason{
	types.ScanStatusReasonUnsupportedOs, types.ScanStatusReasonUnsupportedMediaType, types.ScanStatusReasonUnsupportedLanguage,
	types.ScanStatusReasonUnsupportedConfigFile, types.ScanStatusReasonUnsupportedRuntime,
}

// shared returns the one copy of a string that many records have in common.
func shared(s string) string { return unique.Make(s).Value() }
