// Package state keeps the inventory between runs: in the memory of an execution
// environment, or in a file.
package state

import (
	"context"

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
