// Package refresh brings an inventory up to date: it decides what is due, in which
// order it is read, and when to stop.
//
// It knows no AWS API: what it reads comes from a Source and an Inspector.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Source is where a registry is read from. Its errors match ErrGone, ErrDenied,
// ErrInvalidToken and ErrNoTime of package awsapi where these apply.
type Source interface {
	// RegistryID returns the account of the registry.
	RegistryID(ctx context.Context) (string, error)
	// Repositories returns every repository, without images.
	Repositories(ctx context.Context) ([]*inventory.Repository, error)
	// Repository returns one repository, without images.
	Repository(ctx context.Context, name string) (*inventory.Repository, error)
	// Images returns a page of a repository's images and the token of the next page;
	// empty tokens stand for the first page and for none.
	Images(ctx context.Context, repository, token string) ([]inventory.Image, string, error)
	// EnhancedScanning reports whether Inspector scans the registry's images.
	EnhancedScanning(ctx context.Context) (bool, error)
	// Scan returns the result of an image's scan. A missing scan or image is not an
	// error: see inventory.ScanNotFound.
	Scan(ctx context.Context, repository string, digest inventory.Digest) (*inventory.Scan, error)
}

// Inspector is where the scans of a whole registry are read from.
type Inspector interface {
	// Scans returns a page of scans of an account's images and the token of the next
	// page; empty tokens stand for the first page and for none. Several parts can be
	// about one image.
	Scans(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error)
}

// Options configure a Refresher.
type Options struct {
	// Interval is how long a listing stays fresh.
	Interval time.Duration
	// Concurrency is the number of concurrent calls, at least 1.
	Concurrency int
	// Logger logs each repository that failed; nil discards.
	Logger *slog.Logger
	// Progress, if set, is called after each repository and each scan with the number
	// of those done and due.
	Progress func(what string, done, due int)
	// Scans says where scan results come from, and how often.
	Scans ScanOptions
	// Includes reports whether a repository's images are read; nil means all.
	Includes func(repository string) bool
	// Select, if set, marks the records that are excluded at a moment, and reports
	// whether it changed anything stored. It is called after the listings of a run and
	// before its scans: those of excluded images are not read.
	Select func(registry *inventory.Registry, at time.Time) (changed bool)
}

// Refresher reads what is due. It keeps listings that a run could not finish for the
// next run to continue. It is not safe for concurrent use.
type Refresher struct {
	source     Source
	options    Options
	unfinished map[string]*listing
	scans      scanState
}

// New returns a Refresher.
func New(source Source, options Options) *Refresher {
	options.Concurrency = max(1, options.Concurrency)
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	if options.Progress == nil {
		options.Progress = func(string, int, int) {}
	}
	if options.Includes == nil {
		options.Includes = func(string) bool { return true }
	}
	return &Refresher{
		source: source, options: options,
		unfinished: map[string]*listing{},
		scans:      scanState{retryAt: map[string]time.Time{}},
	}
}

// Result is what a run of a Refresher did.
type Result struct {
	// Listed is set if the list of repositories was read.
	Listed bool `json:"-"`
	// Due is the number of repositories whose images were due.
	Due int `json:"due"`
	// Of these, Refreshed were listed completely and Gone no longer exist; Denied and
	// Failed keep their last known records; for Left there was no time.
	Refreshed int `json:"refreshed"`
	Gone      int `json:"gone"`
	Denied    int `json:"denied"`
	Failed    int `json:"failed"`
	Left      int `json:"left"`
	// Selected is set if Options.Select changed anything stored.
	Selected bool `json:"-"`
	// Scans is the same for scan results.
	Scans ScanResult `json:"scans"`
	// Err joins the errors, a few at most.
	Err error `json:"-"`
}

// Changed reports whether the inventory changed.
func (r *Result) Changed() bool {
	return r.Listed || r.Selected || r.Refreshed+r.Gone+r.Denied+r.Failed > 0 || r.Scans.Answered > 0 || r.Scans.Listed
}

// Finished reports whether this run completed a refresh: repositories or images were
// listed, and none is left.
func (r *Result) Finished() bool {
	return (r.Listed || r.Refreshed+r.Gone > 0 || r.Scans.Listed) && r.Left == 0
}

// maxErrors bounds the repositories whose errors are logged and returned.
const maxErrors = 5

// failures collects at most maxErrors errors.
type failures struct {
	errs []error
	more int
}

func (f *failures) add(err error) {
	switch {
	case err == nil:
	case len(f.errs) < maxErrors:
		f.errs = append(f.errs, err)
	default:
		f.more++
	}
}

func (f *failures) err() error {
	if f.more > 0 {
		return errors.Join(append(f.errs, fmt.Errorf("%d more errors", f.more))...)
	}
	return errors.Join(f.errs...)
}

// Run reads everything that is due at now, oldest first, until ctx ends, and updates
// the registry. What cannot be read keeps its last known records.
func (r *Refresher) Run(ctx context.Context, registry *inventory.Registry, now time.Time) Result {
	var result Result
	var failed failures
	listing, cancel := r.listingTime(ctx)
	if r.expired(registry.ListedAt, now) {
		err := r.list(listing, registry, now)
		failed.add(err)
		result.Listed = err == nil
		failed.add(r.setScanSource(listing, registry))
	} else if !r.options.Scans.Source.allows(registry.ScanSource) {
		failed.add(r.setScanSource(listing, registry)) // the setting differs from the stored state
	}
	r.images(listing, registry, r.due(registry, now), now, &result, &failed)
	cancel()
	result.Selected = r.applySelection(registry, now)
	r.refreshScans(ctx, registry, &result, &failed)
	result.Err = failed.err()
	return result
}

// applySelection marks the excluded records, once those of the run are known.
func (r *Refresher) applySelection(registry *inventory.Registry, now time.Time) (changed bool) {
	return r.options.Select != nil && r.options.Select(registry, now)
}

// listingTime bounds the listing of repositories and images. Where scan results are
// requested image by image, it is half the time: these are so many more calls that
// each would have to wait for the end of the other.
func (r *Refresher) listingTime(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	if !bounded || !r.options.Scans.Source.requests() {
		return ctx, func() {}
	}
	return context.WithDeadline(ctx, time.Now().Add(time.Until(deadline)/2))
}

// list reads the list of repositories.
func (r *Refresher) list(ctx context.Context, registry *inventory.Registry, now time.Time) error {
	repositories, err := r.source.Repositories(ctx)
	if err != nil {
		return err
	}
	registry.SetRepositories(repositories, inventory.TimeOf(now))
	if registry.ID != "" {
		return nil
	}
	// An empty registry has no record that names it.
	registry.ID, err = r.source.RegistryID(ctx)
	return err
}

// each calls work for the jobs, a number of them at a time, until ctx ends. It calls done
// for each job after its work, one at a time and in the caller's goroutine, and returns
// the number of jobs done.
func each[T any](ctx context.Context, concurrency int, jobs []T, work, done func(T)) int {
	next, worked := make(chan T), make(chan T)
	go func() {
		defer close(next)
		for _, job := range jobs {
			select {
			case next <- job:
			case <-ctx.Done():
				return
			}
		}
	}()
	var workers sync.WaitGroup
	for range min(concurrency, len(jobs)) {
		workers.Go(func() {
			for job := range next {
				work(job)
				worked <- job
			}
		})
	}
	go func() {
		workers.Wait()
		close(worked)
	}()
	n := 0
	for job := range worked {
		done(job)
		n++
	}
	return n
}
