package fleet

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// plan is what the planner keeps from one plan to the next, as JSON: any execution environment
// may make the next one.
type plan struct {
	// Document is the last list of targets without a fault.
	Document string `json:"document,omitempty"`
	// Fault is a hash of the faults that were logged last, at FaultAt; empty without any.
	Fault   string    `json:"fault,omitempty"`
	FaultAt time.Time `json:"fault_at,omitzero"`
	// Regions are those of the accounts that are listed with all Regions.
	Regions map[string]regionsOf `json:"regions,omitempty"`
	// Begun is when each registry was first read, by ACCOUNT/REGION.
	Begun map[string]time.Time `json:"begun,omitempty"`
}

// faultsAgain is how long faults that stay the same are not logged again.
const faultsAgain = time.Hour

// load reads the plan. If that fails, the one in memory is used and, so that it does not
// replace what could not be read, not saved.
func (p *Planner) load(ctx context.Context) error {
	content, err := p.Kept.Read(ctx)
	if err != nil {
		p.stored, p.resumed = nil, true
		return err
	}
	p.stored, p.plan, p.resumed = content, plan{}, false
	if content == nil {
		p.stored = []byte{}
		return nil
	}
	if err := json.Unmarshal(content, &p.plan); err != nil {
		p.plan, p.resumed = plan{}, true
		p.Logger.WarnContext(ctx, "the planner's state is damaged and is made anew", slog.String("state", p.Kept.String()), slog.Any("error", err))
	}
	return nil
}

// save writes the plan if it has changed.
func (p *Planner) save(ctx context.Context) error {
	content, err := json.Marshal(p.plan)
	if err != nil || p.stored == nil || bytes.Equal(content, p.stored) {
		return err
	}
	return p.Kept.Write(ctx, content)
}

// document returns the list of targets, and whether it is the one that is there now: if that
// cannot be read or has faults, it is the last one that had none.
func (p *Planner) document(ctx context.Context, now time.Time) (*targets.Document, bool, error) {
	text, err := p.Source(ctx)
	var document *targets.Document
	if err == nil {
		document, err = p.Parse(ctx, text)
	}
	if err == nil {
		p.plan.Document, p.plan.Fault, p.plan.FaultAt = string(text), "", time.Time{}
		return document, true, nil
	}
	what := "read" // errors of a request differ each time
	if faults := (targets.Faults)(nil); errors.As(err, &faults) {
		what = faults.Error()
	}
	last := p.plan.Document
	if last == "" {
		return &targets.Document{}, false, fmt.Errorf("reading the targets: %w", err)
	}
	sum := sha256.Sum256([]byte(what))
	if fault := hex.EncodeToString(sum[:8]); fault != p.plan.Fault || now.Sub(p.plan.FaultAt) >= faultsAgain {
		p.plan.Fault, p.plan.FaultAt = fault, now
		p.Logger.WarnContext(ctx, "the list of targets cannot be used: the last good one is", slog.Any("error", err))
	}
	if document, err = p.Parse(ctx, []byte(last)); err != nil {
		return &targets.Document{}, false, fmt.Errorf("reading the last targets without a fault: %w", err)
	}
	return document, false, nil
}

// begun returns the registries that are read, and how many begin later.
func (p *Planner) begun(all []targets.Target, now time.Time) ([]targets.Target, int) {
	if !p.Ramp {
		return all, 0
	}
	if p.plan.Begun == nil {
		p.plan.Begun = map[string]time.Time{}
	}
	begun := p.plan.Begun
	if p.resumed && len(begun) == 0 {
		for i := range all {
			begun[all[i].String()] = time.Time{}
		}
	}
	active, starting := targets.Starting(begun, all, now)
	for i := range active {
		if _, known := begun[active[i].String()]; !known {
			begun[active[i].String()] = now
		}
	}
	return active, starting
}
