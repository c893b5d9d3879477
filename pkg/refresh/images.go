package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// listing is the listing of one repository's images, page by page. It may take more
// than one run.
type listing struct {
	repository string
	tried      inventory.Time // when the repository was last tried before

	begunAt  inventory.Time // when the first page was read, which is the age of the records
	images   []inventory.Image
	token    string // of the next page
	advanced bool   // this run read a page
	err      error
}

// listing returns a new listing of a repository's images, or the one that an earlier
// run did not finish.
func (r *Refresher) listing(repository *inventory.Repository, now time.Time) *listing {
	job := &listing{repository: repository.Name, tried: repository.TriedAt}
	if begun := r.unfinished[repository.Name]; begun != nil && !r.expired(begun.begunAt, now) && !repository.Due {
		job.images, job.token, job.begunAt = begun.images, begun.token, begun.begunAt
	}
	return job
}

// read reads pages up to the last one or an error. It starts over once if a token is no
// longer valid.
func (l *listing) read(ctx context.Context, source Source, now time.Time) {
	for restarted := false; ; {
		if l.token == "" {
			l.begunAt, l.images = inventory.TimeOf(now), nil
		}
		images, next, err := source.Images(ctx, l.repository, l.token)
		if err != nil {
			if errors.Is(err, awsapi.ErrInvalidToken) && !restarted {
				l.token, restarted = "", true
				continue
			}
			l.err = err
			return
		}
		l.images = append(l.images, images...)
		l.advanced = true
		if l.token = next; next == "" {
			return
		}
	}
}

// images lists the images of the repositories that are due.
func (r *Refresher) images(ctx context.Context, registry *inventory.Registry, due []*listing, now time.Time, result *Result, failed *failures) {
	result.Due = len(due)
	for _, job := range due {
		delete(r.unfinished, job.repository)
	}
	var (
		done     int
		advanced bool
		last     error
	)
	before := len(failed.errs)
	done = each(ctx, r.options.Concurrency, due, func(job *listing) {
		job.read(ctx, r.source, now)
	}, func(job *listing) {
		advanced = advanced || job.advanced
		last = job.err
		failed.add(r.record(ctx, registry, job, result))
		done++
		r.options.Progress("repositories", done, len(due))
	})
	result.Left += len(due) - done
	if len(failed.errs) == before && done > 0 && !advanced && result.Left > 0 {
		// Running out of time is normal as long as pages are read. If none was, the
		// cause has to be reported.
		failed.add(fmt.Errorf("no page of images within the time for refreshing: %w", last))
	}
}

// record updates the registry with the result of a listing.
func (r *Refresher) record(ctx context.Context, registry *inventory.Registry, job *listing, result *Result) error {
	repository := registry.Find(job.repository)
	switch {
	case job.err == nil:
		registry.SetImages(repository, job.images, job.begunAt)
		result.Refreshed++
		return nil
	case errors.Is(job.err, awsapi.ErrGone):
		registry.Remove(job.repository)
		result.Gone++
		r.options.Logger.InfoContext(ctx, "repository is gone", slog.String("repository", job.repository))
		return nil
	case outOfTime(ctx, job.err):
		r.unfinished[job.repository] = job // for the next run to continue
		result.Left++
		return nil
	}
	registry.Update(repository, func(repository *inventory.Repository) {
		repository.TriedAt = job.begunAt
		repository.Denied = errors.Is(job.err, awsapi.ErrDenied)
	})
	if repository.Denied {
		result.Denied++
	} else {
		result.Failed++
	}
	if result.Denied+result.Failed <= maxErrors {
		r.options.Logger.WarnContext(ctx, "repository not refreshed, keeping its last known images",
			slog.String("repository", job.repository), slog.Any("error", job.err))
	}
	return job.err
}

// outOfTime reports whether a call failed because the run's time is over.
func outOfTime(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, awsapi.ErrNoTime)
}
