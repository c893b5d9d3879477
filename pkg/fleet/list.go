package fleet

import (
	"context"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// Find returns the target that is an account's registry in a Region, as the last plan had it: what
// an event is about need not be known to the minute.
func (p *Planner) Find(ctx context.Context, account, region string) (target targets.Target, found bool, err error) {
	if p.plan.Document == "" {
		if err := p.load(ctx); err != nil {
			return target, false, err
		}
	}
	if p.plan.Document == "" {
		return target, false, nil // the next plan reads it
	}
	document, err := p.Parse(ctx, []byte(p.plan.Document))
	if err != nil {
		return target, false, err
	}
	for _, target := range document.Expand(p.regions()) {
		if target.Account == account && target.Region == region {
			return target, true, nil
		}
	}
	return target, false, nil
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
	for everywhere, asked := document.Everywhere(), 0; asked < len(everywhere); asked += regionsAccounts {
		p.askRegions(ctx, everywhere, time.Now())
	}
	return document.Expand(p.regions()), nil
}
