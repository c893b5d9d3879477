// Package refresh updates an inventory: it decides what is due, in which order it is read,
// and when to stop.
//
// It calls no AWS API itself, but a Source and an Inspector.
package refresh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Source reads a registry. Its errors match ErrGone, ErrDenied, ErrInvalidToken and
// ErrNoTime of package awsapi where these apply.
type Source interface {
	// TakeInvalid returns how many values were left out of records because they cannot be
	// true, since it was last called, and the first few.
	TakeInvalid() (n int, first []string)
	// RegistryID returns the account of the registry.
	RegistryID(ctx context.Context) (string, error)
	// Repositories returns every repository, without images.
	Repositories(ctx context.Context) ([]*inventory.Repository, error)
	// Repository returns one repository, without images.
	Repository(ctx context.Context, name string) (*inventory.Repository, error)
	// Images returns a page of a repository's images and the token of the next page. The
	// token of the first page is empty, and so is the one after the last page.
	Images(ctx context.Context, repository, token string) ([]inventory.Image, string, error)
	// CheckPullTimes returns why indexes must not be read, one of the Indexes… constants of
	// package inventory, or "" if they may: until then Children refuses.
	CheckPullTimes(ctx context.Context) (reason string, err error)
	// Children reads the images that indexes of a repository list. An error is that of a
	// request: the results have the indexes that were read before.
	Children(ctx context.Context, repository string, indexes []inventory.Digest) ([]inventory.IndexResult, error)
	// ScanType returns the type of scanning that a registry is configured for, one of the
	// ScanType… constants or another word, and the account of that registry.
	ScanType(ctx context.Context) (scanType, account string, err error)
	// Scan returns the result of an image's scan. A missing scan or image is not an error
	// (see inventory.ScanNotFound).
	Scan(ctx context.Context, repository string, digest inventory.Digest) (*inventory.Scan, error)
	// Details reads the registry's own configuration and quotas. With an error, what could
	// not be read is that of the known details, which can be nil.
	Details(ctx context.Context, known *inventory.RegistryDetails) (*inventory.RegistryDetails, error)
	// LifecyclePolicy reports whether a repository has a lifecycle policy.
	LifecyclePolicy(ctx context.Context, repository string) (bool, error)
	// Tags returns the tags of a repository itself, given its ARN.
	Tags(ctx context.Context, arn string) ([]inventory.ResourceTag, error)
}

// Inspector reads the scans of a whole registry.
type Inspector interface {
	// Scans returns a page of scans of an account's images and the token of the next page,
	// as Source.Images does. What it returns about one image can be in several parts.
	Scans(ctx context.Context, account, token string) ([]inventory.ScanAnswer, string, error)
	// TakeInvalid is Source.TakeInvalid.
	TakeInvalid() (n int, first []string)
}

// Options configure a Refresher.
type Options struct {
	// Region is that of the registry; events of another one are ignored. Empty means any.
	Region string
	// Interval is how long after a listing the next one is due.
	Interval time.Duration
	// Concurrency is the number of concurrent calls, at least 1.
	Concurrency int
	// Logger logs repositories that failed; nil discards.
	Logger *slog.Logger
	// Progress, if set, is called after each repository and each scan with how many of
	// those due are done.
	Progress func(what string, done, due int)
	Scans    ScanOptions
	Details  DetailOptions
	// Platforms is set if a family shows the findings by platform.
	Platforms bool
	// Untagged is set if a family shows the untagged images that Select does not exclude.
	Untagged bool
	// Includes reports whether a repository's images are read; nil means all.
	Includes func(repository string) bool
	// Select, if set, marks the excluded records and reports whether that changed any. It
	// is called between the listings and the scans of a run: those of excluded images are
	// not read.
	Select func(registry *inventory.Registry, at time.Time) (changed bool)
}

// Refresher reads what is due. The next run continues the listings that a run did not
// finish. It is not safe for concurrent use.
type Refresher struct {
	source     Source
	options    Options
	unfinished map[string]*listing
	scans      scanState
	indexes    indexState
	details    detailState
	warnings   int // of this run
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
	if options.Select == nil {
		options.Select = func(*inventory.Registry, time.Time) bool { return false }
	}
	return &Refresher{
		source: source, options: options,
		unfinished: map[string]*listing{},
		scans:      scanState{retryAt: map[imageKey]time.Time{}, deniedUntil: map[string]time.Time{}},
		indexes:    indexState{retry: map[imageKey]indexRetry{}},
		details:    detailState{retryAt: map[detailKey]time.Time{}},
	}
}

// Result is what a run of a Refresher did.
type Result struct {
	// Listed is set if the list of repositories was read.
	Listed bool `json:"-"`
	// Due is the number of repositories whose images were due.
	Due int `json:"due"`
	// Of these, Refreshed were listed completely and Gone no longer exist. Denied and
	// Failed keep their last known records. There was no time for Left.
	Refreshed int `json:"refreshed"`
	Gone      int `json:"gone"`
	Denied    int `json:"denied"`
	Failed    int `json:"failed"`
	Left      int `json:"left"`
	// Invalid counts the values that were left out of records because they cannot be true,
	// such as a negative size: they have no series.
	Invalid int `json:"invalid,omitempty"`
	// Selected is set if Options.Select changed a record.
	Selected bool        `json:"-"`
	Indexes  IndexCounts `json:"indexes,omitzero"`
	Scans    ScanResult  `json:"scans"`
	// Err joins the errors, a few at most.
	Err error `json:"-"`
}

// Changed reports whether the inventory changed.
func (r *Result) Changed() bool {
	return r.Listed || r.Selected || r.Refreshed+r.Gone+r.Denied+r.Failed > 0 || r.Indexes.Read > 0 || r.Scans.Answered > 0 || r.Scans.Listed
}

// Finished reports whether the run listed anything and left nothing due.
func (r *Result) Finished() bool {
	return (r.Listed || r.Refreshed+r.Gone > 0 || r.Scans.Listed) && r.Left == 0
}

// maxErrors bounds the errors that a run returns, and the warnings that it logs.
const maxErrors = 5

// warn logs a warning, up to maxErrors in a run: every repository may have one.
func (r *Refresher) warn(ctx context.Context, message string, attrs ...slog.Attr) {
	if r.warnings++; r.warnings <= maxErrors {
		r.options.Logger.LogAttrs(ctx, slog.LevelWarn, message, attrs...)
	}
}

// finish completes the result of a run.
func (r *Refresher) finish(ctx context.Context, result *Result, failed *failures) {
	var examples []string
	result.Invalid, examples = r.source.TakeInvalid()
	if r.options.Scans.Inspector != nil {
		n, more := r.options.Scans.Inspector.TakeInvalid()
		result.Invalid += n
		examples = append(examples, more...)
	}
	if result.Invalid > 0 {
		r.options.Logger.WarnContext(ctx, "values that cannot be true were left out", slog.Int("count", result.Invalid), slog.Any("examples", examples))
	}
	if r.warnings > maxErrors {
		r.options.Logger.WarnContext(ctx, "more warnings were left out", slog.Int("count", r.warnings-maxErrors))
	}
	r.warnings = 0
	result.Err = failed.err()
}

// failures keeps the first maxErrors errors of a run and counts all: an SDK error has
// kilobytes, and every repository may fail.
type failures struct {
	first []error
	n     int
}

func (f *failures) add(err error) {
	if err == nil {
		return
	}
	if f.n++; f.n <= maxErrors {
		f.first = append(f.first, err)
	}
}

func (f *failures) err() error {
	if f.n > maxErrors {
		return errors.Join(append(f.first, fmt.Errorf("%d more errors", f.n-maxErrors))...)
	}
	return errors.Join(f.first...)
}

// Run updates the registry: it reads everything that is due at now, oldest first, until ctx
// ends. What cannot be read keeps its last known records.
func (r *Refresher) Run(ctx context.Context, registry *inventory.Registry, now time.Time) Result {
	var result Result
	var failed failures
	listing, cancel := r.listingTime(ctx)
	if r.expired(registry.ListedAt, now) || len(registry.DueNames) > maxDescribed {
		err := r.list(listing, registry, now)
		failed.add(err)
		result.Listed = err == nil
		failed.add(r.setScanSource(listing, registry))
	} else if !r.options.Scans.Source.allows(registry.ScanSource) {
		failed.add(r.setScanSource(listing, registry)) // the setting differs from the stored state
	}
	if len(registry.DueNames) <= maxDescribed {
		failed.add(r.describeAll(listing, registry, slices.Clone(registry.DueNames), now, &result))
	}
	r.images(listing, registry, r.due(registry, now), now, &result, &failed)
	cancel()
	result.Selected = r.options.Select(registry, now)
	r.readDetails(ctx, registry, now)
	r.readIndexes(ctx, registry, registry.Repositories, now, &result, &failed)
	r.refreshScans(ctx, registry, &result, &failed)
	if result.Scans.Listed && r.options.Untagged {
		// Inspector's lists say which children run: these are shown by digest, too.
		result.Selected = r.options.Select(registry, now) || result.Selected
	}
	r.sumUp(registry, registry.Repositories)
	r.finish(ctx, &result, &failed)
	return result
}

// Select marks the excluded records of a registry, as each run does, after another copy of it
// was merged.
func (r *Refresher) Select(registry *inventory.Registry, at time.Time) {
	r.options.Select(registry, at)
}

// listingTime bounds the listing of repositories and images to half the time if scan
// results are requested too, or a large registry's listing would leave no time for them.
func (r *Refresher) listingTime(ctx context.Context) (context.Context, context.CancelFunc) {
	if !r.options.Scans.Source.requests() {
		return ctx, func() {}
	}
	return partOf(ctx, 0.5)
}

// partOf returns a context that ends when a part, from 0 to 1, of the time left is over.
func partOf(ctx context.Context, part float64) (context.Context, context.CancelFunc) {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return context.WithCancel(ctx)
	}
	left := float64(time.Until(deadline)) * part
	return context.WithDeadline(ctx, time.Now().Add(time.Duration(left)))
}

// each calls work for the jobs, up to concurrency at a time, until ctx ends. After each job
// it calls done, one call at a time, with the number of jobs done, which it also returns.
func each[T any](ctx context.Context, concurrency int, jobs []T, work func(T), done func(job T, n int)) int {
	var (
		workers sync.WaitGroup
		next    atomic.Int64
		mu      sync.Mutex
		n       int
	)
	for range min(concurrency, len(jobs)) {
		workers.Go(func() {
			for ctx.Err() == nil {
				i := int(next.Add(1)) - 1
				if i >= len(jobs) {
					return
				}
				work(jobs[i])
				mu.Lock()
				n++
				done(jobs[i], n)
				mu.Unlock()
			}
		})
	}
	workers.Wait()
	return n
}

// readPages reads pages from a token on. It starts over once if a token is no longer valid:
// read is then called for the first page, whose token is empty. read returns what
// awsapi.Pages.Advance needs.
func readPages(pages *awsapi.Pages, read func(token string) (next string, records int, first string, err error)) error {
	for restarted := false; ; {
		next, records, first, err := read(pages.Token)
		if errors.Is(err, awsapi.ErrInvalidToken) && !restarted {
			*pages, restarted = awsapi.Pages{}, true
			continue
		}
		if err == nil {
			err = pages.Advance(next, records, first)
		}
		if err != nil || next == "" {
			return err
		}
	}
}

// outOfTime reports whether a call failed because the time of the run is over.
func outOfTime(ctx context.Context, err error) bool {
	return ctx.Err() != nil || errors.Is(err, awsapi.ErrNoTime)
}
