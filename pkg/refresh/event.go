package refresh

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Event is what an event says about one repository.
type Event struct {
	Repository string
	// At is when it happened, with a precision of a second.
	At time.Time
	// Images is set if its images or their tags changed, Settings if its own record may
	// have, Scans if all its scan results may have.
	Images, Settings, Scans bool
	// Digest and Scan are set if the event has the result of an image's scan.
	Digest inventory.Digest
	Scan   *inventory.Scan
}

// EventResult is what a run for events did.
type EventResult struct {
	Result
	// Repositories are the names of those whose series may have changed, sorted.
	Repositories []string
	// Ignored is the number of events without news, or about repositories that are not
	// included.
	Ignored int
}

// Apply updates what the events are about, and nothing else. All events about one
// repository's images cost one listing, those older than the known record none. What
// cannot be read now stays due.
func (r *Refresher) Apply(ctx context.Context, registry *inventory.Registry, events []Event, now time.Time) EventResult {
	all := len(events)
	events = slices.DeleteFunc(slices.Clone(events), func(event Event) bool { return !r.options.Includes(event.Repository) })
	for i := range events {
		if events[i].At.After(now) {
			events[i].At = now // or a clock that is ahead would outdate later reads
		}
	}
	result := EventResult{Ignored: all - len(events)}
	var failed failures
	var due []*listing
	for _, name := range repositories(events) {
		list, settings := false, false
		for _, event := range events {
			if event.Repository != name {
				continue
			}
			repository := registry.Find(name)
			switch {
			case event.Scan != nil:
				updated, known := r.applyScan(registry, repository, event)
				list = list || !known
				if known && !updated {
					result.Ignored++
				}
				continue
			case repository != nil && newerThan(readAt(registry, repository, event), event.At):
				result.Ignored++
				continue
			}
			list = list || event.Images || repository == nil
			settings = settings || event.Settings || repository == nil
			if event.Scans && repository != nil {
				registry.Update(repository, func(repository *inventory.Repository) {
					repository.ScansDueSince = max(repository.ScansDueSince, inventory.TimeOf(event.At.Add(eventPrecision)))
				})
			}
		}
		if settings {
			failed.add(r.describe(ctx, registry, name, &result.Result))
		}
		if repository := registry.Find(name); repository != nil && list {
			// Until the listing says otherwise.
			registry.Update(repository, func(repository *inventory.Repository) { repository.Due = true })
			due = append(due, r.listing(repository, now))
		}
		result.Repositories = append(result.Repositories, name)
	}
	r.images(ctx, registry, due, now, &result.Result, &failed)
	// Scan results of images that became known only now.
	for _, event := range events {
		if event.Scan != nil {
			r.applyScan(registry, registry.Find(event.Repository), event)
		}
	}
	result.Selected = r.applySelection(registry, now)
	result.Err = failed.err()
	return result
}

// repositories returns the names of the events' repositories, sorted.
func repositories(events []Event) []string {
	var names []string
	for _, event := range events {
		names = append(names, event.Repository)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// eventPrecision is that of an event's time: it happened up to this much later.
const eventPrecision = time.Second

func newerThan(record inventory.Time, at time.Time) bool {
	return record.Time().After(at.Add(eventPrecision))
}

// readAt returns when the record was read that an event would change.
func readAt(registry *inventory.Registry, repository *inventory.Repository, event Event) inventory.Time {
	if event.Images {
		return repository.ImagesReadAt
	}
	return registry.ListedAt
}

// applyScan records an event's scan result. known is false if the image may be too new
// to be known; updated is false if the known result is newer than the event.
func (r *Refresher) applyScan(registry *inventory.Registry, repository *inventory.Repository, event Event) (updated, known bool) {
	if repository == nil {
		return false, false
	}
	image := repository.FindImage(event.Digest)
	if image == nil {
		return false, newerThan(repository.ImagesReadAt, event.At)
	}
	at := inventory.TimeOf(event.At)
	if image.Scan != nil {
		if newerThan(image.Scan.AskedAt, event.At) || image.Scan.AskedAt == at {
			return false, true
		}
		// Within the precision of the event's time, the result that it replaces can have
		// a later time. It must not win when copies of the inventory are merged.
		at = max(at, image.Scan.AskedAt+1)
	}
	next := withResponse(image.Scan, event.Scan, at)
	next.Partial, next.Total = event.Scan.Partial, event.Scan.Total
	registry.SetScan(repository, image, next)
	return true, true
}

// describe reads one repository's own record.
func (r *Refresher) describe(ctx context.Context, registry *inventory.Registry, name string, result *Result) error {
	repository, err := r.source.Repository(ctx, name)
	switch {
	case errors.Is(err, awsapi.ErrGone):
		if registry.Find(name) != nil {
			registry.Remove(name)
			result.Gone++
		}
		return nil
	case err != nil:
		r.options.Logger.WarnContext(ctx, "repository not refreshed, keeping its last known settings", slog.String("repository", name), slog.Any("error", err))
		result.Failed++
		return err
	}
	registry.SetRepository(repository)
	result.Listed = true
	return nil
}
