//go:build unix

// Package localtest is the world around the function on one machine: a simulated registry
// whose images change, and VictoriaMetrics, which is queried for what the function pushed.
// Commands that run the function for people use it; tests have doubles of their own.
package localtest

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// Registry is the simulated registry and its API.
type Registry struct {
	*ecrtest.Registry
	Server *ecrtest.Server
	rng    *rand.Rand
	image  lifecycle
}

// The account and Region of events/schedule-rule.json.
const (
	Account = "123456789012"
	Region  = "eu-central-1"
)

const seed = 1

// role is that of the function in the simulated registry.
const role = "ecr-remote-write"

// NewRegistry generates a registry of that size as of a time. Its Server does not listen yet.
func NewRegistry(now time.Time, repositories, taggedImages int) (*Registry, error) {
	r := &Registry{Registry: ecrtest.NewRegistry(Account, Region), rng: rand.New(rand.NewPCG(seed, 0))}
	// All images are at least an hour old, so their scans are complete.
	if err := r.Generate(seed, ecrtest.RealisticShape(repositories, taggedImages, now.Add(-time.Hour))); err != nil {
		return nil, err
	}
	// The function may read the manifests of indexes.
	if err := r.SetPullTimeExclusions("arn:aws:iam::" + Account + ":role/" + role); err != nil {
		return nil, err
	}
	if err := r.SetCacheRules(
		ecrtest.CacheRule{Prefix: "docker-hub", Upstream: "docker-hub", URL: "registry-1.docker.io"},
		ecrtest.CacheRule{Prefix: "quay", Upstream: "quay", URL: "quay.io"},
	); err != nil {
		return nil, err
	}
	r.SetReplication(ecrtest.ReplicationRule{Prefixes: []string{"payments"}, Destinations: []ecrtest.ReplicationDestination{{Region: "eu-west-1", RegistryID: Account}}})
	r.Server = ecrtest.New(r.Registry)
	return r, nil
}

// StartRegistry generates a registry of that size as of a time, and serves it on a port.
func StartRegistry(now time.Time, repositories, taggedImages, port int) (*Registry, error) {
	r, err := NewRegistry(now, repositories, taggedImages)
	if err != nil {
		return nil, err
	}
	return r, r.Server.ListenOn(port)
}

// mostChanges is the maximum number of changes between two pushes.
const mostChanges = 2

// Age makes some random changes to the registry and describes each in a few words.
func (r *Registry) Age(now time.Time) []string {
	var changes []string
	for range 1 + r.rng.IntN(mostChanges) {
		// Without the change of "latest", which would make the line too long.
		change, _, _ := strings.Cut(r.Mutate(r.rng, now), ", which is latest now")
		changes = append(changes, change)
	}
	return changes
}
