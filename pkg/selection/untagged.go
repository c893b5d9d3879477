package selection

import (
	"cmp"
	"slices"

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
		if u.limit > 0 && image.Runnable() && (u.since.IsZero() || within(image.PushedAt, u.since) || within(image.PulledAt, u.since) || u.use.digest(image.Digest)) {
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
