package refresh

import (
	"context"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Event is an event about one repository.
type Event struct {
	// Account and Region are those of the registry that the event is about.
	Account, Region string
	Repository      string
	// At is when it happened, with a precision of a second.
	At time.Time
	// Images is set if images or their tags changed, Settings if the repository's own
	// record may have, Scans if all its scan results may have.
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
	// Ignored is the number of events that are older than the known record, about
	// repositories that are not included, or about another registry.
	Ignored int
}

// Apply updates what the events are about, and nothing else. All events about one
// repository's images need one listing; events older than the known record need none. What
// cannot be read stays due.
func (r *Refresher) Apply(ctx context.Context, registry *inventory.Registry, events []Event, now time.Time) EventResult {
	var result EventResult
	byRepository := map[string][]Event{}
	for _, event := range events {
		if r.foreign(ctx, registry, event) || !r.options.Includes(event.Repository) {
			result.Ignored++
			continue
		}
		if event.At.After(now) {
			event.At = now // a clock that is ahead must not make later reads look old
			if event.Scan != nil {
				scan := *event.Scan
				scan.CompletedAt = min(scan.CompletedAt, inventory.TimeOf(now))
				event.Scan = &scan
			}
		}
		byRepository[event.Repository] = append(byRepository[event.Repository], event)
	}
	result.Repositories = slices.Sorted(maps.Keys(byRepository))
	var failed failures
	var due []*listing
	var images, describe []string
	for _, name := range result.Repositories {
		changed, settings := r.applyEvents(registry, name, byRepository[name], &result)
		if changed {
			images = append(images, name)
		}
		if settings {
			describe = append(describe, name)
		}
	}
	failed.add(r.describeAll(ctx, registry, describe, now, &result.Result))
	for _, name := range images {
		if repository := registry.Find(name); repository != nil {
			// It stays due if the listing fails.
			registry.Update(repository, func(repository *inventory.Repository) { repository.Due = true })
			due = append(due, r.listing(repository, now))
		}
	}
	r.images(ctx, registry, due, now, &result.Result, &failed)
	// Scan results of images that only the listing made known, and of a registry whose account
	// only the repository's record made known.
	for name, events := range byRepository {
		for _, event := range events {
			switch {
			case event.Scan == nil:
			case r.foreign(ctx, registry, event):
				result.Ignored++
			default:
				repository := registry.Find(name)
				if _, known := r.applyScan(registry, repository, event); !known && repository != nil && repository.Due {
					// The listing failed. The stored state may have the image with an older result.
					scansDueSince(registry, repository, event.At)
				}
			}
		}
	}
	result.Selected = r.options.Select(registry, now)
	var repositories []*inventory.Repository
	for _, name := range result.Repositories {
		if repository := registry.Find(name); repository != nil {
			repositories = append(repositories, repository)
		}
	}
	r.readIndexes(ctx, registry, repositories, now, &result.Result, &failed)
	r.sumUp(registry, repositories)
	r.finish(ctx, &result.Result, &failed)
	return result
}

// foreign reports whether an event is about another registry, as far as this one's account
// is known, and logs that.
func (r *Refresher) foreign(ctx context.Context, registry *inventory.Registry, event Event) bool {
	if !differ(event.Region, r.options.Region) && !differ(event.Account, registry.ID) {
		return false
	}
	r.warn(ctx, "event of another registry ignored", slog.String("repository", event.Repository),
		slog.String("account", event.Account), slog.String("region", event.Region))
	return true
}

func differ(a, b string) bool { return a != "" && b != "" && a != b }

// applyEvents records the events about one repository, and returns whether its images are
// to be listed and its own record is to be read.
func (r *Refresher) applyEvents(registry *inventory.Registry, name string, events []Event, result *EventResult) (images, settings bool) {
	repository := registry.Find(name)
	for _, event := range events {
		switch {
		case repository == nil:
			images, settings = true, true
			continue
		case event.Scan != nil:
			updated, known := r.applyScan(registry, repository, event)
			images = images || !known
			if known && !updated {
				result.Ignored++
			}
			continue
		case newerThan(readAt(registry, repository, event), event.At):
			result.Ignored++
			continue
		}
		images, settings = images || event.Images, settings || event.Settings
		if event.Scans {
			scansDueSince(registry, repository, event.At)
		}
	}
	return images, settings
}

// scansDueSince records that scan results changed at the time of an event: those read before
// are read again.
func scansDueSince(registry *inventory.Registry, repository *inventory.Repository, at time.Time) {
	registry.Update(repository, func(repository *inventory.Repository) {
		repository.ScansDueSince = max(repository.ScansDueSince, inventory.TimeOf(at.Add(eventPrecision)))
	})
}

// eventPrecision is how much later than the time of an event it can have happened.
const eventPrecision = time.Second

func newerThan(record inventory.Time, at time.Time) bool {
	return record.Time().After(at.Add(eventPrecision))
}

// readAt returns when the record that an event is about was read.
func readAt(registry *inventory.Registry, repository *inventory.Repository, event Event) inventory.Time {
	if event.Images {
		return repository.ImagesReadAt
	}
	return max(registry.ListedAt, repository.ReadAt)
}

// applyScan records an event's scan result. known is false if the image is not in the
// inventory and may have been pushed after the last listing; updated is false if the known
// result is newer than the event.
func (r *Refresher) applyScan(registry *inventory.Registry, repository *inventory.Repository, event Event) (updated, known bool) {
	if repository == nil {
		return false, false
	}
	image := repository.FindImage(event.Digest)
	if image == nil {
		return false, newerThan(repository.ImagesReadAt, event.At)
	}
	if image.Index != nil && r.options.Scans.Indexes {
		return false, true // its scan is the sum of its children's
	}
	at := inventory.TimeOf(event.At)
	if image.Scan != nil {
		if newerThan(image.Scan.AskedAt, event.At) {
			return false, true
		}
		// Due to the event's precision, the replaced result can have a later time. It must
		// not win when copies of the inventory are merged.
		at = max(at, image.Scan.AskedAt+1)
	}
	next := withResponse(image.Scan, event.Scan, at)
	next.Partial, next.Total = event.Scan.Partial, event.Scan.Total
	if image.Scan != nil && image.Scan.AskedAt == inventory.TimeOf(event.At) {
		// The same event again, or another result of the same second.
		same := *next
		same.AskedAt = image.Scan.AskedAt
		if image.Scan.Equal(&same) {
			return false, true
		}
	}
	registry.SetScan(repository, image, next)
	return true, true
}
