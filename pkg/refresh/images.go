package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// listing is the listing of one repository's images, page by page. It can take several
// runs.
type listing struct {
	repository string
	tried      inventory.Time // when the repository was last tried before

	startedAt inventory.Time // when the first page was read: the images are of this time
	images    []inventory.Image
	pages     awsapi.Pages
	advanced  bool // whether this run read a page
	err       error
}

// listing returns a new listing of a repository's images, or the unfinished one of an
// earlier run.
func (r *Refresher) listing(repository *inventory.Repository, now time.Time) *listing {
	job := &listing{repository: repository.Name, tried: repository.TriedAt}
	if earlier := r.unfinished[repository.Name]; earlier != nil && !r.expired(earlier.startedAt, now) && !repository.Due {
		job.images, job.pages, job.startedAt = earlier.images, earlier.pages, earlier.startedAt
	}
	return job
}

// read reads up to the last page or an error.
func (l *listing) read(ctx context.Context, source Source, now time.Time) {
	l.err = readPages(&l.pages, func(token string) (next string, records int, first string, err error) {
		if token == "" {
			l.startedAt, l.images = inventory.TimeOf(now), nil
		}
		images, next, err := source.Images(ctx, l.repository, token)
		if err == nil {
			l.images, l.advanced = append(l.images, images...), true
		}
		if len(images) > 0 {
			first = images[0].Digest.String()
		}
		return next, len(images), first, err
	})
}

// images lists the images of the repositories that are due.
func (r *Refresher) images(ctx context.Context, registry *inventory.Registry, due []*listing, now time.Time, result *Result, failed *failures) {
	result.Due = len(due)
	for _, job := range due {
		delete(r.unfinished, job.repository)
	}
	before := failed.n
	var advanced bool
	var last error
	done := each(ctx, r.options.Concurrency, due, func(job *listing) {
		job.read(ctx, r.source, now)
	}, func(job *listing, n int) {
		advanced = advanced || job.advanced
		last = job.err
		failed.add(r.record(ctx, registry, job, result))
		r.options.Progress("repositories", n, len(due))
	})
	result.Left += len(due) - done
	r.boundUnfinished()
	if failed.n == before && done > 0 && !advanced && result.Left > 0 {
		// Running out of time is an error only if no page was read.
		failed.add(fmt.Errorf("no page of images within the time for refreshing: %w", last))
	}
}

// record updates the registry with the result of a listing.
func (r *Refresher) record(ctx context.Context, registry *inventory.Registry, job *listing, result *Result) error {
	repository := registry.Find(job.repository)
	switch {
	case job.err == nil:
		registry.SetImages(repository, job.images, job.startedAt)
		job.images = nil // the job is there until all are done
		result.Refreshed++
		return nil
	case errors.Is(job.err, awsapi.ErrGone):
		registry.Remove(job.repository)
		result.Gone++
		r.options.Logger.InfoContext(ctx, "repository no longer exists", slog.String("repository", job.repository))
		return nil
	case outOfTime(ctx, job.err):
		r.unfinished[job.repository] = job // for the next run to continue
		result.Left++
		return nil
	}
	registry.Update(repository, func(repository *inventory.Repository) {
		repository.TriedAt = job.startedAt
		repository.Denied = errors.Is(job.err, awsapi.ErrDenied)
	})
	if repository.Denied {
		result.Denied++
	} else {
		result.Failed++
	}
	r.warn(ctx, "repository not refreshed: keeping its last known images", slog.String("repository", job.repository), slog.Any("error", job.err))
	return job.err
}

// maxUnfinished is how many images of unfinished listings are kept for the next run, of
// about 300 bytes each. The longest listing is always kept, or it could never be finished.
const maxUnfinished = 200_000

// boundUnfinished forgets the listings for which there is no room: the next run begins them
// again.
func (r *Refresher) boundUnfinished() {
	longestFirst := slices.SortedFunc(maps.Values(r.unfinished), func(a, b *listing) int {
		return cmp.Or(cmp.Compare(len(b.images), len(a.images)), strings.Compare(a.repository, b.repository))
	})
	kept := 0
	for i, job := range longestFirst {
		if i > 0 && kept+len(job.images) > maxUnfinished {
			delete(r.unfinished, job.repository)
			continue
		}
		kept += len(job.images)
	}
}
