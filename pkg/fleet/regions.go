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

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

var describeRegions = awsapi.Permission{Action: "ec2:DescribeRegions", Resource: "*"}

// MemberPermissions are the IAM actions that an account's role needs if all Regions that are
// enabled are read.
var MemberPermissions = []awsapi.Permission{describeRegions}

// EnabledRegions returns the Regions that are enabled in the account of cfg's credentials,
// sorted.
// See https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_DescribeRegions.html
func EnabledRegions(ctx context.Context, cfg aws.Config, limiter *awsapi.Limiter) ([]string, error) {
	api := ec2.NewFromConfig(limiter.ConfigureBounded(cfg, maxResponse))
	// AWS leaves out those that are not enabled, if it is not asked for all. Moto does not.
	out, err := api.DescribeRegions(ctx, &ec2.DescribeRegionsInput{})
	if err != nil {
		return nil, err
	}
	var names []string
	for _, region := range out.Regions {
		if name := aws.ToString(region.RegionName); awsapi.ValidRegion(name) && aws.ToString(region.OptInStatus) != "not-opted-in" {
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
	regionsKept     = time.Hour
	regionsRetry    = 10 * time.Minute
	regionsAccounts = 20              // in one plan
	accountTimeout  = 5 * time.Second // of one of them
)

// regionsOf is what is known of an account.
type regionsOf struct {
	Regions []string `json:"regions,omitempty"`
	// Next is when it is asked again.
	Next time.Time `json:"next"`
}

// askRegions asks which Regions are enabled in accounts that are listed with all of them, for
// the next plans. A failure keeps what was known.
func (p *Planner) askRegions(ctx context.Context, accounts []targets.Target, now time.Time) {
	if len(accounts) == 0 {
		return // perhaps since the list cannot be read: what is known is kept
	}
	known := map[string]regionsOf{}
	for i := range accounts {
		known[accounts[i].Account] = p.plan.Regions[accounts[i].Account]
	}
	slices.SortStableFunc(accounts, func(a, b targets.Target) int { return known[a.Account].Next.Compare(known[b.Account].Next) })
	var failed []string
	var first error
	for _, account := range accounts[:min(len(accounts), regionsAccounts)] {
		of := known[account.Account]
		if now.Before(of.Next) || ctx.Err() != nil {
			break
		}
		asking, cancel := context.WithTimeout(ctx, accountTimeout)
		regions, err := p.Regions(asking, account)
		cancel()
		if err != nil {
			failed, first = append(failed, account.Account), cmp.Or(first, err)
			known[account.Account] = regionsOf{of.Regions, now.Add(regionsRetry)}
			continue
		}
		known[account.Account] = regionsOf{regions, now.Add(regionsKept)}
	}
	p.plan.Regions = known
	if first != nil {
		p.Logger.WarnContext(ctx, "the enabled Regions of accounts could not be read: those known before are used", slog.Any("accounts", failed), slog.Any("error", first))
	}
}

// regions returns the Regions that are known, by account.
func (p *Planner) regions() map[string][]string {
	regions := make(map[string][]string, len(p.plan.Regions))
	for account, of := range p.plan.Regions {
		regions[account] = of.Regions
	}
	return regions
}
