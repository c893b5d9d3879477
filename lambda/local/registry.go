//go:build unix

package main

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// registry is the simulated registry and its API.
type registry struct {
	*ecrtest.Registry
	server *ecrtest.Server
	rng    *rand.Rand
	image  lifecycle
}

// The account and Region of events/schedule-rule.json, and a registry small enough for
// graphs that show single builds.
const (
	account      = "123456789012"
	region       = "eu-central-1"
	repositories = 40
	taggedImages = 600
	seed         = 1
)

// startRegistry generates a registry as of a time, and serves it on a port.
func startRegistry(now time.Time, port int) (*registry, error) {
	r := &registry{Registry: ecrtest.NewRegistry(account, region), rng: rand.New(rand.NewPCG(seed, 0))}
	// All images are at least an hour old, so their scans are complete.
	shape := ecrtest.RealisticShape(repositories, taggedImages, now.Add(-time.Hour))
	// Basic scanning does not support indexes: the newest images would have no findings.
	shape.Indexes = 0
	if err := r.Generate(seed, shape); err != nil {
		return nil, err
	}
	r.server = ecrtest.New(r.Registry)
	if err := r.server.ListenOn(port); err != nil {
		return nil, err
	}
	return r, nil
}

// mostChanges is the maximum number of changes between two pushes.
const mostChanges = 2

// age makes some random changes to the registry and describes each in a few words.
func (r *registry) age(now time.Time) []string {
	var changes []string
	for range 1 + r.rng.IntN(mostChanges) {
		// Without the change of "latest", which would make the line too long.
		change, _, _ := strings.Cut(r.Mutate(r.rng, now), ", which is latest now")
		changes = append(changes, change)
	}
	return changes
}
