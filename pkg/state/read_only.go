package state

import (
	"context"
	"fmt"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// ReadOnly is a Store that changes nothing: a state that is damaged or of another registry
// stays where it is, and nothing is saved.
type ReadOnly struct{ *Store }

// Load is Store.Load, with an error for a state that cannot be used.
func (r ReadOnly) Load(ctx context.Context) (*inventory.Registry, error) {
	registry, err := r.Read(ctx)
	if err == nil && r.isOfAnother(registry) {
		return nil, fmt.Errorf("reading the state %s: it is of another registry (account %s, Region %s)", r, registry.ID, registry.Region)
	}
	return registry, err
}

// Save does nothing.
func (ReadOnly) Save(context.Context, *inventory.Registry, bool) error { return nil }
