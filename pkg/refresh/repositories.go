package refresh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// OtherRegistryError means that the inventory is of another registry than the one that ECR
// lists, whose account it names. Nothing was changed.
type OtherRegistryError struct{ Account, Known string }

// Error returns the text.
func (e *OtherRegistryError) Error() string {
	return fmt.Sprintf("the inventory is of the registry of account %s, and ECR lists that of %s", e.Known, e.Account)
}

// checkAccount returns an OtherRegistryError if a record is of another account's registry.
func checkAccount(registry *inventory.Registry, account string) error {
	if differ(account, registry.ID) {
		return &OtherRegistryError{account, registry.ID}
	}
	return nil
}

// checkAccounts is checkAccount for a list, all of which has to be of one registry.
func checkAccounts(registry *inventory.Registry, repositories []*inventory.Repository) error {
	account := ""
	for _, repository := range repositories {
		if differ(account, repository.RegistryID) {
			return fmt.Errorf("listing repositories: %w: the records are of several registries", awsapi.ErrIncomplete)
		}
		account = cmp.Or(account, repository.RegistryID)
	}
	return checkAccount(registry, account)
}

// list lists the repositories. That a registry with repositories has none any more is
// believed only if a second listing says the same: a single wrong response would end every
// series.
func (r *Refresher) list(ctx context.Context, registry *inventory.Registry, now time.Time) error {
	repositories, err := r.source.Repositories(ctx)
	if err == nil && len(repositories) == 0 && len(registry.Repositories) > 0 {
		repositories, err = r.source.Repositories(ctx)
		if err == nil && len(repositories) == 0 && registry.ID != "" {
			var account string
			if account, err = r.source.RegistryID(ctx); err == nil {
				err = checkAccount(registry, account)
			}
		}
	}
	if err == nil {
		err = checkAccounts(registry, repositories)
	}
	if err != nil {
		return err
	}
	complete := repositories[:0]
	for _, repository := range repositories {
		if r.fillIn(ctx, registry, repository) {
			complete = append(complete, repository)
		}
	}
	if len(complete) == 0 && len(repositories) > 0 {
		return fmt.Errorf("listing repositories: %w: no record has a URI", awsapi.ErrIncomplete)
	}
	registry.SetRepositories(complete, inventory.TimeOf(now))
	if registry.ID != "" {
		return nil
	}
	// An empty registry has no record that names it.
	registry.ID, err = r.source.RegistryID(ctx)
	return err
}

// fillIn adds to a repository's record what the response lacks of what never changes and is
// known: without it the record would be that of another repository, which ends every series.
// It is false for a record without a URI, by which its images are named.
func (r *Refresher) fillIn(ctx context.Context, registry *inventory.Registry, record *inventory.Repository) bool {
	if known := registry.Find(record.Name); known != nil {
		fill(&record.CreatedAt, &known.CreatedAt)
		fill(&record.URI, &known.URI)
		fill(&record.ARN, &known.ARN)
		fill(&record.RegistryID, &known.RegistryID)
		if known.CreatedAt.IsZero() || known.URI == "" || known.RegistryID == "" {
			registry.Update(known, func(known *inventory.Repository) {
				fill(&known.CreatedAt, &record.CreatedAt)
				fill(&known.URI, &record.URI)
				fill(&known.RegistryID, &record.RegistryID)
			})
		}
	}
	if record.URI == "" {
		r.warn(ctx, "repository left out: its record has no URI", slog.String("repository", record.Name))
		return false
	}
	return true
}

// fill sets a value that is unknown.
func fill[T comparable](value, known *T) {
	if unknown := *new(T); *value == unknown {
		*value = *known
	}
}

// maxDescribed is how many repositories' own records are read one by one. The list of all
// has more in one call.
const maxDescribed = 20

// describeAll reads the own records of repositories. Those that cannot be read are due in
// the next run.
func (r *Refresher) describeAll(ctx context.Context, registry *inventory.Registry, names []string, now time.Time, result *Result) error {
	if len(names) > maxDescribed {
		err := r.list(ctx, registry, now)
		if result.Listed = err == nil; err != nil {
			for _, name := range names {
				registry.AddDueName(name)
			}
		}
		return err
	}
	var failed failures
	for _, name := range names {
		failed.add(r.describe(ctx, registry, name, result))
	}
	return failed.err()
}

// describe reads a repository's own record.
func (r *Refresher) describe(ctx context.Context, registry *inventory.Registry, name string, result *Result) error {
	at := inventory.TimeOf(time.Now())
	repository, err := r.source.Repository(ctx, name)
	if err == nil {
		err = checkAccount(registry, repository.RegistryID)
	}
	switch {
	case errors.Is(err, awsapi.ErrGone):
		if registry.Find(name) != nil {
			result.Gone++
		}
		registry.Remove(name)
		return nil
	case err != nil:
		registry.AddDueName(name)
		r.warn(ctx, "repository not described: its settings are due in the next run", slog.String("repository", name), slog.Any("error", err))
		result.Failed++
		return err
	}
	if !r.fillIn(ctx, registry, repository) {
		registry.AddDueName(name)
		return nil
	}
	repository.ReadAt = at
	registry.SetRepository(repository)
	result.Listed = true
	return nil
}
