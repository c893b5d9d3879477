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

// IndexCounts counts the indexes whose children were to be read in a run.
type IndexCounts struct {
	// Of the Due indexes, Read were read and Failed could not be. There was no time for Left.
	Due    int `json:"due"`
	Read   int `json:"read"`
	Failed int `json:"failed"`
	Left   int `json:"left"`
	// Unread are all whose children are not known after the run, and Off is the reason if
	// none is read: one of the Indexes… constants of package inventory.
	Unread int    `json:"unread"`
	Off    string `json:"off,omitempty"`
}

// indexState is what a Refresher keeps about indexes from run to run.
type indexState struct {
	// off is the reason if no index is read. Until validUntil it is not checked again.
	off        string
	validUntil time.Time
	warned     string // the last reason that was logged
	// retry is when an index that could not be read is read again.
	retry map[imageKey]indexRetry
}

type indexRetry struct {
	at   time.Time
	wait time.Duration // since the last attempt
}

const (
	// maxIndexes bounds the indexes that are read in a run: 500 requests or more.
	maxIndexes = 50_000
	// maxBatch is how many indexes of a repository one call of Source.Children is about.
	maxBatch = 100
	// longestIndexRetry bounds the time until an index that cannot be read is read again. It
	// begins with failedRetry and doubles.
	longestIndexRetry = 24 * time.Hour
)

// indexJob is a call for the children of indexes of one repository.
type indexJob struct {
	repository string
	digests    []inventory.Digest

	results []inventory.IndexResult
	err     error
}

// unreadIndex is an index whose children are unknown.
type unreadIndex struct {
	repository *inventory.Repository
	digest     inventory.Digest
	pushed     inventory.Time
}

// readIndexes reads the children of indexes, the newest first, of the given repositories. The manifest of a digest never changes, so each is read once, also if it is
// in several repositories.
func (r *Refresher) readIndexes(ctx context.Context, registry *inventory.Registry, repositories []*inventory.Repository, now time.Time, result *Result, failed *failures) {
	if registry.ScanSource != inventory.ScansFromFindings && registry.ScanSource != inventory.ScansFromInspector {
		return
	}
	if !r.options.Scans.Indexes {
		r.indexes.off = inventory.IndexesDisabled
		for _, repository := range repositories {
			registry.ForgetSums(repository)
		}
		return
	}
	due, more := r.unreadIndexes(repositories)
	unread := r.copyIndexes(registry, due)
	defer func() {
		// Which untagged images are shown, and of use, depends on what indexes list.
		if known := len(due) - len(unread) + result.Indexes.Read; known > 0 {
			for _, repository := range repositories {
				registry.ForgetRest(repository)
			}
			if r.options.Untagged {
				result.Selected = r.options.Select(registry, now) || result.Selected
			}
		}
	}()
	if len(unread) == 0 {
		return
	}
	if r.checkPullTimes(ctx); r.indexes.off == "" {
		result.Indexes.Due = len(unread) + more
		jobs, same := indexJobs(unread)
		r.requestIndexes(ctx, registry, jobs, result, failed)
		result.Indexes.Read += len(same) - len(r.copyIndexes(registry, same))
	}
	if r.indexes.off == "" {
		result.Indexes.Left = result.Indexes.Due - result.Indexes.Read - result.Indexes.Failed
	}
}

// requestIndexes makes calls in half of the time left, since scans are to be read too. Those
// under way then have half of the rest: one that is interrupted is made again.
func (r *Refresher) requestIndexes(ctx context.Context, registry *inventory.Registry, jobs []*indexJob, result *Result, failed *failures) {
	beginning, stop := partOf(ctx, 0.5)
	defer stop()
	requesting, cancel := partOf(ctx, 0.75)
	defer cancel()
	repositories, deniedRepositories := map[string]bool{}, map[string]bool{}
	for _, job := range jobs {
		repositories[job.repository] = true
	}
	var denied []*indexJob
	each(beginning, r.options.Concurrency, jobs, func(job *indexJob) {
		job.results, job.err = r.source.Children(requesting, job.repository, job.digests)
	}, func(job *indexJob, n int) {
		if errors.Is(job.err, awsapi.ErrDenied) {
			denied, deniedRepositories[job.repository] = append(denied, job), true
			if result.Indexes.Read == 0 && len(deniedRepositories) >= min(allDenied, len(repositories)) {
				// The permission is missing, and not only for single repositories.
				r.turnOffIndexes(ctx, inventory.IndexesDenied, job.err, time.Now().Add(r.options.Interval))
				stop()
				cancel()
			}
		} else {
			r.recordIndexes(requesting, registry, job, result, failed)
		}
		r.options.Progress("indexes", n, len(jobs))
	})
	if r.indexes.off != "" {
		return
	}
	for _, job := range denied {
		r.recordIndexes(ctx, registry, job, result, failed)
	}
}

// unreadIndexes returns the indexes to read in this run, the newest first, and how many more
// there are.
func (r *Refresher) unreadIndexes(repositories []*inventory.Repository) (unread []unreadIndex, more int) {
	now := time.Now()
	sortAndCut := func() {
		slices.SortStableFunc(unread, func(a, b unreadIndex) int { return cmp.Compare(b.pushed, a.pushed) })
		kept := min(len(unread), maxIndexes)
		unread, more = unread[:kept], more+len(unread)-kept
	}
	for _, repository := range repositories {
		for image := range r.unread(repository) {
			if now.Before(r.indexes.retry[imageKey{repository.Name, image.Digest}].at) {
				continue
			}
			unread = append(unread, unreadIndex{repository, image.Digest, image.PushedAt})
			if len(unread) >= 4*maxIndexes {
				sortAndCut() // which bounds memory in a large registry
			}
		}
	}
	sortAndCut()
	return unread, more
}

// copyIndexes gives indexes the children that are known of the same digest in another
// repository, and returns the others.
func (r *Refresher) copyIndexes(registry *inventory.Registry, unread []unreadIndex) (left []unreadIndex) {
	if len(unread) == 0 {
		return nil
	}
	known := make(map[inventory.Digest]*inventory.Index, len(unread))
	for i := range unread {
		known[unread[i].digest] = nil
	}
	for _, repository := range registry.Repositories {
		for i := range repository.Images {
			image := &repository.Images[i]
			if image.Index == nil {
				continue
			}
			if _, wanted := known[image.Digest]; wanted {
				known[image.Digest] = image.Index
			}
		}
	}
	for _, index := range unread {
		if there := known[index.digest]; there != nil {
			registry.SetIndex(index.repository, index.repository.FindImage(index.digest), &inventory.Index{Children: there.Children, Others: there.Others})
		} else {
			left = append(left, index)
		}
	}
	return left
}

// indexJobs makes the calls for indexes, those for the newest first, and returns the indexes
// whose digest is read in another repository.
func indexJobs(unread []unreadIndex) (jobs []*indexJob, same []unreadIndex) {
	last := map[string]*indexJob{} // by repository
	named := make(map[inventory.Digest]bool, len(unread))
	for _, index := range unread {
		if named[index.digest] {
			same = append(same, index)
			continue
		}
		named[index.digest] = true
		job := last[index.repository.Name]
		if job == nil || len(job.digests) == maxBatch {
			job = &indexJob{repository: index.repository.Name}
			last[index.repository.Name] = job
			jobs = append(jobs, job)
		}
		job.digests = append(job.digests, index.digest)
	}
	return jobs, same
}

// recordIndexes updates the registry with the results of one call.
func (r *Refresher) recordIndexes(ctx context.Context, registry *inventory.Registry, job *indexJob, result *Result, failed *failures) {
	repository := registry.Find(job.repository)
	left := map[inventory.Digest]bool{}
	for _, digest := range job.digests {
		left[digest] = true
	}
	for _, read := range job.results {
		delete(left, read.Digest)
		key := imageKey{job.repository, read.Digest}
		if read.Err != nil {
			r.warn(ctx, "multi-architecture image not read", slog.Any("error", read.Err))
			r.retryIndex(key, result)
			continue
		}
		delete(r.indexes.retry, key)
		r.indexes.warned = ""
		registry.SetIndex(repository, repository.FindImage(read.Digest), &inventory.Index{Children: read.Children, Others: read.Others})
		result.Indexes.Read++
	}
	if job.err != nil && outOfTime(ctx, job.err) {
		return
	}
	for digest := range left {
		r.retryIndex(imageKey{job.repository, digest}, result)
	}
	if !errors.Is(job.err, awsapi.ErrGone) { // the next list of repositories shows whether it is
		failed.add(job.err)
	}
}

// retryIndex plans the next attempt after a failure.
func (r *Refresher) retryIndex(key imageKey, result *Result) {
	result.Indexes.Failed++
	wait := min(max(2*r.indexes.retry[key].wait, failedRetry), longestIndexRetry)
	r.indexes.retry[key] = indexRetry{time.Now().Add(wait), wait}
}

// checkPullTimes finds out, once a refresh, whether indexes may be read.
func (r *Refresher) checkPullTimes(ctx context.Context) {
	now := time.Now()
	if now.Before(r.indexes.validUntil) {
		return
	}
	reason, err := r.source.CheckPullTimes(ctx)
	until := now.Add(r.options.Interval)
	switch {
	case err != nil && outOfTime(ctx, err):
		until = time.Time{}
	case reason == inventory.IndexesUnknown:
		until = now.Add(failedRetry)
	}
	r.turnOffIndexes(ctx, reason, err, until)
}

// turnOffIndexes sets the reason why no index is read, empty for none, and logs it if it is
// another one than before, or some were read since.
func (r *Refresher) turnOffIndexes(ctx context.Context, reason string, cause error, until time.Time) {
	r.indexes.off, r.indexes.validUntil = reason, until
	if reason != "" && reason != r.indexes.warned {
		attrs := []slog.Attr{slog.String("reason", reason), slog.String("cure", cures[reason])}
		if cause != nil {
			attrs = append(attrs, slog.Any("error", cause))
		}
		r.options.Logger.LogAttrs(ctx, slog.LevelWarn, "multi-architecture images have no scan results: their platforms are not read", attrs...)
		r.indexes.warned = reason
	}
}

// cures say what to do about a reason.
var cures = map[string]string{
	inventory.IndexesNotExcluded:    "add the function's role to the registry's pull-time update exclusions",
	inventory.IndexesOfOtherAccount: "run a function in the registry's account",
	inventory.IndexesDenied:         "give the function's role ecr:ListPullTimeUpdateExclusions and ecr:BatchGetImage",
	inventory.IndexesUnknown:        "the next run tries again",
}

// awaitsChildren reports whether an index is to be read in this run or the next.
func (r *Refresher) awaitsChildren(repository *inventory.Repository, image *inventory.Image) bool {
	if !image.IsIndex() || image.Index != nil || r.indexes.off != "" {
		return false
	}
	_, failed := r.indexes.retry[imageKey{repository.Name, image.Digest}]
	return !failed
}
