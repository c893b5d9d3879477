package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// pause is how long something that failed is left alone: twice as long with each failure.
type pause struct {
	failures int // in a row
	until    time.Time
}

// The first pause, and the longest. After an outage of AWS, what changed meanwhile is read within
// two slots; a role that is missing may take days.
const (
	firstPause   = time.Minute
	longestPause = 4 * time.Minute
	longestRole  = 30 * time.Minute
)

func (p *pause) waits(at time.Time) bool { return at.Before(p.until) }

func (p *pause) failed(at time.Time, first, longest time.Duration) {
	p.until = at.Add(min(first<<min(p.failures, 10), longest))
	p.failures++
}

func (p *pause) ended() { p.failures, p.until = 0, time.Time{} }

// roles are the credentials of the roles that registries are read with.
type roles struct {
	own   aws.Config // that assumes them
	mu    sync.Mutex // outside Lambda several registries are read at once
	known map[[2]string]*role
}

// role is a role that registries of one account are read with; nil is the function's own.
type role struct {
	credentials *aws.CredentialsCache
	pause
}

// of returns the role of a registry.
func (r *roles) of(target *targets.Target) *role {
	if target.Role == "" {
		return nil
	}
	key := [2]string{target.Role, target.ExternalID}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.known[key] == nil {
		if r.known == nil {
			r.known = map[[2]string]*role{}
		}
		r.known[key] = &role{auth.AssumeRole(r.own, target.Role, target.ExternalID), pause{}}
	}
	return r.known[key]
}

// reach returns an error if the role cannot be assumed. It is not tried each time.
func (r *role) reach(ctx context.Context, at time.Time) error {
	if r == nil {
		return nil
	}
	if r.waits(at) {
		return exporter.ErrWaits
	}
	if err := r.assume(ctx); err != nil {
		longest := longestPause
		if auth.RoleRefused(err) {
			longest = longestRole
		}
		r.failed(at, 2*firstPause, longest)
		return err
	}
	r.ended()
	return nil
}

func (r *role) assume(ctx context.Context) error {
	if r == nil {
		return nil
	}
	if _, err := r.credentials.Retrieve(ctx); err != nil {
		return fmt.Errorf("assuming the role of the registry: %w", err)
	}
	return nil
}

// forget has the role assumed anew. A role that was deleted and made again has other sessions, and
// AWS refuses those of before.
func (r *role) forget() {
	if r != nil {
		r.credentials.Invalidate()
	}
}

// awsRegion is a Region in which AWS may be down. There every call fails only after many retries,
// and a registry that is read takes a turn from others for a minute: so most registries of such a
// Region are pushed without trying to read them.
type awsRegion struct {
	pause
	// registry is one of which a slow refresh read nothing.
	registry string
}

// slowRefresh is the least time of a refresh that read nothing because its calls failed again and
// again. One whose calls are refused is faster.
const slowRefresh = 5 * time.Second

func (m *many) regionOf(target *targets.Target) *awsRegion {
	if m.regions[target.Region] == nil {
		m.regions[target.Region] = &awsRegion{}
	}
	return m.regions[target.Region]
}

// note remembers how a run of a registry went, for the next runs with its role and in its Region.
// The Region is left alone once nothing could be read of two of its registries.
func (m *many) note(target *targets.Target, summary *exporter.Summary, err error) {
	region, took := m.regionOf(target), time.Duration(summary.Durations["refresh"]*float64(time.Second))
	read := summary.Refreshed + summary.Gone + summary.Scans.Answered + summary.Indexes.Read
	if errors.Is(err, awsapi.ErrCredentials) || errors.Is(err, awsapi.ErrDenied) && read == 0 {
		m.roles.of(target).forget()
	}
	switch {
	case len(summary.Calls) == 0:
	case read > 0 || took < slowRefresh:
		region.ended()
		region.registry = ""
	case region.failures > 0 || region.registry != "" && region.registry != target.String():
		region.failed(summary.Timestamp.Add(took), firstPause, longestPause)
	default:
		region.registry = target.String()
	}
}
