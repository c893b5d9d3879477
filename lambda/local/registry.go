//go:build unix

package main

import (
	"math/rand/v2"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// registry is the simulated registry and the API that shows it.
type registry struct {
	*ecrtest.Registry
	server *ecrtest.Server
	rng    *rand.Rand
	life   life
}

// What the registry is like: the account and Region of events/schedule-rule.json,
// and small enough for a graph in which single builds are seen.
const (
	account      = "123456789012"
	region       = "eu-central-1"
	repositories = 40
	taggedImages = 1500
	seed         = 1
)

// startRegistry makes up a registry as it is at a time, and serves it.
func startRegistry(now time.Time) (*registry, error) {
	r := &registry{Registry: ecrtest.NewRegistry(account, region), rng: rand.New(rand.NewPCG(seed, 0))}
	// Of what was pushed an hour ago and before, each scan is done by now.
	shape := ecrtest.RealisticShape(repositories, taggedImages, now.Add(-time.Hour))
	// A repository that has turned to indexes has no findings in what is newest: ECR's
	// own scanner does not look into them.
	shape.Indexes = 0
	if err := r.Generate(seed, shape); err != nil {
		return nil, err
	}
	r.server = ecrtest.New(r.Registry)
	if err := r.server.Listen(); err != nil {
		return nil, err
	}
	return r, nil
}

// mostChanges is how much happens at most between two pushes.
const mostChanges = 2

// age lets a little happen to the registry and says what, in a few words each.
func (r *registry) age(now time.Time) []string {
	var changes []string
	for range 1 + r.rng.IntN(mostChanges) {
		// What a push does to "latest" besides would make the line too long.
		change, _, _ := strings.Cut(r.Mutate(r.rng, now), ", which is latest now")
		changes = append(changes, change)
	}
	return changes
}
