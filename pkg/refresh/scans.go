package refresh

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// ScanSource says where scan results come from.
type ScanSource string

// The sources of scan results.
const (
	// ScanAuto takes findings where ECR scans the images, Inspector's lists where
	// Inspector does.
	ScanAuto ScanSource = "auto"
	// ScanFindings asks DescribeImageScanFindings, one call an image.
	ScanFindings ScanSource = "findings"
	// ScanInspector reads Inspector's lists, and asks for findings where these are
	// not exact.
	ScanInspector ScanSource = "inspector"
	// ScanSummary takes what DescribeImages tells, and asks nothing.
	ScanSummary ScanSource = "summary"
	// ScanNone shows what is known and asks nothing.
	ScanNone ScanSource = "none"
)

func (s ScanSource) asks() bool {
	return s == ScanAuto || s == ScanFindings || s == ScanInspector
}

// allows reports whether results may come from a place under this setting, be it
// for want of a permission.
func (s ScanSource) allows(from string) bool {
	switch from {
	case inventory.ScansFromFindings, inventory.ScansFromSummary:
		return s.asks() || string(s) == from
	case inventory.ScansFromInspector:
		return s == ScanAuto || s == ScanInspector
	case inventory.ScansFromNowhere:
		return !s.asks() && s != ScanSummary
	default:
		return false
	}
}

// ScanOptions say where scan results come from, and how often. The zero value asks
// for none.
type ScanOptions struct {
	Source ScanSource
	// Inspector reads the scans of an enhanced registry; nil means that findings
	// are asked for instead.
	Inspector Inspector
	// Basic and Enhanced are how long a final answer stays fresh. ECR itself scans
	// an image once in 24 hours at most; Inspector rescans when it learns of a new
	// vulnerability.
	Basic, Enhanced time.Duration
	// Newest bounds the images asked for to the newest tagged ones of each
	// repository; 0 means all.
	Newest int
	// PerSecond is the pace of asking, by which a run knows what it can do.
	PerSecond float64
}

// ScanResult says what became of the scan results that were due.
type ScanResult struct {
	// Due is how many images had no fresh answer, Answered how many got one,
	// Failed how many did not although they were asked for, Left how many the time
	// did not suffice for.
	Due, Answered, Failed, Left int
	// Listed is set if Inspector's lists were read to the end.
	Listed bool
}

// firstRetry is how long after an answer that said that a scan is under way the
// next is asked for. It doubles with each.
const firstRetry = time.Minute

// failedRetry is how long after an error an image, or after a refusal a whole
// repository, is left in peace.
const failedRetry = 10 * time.Minute

// scanMemory is what a Refresher remembers of asking for scans.
type scanMemory struct {
	// later says when what failed may be asked for again, by repository or
	// repository@digest.
	later map[string]time.Time
	// answered is set once a call was not refused: from then on a refusal is one
	// repository's own.
	answered bool
	// warned holds the fallbacks that were told of.
	warned map[string]bool
	bulk   *bulk // an unfinished reading of Inspector's lists
}

func newScanMemory() scanMemory {
	return scanMemory{later: map[string]time.Time{}, warned: map[string]bool{}}
}

// settleScanSource decides where scan results come from until the next refresh.
func (r *Refresher) settleScanSource(ctx context.Context, registry *inventory.Registry) error {
	switch r.options.Scans.Source {
	case ScanFindings, ScanInspector, ScanSummary:
		registry.ScanSource = string(r.options.Scans.Source)
	case ScanAuto:
		enhanced, err := r.source.EnhancedScanning(ctx)
		switch {
		case errors.Is(err, awsapi.ErrDenied):
			r.fallBack(ctx, registry, inventory.ScansFromFindings, err)
		case err != nil:
			registry.ScanSource = cmp.Or(registry.ScanSource, inventory.ScansFromFindings)
			return err
		case enhanced:
			registry.ScanSource = inventory.ScansFromInspector
		default:
			registry.ScanSource = inventory.ScansFromFindings
		}
	default:
		registry.ScanSource = inventory.ScansFromNowhere
	}
	if registry.ScanSource == inventory.ScansFromInspector && r.options.Scans.Inspector == nil {
		registry.ScanSource = inventory.ScansFromFindings
	}
	return nil
}

// fallBack takes scan results from a lesser source, and says so once.
func (r *Refresher) fallBack(ctx context.Context, registry *inventory.Registry, to string, cause error) {
	if registry.ScanSource = to; !r.scans.warned[to] {
		r.scans.warned[to] = true
		r.options.Logger.WarnContext(ctx, "scan results come from elsewhere for want of a permission",
			slog.String("source", to), slog.Any("error", cause))
	}
}

// refreshScans asks for the scan results that are due.
func (r *Refresher) refreshScans(ctx context.Context, registry *inventory.Registry, result *Result, failed *failures) {
	if registry.ScanSource == inventory.ScansFromInspector {
		r.readInspector(ctx, registry, result, failed)
	}
	registry.ScansPending, registry.ScansOldest = 0, 0
	if registry.ScanSource != inventory.ScansFromFindings && registry.ScanSource != inventory.ScansFromInspector {
		return
	}
	r.askScans(ctx, registry, r.dueScans(ctx, registry, &result.Scans), result, failed)
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
		if repository.Hidden || !r.options.Includes(repository.Name) {
			continue
		}
		var oldest inventory.Time
		if newest := r.options.Scans.Newest; newest > 0 && len(repository.Images) > newest {
			pushes = pushes[:0]
			for i := range repository.Images {
				if image := &repository.Images[i]; image.Shown() {
					pushes = append(pushes, image.PushedAt)
				}
			}
			if len(pushes) > newest {
				slices.Sort(pushes)
				oldest = pushes[len(pushes)-newest]
			}
		}
		for i := range repository.Images {
			if image := &repository.Images[i]; image.Shown() && image.PushedAt >= oldest {
				do(repository, image)
			}
		}
	}
}

// scanJob is one call for one image.
type scanJob struct {
	repository string
	digest     inventory.Digest
	asked      inventory.Time // zero: never
	pushed     inventory.Time

	at   time.Time
	scan *inventory.Scan
	err  error
}

// byNeed orders what was never asked for first, the newest push of it first, then
// the oldest answer.
func byNeed(a, b *scanJob) int {
	if a.asked.IsZero() && b.asked.IsZero() {
		return cmp.Compare(b.pushed, a.pushed)
	}
	return cmp.Compare(a.asked, b.asked)
}

// dueScans returns the calls to make, as many as the time may suffice for.
func (r *Refresher) dueScans(ctx context.Context, registry *inventory.Registry, result *ScanResult) []*scanJob {
	now := time.Now()
	limit := 0
	if deadline, bounded := ctx.Deadline(); bounded {
		// A second's worth of calls is what the pace lets through at once.
		limit = int(r.options.Scans.PerSecond*(time.Until(deadline).Seconds()+1)) + r.options.Concurrency
		limit = max(limit, r.options.Concurrency)
	}
	for what, until := range r.scans.later {
		if !now.Before(until) {
			delete(r.scans.later, what)
		}
	}
	var due []*scanJob
	r.eachScanned(registry, func(repository *inventory.Repository, image *inventory.Image) {
		if !r.scanDue(registry, repository, image.Scan, now) || r.putOff(repository.Name, image.Digest) {
			return
		}
		result.Due++
		job := &scanJob{repository: repository.Name, digest: image.Digest, pushed: image.PushedAt}
		if image.Scan != nil {
			job.asked = image.Scan.AskedAt
		}
		if due = append(due, job); limit > 0 && len(due) >= 4*limit {
			slices.SortStableFunc(due, byNeed)
			due = slices.Clip(due[:limit:limit])
		}
	})
	slices.SortStableFunc(due, byNeed)
	if limit > 0 && len(due) > limit {
		due = due[:limit]
	}
	return due
}

// scanDue reports whether there can be another answer than the one known.
func (r *Refresher) scanDue(registry *inventory.Registry, repository *inventory.Repository, scan *inventory.Scan, now time.Time) bool {
	switch {
	case scan == nil:
		return true
	case scan.AskedAt.IsZero():
		// A summary that came with the listing is an answer, if it tells of one.
		return scan.CompletedAt.IsZero()
	case scan.AskedAt < repository.ScansDueSince:
		return true
	case scan.Unfinished > 0:
		wait := firstRetry << min(scan.Unfinished-1, 16)
		return !now.Before(scan.AskedAt.Time().Add(min(wait, r.scanInterval(registry))))
	case scan.Partial:
		return true
	case registry.ScanSource == inventory.ScansFromInspector && scan.Total > 0:
		return false // Inspector's next list tells whether it changed
	}
	return !now.Before(scan.AskedAt.Time().Add(r.scanInterval(registry)))
}

func (r *Refresher) scanInterval(registry *inventory.Registry) time.Duration {
	if registry.ScanSource == inventory.ScansFromInspector {
		return r.options.Scans.Enhanced
	}
	return r.options.Scans.Basic
}

func (r *Refresher) putOff(repository string, digest inventory.Digest) bool {
	if len(r.scans.later) == 0 {
		return false
	}
	_, whole := r.scans.later[repository]
	_, one := r.scans.later[repository+"@"+digest.String()]
	return whole || one
}

// askScans makes the calls.
func (r *Refresher) askScans(ctx context.Context, registry *inventory.Registry, jobs []*scanJob, result *Result, failed *failures) {
	asking, stop := context.WithCancel(ctx)
	defer stop()
	done := 0
	each(asking, r.options.Concurrency, jobs, func(job *scanJob) {
		job.at = time.Now()
		job.scan, job.err = r.source.Scan(asking, job.repository, job.digest)
	}, func(job *scanJob) {
		if err := r.settleScan(asking, registry, job, &result.Scans); err != nil {
			if errors.Is(err, errRefused) {
				r.fallBack(ctx, registry, inventory.ScansFromSummary, job.err)
				stop()
			} else {
				failed.add(err)
			}
		}
		done++
		r.options.Progress("scans", done, len(jobs))
	})
	result.Scans.Left = result.Scans.Due - result.Scans.Answered - result.Scans.Failed
}

// errRefused says that scan results may not be asked for at all.
var errRefused = errors.New("scan results may not be asked for")

// settleScan puts an answer into the registry.
func (r *Refresher) settleScan(ctx context.Context, registry *inventory.Registry, job *scanJob, result *ScanResult) error {
	outOfTime := ctx.Err() != nil || errors.Is(job.err, awsapi.ErrNoTime)
	switch {
	case job.err == nil:
	case outOfTime:
		return nil
	case errors.Is(job.err, awsapi.ErrGone):
		result.Failed++ // the next listing will tell
		r.scans.later[job.repository] = job.at.Add(failedRetry)
		return nil
	case errors.Is(job.err, awsapi.ErrDenied) && !r.scans.answered:
		return errRefused
	case errors.Is(job.err, awsapi.ErrDenied):
		if result.Failed++; r.scans.later[job.repository].IsZero() {
			r.scans.later[job.repository] = job.at.Add(r.scanInterval(registry))
			return job.err
		}
		return nil
	default:
		result.Failed++
		r.scans.later[job.repository+"@"+job.digest.String()] = job.at.Add(failedRetry)
		return job.err
	}
	r.scans.answered = true
	result.Answered++
	repository := registry.Find(job.repository)
	if repository == nil {
		return nil
	}
	if image := repository.FindImage(job.digest); image != nil {
		registry.SetScan(repository, image, answer(image.Scan, job.scan, inventory.TimeOf(job.at)))
	}
	return nil
}

// answer is what is known after an answer that was asked for at a moment. While a
// scan is under way, that is the result of the one before.
func answer(known, told *inventory.Scan, at inventory.Time) *inventory.Scan {
	next := *told
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
