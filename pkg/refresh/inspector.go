package refresh

import (
	"context"
	"errors"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// bulk is the reading of Inspector's lists, page by page. It may take more than one
// run.
type bulk struct {
	begunAt time.Time
	token   string
	answers map[imageKey]*inventory.Scan
}

type imageKey struct {
	repository string
	digest     inventory.Digest
}

// readInspector reads Inspector's lists when they are due: a page of them tells of
// a hundred images or more, where a call for findings tells of one.
func (r *Refresher) readInspector(ctx context.Context, registry *inventory.Registry, result *Result, failed *failures) {
	now := time.Now()
	if !registry.ScansListedAt.IsZero() && now.Before(registry.ScansListedAt.Time().Add(r.options.Scans.Enhanced)) || !r.everyRepositoryTried(registry) {
		return
	}
	b := r.scans.bulk
	if r.scans.bulk = nil; b == nil || now.Sub(b.begunAt) > r.options.Scans.Enhanced {
		b = &bulk{begunAt: now, answers: map[imageKey]*inventory.Scan{}}
	}
	for restarted := false; ; {
		answers, next, err := r.options.Scans.Inspector.Scans(ctx, registry.ID, b.token)
		switch {
		case err == nil:
		case ctx.Err() != nil, errors.Is(err, awsapi.ErrNoTime):
			r.scans.bulk = b
			return
		case errors.Is(err, awsapi.ErrInvalidToken) && !restarted:
			b, restarted = &bulk{begunAt: time.Now(), answers: map[imageKey]*inventory.Scan{}}, true
			continue
		case errors.Is(err, awsapi.ErrDenied):
			r.fallBack(ctx, registry, inventory.ScansFromFindings, err)
			return
		default:
			failed.add(err)
			return
		}
		for _, answer := range answers {
			if r.options.Includes(answer.Repository) {
				b.add(answer)
			}
		}
		if b.token = next; next == "" {
			break
		}
	}
	r.settleInspector(registry, b)
	registry.ScansListedAt = inventory.TimeOf(b.begunAt)
	result.Scans.Listed = true
}

// everyRepositoryTried reports whether the inventory has what can be had of every
// repository that is not left out. Before that, lists of the whole registry would tell of images that
// are not known yet.
func (r *Refresher) everyRepositoryTried(registry *inventory.Registry) bool {
	for _, repository := range registry.Repositories {
		if r.options.Includes(repository.Name) && repository.ImagesReadAt.IsZero() && repository.TriedAt.IsZero() {
			return false
		}
	}
	return !registry.ListedAt.IsZero()
}

// add puts together what the lists tell of one image.
func (b *bulk) add(answer inventory.ScanAnswer) {
	key := imageKey{answer.Repository, answer.Digest}
	known := b.answers[key]
	if known == nil {
		b.answers[key] = &answer.Scan
		return
	}
	told := answer.Scan
	if told.Status != "" {
		known.Status, known.Unfinished = told.Status, told.Unfinished
	}
	known.CompletedAt = max(known.CompletedAt, told.CompletedAt)
	known.InUseCount, known.LastInUseAt = max(known.InUseCount, told.InUseCount), max(known.LastInUseAt, told.LastInUseAt)
	if told.Total > 0 {
		known.Total, known.Severities, known.Partial = told.Total, told.Severities, told.Partial
	}
}

// settleInspector puts what the lists told into the registry.
func (r *Refresher) settleInspector(registry *inventory.Registry, b *bulk) {
	at := inventory.TimeOf(b.begunAt)
	r.eachScanned(registry, func(repository *inventory.Repository, image *inventory.Image) {
		known, told := image.Scan, b.answers[imageKey{repository.Name, image.Digest}]
		switch {
		case known != nil && known.AskedAt > at:
			// An event or a call told of something newer.
		case told != nil:
			registry.SetScan(repository, image, listed(known, told, at))
		case known != nil && known.Status == inventory.ScanNotFound:
			again := *known
			again.AskedAt = at // Inspector still does not know it
			registry.SetScan(repository, image, &again)
		}
	})
}

// listed is what is known of a scan after Inspector's lists. Where they tell the
// same as was known, the exact split that was asked for stays true.
func listed(known, told *inventory.Scan, at inventory.Time) *inventory.Scan {
	next := *told
	next.AskedAt = at
	switch {
	case known == nil:
	case next.Unfinished > 0:
		next.Unfinished = known.Unfinished + 1
		next.Severities, next.CompletedAt, next.Partial, next.Total = known.Severities, known.CompletedAt, known.Partial, known.Total
	case next.Partial && known.Final() && known.Total == told.Total && includes(known.Severities, told.Severities):
		next.Severities, next.Partial = known.Severities, false
	case next.Partial:
		// Until the split is known again, its last known part is the better picture.
		for _, severity := range known.Severities {
			if severity.Severity != "CRITICAL" && severity.Severity != "HIGH" && severity.Severity != "MEDIUM" {
				next.Severities = append(next.Severities[:len(next.Severities):len(next.Severities)], severity)
			}
		}
		sortSeverities(next.Severities)
	}
	return &next
}

// includes reports whether the severities that Inspector counts one by one are the
// same in both.
func includes(known, told []inventory.SeverityCount) bool {
	count := func(list []inventory.SeverityCount, name string) int32 {
		for _, severity := range list {
			if severity.Severity == name {
				return severity.Count
			}
		}
		return 0
	}
	for _, name := range []string{"CRITICAL", "HIGH", "MEDIUM"} {
		if count(known, name) != count(told, name) {
			return false
		}
	}
	return true
}
