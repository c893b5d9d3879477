package inventory

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"time"
)

// Merge takes over from another copy of the inventory what it knows better: of the
// list of repositories, of each repository's images and of each scan, what was read
// last wins. Two execution environments that work on one stored state so lose
// nothing of each other's. What either has pushed and the outcome no longer yields
// goes into Ended. Records of the other copy are taken over as they are: it must not
// be used afterwards.
//
// A copy of another registry is not merged, and false is returned.
func (r *Registry) Merge(other *Registry) bool {
	if r.ID != "" && other.ID != "" && r.ID != other.ID {
		return false
	}
	m := merging{r, other, other.ListedAt > r.ListedAt}
	var merged []*Repository
	for ours, theirs := range both(r.Repositories, other.Repositories, byRepositoryName) {
		switch {
		case theirs == nil:
			if other.outlived(*ours, r.ListedAt) {
				r.end(*ours, (*ours).Images)
			} else {
				merged = append(merged, *ours)
			}
		case ours == nil:
			if r.outlived(*theirs, other.ListedAt) {
				m.endTheirs(*theirs, (*theirs).Images)
			} else {
				merged = append(merged, *theirs)
			}
		default:
			merged = append(merged, m.repository(*ours, *theirs))
		}
	}
	r.ID = cmp.Or(r.ID, other.ID)
	r.Repositories = merged
	if m.later {
		r.ListedAt = other.ListedAt
		r.ScanSource = cmp.Or(other.ScanSource, r.ScanSource)
		r.ScansPending, r.ScansOldest = other.ScansPending, other.ScansOldest
	} else {
		r.ScanSource = cmp.Or(r.ScanSource, other.ScanSource)
	}
	r.PushedAt = max(r.PushedAt, other.PushedAt)
	r.SucceededAt = max(r.SucceededAt, other.SucceededAt)
	r.ScansListedAt = max(r.ScansListedAt, other.ScansListedAt)
	r.Protocols = mergeProtocols(r.Protocols, other.Protocols)
	r.Removed = stillNeeded(append(r.Removed, other.Removed...), r.ListedAt)
	for _, former := range other.Ended {
		r.keepFormer(former, former.Images)
	}
	r.compactEnded()
	return true
}

// merging is a merge under way.
type merging struct {
	r, other *Registry
	// later says that the other copy's list of repositories is the newer one.
	later bool
}

// endTheirs is Registry.end for records of the other copy, which a receiver knows of
// if that copy's environment has pushed.
func (m *merging) endTheirs(old *Repository, images []Image) {
	if !m.other.PushedAt.IsZero() {
		m.r.keepFormer(old, images)
	}
}

// repository makes one record of two of the same name.
func (m *merging) repository(ours, theirs *Repository) *Repository {
	if ours.URI != theirs.URI || ours.CreatedAt != theirs.CreatedAt {
		// Not the same repository: it was deleted and made again.
		if theirs.CreatedAt > ours.CreatedAt || theirs.CreatedAt == ours.CreatedAt && m.later {
			m.r.end(ours, ours.Images)
			return theirs
		}
		m.endTheirs(theirs, theirs.Images)
		return ours
	}
	merged := *ours
	if m.later {
		merged = *theirs
	}
	var oursEnded, theirsEnded []Image
	if theirs.ImagesReadAt > ours.ImagesReadAt {
		theirsEnded, oursEnded = mergeImages(theirs.Images, ours.Images)
		merged.Images, merged.ImagesReadAt = theirs.Images, theirs.ImagesReadAt
	} else {
		oursEnded, theirsEnded = mergeImages(ours.Images, theirs.Images)
		merged.Images, merged.ImagesReadAt = ours.Images, ours.ImagesReadAt
	}
	merged.TriedAt, merged.Denied = ours.TriedAt, ours.Denied
	if theirs.TriedAt > ours.TriedAt {
		merged.TriedAt, merged.Denied = theirs.TriedAt, theirs.Denied
	}
	// When an event made it due is not known: one listing too many does no harm, one
	// too few would.
	merged.Due = ours.Due || theirs.Due
	merged.ScansDueSince = max(ours.ScansDueSince, theirs.ScansDueSince)
	// What either shows a receiver may hold: if it is left out here, it has to be
	// ended here too. A marker too many does no harm.
	merged.Hidden = ours.Hidden && theirs.Hidden
	merged.Unsent = ours.Unsent || theirs.Unsent

	if len(oursEnded) > 0 || !ours.sameSeries(&merged) {
		m.r.end(ours, oursEnded)
	}
	if len(theirsEnded) > 0 || !theirs.sameSeries(&merged) {
		m.endTheirs(theirs, theirsEnded)
	}
	return &merged
}

// mergeImages puts into a newer list of a repository's images what an older one
// knows better of their scans. It returns those former records of either that had
// series which the newer list does not yield now.
func mergeImages(newer, older []Image) (newerEnded, olderEnded []Image) {
	for now, old := range both(newer, older, func(a, b Image) int { return a.Digest.Compare(b.Digest) }) {
		if old == nil {
			continue
		}
		if now != nil {
			before := *now
			now.Scan = newerScan(now.Scan, old.Scan)
			now.Hidden = now.Hidden && !old.Shown()
			if imageEnds(&before, now) {
				newerEnded = append(newerEnded, before)
			}
		}
		if imageEnds(old, now) {
			olderEnded = append(olderEnded, *old)
		}
	}
	return newerEnded, olderEnded
}

// newerScan returns the better of what two copies know of a scan; a is of the newer
// listing. The answer that was got last wins, and between an answer and what a
// listing told, what SetImages would keep.
func newerScan(a, b *Scan) *Scan {
	switch {
	case a == nil:
		return b
	case b == nil:
		return a
	case a.AskedAt.IsZero() && !b.AskedAt.IsZero():
		if tellsMore(a, b) {
			return a
		}
		return b
	case b.AskedAt.IsZero() && !a.AskedAt.IsZero():
		if tellsMore(b, a) {
			return b
		}
		return a
	case b.AskedAt > a.AskedAt:
		return b
	}
	return a
}

// mergeProtocols adds to what is known of endpoints what another copy knows of
// others. What this environment found out itself it goes on with.
func mergeProtocols(ours, theirs map[string]string) map[string]string {
	if theirs == nil {
		return ours
	}
	maps.Copy(theirs, ours)
	return theirs
}

// both walks two lists, each sorted and without doubles, side by side: it yields
// what is in both as a pair, and what is in one with nil for the other.
func both[T any](a, b []T, compare func(a, b T) int) func(yield func(a, b *T) bool) {
	return func(yield func(a, b *T) bool) {
		for i, j := 0, 0; i < len(a) || j < len(b); {
			order := -1 // what is next is in a only
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
	// CreatedAt tells it from one of the same name that was made later.
	CreatedAt Time `cbor:"2,keyasint,omitempty"`
	// At is when it was known to be gone.
	At Time `cbor:"3,keyasint,omitempty"`
}

// removalHolds is for how long after a repository was found gone nothing that is
// read of it is believed. Records carry the time at which a listing began, by the
// clock of who made it: what was read last need not have the latest time.
const removalHolds = Time(5 * time.Minute / time.Millisecond)

// remove notes that a repository is gone.
func (r *Registry) remove(repo *Repository, at Time) {
	r.Removed = append(r.Removed, Removal{repo.Name, repo.CreatedAt, at})
}

// outlived reports whether the registry, which has no record of a repository, knows
// that it is gone. The repository is of another copy, whose list of repositories was
// read at a moment.
func (r *Registry) outlived(repo *Repository, listedAt Time) bool {
	seenAt := max(listedAt, repo.ImagesReadAt, repo.CreatedAt)
	if r.ListedAt > seenAt {
		return true
	}
	return slices.ContainsFunc(r.Removed, func(gone Removal) bool {
		return gone.Name == repo.Name && gone.CreatedAt >= repo.CreatedAt && gone.At+removalHolds >= seenAt
	})
}

// stillNeeded sorts removals and leaves out doubles, and those that a list of
// repositories made since tells as well.
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
