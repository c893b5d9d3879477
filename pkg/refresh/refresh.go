// Package refresh brings an inventory up to date: it knows what is due, in which
// order to ask, and when to stop asking.
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

// Source is where a registry is read from. Its errors match awsapi.ErrGone,
// awsapi.ErrDenied, awsapi.ErrInvalidToken and awsapi.ErrNoTime where these apply.
type Source interface {
	// RegistryID returns the account of the registry.
	RegistryID(ctx context.Context) (string, error)
	// Repositories returns every repository, without images.
	Repositories(ctx context.Context) ([]*inventory.Repository, error)
	// Repository returns one repository, without images.
	Repository(ctx context.Context, name string) (*inventory.Repository, error)
	// Images returns a page of a repository's images and the next page's token.
	Images(ctx context.Context, repository, token string) ([]inventory.Image, string, error)
	// EnhancedScanning reports whether Inspector scans the registry's images.
	EnhancedScanning(ctx context.Context) (bool, error)
	// Scan returns what is known now of an image's scan. That there is none, or no
	// such image, is an answer: see inventory.ScanNotFound.
	Scan(ctx context.Context, repository string, digest inventory.Digest) (*inventory.Scan, error)
}

// Inspector is where the scans of a whole registry are read from in bulk.
type Inspector interface {
	// Scans returns a page of answers about the images of an account's registry, of
	// which a delegated administrator sees many, and the next page's token. Several answers
	// about one image add up, see inventory.ScanAnswer.
	Scans(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error)
}

// Options configure a Refresher.
type Options struct {
	// Interval is how long a listing stays fresh.
	Interval time.Duration
	// Concurrency is how many calls are under way at once; at least 1.
	Concurrency int
	// Logger is told of each repository that failed; nil discards.
	Logger *slog.Logger
	// Progress, if set, is called after each repository, and after each scan, with
	// how many of those due are done.
	Progress func(what string, done, due int)
	// Scans says where scan results come from, and how often.
	Scans ScanOptions
	// Includes reports whether a repository is of interest; nil means that all are.
	// Of one that is not, nothing is asked but what the list of repositories tells.
	Includes func(repository string) bool
	// Settle, if set, settles which records are hidden at a moment, and reports
	// whether any changed. It is called when all listings of a run are known and no
	// scan has been asked for: scans of hidden images are not. What is new begins
	// hidden until then (see inventory.Registry.BeginHidden).
	Settle func(registry *inventory.Registry, at time.Time) (changed bool)
}

// Refresher asks a source for what is due. It keeps listings that a run could not
// finish, so that the next run goes on where it stopped. It is not safe for
// concurrent use: runs are serial.
type Refresher struct {
	source     Source
	options    Options
	unfinished map[string]*listing
	scans      scanMemory
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
		scans:      newScanMemory(),
	}
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
	// Settled is set if a record is hidden now that was not before, or the other way.
	Settled bool
	// Scans says the same of scan results.
	Scans ScanResult
	// Err joins what failed, a few repositories at most.
	Err error
}

// Changed reports whether the inventory is another than before.
func (r *Result) Changed() bool {
	return r.Listed || r.Settled || r.Refreshed+r.Gone+r.Denied+r.Failed > 0 || r.Scans.Answered > 0 || r.Scans.Listed
}

// Finished reports whether the run was the one that ended a refresh: repositories
// or images were listed, and none is left.
func (r *Result) Finished() bool {
	return (r.Listed || r.Refreshed+r.Gone > 0 || r.Scans.Listed) && r.Left == 0
}

// maxErrors bounds how many repositories' errors are told one by one.
const maxErrors = 5

// failures collects errors, a few of them at most.
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
		return errors.Join(append(f.errs, fmt.Errorf("%d more of the kind", f.more))...)
	}
	return errors.Join(f.errs...)
}

// Run asks for everything that is due at now, oldest first, until ctx ends, and
// changes the registry accordingly. A part that cannot be read keeps its last
// known records.
func (r *Refresher) Run(ctx context.Context, registry *inventory.Registry, now time.Time) Result {
	var result Result
	var failed failures
	r.beginHidden(registry)
	listing, cancel := r.share(ctx)
	if r.stale(registry.ListedAt, now) {
		err := r.list(listing, registry, now)
		failed.add(err)
		result.Listed = err == nil
		failed.add(r.settleScanSource(listing, registry))
	} else if !r.options.Scans.Source.allows(registry.ScanSource) {
		failed.add(r.settleScanSource(listing, registry)) // the setting is another than the stored state's
	}
	r.images(listing, registry, r.due(registry, now), now, &result, &failed)
	cancel()
	result.Settled = r.settleHidden(registry, now)
	r.refreshScans(ctx, registry, &result, &failed)
	result.Err = failed.err()
	return result
}

// beginHidden prepares for settleHidden. A repository that is hidden and included was
// left out until now, and missed events: what is known of it is not fresh.
func (r *Refresher) beginHidden(registry *inventory.Registry) {
	registry.BeginHidden = r.options.Settle != nil
	for _, repository := range registry.Repositories {
		if repository.Hidden && !repository.ImagesReadAt.IsZero() && r.options.Includes(repository.Name) {
			repository.Due = true
		}
	}
}

// settleHidden settles which records are hidden, once those of the run are known.
func (r *Refresher) settleHidden(registry *inventory.Registry, now time.Time) bool {
	return r.options.Settle != nil && r.options.Settle(registry, now)
}

// share is the part of the time in which repositories and images are listed: half,
// where scan results are asked for one by one. These are so many more calls that
// neither must wait for the other to be done.
func (r *Refresher) share(ctx context.Context) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	if !bounded || !r.options.Scans.Source.asks() {
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

func (r *Refresher) stale(readAt inventory.Time, now time.Time) bool {
	return readAt.IsZero() || !now.Before(readAt.Time().Add(r.options.Interval))
}

// each works on jobs, a number of them at once, until ctx ends. As each is done it
// is settled, one after the other, by the caller's goroutine. It returns how many
// were done.
func each[T any](ctx context.Context, atOnce int, jobs []T, work, settle func(T)) int {
	next, done := make(chan T), make(chan T)
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
	for range min(atOnce, len(jobs)) {
		workers.Go(func() {
			for job := range next {
				work(job)
				done <- job
			}
		})
	}
	go func() {
		workers.Wait()
		close(done)
	}()
	n := 0
	for job := range done {
		settle(job)
		n++
	}
	return n
}
