package refresh

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// ScanOptions configure where scan results come from, and how often. The zero value
// requests none.
type ScanOptions struct {
	Source ScanSource
	// Inspector reads the scans of an enhanced registry; nil means that findings are
	// requested instead.
	Inspector Inspector
	// Basic and Enhanced are how long a final result stays fresh. ECR itself scans an
	// image at most once in 24 hours; Inspector scans again when it learns of a new
	// vulnerability.
	Basic, Enhanced time.Duration
	// Newest limits the requests to the newest tagged images of each repository; 0
	// means all.
	Newest int
	// PerSecond is the rate limit of the requests, from which the number that fits into
	// a run is estimated.
	PerSecond float64
}

// ScanResult is what a run did about scan results, in numbers of images.
type ScanResult struct {
	// Due images had no fresh result. Of these, Answered got one, Failed did not, and
	// for Left there was no time.
	Due      int `json:"due"`
	Answered int `json:"answered"`
	Failed   int `json:"failed"`
	Left     int `json:"left"`
	// Listed is set if Inspector's lists were read completely.
	Listed bool `json:"-"`
}

// scanState is what a Refresher keeps about scan requests from run to run.
type scanState struct {
	// retryAt is when what failed may be requested again, by repository or
	// repository@digest.
	retryAt map[string]time.Time
	// permitted is set by the first request that is not denied: later denials concern
	// one repository only.
	permitted bool
	lists     *inspectorLists // unfinished
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
	r.eachScanned(registry, func(_ *inventory.Repository, image *inventory.Image) {
		if !image.Scan.Final() {
			registry.ScansPending++
		}
		if image.Scan != nil && !image.Scan.AskedAt.IsZero() && (registry.ScansOldest.IsZero() || image.Scan.AskedAt < registry.ScansOldest) {
			registry.ScansOldest = image.Scan.AskedAt
		}
	})
}

// eachScanned calls a function for each image whose scan is shown and asked for.
func (r *Refresher) eachScanned(registry *inventory.Registry, do func(*inventory.Repository, *inventory.Image)) {
	var pushes []inventory.Time
	for _, repository := range registry.Repositories {
		if repository.Excluded || !r.options.Includes(repository.Name) {
			continue
		}
		var oldest inventory.Time
		if newest := r.options.Scans.Newest; newest > 0 && len(repository.Images) > newest {
			pushes = pushes[:0]
			for i := range repository.Images {
				if image := &repository.Images[i]; !image.Excluded && image.Tagged() {
					pushes = append(pushes, image.PushedAt)
				}
			}
			if len(pushes) > newest {
				slices.Sort(pushes)
				oldest = pushes[len(pushes)-newest]
			}
		}
		for i := range repository.Images {
			if image := &repository.Images[i]; !image.Excluded && image.Tagged() && image.PushedAt >= oldest {
				do(repository, image)
			}
		}
	}
}

// scanJob is one request for the scan of one image.
type scanJob struct {
	repository string
	digest     inventory.Digest
	last       inventory.Time // when it was last read; zero for never
	pushed     inventory.Time

	at   time.Time
	scan *inventory.Scan
	err  error
}

func (r *Refresher) requestScans(ctx context.Context, registry *inventory.Registry, jobs []*scanJob, result *Result, failed *failures) {
	requesting, stop := context.WithCancel(ctx)
	defer stop()
	done := 0
	each(requesting, r.options.Concurrency, jobs, func(job *scanJob) {
		job.at = time.Now()
		job.scan, job.err = r.source.Scan(requesting, job.repository, job.digest)
	}, func(job *scanJob) {
		if requesting.Err() == nil && errors.Is(job.err, awsapi.ErrDenied) && !r.scans.permitted {
			r.fallBack(ctx, registry, inventory.ScansFromFindings, inventory.ScansFromSummary, job.err)
			stop()
		}
		failed.add(r.recordScan(requesting, registry, job, &result.Scans))
		done++
		r.options.Progress("scans", done, len(jobs))
	})
	result.Scans.Left = result.Scans.Due - result.Scans.Answered - result.Scans.Failed
}

// recordScan updates the registry with the response to a request.
func (r *Refresher) recordScan(ctx context.Context, registry *inventory.Registry, job *scanJob, result *ScanResult) error {
	switch {
	case job.err == nil:
	case outOfTime(ctx, job.err):
		return nil
	case errors.Is(job.err, awsapi.ErrGone):
		result.Failed++ // the next list of repositories shows whether it is
		r.scans.retryAt[job.repository] = job.at.Add(failedRetry)
		return nil
	case errors.Is(job.err, awsapi.ErrDenied):
		if result.Failed++; r.scans.retryAt[job.repository].IsZero() {
			r.scans.retryAt[job.repository] = job.at.Add(r.scanInterval(registry))
			return job.err
		}
		return nil
	default:
		result.Failed++
		r.scans.retryAt[job.repository+"@"+job.digest.String()] = job.at.Add(failedRetry)
		return job.err
	}
	r.scans.permitted = true
	result.Answered++
	repository := registry.Find(job.repository)
	if repository == nil {
		return nil
	}
	if image := repository.FindImage(job.digest); image != nil {
		registry.SetScan(repository, image, withResponse(image.Scan, job.scan, inventory.TimeOf(job.at)))
	}
	return nil
}

// withResponse returns the scan after a response that was requested at a moment. While a
// scan is in progress, that is the previous result.
func withResponse(known, response *inventory.Scan, at inventory.Time) *inventory.Scan {
	next := *response
	next.AskedAt, next.Partial = at, false
	if known != nil {
		next.Total = known.Total
		next.InUseCount, next.LastInUseAt = max(next.InUseCount, known.InUseCount), max(next.LastInUseAt, known.LastInUseAt)
	}
	if next.Unfinished > 0 && known != nil {
		next.Unfinished = known.Unfinished + 1
		next.Severities, next.CompletedAt = known.Severities, known.CompletedAt
	}
	return &next
}
