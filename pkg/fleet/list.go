package fleet

import (
	"context"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// Find returns the target that is an account's registry in a Region, as the last plan had it, and
// so equal to that of the registry's planned work. If the plan cannot be read, the one in memory is
// used.
func (p *Planner) Find(ctx context.Context, account, region string) (target targets.Target, found bool, err error) {
	err = p.load(ctx)
	if p.plan.Document == "" && err != nil {
		return target, false, err
	}
	if p.plan.Document == "" {
		return target, false, nil // the next plan reads it
	}
	document, err := p.Parse(ctx, []byte(p.plan.Document))
	if err != nil {
		return target, false, err
	}
	target, found = document.Find(account, region)
	return target, found, nil
}

// Targets returns the targets as they are listed now, with the enabled Regions of accounts that
// are listed with all. It changes nothing that is kept.
func (p *Planner) Targets(ctx context.Context) ([]targets.Target, error) {
	if err := p.load(ctx); err != nil {
		return nil, err
	}
	text, err := p.Source(ctx)
	if err != nil {
		return nil, err
	}
	document, err := p.Parse(ctx, text)
	if err != nil {
		return nil, err
	}
	everywhere, now := document.Unexpanded(), time.Now()
	for asked := 0; asked < len(everywhere); asked += regionsAccounts {
		p.askRegions(ctx, everywhere, now)
	}
	all, _, err := document.Expand(p.regions()) // askRegions has logged which are not known
	return all, err
}
