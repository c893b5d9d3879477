package refresh

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// ScanOptions configure where scan results come from, and how often they are read. With the
// zero value none are.
type ScanOptions struct {
	Source ScanSource
	// Inspector reads the scans of an enhanced registry; nil means that findings are
	// requested instead.
	Inspector Inspector
	// Basic and Enhanced are how long after a final result the next request is due. ECR
	// scans an image at most once in 24 hours, Inspector whenever it learns of a
	// vulnerability.
	Basic, Enhanced time.Duration
	// Newest limits the requests to the newest tagged images of each repository; 0
	// means all.
	Newest int
	// Indexes is set if an index has the scans of the images that it lists.
	Indexes bool
	// PerSecond is the rate limit of the requests. It bounds how many a run plans.
	PerSecond float64
}

// ScanResult counts the images whose scan results were due in a run.
type ScanResult struct {
	// Of the Due images, Answered got a response and Failed an error. There was no time
	// for Left.
	Due      int `json:"due"`
	Answered int `json:"answered"`
	Failed   int `json:"failed"`
	Left     int `json:"left"`
	// Listed is set if Inspector's lists were read completely.
	Listed bool `json:"-"`
}

// scanState is what a Refresher keeps about scans from run to run.
type scanState struct {
	// retryAt is when the scan of an image, or with a zero digest those of a repository, may
	// be requested again after an error.
	retryAt map[imageKey]time.Time
	// mu guards deniedUntil while requests are made.
	mu sync.Mutex
	// deniedUntil are the repositories whose last request was denied, and when the next one
	// is due: one request is then made, and the others after it succeeded.
	deniedUntil map[string]time.Time
	// permitted is set by the first request that succeeds: later denials concern single
	// repositories.
	permitted bool
	lists     *inspectorLists // unfinished
}

type imageKey struct {
	repository string
	digest     inventory.Digest
}

// refreshScans reads the scan results that are due.
func (r *Refresher) refreshScans(ctx context.Context, registry *inventory.Registry, result *Result, failed *failures) {
	if registry.ScanSource == inventory.ScansFromInspector {
		r.readInspector(ctx, registry, result, failed)
	}
	registry.ScansPending, registry.ScansOldest = 0, 0
	if registry.ScanSource != inventory.ScansFromFindings && registry.ScanSource != inventory.ScansFromInspector {
		return
	}
	r.requestScans(ctx, registry, r.dueScans(ctx, registry, &result.Scans), result, failed)
	r.countUnread(registry, result)
	r.eachScanned(registry, func(_ *inventory.Repository, image *inventory.Image, _ inventory.Time) {
		if !image.Scan.Final() {
			registry.ScansPending++
		}
		if image.Scan != nil && !image.Scan.AskedAt.IsZero() && (registry.ScansOldest.IsZero() || image.Scan.AskedAt < registry.ScansOldest) {
			registry.ScansOldest = image.Scan.AskedAt
		}
	})
}

// scanJob is one request for the scan of one image.
type scanJob struct {
	repository string
	digest     inventory.Digest
	last       inventory.Time // when it was last read; zero for never
	pushed     inventory.Time

	skipped bool // the repository was denied in this run
	// repeated is set if an earlier request of this run was denied for the repository too.
	repeated bool
	at       time.Time
	scan     *inventory.Scan
	err      error
}

// allDenied is how many repositories have to be denied, and none permitted, to conclude that
// the permission is missing.
const allDenied = 3

func (r *Refresher) requestScans(ctx context.Context, registry *inventory.Registry, jobs []*scanJob, result *Result, failed *failures) {
	requesting, stop := context.WithCancel(ctx)
	defer stop()
	repositories := map[string]bool{}
	for _, job := range jobs {
		repositories[job.repository] = true
	}
	began := time.Now()
	fellBack := false
	var denied []*scanJob // while no request succeeded: the permission may be missing
	each(requesting, r.options.Concurrency, jobs, func(job *scanJob) {
		if job.skipped = r.deniedSince(job.repository, began); job.skipped {
			return
		}
		job.at = time.Now()
		job.scan, job.err = r.source.Scan(requesting, job.repository, job.digest)
	}, func(job *scanJob, n int) {
		if errors.Is(job.err, awsapi.ErrDenied) && !fellBack {
			job.repeated = r.setDenied(job.repository, job.at.Add(r.options.Interval)).After(began)
			denied = append(denied, job)
			if !r.scans.permitted && len(r.scans.deniedUntil) >= min(allDenied, len(repositories)) {
				fellBack = true
				r.fallBack(ctx, registry, inventory.ScansFromFindings, inventory.ScansFromSummary, job.err)
				stop()
			}
		} else {
			failed.add(r.recordScan(requesting, registry, job, &result.Scans))
		}
		r.options.Progress("scans", n, len(jobs))
	})
	if fellBack {
		clear(r.scans.deniedUntil) // the next run that uses findings tries again
		denied = nil
	}
	for _, job := range denied {
		failed.add(r.recordScan(ctx, registry, job, &result.Scans))
	}
	result.Scans.Left = result.Scans.Due - result.Scans.Answered - result.Scans.Failed
}

// deniedSince reports whether a repository was denied after a time.
func (r *Refresher) deniedSince(repository string, began time.Time) bool {
	r.scans.mu.Lock()
	defer r.scans.mu.Unlock()
	until, denied := r.scans.deniedUntil[repository]
	return denied && until.After(began)
}

// setDenied records until when no request is made about a repository, zero if its last one
// succeeded, and returns the time before.
func (r *Refresher) setDenied(repository string, until time.Time) (before time.Time) {
	r.scans.mu.Lock()
	defer r.scans.mu.Unlock()
	before = r.scans.deniedUntil[repository]
	if until.IsZero() {
		delete(r.scans.deniedUntil, repository)
	} else {
		r.scans.deniedUntil[repository] = until
	}
	return before
}

// recordScan updates the registry with the response to a request.
func (r *Refresher) recordScan(ctx context.Context, registry *inventory.Registry, job *scanJob, result *ScanResult) error {
	if job.skipped {
		result.Due--
		return nil
	}
	if job.err == nil {
		r.scans.permitted = true
		r.setDenied(job.repository, time.Time{})
		result.Answered++
		repository := registry.Find(job.repository)
		image := repository.FindImage(job.digest)
		registry.SetScan(repository, image, withResponse(image.Scan, job.scan, inventory.TimeOf(job.at)))
		return nil
	}
	if outOfTime(ctx, job.err) {
		return nil
	}
	result.Failed++
	whole := imageKey{repository: job.repository}
	switch {
	case errors.Is(job.err, awsapi.ErrGone):
		r.scans.retryAt[whole] = job.at.Add(failedRetry)
		return nil // the next list of repositories shows whether it is gone
	case errors.Is(job.err, awsapi.ErrDenied):
		if job.repeated {
			return nil // one error a repository and run
		}
	default:
		r.scans.retryAt[imageKey{job.repository, job.digest}] = job.at.Add(failedRetry)
	}
	return job.err
}

// unfinishedAgain returns how many responses in a row said that a scan is under way. More than
// a hundred make no difference.
func unfinishedAgain(known *inventory.Scan) uint8 { return min(known.Unfinished, 100) + 1 }

// withResponse returns an image's scan after a response to a request at that time. While a
// scan is in progress, the counts are those of the previous one.
func withResponse(known, response *inventory.Scan, at inventory.Time) *inventory.Scan {
	next := *response
	next.AskedAt, next.Partial = at, false
	if known != nil {
		next.Total = known.Total
		next.InUseCount, next.LastInUseAt = max(next.InUseCount, known.InUseCount), max(next.LastInUseAt, known.LastInUseAt)
	}
	if next.Unfinished > 0 && known != nil {
		next.Unfinished = unfinishedAgain(known)
		next.Severities, next.CompletedAt = known.Severities, known.CompletedAt
	}
	return &next
}
