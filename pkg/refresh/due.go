package refresh

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// due returns the repositories whose images are to be listed, the one tried longest ago
// first: those marked as due, and those whose listing is an interval old. Where a
// permission is missing, the next attempt is an interval after the last.
func (r *Refresher) due(registry *inventory.Registry, now time.Time) []*listing {
	var due []*listing
	for _, repository := range registry.Repositories {
		if !r.options.Includes(repository.Name) {
			continue
		}
		last := repository.ImagesReadAt
		if repository.Denied {
			last = repository.TriedAt
		}
		if repository.Due && !repository.Denied || r.expired(last, now) {
			due = append(due, r.listing(repository, now))
		}
	}
	slices.SortStableFunc(due, func(a, b *listing) int {
		return cmp.Or(cmp.Compare(a.tried, b.tried), strings.Compare(a.repository, b.repository))
	})
	return due
}

// expired reports whether what was read then is an interval old.
func (r *Refresher) expired(readAt inventory.Time, now time.Time) bool {
	return readAt.IsZero() || !now.Before(readAt.Time().Add(r.options.Interval))
}

const (
	// firstRetry is how long after an unfinished scan was read it is due again. It
	// doubles each time.
	firstRetry = time.Minute
	// failedRetry is how long after an error an image's scan is due again, and after
	// one about a repository those of all its images.
	failedRetry = 10 * time.Minute
)

// dueScans returns the scans to request, as many as there may be time for: never read
// ones first, the newest push first, then those read longest ago.
func (r *Refresher) dueScans(ctx context.Context, registry *inventory.Registry, result *ScanResult) []*scanJob {
	now := time.Now()
	limit := 0
	if deadline, bounded := ctx.Deadline(); bounded {
		// The rate limit allows a second's worth of requests at once.
		limit = int(r.options.Scans.PerSecond*(time.Until(deadline).Seconds()+1)) + r.options.Concurrency
		limit = max(limit, r.options.Concurrency)
	}
	for what, at := range r.scans.retryAt {
		if !now.Before(at) {
			delete(r.scans.retryAt, what)
		}
	}
	var due []*scanJob
	r.eachScanned(registry, func(repository *inventory.Repository, image *inventory.Image) {
		if !r.scanDue(registry, repository, image.Scan, now) || r.awaitsRetry(repository.Name, image.Digest) {
			return
		}
		result.Due++
		job := &scanJob{repository: repository.Name, digest: image.Digest, pushed: image.PushedAt}
		if image.Scan != nil {
			job.last = image.Scan.AskedAt
		}
		if due = append(due, job); limit > 0 && len(due) >= 4*limit {
			slices.SortStableFunc(due, compareDue)
			due = slices.Clip(due[:limit:limit])
		}
	})
	slices.SortStableFunc(due, compareDue)
	if limit > 0 && len(due) > limit {
		due = due[:limit]
	}
	return due
}

func compareDue(a, b *scanJob) int {
	if a.last.IsZero() && b.last.IsZero() {
		return cmp.Compare(b.pushed, a.pushed)
	}
	return cmp.Compare(a.last, b.last)
}

// scanDue reports whether a request may return something new.
func (r *Refresher) scanDue(registry *inventory.Registry, repository *inventory.Repository, scan *inventory.Scan, now time.Time) bool {
	switch {
	case scan == nil:
		return true
	case scan.AskedAt.IsZero():
		// From the summary in the listing, which has a result if the scan completed.
		return scan.CompletedAt.IsZero()
	case scan.AskedAt < repository.ScansDueSince:
		return true
	case scan.Unfinished > 0:
		wait := firstRetry << min(scan.Unfinished-1, 16)
		return !now.Before(scan.AskedAt.Time().Add(min(wait, r.scanInterval(registry))))
	case scan.Partial:
		return true
	case registry.ScanSource == inventory.ScansFromInspector && scan.Total > 0:
		return false // Inspector's next lists show whether it changed
	}
	return !now.Before(scan.AskedAt.Time().Add(r.scanInterval(registry)))
}

func (r *Refresher) scanInterval(registry *inventory.Registry) time.Duration {
	if registry.ScanSource == inventory.ScansFromInspector {
		return r.options.Scans.Enhanced
	}
	return r.options.Scans.Basic
}

func (r *Refresher) awaitsRetry(repository string, digest inventory.Digest) bool {
	if len(r.scans.retryAt) == 0 {
		return false
	}
	_, whole := r.scans.retryAt[repository]
	_, one := r.scans.retryAt[repository+"@"+digest.String()]
	return whole || one
}
