package refresh

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Notice is what an event tells of one repository.
type Notice struct {
	Repository string
	// At is when it happened, to the second as events have it.
	At time.Time
	// Images is set if its images or their tags changed, Settings if its own
	// record may have, Scans if all its scan results may have.
	Images, Settings, Scans bool
	// Digest and Scan are set if the event tells the result of an image's scan.
	Digest inventory.Digest
	Scan   *inventory.Scan
}

// NoticeResult says what notices came to.
type NoticeResult struct {
	Result
	// Repositories are the names of those whose series may be others now, sorted.
	Repositories []string
	// Ignored counts the notices that told of what was known, and those of
	// repositories that are left out.
	Ignored int
}

// Apply brings up to date what notices tell of, and nothing else. Many notices of
// one repository cost one listing, and one that is older than the record it would
// change costs none. What cannot be read now is left due.
func (r *Refresher) Apply(ctx context.Context, registry *inventory.Registry, notices []Notice, now time.Time) NoticeResult {
	all := len(notices)
	notices = slices.DeleteFunc(slices.Clone(notices), func(notice Notice) bool { return !r.options.Includes(notice.Repository) })
	for i := range notices {
		if notices[i].At.After(now) {
			notices[i].At = now // a clock that is ahead must not outdate what is asked later
		}
	}
	result := NoticeResult{Ignored: all - len(notices)}
	r.beginHidden(registry)
	var failed failures
	var due []*listing
	for _, name := range names(notices) {
		list, settings := false, false
		for _, notice := range notices {
			if notice.Repository != name {
				continue
			}
			repository := registry.Find(name)
			switch {
			case notice.Scan != nil:
				told, known := r.applyScan(registry, repository, notice)
				list = list || !known
				if known && !told {
					result.Ignored++
				}
				continue
			case repository != nil && newerThan(r.readAt(registry, repository, notice), notice.At):
				result.Ignored++
				continue
			}
			list = list || notice.Images || repository == nil
			settings = settings || notice.Settings || repository == nil
			if notice.Scans && repository != nil {
				repository.ScansDueSince = max(repository.ScansDueSince, inventory.TimeOf(notice.At.Add(eventPrecision)))
			}
		}
		if settings {
			failed.add(r.describe(ctx, registry, name, &result.Result))
		}
		if repository := registry.Find(name); repository != nil && list {
			repository.Due = true // until the listing says otherwise
			due = append(due, r.listing(repository, now))
		}
		result.Repositories = append(result.Repositories, name)
	}
	r.images(ctx, registry, due, now, &result.Result, &failed)
	// A scan result of an image that was not known until now.
	for _, notice := range notices {
		if notice.Scan != nil {
			r.applyScan(registry, registry.Find(notice.Repository), notice)
		}
	}
	result.Settled = r.settleHidden(registry, now)
	result.Err = failed.err()
	return result
}

func names(notices []Notice) []string {
	var names []string
	for _, notice := range notices {
		names = append(names, notice.Repository)
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// eventPrecision is that of an event's time: it happened within this long after it.
const eventPrecision = time.Second

func newerThan(record inventory.Time, at time.Time) bool {
	return record.Time().After(at.Add(eventPrecision))
}

// readAt is the age of the record that a notice would change.
func (r *Refresher) readAt(registry *inventory.Registry, repository *inventory.Repository, notice Notice) inventory.Time {
	if notice.Images {
		return repository.ImagesReadAt
	}
	return registry.ListedAt
}

// applyScan takes an event's counts. known is false if there is no record of the
// image to take them; told is false if the record is newer than the event.
func (r *Refresher) applyScan(registry *inventory.Registry, repository *inventory.Repository, notice Notice) (told, known bool) {
	if repository == nil {
		return false, false
	}
	image := repository.FindImage(notice.Digest)
	if image == nil {
		return false, newerThan(repository.ImagesReadAt, notice.At)
	}
	if image.Scan != nil && (newerThan(image.Scan.AskedAt, notice.At) || image.Scan.AskedAt == inventory.TimeOf(notice.At)) {
		return false, true
	}
	at := inventory.TimeOf(notice.At)
	if image.Scan != nil {
		// Within the precision of the event's time the answer that it replaces can
		// look later. It must not win when copies of the inventory are merged.
		at = max(at, image.Scan.AskedAt+1)
	}
	next := answer(image.Scan, notice.Scan, at)
	next.Partial, next.Total = notice.Scan.Partial, notice.Scan.Total
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
		r.options.Logger.WarnContext(ctx, "repository keeps its last known record", slog.String("repository", name), slog.Any("error", err))
		result.Failed++
		return err
	}
	registry.SetRepository(repository)
	result.Listed = true
	return nil
}

func sortSeverities(list []inventory.SeverityCount) {
	slices.SortFunc(list, func(a, b inventory.SeverityCount) int { return strings.Compare(a.Severity, b.Severity) })
}
