package inventory

import (
	"cmp"
	"slices"
	"strings"
)

// Scan status values by which the sum of an index's children is decided.
var (
	scanUnsupported = WordOf("UNSUPPORTED_IMAGE")
	scanActive      = WordOf("ACTIVE")
	scanComplete    = WordOf("COMPLETE")
)

// worstFirst are the statuses that an index has if one of its children has it: the first one
// present. Others come after these, and scanActive and scanComplete last.
var worstFirst = []Word{
	WordOf("FAILED"), WordOf("LIMIT_EXCEEDED"), WordOf("FINDINGS_UNAVAILABLE"), ScanNotFound, WordOf("PENDING"), WordOf("IN_PROGRESS"),
	WordOf("SCAN_ELIGIBILITY_EXPIRED"),
}

// leftOut are the statuses of children that count only if there are no others. An image can
// have been deleted or archived since it was listed.
var leftOut = []Word{scanUnsupported, ScanImageNotFound, WordOf("IMAGE_ARCHIVED")}

// SumIndexes gives each index of a repository the scan that its children's add up to. It has
// no scan of its own: ECR and Inspector scan the images that it lists.
//   - Per severity it has the highest count among the children that are known, since a pod
//     runs one of them.
//   - It has a status, and CompletedAt of the child that was scanned first, only if all
//     children are known.
//   - Children that cannot be scanned, or were deleted or archived, are left out. If no other
//     is left, the status is scanUnsupported.
//
// With platforms set, it also has the findings of each platform.
func (r *Registry) SumIndexes(repository *Repository, platforms bool) {
	var s sum
	for i := range repository.Images {
		image := &repository.Images[i]
		if image.Index == nil {
			continue
		}
		s.of(repository, image, platforms)
		scan, index := image.Scan, image.Index
		if !s.known {
			scan = nil
		} else if !s.is(scan) {
			scan = &Scan{Status: s.status, CompletedAt: s.completedAt, Severities: CountsOf(s.severities)}
		}
		if !slices.EqualFunc(index.Platforms, s.platforms, PlatformFindings.equal) {
			var platforms []PlatformFindings
			for _, platform := range s.platforms {
				platforms = append(platforms, PlatformFindings{platform.Platform, slices.Clone(platform.Severities)})
			}
			index = index.withPlatforms(platforms)
		}
		if scan != image.Scan || index != image.Index {
			r.setResults(repository, image, scan, index)
		}
	}
}

// ForgetSums takes the scans away that SumIndexes gave, so that those of the indexes
// themselves are read.
func (r *Registry) ForgetSums(repository *Repository) {
	for i := range repository.Images {
		if image := &repository.Images[i]; image.Index != nil && image.Scan != nil && image.Scan.AskedAt.IsZero() {
			r.setResults(repository, image, nil, image.Index.withPlatforms(nil))
		}
	}
}

// sum is the sum of an index's children, reused for index after index.
type sum struct {
	known       bool // whether there is a scan
	status      Word
	completedAt Time
	severities  Severities
	child       Severities // of one child
	platforms   []PlatformFindings
}

func (s *sum) of(repository *Repository, image *Image, platforms bool) {
	s.known, s.status, s.completedAt, s.severities, s.platforms = false, 0, 0, s.severities[:0], s.platforms[:0]
	allKnown, allCompleted := true, true
	counted := 0
	for _, entry := range image.Index.Children {
		child := repository.FindImage(entry.Digest)
		switch {
		case child == nil && repository.ImagesReadAt <= image.PushedAt:
			allKnown = false // the listing began before the push of the index
		case child == nil || !child.Active():
		case child.Scan == nil:
			allKnown = false
		case slices.Contains(leftOut, child.Scan.Status):
		default:
			counted++
			s.add(child.Scan)
			allCompleted = allCompleted && !child.Scan.CompletedAt.IsZero()
			if platforms {
				s.addPlatform(entry.Platform, s.child)
			}
		}
	}
	switch {
	case counted > 0:
		s.known = true
	case allKnown: // none can be scanned
		s.known, s.status = true, scanUnsupported
	}
	if !allKnown {
		s.status = 0
	}
	if !allKnown || !allCompleted {
		s.completedAt = 0
	}
}

// is reports whether a record is the sum.
func (s *sum) is(scan *Scan) bool {
	return scan != nil && scan.AskedAt.IsZero() && scan.Status == s.status && scan.CompletedAt == s.completedAt &&
		slices.Equal(scan.Severities.AppendTo(s.child[:0]), s.severities)
}

func (s *sum) add(scan *Scan) {
	if s.status == 0 || scan.Status != 0 && compareStatus(scan.Status, s.status) < 0 {
		s.status = scan.Status
	}
	if s.completedAt.IsZero() || scan.CompletedAt < s.completedAt {
		s.completedAt = scan.CompletedAt
	}
	s.child = scan.Severities.AppendTo(s.child[:0])
	s.severities = s.severities.Highest(s.child)
}

func (s *sum) addPlatform(platform string, severities Severities) {
	i, found := slices.BinarySearchFunc(s.platforms, platform, func(p PlatformFindings, name string) int { return strings.Compare(p.Platform, name) })
	if !found {
		s.platforms = slices.Insert(s.platforms, i, PlatformFindings{Platform: platform})
	}
	s.platforms[i].Severities = s.platforms[i].Severities.Highest(severities)
}

func compareStatus(a, b Word) int {
	return cmp.Or(cmp.Compare(rank(a), rank(b)), a.Compare(b))
}

// rank is a status' place in the order of the worst first.
func rank(status Word) int {
	switch status {
	case scanActive:
		return len(worstFirst) + 1
	case scanComplete:
		return len(worstFirst) + 2
	}
	if i := slices.Index(worstFirst, status); i >= 0 {
		return i
	}
	return len(worstFirst)
}

// Highest adds to a list of counts, in place, those of another one that are higher.
func (s Severities) Highest(others Severities) Severities {
	for _, other := range others {
		i, found := slices.BinarySearchFunc(s, other.Severity, func(c SeverityCount, name Word) int { return c.Severity.Compare(name) })
		if !found {
			s = slices.Insert(s, i, other)
		}
		s[i].Count = max(s[i].Count, other.Count)
	}
	return s
}

func (p PlatformFindings) equal(other PlatformFindings) bool {
	return p.Platform == other.Platform && slices.Equal(p.Severities, other.Severities)
}
