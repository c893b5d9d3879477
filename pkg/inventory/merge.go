package inventory

import (
	"cmp"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// Merge takes from another copy of the inventory what it knows better: of the list of
// repositories, of each repository's own record and images, and of each scan, what was read
// last wins. So two execution environments that work on one stored state lose nothing of
// each other's. What either has pushed and the result no longer has goes into Previous. The
// other copy's records are taken over as they are: it must not be used afterwards.
//
// A copy of another registry is not merged, and false is returned.
func (r *Registry) Merge(other *Registry) bool {
	if !r.IsOf(other.ID, other.Region) {
		return false
	}
	r.renumberShapes(other)
	theirListIsNewer := other.ListedAt > r.ListedAt
	var merged []*Repository
	for ours, theirs := range pairs(r.Repositories, other.Repositories, byName) {
		switch {
		case theirs == nil && other.knowsDeleted(*ours, r.ListedAt):
			r.keepAll(*ours)
		case theirs == nil:
			other.dueInFull(*ours)
			merged = append(merged, *ours)
		case ours == nil && r.knowsDeleted(*theirs, other.ListedAt):
			r.keepAll(*theirs)
		case ours == nil:
			r.dueInFull(*theirs)
			merged = append(merged, *theirs)
		default:
			theirsIsNewer := max((*theirs).ReadAt, other.ListedAt) > max((*ours).ReadAt, r.ListedAt)
			merged = append(merged, r.mergeRepository(*ours, *theirs, theirsIsNewer))
		}
	}
	r.ID, r.Region = cmp.Or(r.ID, other.ID), cmp.Or(r.Region, other.Region)
	r.Repositories = merged
	if theirListIsNewer {
		r.ListedAt = other.ListedAt
		r.ScanSource = cmp.Or(other.ScanSource, r.ScanSource)
		r.ScanType = cmp.Or(other.ScanType, r.ScanType)
		r.ScansPending, r.ScansOldest = other.ScansPending, other.ScansOldest
	} else {
		r.ScanSource = cmp.Or(r.ScanSource, other.ScanSource)
		r.ScanType = cmp.Or(r.ScanType, other.ScanType)
	}
	if other.Details != nil && (r.Details == nil || other.Details.ReadAt > r.Details.ReadAt) {
		r.Details = other.Details
	}
	for _, sent := range other.Sent {
		r.addSent(sent)
	}
	r.PushedAt = max(r.PushedAt, other.PushedAt)
	r.SucceededAt = max(r.SucceededAt, other.SucceededAt)
	r.ScansListedAt = max(r.ScansListedAt, other.ScansListedAt)
	r.Protocols = mergeProtocols(r.Protocols, other.Protocols)
	r.Removed = stillNeeded(append(r.Removed, other.Removed...), r.ListedAt)
	for _, name := range other.DueNames {
		r.AddDueName(name) // reading one too many is harmless
	}
	for _, entry := range other.Previous {
		kept := r.previous(entry)
		kept.Shown = kept.Shown || entry.Shown
		kept.Images = append(kept.Images, entry.Images...)
	}
	r.compactPrevious()
	r.dropShapes()
	r.Whole = other.Whole
	r.Unsaved.noteAll()
	return true
}

// mergeRepository makes one record of two of the same name. If the repository was made anew
// between them, they have only the images in common that were listed since.
func (r *Registry) mergeRepository(ours, theirs *Repository, theirsIsNewer bool) *Repository {
	merged := *ours
	if theirsIsNewer {
		merged = *theirs
	}
	if !ours.sameIdentity(theirs) {
		later, before := ours, theirs
		if theirs.CreatedAt > ours.CreatedAt || theirs.CreatedAt == ours.CreatedAt && theirsIsNewer {
			later, before = theirs, ours
		}
		if !before.listedSince(later) {
			r.keepAll(before)
			return later
		}
		merged = *later
	}
	merged.Shapes = unionOfShapes(ours.Shapes, theirs.Shapes)
	newer, older := ours, theirs
	if theirs.ImagesReadAt > ours.ImagesReadAt {
		newer, older = theirs, ours
	}
	merged.Images, merged.ImagesReadAt, merged.Summary = newer.Images, newer.ImagesReadAt, newer.Summary
	if ours.sameIdentity(theirs) {
		merged.Details = newerDetails(ours.Details, theirs.Details)
	}
	tried := ours
	if theirs.TriedAt > ours.TriedAt {
		tried = theirs
	}
	merged.TriedAt, merged.Denied = tried.TriedAt, tried.Denied
	// When an event made it due is unknown: one listing too many is harmless, one too
	// few is not.
	merged.Due = ours.Due || theirs.Due
	merged.ScansDueSince = max(ours.ScansDueSince, theirs.ScansDueSince)

	var mark Mark
	for _, copied := range []*Repository{ours, theirs} {
		shown := copied.Shown
		if shown && !sameRecord(copied, &merged) && r.ends(Unit{Repository: copied}, Unit{Repository: &merged}) {
			r.previous(copied).Shown, shown = true, false
		}
		mark.add(copied.Mark, shown)
	}
	merged.Mark = mark
	r.mergeImages(newer, older, &merged)
	return &merged
}

// mergeImages puts into the newer list of a repository's images what the older one
// knows better about their scans.
func (r *Registry) mergeImages(newer, older, merged *Repository) {
	images := older.Images
	newer, older = merged.orSame(newer), merged.orSame(older)
	for now, old := range pairs(merged.Images, images, compareDigest) {
		switch {
		case now == nil:
			r.keepImage(imageUnit(older, old), Unit{})
		case old != nil:
			before := now
			scan, index := newerScan(now.Scan, old.Scan), cmp.Or(now.Index, old.Index)
			if scan != now.Scan || index != now.Index {
				copied := *now
				before, now.Scan, now.Index = &copied, scan, index
			}
			var mark Mark
			for _, copied := range [2]Unit{imageUnit(newer, before), imageUnit(older, old)} {
				now.Shown = copied.Image.Shown
				r.keepImage(copied, imageUnit(merged, now))
				mark.add(copied.Image.Mark, now.Shown)
			}
			now.Mark = mark
		default:
			r.keepImage(imageUnit(newer, now), imageUnit(merged, now))
		}
	}
}

// add adds the mark of a copy of a record, which may be shown. Only ours was selected. A
// record is pending only while no copy was pushed before.
func (m *Mark) add(copied Mark, shown bool) {
	m.Excluded = m.Excluded || copied.Excluded
	if shown {
		m.Pending = copied.Pending && (m.Pending || !m.Shown)
		m.Shown = true
	}
}

// orSame returns the merged record itself instead of a copy that differs only in when it
// was read: then nothing about its images' labels changes.
func (r *Repository) orSame(copied *Repository) *Repository {
	compared := *copied
	compared.takeReading(r)
	compared.ReadAt = r.ReadAt
	if sameRecord(&compared, r) {
		return r
	}
	return copied
}

// newerScan returns what is better of what two copies know about a scan; a is from the
// newer listing. The result read last wins, and between a result that was requested and
// one that came with a listing the one that SetImages would keep.
func newerScan(a, b *Scan) *Scan {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.AskedAt.IsZero() != b.AskedAt.IsZero():
		listed, requested := a, b
		if b.AskedAt.IsZero() {
			listed, requested = b, a
		}
		if replacesScan(listed, requested) {
			return listed
		}
		return requested
	case b.AskedAt > a.AskedAt:
		return b
	}
	return a
}

// mergeProtocols adds what another copy knows of endpoints. What this environment found
// out itself it keeps.
func mergeProtocols(ours, theirs map[string]string) map[string]string {
	if theirs == nil {
		return ours
	}
	maps.Copy(theirs, ours)
	return theirs
}

// pairs walks two lists, each sorted and without duplicates, side by side: it yields
// what is in both as a pair, and what is in one with nil for the other.
func pairs[T any](a, b []T, compare func(a, b T) int) iter.Seq2[*T, *T] {
	return func(yield func(a, b *T) bool) {
		for i, j := 0, 0; i < len(a) || j < len(b); {
			order := -1 // the next one is in a only
			if i == len(a) {
				order = 1
			} else if j < len(b) {
				order = compare(a[i], b[j])
			}
			var x, y *T
			if order <= 0 {
				x = &a[i]
				i++
			}
			if order >= 0 {
				y = &b[j]
				j++
			}
			if !yield(x, y) {
				return
			}
		}
	}
}

// Removal says that a repository was deleted, for copies of the inventory that still
// have a record of it.
type Removal struct {
	Name string `cbor:"1,keyasint"`
	// CreatedAt tells it from a later one of the same name.
	CreatedAt Time `cbor:"2,keyasint,omitempty"`
	// At is when it was known to be gone.
	At Time `cbor:"3,keyasint,omitempty"`
}

// removalHolds is how long after a repository was found deleted nothing that was read
// about it is believed. Records carry the time at which a listing began, by the clock of
// the environment that made it, so what was read last need not have the latest time.
const removalHolds = Time(5 * time.Minute / time.Millisecond)

// knowsDeleted reports whether the registry, which has no record of a repository, knows
// that it was deleted. The record is another copy's, whose repositories were listed at a
// moment.
func (r *Registry) knowsDeleted(repository *Repository, listedAt Time) bool {
	seenAt := max(listedAt, repository.ReadAt, repository.ImagesReadAt, repository.CreatedAt)
	if r.ListedAt > seenAt {
		return true
	}
	return slices.ContainsFunc(r.Removed, func(gone Removal) bool {
		return gone.Name == repository.Name && gone.CreatedAt >= repository.CreatedAt && gone.At+removalHolds >= seenAt
	})
}

// stillNeeded sorts removals and drops doubles, and those that are older than the list
// of repositories, which says the same.
func stillNeeded(removals []Removal, listedAt Time) []Removal {
	removals = slices.DeleteFunc(removals, func(gone Removal) bool { return gone.At+removalHolds < listedAt })
	slices.SortFunc(removals, func(a, b Removal) int {
		return cmp.Or(strings.Compare(a.Name, b.Name), cmp.Compare(b.CreatedAt, a.CreatedAt), cmp.Compare(b.At, a.At))
	})
	removals = slices.CompactFunc(removals, func(a, b Removal) bool { return a.Name == b.Name && a.CreatedAt == b.CreatedAt })
	if len(removals) == 0 {
		return nil
	}
	return removals
}
