package fleet

import (
	"context"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// Document returns the list of targets as the last plan used it, without reading it anew: what an
// event is about need not be known to the minute.
func (p *Planner) Document(ctx context.Context) (*targets.Document, error) {
	if p.plan.Document == "" {
		if err := p.load(ctx); err != nil {
			return nil, err
		}
	}
	if p.plan.Document == "" {
		document, _, err := p.document(ctx, time.Now())
		return document, err
	}
	return p.Parse(ctx, []byte(p.plan.Document))
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
	everywhere, now := document.Everywhere(), time.Now()
	regions := p.askRegions(ctx, everywhere, now)
	for asked := regionsAccounts; asked < len(everywhere); asked += regionsAccounts {
		regions = p.askRegions(ctx, everywhere, now)
	}
	return document.Expand(regions), nil
}
