package refresh

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// DetailOptions say what is read that not every user needs: the registry's own configuration
// and quotas, and about each repository its lifecycle policy and its tags, one call each.
type DetailOptions struct {
	Registry, LifecyclePolicies, Tags bool
}

// detailState is what a Refresher keeps about details from run to run.
type detailState struct {
	// retryAt is when a detail of a repository, of all with an empty name, is read again
	// after an error.
	retryAt map[detailKey]time.Time
}

type detailKey struct{ what, repository string }

// awaits reports whether a detail is not to be read yet.
func (s *detailState) awaits(what, repository string, now time.Time) bool {
	return now.Before(s.retryAt[detailKey{what, repository}])
}

// detail is one thing that is read about each repository.
type detail struct {
	what   string // for the log
	readAt func(*inventory.RepositoryDetails) inventory.Time
	read   func(ctx context.Context, repository *inventory.Repository, at inventory.Time) (set func(*inventory.RepositoryDetails), err error)
}

// repositoryDetails are those to read.
func (r *Refresher) repositoryDetails() (list []detail) {
	if r.options.Details.LifecyclePolicies {
		list = append(list, detail{
			"lifecycle policies", func(d *inventory.RepositoryDetails) inventory.Time { return d.LifecycleReadAt },
			func(ctx context.Context, repository *inventory.Repository, at inventory.Time) (func(*inventory.RepositoryDetails), error) {
				there, err := r.source.LifecyclePolicy(ctx, repository.Name)
				return func(d *inventory.RepositoryDetails) { d.LifecyclePolicy, d.LifecycleReadAt = there, at }, err
			},
		})
	}
	if r.options.Details.Tags {
		list = append(list, detail{
			"tags of repositories", func(d *inventory.RepositoryDetails) inventory.Time { return d.TagsReadAt },
			func(ctx context.Context, repository *inventory.Repository, at inventory.Time) (func(*inventory.RepositoryDetails), error) {
				tags, err := r.source.Tags(ctx, repository.ARN)
				return func(d *inventory.RepositoryDetails) { d.Tags, d.TagsReadAt = tags, at }, err
			},
		})
	}
	return list
}

// readDetails reads the details that are due, in a quarter of the time left: the next run
// continues. What cannot be read stays as it is known: that is one warning, and no error of
// the run.
func (r *Refresher) readDetails(ctx context.Context, registry *inventory.Registry, now time.Time) {
	if r.options.Details == (DetailOptions{}) {
		return
	}
	maps.DeleteFunc(r.details.retryAt, func(_ detailKey, at time.Time) bool { return !now.Before(at) })
	ctx, cancel := partOf(ctx, 0.25)
	defer cancel()
	r.readRegistryDetails(ctx, registry, now)
	for _, detail := range r.repositoryDetails() {
		r.readRepositoryDetail(ctx, registry, detail, now)
	}
}

// registryDetails is what the registry's own details are called.
const registryDetails = "details of the registry"

func (r *Refresher) readRegistryDetails(ctx context.Context, registry *inventory.Registry, now time.Time) {
	known := registry.Details
	if !r.options.Details.Registry || known != nil && !r.expired(known.ReadAt, now) || r.details.awaits(registryDetails, "", now) {
		return
	}
	details, err := r.source.Details(ctx, known)
	if r.options.Scans.Source != ScanAuto { // else it was read with the list of repositories
		_, scanErr := r.readScanType(ctx, registry)
		err = errors.Join(err, scanErr)
	}
	if err == nil {
		details.ReadAt = inventory.TimeOf(now)
	}
	registry.SetRegistryDetails(details)
	if err != nil && !outOfTime(ctx, err) {
		r.details.retryAt[detailKey{what: registryDetails}] = now.Add(r.retryDetail(err))
		r.warn(ctx, registryDetails+" not read: keeping what is known", slog.Any("error", err))
	}
}

// retryDetail is how long after an error a detail is read again.
func (r *Refresher) retryDetail(err error) time.Duration {
	if errors.Is(err, awsapi.ErrDenied) {
		return r.options.Interval
	}
	return min(failedRetry, r.options.Interval)
}

// detailJob is one call for a detail of a repository.
type detailJob struct {
	repository *inventory.Repository
	last       inventory.Time // when it was read last

	set func(*inventory.RepositoryDetails)
	err error
}

func (r *Refresher) readRepositoryDetail(ctx context.Context, registry *inventory.Registry, detail detail, now time.Time) {
	jobs := r.dueDetails(registry, detail, now)
	if len(jobs) == 0 {
		return
	}
	reading, stop := context.WithCancel(ctx)
	defer stop()
	var first error
	read, denied, failed := 0, 0, 0
	each(reading, r.options.Concurrency, jobs, func(job *detailJob) {
		job.set, job.err = detail.read(reading, job.repository, inventory.TimeOf(now))
	}, func(job *detailJob, n int) {
		r.options.Progress(detail.what, n, len(jobs))
		switch {
		case job.err == nil:
			registry.SetDetails(job.repository, job.set)
			read++
			return
		case outOfTime(reading, job.err), errors.Is(job.err, awsapi.ErrGone):
			return // the next list of repositories shows whether it is gone
		case errors.Is(job.err, awsapi.ErrDenied):
			denied++
		}
		failed++
		first = cmp.Or(first, job.err)
		r.details.retryAt[detailKey{detail.what, job.repository.Name}] = now.Add(r.retryDetail(job.err))
		if read == 0 && denied >= min(allDenied, len(jobs)) {
			// The permission is missing, and not only for single repositories.
			r.details.retryAt[detailKey{what: detail.what}] = now.Add(r.options.Interval)
			stop()
		}
	})
	if failed > 0 {
		r.warn(ctx, detail.what+" not read: keeping what is known", slog.Int("repositories", failed), slog.Any("error", first))
	}
}

// dueDetails returns the calls that are due for a detail, those read longest ago first.
func (r *Refresher) dueDetails(registry *inventory.Registry, detail detail, now time.Time) (jobs []*detailJob) {
	if r.details.awaits(detail.what, "", now) {
		return nil
	}
	for _, repository := range registry.Repositories {
		job := &detailJob{repository: repository}
		if repository.Details != nil {
			job.last = detail.readAt(repository.Details)
		}
		if r.options.Includes(repository.Name) && r.expired(job.last, now) && !r.details.awaits(detail.what, repository.Name, now) {
			jobs = append(jobs, job)
		}
	}
	slices.SortStableFunc(jobs, func(a, b *detailJob) int {
		return cmp.Or(cmp.Compare(a.last, b.last), strings.Compare(a.repository.Name, b.repository.Name))
	})
	return jobs
}
