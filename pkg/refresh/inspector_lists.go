package refresh

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// inspectorLists are Inspector's lists, read page by page. That can take several runs. What
// they have about an image waits in its record until they are complete: see Image.Listed.
type inspectorLists struct {
	startedAt inventory.Time
	pages     awsapi.Pages
	any       bool // whether there was an image of the inventory
}

// readInspector reads Inspector's lists when they are due. A page has up to 100 images or
// more, while requests for findings are one for each image.
func (r *Refresher) readInspector(ctx context.Context, registry *inventory.Registry, result *Result, failed *failures) {
	now := time.Now()
	expired := func(readAt inventory.Time) bool { return !now.Before(readAt.Time().Add(r.options.Scans.Enhanced)) }
	if !registry.ScansListedAt.IsZero() && !expired(registry.ScansListedAt) || !r.allRepositoriesTried(registry) {
		return
	}
	if result.Indexes.Read > 0 && result.Indexes.Left > 0 {
		return // the lists have the children of indexes that are yet to be read
	}
	lists := r.scans.lists
	r.scans.lists = nil
	if lists == nil || expired(lists.startedAt) {
		lists = &inspectorLists{}
	}
	err := readPages(&lists.pages, func(token string) (string, int, string, error) {
		if token == "" {
			lists.startedAt, lists.any = inventory.TimeOf(time.Now()), false
			forgetListed(registry)
		}
		scans, next, err := r.options.Scans.Inspector.Scans(ctx, registry.ID, token)
		for i := range scans {
			repository := registry.Find(scans[i].Repository)
			if repository == nil || !r.options.Includes(repository.Name) {
				continue
			}
			if image := repository.FindImage(scans[i].Digest); image != nil {
				image.Listed, lists.any = withRow(image.Listed, &scans[i].Scan), true
			}
		}
		// Their rows are not kept, so only their pages are bounded. Two lists may begin with
		// the same image.
		return next, 0, "", err
	})
	switch {
	case err == nil:
		r.recordLists(registry, lists)
		registry.ScansListedAt = lists.startedAt
		result.Scans.Listed = true
	case outOfTime(ctx, err):
		r.scans.lists = lists // for the next run to continue
	case errors.Is(err, awsapi.ErrDenied), errors.Is(err, awsapi.ErrNoEndpoint):
		forgetListed(registry)
		r.fallBack(ctx, registry, inventory.ScansFromInspector, inventory.ScansFromFindings, err)
	default:
		forgetListed(registry)
		failed.add(err)
	}
}

// allRepositoriesTried reports whether the images of every included repository were listed,
// or failed to be. Before that, the lists would have images that are not in the inventory.
func (r *Refresher) allRepositoriesTried(registry *inventory.Registry) bool {
	for _, repository := range registry.Repositories {
		if r.options.Includes(repository.Name) && repository.ImagesReadAt.IsZero() && repository.TriedAt.IsZero() {
			return false
		}
	}
	return !registry.ListedAt.IsZero()
}

// forgetListed forgets what unfinished lists had.
func forgetListed(registry *inventory.Registry) {
	for _, repository := range registry.Repositories {
		for i := range repository.Images {
			repository.Images[i].Listed = nil
		}
	}
}

// withRow adds one row about an image to what the lists had about it before, if anything.
func withRow(known, row *inventory.Scan) *inventory.Scan {
	if known == nil {
		listed := *row
		return &listed
	}
	if row.Status != 0 {
		known.Status, known.Unfinished = row.Status, row.Unfinished
	}
	known.Unfinished = max(known.Unfinished, row.Unfinished)
	known.CompletedAt = max(known.CompletedAt, row.CompletedAt)
	known.InUseCount, known.LastInUseAt = max(known.InUseCount, row.InUseCount), max(known.LastInUseAt, row.LastInUseAt)
	if row.Total > 0 {
		// Inspector can have a row of one digest for each architecture; their sum would count
		// a finding of both twice.
		known.Severities = inventory.CountsOf(known.Severities.List().Highest(row.Severities.List()))
		known.Total, known.Partial = max(known.Total, row.Total), known.Partial || row.Partial
	}
	return known
}

// recordLists updates the registry with the complete lists.
func (r *Refresher) recordLists(registry *inventory.Registry, lists *inspectorLists) {
	at := lists.startedAt
	r.eachScanned(registry, func(repository *inventory.Repository, image *inventory.Image, _ inventory.Time) {
		known, listed := image.Scan, image.Listed
		switch {
		case known != nil && known.AskedAt > at:
			// It is from a later event or request.
		case known == nil && repository.ImagesReadAt > at && (listed == nil || listed.Status == 0):
			// It may not have been known yet when its row was read, which has the status.
		case listed != nil:
			registry.SetScan(repository, image, withListed(known, listed, at))
		case known == nil && image.PushedAt < at && lists.any, known != nil && known.Status == inventory.ScanNotFound:
			// Inspector does not cover it. Lists without any image say nothing: they may be
			// those of another account.
			registry.SetScan(repository, image, &inventory.Scan{Status: inventory.ScanNotFound, AskedAt: at})
		}
	})
	forgetListed(registry)
}

// withListed returns an image's scan after Inspector's lists were read. Before 2026 these
// counted CRITICAL, HIGH, MEDIUM and the total only: the scan is Partial then. If none of
// these changed, the known counts of the other severities are still valid.
func withListed(known, listed *inventory.Scan, at inventory.Time) *inventory.Scan {
	next := listed
	next.AskedAt = at
	if known == nil {
		return next
	}
	counted, others := splitSeverities(known.Severities.List())
	switch {
	case next.Unfinished > 0:
		next.Unfinished = unfinishedAgain(known)
		next.Severities, next.CompletedAt, next.Partial, next.Total = known.Severities, known.CompletedAt, known.Partial, known.Total
	case next.Partial && known.Final() && known.Total == listed.Total && inventory.CountsOf(counted) == listed.Severities:
		next.Severities, next.Partial = known.Severities, false
	case next.Partial:
		// The last known counts of the others stay until they are read again.
		all := listed.Severities.AppendTo(others)
		slices.SortFunc(all, func(a, b inventory.SeverityCount) int { return a.Severity.Compare(b.Severity) })
		next.Severities = inventory.CountsOf(all)
	}
	return next
}

// splitSeverities returns the counts above 0 of the severities that Inspector's lists always
// count, and those of the others.
func splitSeverities(list []inventory.SeverityCount) (counted, others []inventory.SeverityCount) {
	for _, s := range list {
		switch s.Severity.String() {
		case "CRITICAL", "HIGH", "MEDIUM":
			if s.Count > 0 {
				counted = append(counted, s)
			}
		default:
			others = append(others, s)
		}
	}
	return counted, others
}
