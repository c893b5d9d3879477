package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// due returns the listings to make, the one tried longest ago first. One that a
// permission is missing for is asked again after a whole interval: a policy is
// not mended by asking.
func (r *Refresher) due(registry *inventory.Registry, now time.Time) []*listing {
	var due []*listing
	for _, repository := range registry.Repositories {
		if !r.options.Includes(repository.Name) {
			continue
		}
		asked := repository.ImagesReadAt
		if repository.Denied {
			asked = repository.TriedAt
		}
		if repository.Due && !repository.Denied || r.stale(asked, now) {
			due = append(due, r.listing(repository, now))
		}
	}
	slices.SortStableFunc(due, func(a, b *listing) int {
		return cmp.Or(cmp.Compare(a.tried, b.tried), strings.Compare(a.repository, b.repository))
	})
	return due
}

// listing returns the listing of a repository's images, begun anew or by an earlier
// run.
func (r *Refresher) listing(repository *inventory.Repository, now time.Time) *listing {
	job := &listing{repository: repository.Name, tried: repository.TriedAt}
	if begun := r.unfinished[repository.Name]; begun != nil && !r.stale(begun.begunAt, now) && !repository.Due {
		job.images, job.token, job.begunAt = begun.images, begun.token, begun.begunAt
	}
	return job
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
		stuck    error
	)
	before := len(failed.errs)
	done = each(ctx, r.options.Concurrency, due, func(job *listing) {
		job.read(ctx, r.source, now)
	}, func(job *listing) {
		advanced = advanced || job.advanced
		stuck = job.err
		failed.add(r.settle(ctx, registry, job, result))
		done++
		r.options.Progress("repositories", done, len(due))
	})
	result.Left += len(due) - done
	if len(failed.errs) == before && done > 0 && !advanced && result.Left > 0 {
		// Running out of time is ordinary while something comes in. When nothing
		// does, what stands in the way is to be told.
		failed.add(fmt.Errorf("no answer within the time for asking: %w", stuck))
	}
}

// settle puts what became of a listing into the registry.
func (r *Refresher) settle(ctx context.Context, registry *inventory.Registry, job *listing, result *Result) error {
	repository := registry.Find(job.repository)
	// Not a fault of the repository: the listing goes on in the next run.
	outOfTime := ctx.Err() != nil || errors.Is(job.err, awsapi.ErrNoTime)
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
	case outOfTime:
		r.unfinished[job.repository] = job
		result.Left++
		return nil
	}
	repository.TriedAt = job.begunAt
	repository.Denied = errors.Is(job.err, awsapi.ErrDenied)
	if repository.Denied {
		result.Denied++
	} else {
		result.Failed++
	}
	if result.Denied+result.Failed <= maxErrors {
		r.options.Logger.WarnContext(ctx, "repository keeps its last known records",
			slog.String("repository", job.repository), slog.Any("error", job.err))
	}
	return job.err
}
