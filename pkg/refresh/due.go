package refresh

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// due returns the repositories whose images are to be listed, the one tried longest ago
// first: those marked as due, and those listed an interval ago. A repository that is denied
// is due an interval after the last attempt.
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

// expired reports whether a listing is an interval old, or dated more than an interval into the
// future, which only a damaged state or a clock that was wrong does.
func (r *Refresher) expired(readAt inventory.Time, now time.Time) bool {
	age := now.Sub(readAt.Time())
	return readAt.IsZero() || age >= r.options.Interval || age < -r.options.Interval
}

const (
	// firstRetry is the time until an unfinished scan is read again. It doubles each time.
	firstRetry = time.Minute
	// failedRetry is the time until a scan is requested again after an error about its
	// image or its repository.
	failedRetry = 10 * time.Minute
)

// dueScans returns the scans to request, at most as many as there is time for: first those
// never read, by the newest push, then those read longest ago.
func (r *Refresher) dueScans(ctx context.Context, registry *inventory.Registry, result *ScanResult) []*scanJob {
	now := time.Now()
	limit := math.MaxInt / 4
	if deadline, bounded := ctx.Deadline(); bounded {
		// The rate limit allows a second's worth of requests at once.
		limit = max(0, int(r.options.Scans.PerSecond*(time.Until(deadline).Seconds()+1))) + r.options.Concurrency
	}
	for what, at := range r.scans.retryAt {
		if !now.Before(at) {
			delete(r.scans.retryAt, what)
		}
	}
	probed := map[string]bool{}
	var due []*scanJob
	sortAndCut := func() {
		slices.SortStableFunc(due, compareDue)
		due = due[:min(len(due), limit)]
	}
	r.eachScanned(registry, func(repository *inventory.Repository, image *inventory.Image, pushed inventory.Time) {
		if !r.scanDue(registry, repository, image.Scan, now) || r.awaitsRetry(repository.Name, image.Digest) {
			return
		}
		if until, denied := r.scans.deniedUntil[repository.Name]; denied {
			if probed[repository.Name] || now.Before(until) {
				return
			}
			probed[repository.Name] = true
		}
		result.Due++
		job := &scanJob{repository: repository.Name, digest: image.Digest, pushed: pushed}
		if image.Scan != nil {
			job.last = image.Scan.AskedAt
		}
		if due = append(due, job); len(due) >= 4*limit {
			sortAndCut() // which bounds memory in a large registry
		}
	})
	sortAndCut()
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
	fromLists := registry.ScanSource == inventory.ScansFromInspector
	switch {
	case scan == nil:
		return !fromLists || !registry.ScansListedAt.IsZero() // the lists will have most
	case scan.AskedAt.IsZero():
		// It is the summary in the listing, which has a result if the scan completed.
		return scan.CompletedAt.IsZero()
	case scan.AskedAt < repository.ScansDueSince:
		return true
	case scan.Unfinished > 0:
		wait := firstRetry << min(scan.Unfinished-1, 16)
		return !now.Before(scan.AskedAt.Time().Add(min(wait, r.scanInterval(registry))))
	case scan.Partial:
		return true
	case fromLists:
		return scan.AskedAt < registry.ScansListedAt // the lists no longer had it
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
	_, whole := r.scans.retryAt[imageKey{repository: repository}]
	_, one := r.scans.retryAt[imageKey{repository, digest}]
	return whole || one
}
