// Package refresh brings an inventory up to date: it knows what is due, in which
// order to ask, and when to stop asking.
package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Source is where a registry is read from. Its errors match inventory.ErrGone,
// inventory.ErrDenied and inventory.ErrToken where these apply.
type Source interface {
	// RegistryID returns the account of the registry.
	RegistryID(ctx context.Context) (string, error)
	// Repositories returns every repository, without images.
	Repositories(ctx context.Context) ([]*inventory.Repository, error)
	// Images returns a page of a repository's images and the next page's token.
	Images(ctx context.Context, repository, token string) ([]inventory.Image, string, error)
}

// Options configure a Refresher.
type Options struct {
	// Interval is how long a listing stays fresh.
	Interval time.Duration
	// Concurrency is how many repositories are listed at once; at least 1.
	Concurrency int
	// Logger is told of each repository that failed; nil discards.
	Logger *slog.Logger
	// Progress, if set, is called after each repository with how many of those
	// due are done.
	Progress func(done, due int)
}

// Refresher asks a source for what is due. It keeps listings that a run could not
// finish, so that the next run goes on where it stopped. It is not safe for
// concurrent use: runs are serial.
type Refresher struct {
	source     Source
	options    Options
	unfinished map[string]*listing
}

// New returns a Refresher.
func New(source Source, options Options) *Refresher {
	options.Concurrency = max(1, options.Concurrency)
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Refresher{source: source, options: options, unfinished: map[string]*listing{}}
}

// Result says what a run of a Refresher did.
type Result struct {
	// Listed is set if the list of repositories was read anew.
	Listed bool
	// Due is how many repositories' images were due.
	Due int
	// Refreshed is how many of them were listed to the end, Gone how many did
	// not exist any more, Denied and Failed how many kept their last known
	// records, Left how many the time did not suffice for.
	Refreshed, Gone, Denied, Failed, Left int
	// Err joins what failed, a few repositories at most.
	Err error
}

// Changed reports whether the inventory is another than before.
func (r *Result) Changed() bool {
	return r.Listed || r.Refreshed+r.Gone+r.Denied+r.Failed > 0
}

// maxErrors bounds how many repositories' errors are told one by one.
const maxErrors = 5

// Run asks for everything that is due at now, oldest first, until ctx ends, and
// changes the registry accordingly. A part that cannot be read keeps its last
// known records.
func (r *Refresher) Run(ctx context.Context, registry *inventory.Registry, now time.Time) Result {
	var result Result
	var errs []error
	if at := inventory.TimeOf(now); r.stale(registry.ListedAt, now) {
		if err := r.list(ctx, registry, at); err != nil {
			errs = append(errs, err)
		} else {
			result.Listed = true
		}
	}
	errs = append(errs, r.images(ctx, registry, now, &result)...)
	if more := len(errs) - maxErrors; more > 0 {
		errs = append(errs[:maxErrors], fmt.Errorf("%d more of the kind", more))
	}
	result.Err = errors.Join(errs...)
	return result
}

// list reads the list of repositories.
func (r *Refresher) list(ctx context.Context, registry *inventory.Registry, at inventory.Time) error {
	repositories, err := r.source.Repositories(ctx)
	if err != nil {
		return err
	}
	registry.SetRepositories(repositories, at)
	if registry.ID != "" {
		return nil
	}
	// An empty registry has no record that names it.
	registry.ID, err = r.source.RegistryID(ctx)
	return err
}

// images lists the images of the repositories that are due.
func (r *Refresher) images(ctx context.Context, registry *inventory.Registry, now time.Time, result *Result) []error {
	due := r.due(registry, now)
	result.Due = len(due)
	jobs, outcomes := make(chan *listing), make(chan *listing)
	go func() {
		defer close(jobs)
		for _, job := range due {
			select {
			case jobs <- job:
			case <-ctx.Done():
				return
			}
		}
	}()
	var workers sync.WaitGroup
	for range min(r.options.Concurrency, len(due)) {
		workers.Go(func() {
			for job := range jobs {
				job.read(ctx, r.source, now)
				outcomes <- job
			}
		})
	}
	go func() {
		workers.Wait()
		close(outcomes)
	}()
	clear(r.unfinished)
	var errs []error
	var stuck error
	done, advanced := 0, false
	for job := range outcomes {
		advanced = advanced || job.advanced
		stuck = job.err
		if err := r.settle(ctx, registry, job, result); err != nil {
			errs = append(errs, err)
		}
		done++
		if r.options.Progress != nil {
			r.options.Progress(done, len(due))
		}
	}
	result.Left += len(due) - done
	if len(errs) == 0 && done > 0 && !advanced && result.Left > 0 {
		// Running out of time is ordinary while something comes in. When nothing
		// does, what stands in the way is to be told.
		errs = append(errs, fmt.Errorf("no answer within the time for asking: %w", stuck))
	}
	return errs
}

// due returns the listings to make, the one tried longest ago first. One that a
// permission is missing for is asked again after a whole interval: a policy is
// not mended by asking.
func (r *Refresher) due(registry *inventory.Registry, now time.Time) []*listing {
	var due []*listing
	for _, repository := range registry.Repositories {
		asked := repository.ImagesReadAt
		if repository.Denied {
			asked = repository.TriedAt
		}
		if !r.stale(asked, now) {
			continue
		}
		job := &listing{repository: repository.Name, tried: repository.TriedAt}
		if begun := r.unfinished[repository.Name]; begun != nil && !r.stale(begun.begunAt, now) {
			job.images, job.token, job.begunAt = begun.images, begun.token, begun.begunAt
		}
		due = append(due, job)
	}
	slices.SortStableFunc(due, func(a, b *listing) int {
		return cmp.Or(cmp.Compare(a.tried, b.tried), strings.Compare(a.repository, b.repository))
	})
	return due
}

func (r *Refresher) stale(readAt inventory.Time, now time.Time) bool {
	return readAt.IsZero() || !now.Before(readAt.Time().Add(r.options.Interval))
}

// settle puts what became of a listing into the registry.
func (r *Refresher) settle(ctx context.Context, registry *inventory.Registry, job *listing, result *Result) error {
	repository := registry.Find(job.repository)
	// Not a fault of the repository: the listing goes on in the next run.
	outOfTime := ctx.Err() != nil || errors.Is(job.err, inventory.ErrTime)
	switch {
	case job.err == nil:
		repository.SetImages(job.images, job.begunAt)
		result.Refreshed++
		return nil
	case errors.Is(job.err, inventory.ErrGone):
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
	repository.Denied = errors.Is(job.err, inventory.ErrDenied)
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
