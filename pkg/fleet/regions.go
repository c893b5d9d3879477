package fleet

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"golang.org/x/sync/errgroup"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

var describeRegions = awsapi.Permission{Action: "ec2:DescribeRegions", Resource: "*"}

// MemberPermissions are the IAM actions that the role in an account needs whose Regions are
// not listed, but all that are enabled.
var MemberPermissions = []awsapi.Permission{describeRegions}

// EnabledRegions returns the Regions that are enabled in the account of cfg's credentials,
// sorted.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
func EnabledRegions(ctx context.Context, cfg aws.Config, limiter *awsapi.Limiter) ([]string, error) {
	api := ec2.NewFromConfig(limiter.ConfigureBounded(cfg, maxResponse))
	out, err := api.DescribeRegions(ctx, &ec2.DescribeRegionsInput{Filters: []types.Filter{
		{Name: aws.String("opt-in-status"), Values: []string{"opt-in-not-required", "opted-in"}},
	}})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, region := range out.Regions {
		if name := aws.ToString(region.RegionName); awsapi.ValidWord(name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("%w: no Region is enabled", awsapi.ErrIncomplete)
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// How accounts are asked for their Regions: each again after regionsKept or, if that failed,
// after regionsRetry, the longest overdue first.
const (
	regionsKept        = time.Hour
	regionsRetry       = 10 * time.Minute
	regionsAccounts    = 20 // in one plan
	regionsConcurrency = 4
	regionsTimeout     = 20 * time.Second // of all of them together
)

// regionsOf is what is known of an account.
type regionsOf struct {
	Regions []string `json:"regions,omitempty"`
	// Next is when it is asked again.
	Next time.Time `json:"next"`
}

// askRegions brings up to date which Regions are enabled in accounts that are listed with all
// of them. A failure keeps what was known.
func (p *Planner) askRegions(ctx context.Context, accounts []targets.Target, now time.Time) map[string][]string {
	known := map[string]regionsOf{}
	var due []targets.Target
	for _, account := range accounts {
		if known[account.Account] = p.plan.Regions[account.Account]; !now.Before(known[account.Account].Next) {
			due = append(due, account)
		}
	}
	slices.SortStableFunc(due, func(a, b targets.Target) int {
		return cmp.Or(known[a.Account].Next.Compare(known[b.Account].Next), cmp.Compare(a.Account, b.Account))
	})
	due = due[:min(len(due), regionsAccounts)]

	ctx, cancel := context.WithTimeout(ctx, regionsTimeout)
	defer cancel()
	answers, errs := make([][]string, len(due)), make([]error, len(due))
	var group errgroup.Group
	group.SetLimit(regionsConcurrency)
	for i, account := range due {
		group.Go(func() error {
			answers[i], errs[i] = p.Regions(ctx, account)
			return nil
		})
	}
	_ = group.Wait() // the errors are in errs
	var failed []string
	var first error
	for i, account := range due {
		answer := regionsOf{answers[i], now.Add(regionsKept)}
		if errs[i] != nil {
			failed = append(failed, account.Account)
			first = cmp.Or(first, errs[i])
			answer = regionsOf{known[account.Account].Regions, now.Add(regionsRetry)}
		}
		known[account.Account] = answer
	}
	if first != nil {
		p.Logger.WarnContext(ctx, "the enabled Regions of accounts could not be read: those known before are used", slog.Any("accounts", failed), slog.Any("error", first))
	}
	p.plan.Regions = known
	regions := map[string][]string{}
	for account, of := range known {
		regions[account] = of.Regions
	}
	return regions
}
