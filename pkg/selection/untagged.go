package selection

import (
	"cmp"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// untagged selects the untagged images that are shown by their digest: those that a container
// may run, because a tag named them before or a pod names the digest.
type untagged struct {
	limit int            // of each repository; 0 for none
	since inventory.Time // of the push or the pull; zero if the time does not matter
	use   use            // the zero one if idle images are shown, too: then the store is not asked

	candidates []int  // of a repository, by index in its images
	listed     []bool // whether an index lists the image
}

func (u *untagged) recent(image *inventory.Image) bool {
	return u.since.IsZero() || within(image.PushedAt, u.since) || within(image.PulledAt.Time(), u.since)
}

// MayShow reports whether an untagged image that can run, and is not known to, may be selected
// at a moment, or later, if no index lists it.
func (s *Selection) MayShow(image *inventory.Image, at time.Time) bool {
	u := s.untaggedAt(at)
	return u.limit > 0 && u.recent(image)
}

func (s *Selection) untaggedAt(at time.Time) untagged {
	u := untagged{limit: s.shape.UntaggedImages}
	if s.shape.UntaggedWithin > 0 {
		u.since = inventory.TimeOf(at.Add(-s.shape.UntaggedWithin))
	}
	return u
}

// mark excludes all untagged images of a repository but those selected: those that run, and the
// newest that no index lists. A child of an index has its findings with the index, unless it is
// known to run. While it is not known what all indexes list, none is selected.
func (u *untagged) mark(repository *inventory.Repository) {
	images := repository.Images
	u.candidates = u.candidates[:0]
	for i := range images {
		image := &images[i]
		if len(image.Tags) > 0 {
			continue
		}
		image.Excluded = true
		if u.limit > 0 && image.Runnable() && (u.recent(image) || u.use.digest(image.Digest)) {
			u.candidates = append(u.candidates, i)
		}
	}
	if len(u.candidates) == 0 || !u.readLists(images) {
		return
	}
	u.candidates = slices.DeleteFunc(u.candidates, func(i int) bool {
		run := u.use.digest(images[i].Digest)
		images[i].Excluded = !run // those are no question of rank
		return run || u.listed[i] && !counted(&images[i])
	})
	slices.SortFunc(u.candidates, func(i, j int) int {
		return cmp.Or(cmp.Compare(images[j].PushedAt, images[i].PushedAt), cmp.Compare(i, j))
	})
	for _, i := range u.candidates[:min(len(u.candidates), u.limit)] {
		images[i].Excluded = false
	}
}

// readLists marks what indexes list. It is false if that is not known of an index.
func (u *untagged) readLists(images []inventory.Image) bool {
	u.listed = slices.Grow(u.listed[:0], len(images))[:len(images)]
	clear(u.listed)
	mark := func(digest inventory.Digest) {
		i, found := slices.BinarySearchFunc(images, digest, func(image inventory.Image, d inventory.Digest) int { return image.Digest.Compare(d) })
		if found {
			u.listed[i] = true
		}
	}
	for i := range images {
		image := &images[i]
		if image.Index == nil {
			if image.IsIndex() && image.Active() {
				return false
			}
			continue
		}
		for _, child := range image.Index.Children {
			mark(child.Digest)
		}
		for _, other := range image.Index.Others {
			mark(other)
		}
	}
	return true
}
