// Package state keeps the inventory between runs: in the memory of an execution
// environment, in a file, or in an S3 object. All three keep the newest copy in
// memory, so that a run goes on with it whatever becomes of the rest.
//
// A store is not safe for concurrent use: an execution environment makes one run at
// a time. Several environments may have a store each for the same file or object:
// what they know is merged.
package state

import (
	"context"
	"log/slog"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Memory keeps the inventory for as long as the process lives. A cold start
// begins with nothing, which costs one refresh.
type Memory struct {
	registry *inventory.Registry
}

// Load returns what was saved last; nil if nothing was.
func (m *Memory) Load(context.Context) (*inventory.Registry, error) { return m.registry, nil }

// Save keeps the registry itself, not a copy: runs are serial.
func (m *Memory) Save(_ context.Context, registry *inventory.Registry) error {
	m.registry = registry
	return nil
}

// merged returns the copy in memory with what a stored one knows better. Either may
// be nil.
func merged(ctx context.Context, memory, stored *inventory.Registry, log *slog.Logger) *inventory.Registry {
	switch {
	case memory == nil:
		return stored
	case stored != nil && !memory.Merge(stored):
		log.WarnContext(ctx, "the stored state is of another registry and is not used",
			slog.String("registry", stored.ID), slog.String("ours", memory.ID))
	}
	return memory
}
