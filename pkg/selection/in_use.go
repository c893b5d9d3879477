package selection

import (
	"cmp"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// DefaultInUseWithin is how long an image is in use after its push or last pull, unless a
// setting says otherwise.
const DefaultInUseWithin = 90 * 24 * time.Hour

// use decides which images are in use, at one moment. No other code does.
type use struct {
	since   inventory.Time // of the push or the pull
	running *inventory.Running
	// all is set while it is not known what runs: then every image is in use.
	all bool
	key []byte // reused
}

// use returns what is in use at a moment. With asked the store counts as asked, whether it was
// or not.
func (s *Selection) use(registry *inventory.Registry, at time.Time, asked bool) use {
	within := cmp.Or(s.shape.InUseWithin, DefaultInUseWithin)
	return use{since: inventory.TimeOf(at.Add(-within)), running: &registry.Running, all: !asked && !registry.Running.Known(inventory.TimeOf(at))}
}

// has reports whether an image is in use: it was pushed or pulled recently, Inspector counts
// it as in use, or the store knows that it runs, by its digest or a tag. An index is in use
// with any of its images.
func (u *use) has(repository *inventory.Repository, image *inventory.Image) bool {
	if u.all || within(image.PushedAt, u.since) || within(image.PulledAt.Time(), u.since) || u.runs(image) {
		return true
	}
	if image.Index != nil && slices.ContainsFunc(image.Index.Children, func(child inventory.Child) bool {
		known := repository.FindImage(child.Digest)
		return u.digest(child.Digest) || known != nil && counted(known)
	}) {
		return true
	}
	return len(u.running.Seen) > 0 && slices.ContainsFunc(image.Tags, func(tag string) bool {
		u.key = append(append(append(u.key[:0], repository.URI...), ':'), tag...)
		return u.running.Has(u.key)
	})
}

// runs reports whether a container runs the image by its digest, or Inspector says so.
func (u *use) runs(image *inventory.Image) bool { return counted(image) || u.digest(image.Digest) }

func (u *use) digest(digest inventory.Digest) bool {
	if u.running == nil || len(u.running.Seen) == 0 {
		return false
	}
	u.key = digest.Append(u.key[:0])
	return u.running.Has(u.key)
}

// counted reports whether Inspector counts the image as in use.
func counted(image *inventory.Image) bool { return image.Scan != nil && image.Scan.InUseCount > 0 }

// Withhold marks, after Apply, the images that are idle at a moment: these have no series, but
// all else is read of them. Nothing is idle until the store has said what runs, unless asked is
// set, with which that counts as said.
func (s *Selection) Withhold(registry *inventory.Registry, at time.Time, asked bool) {
	use := s.use(registry, at, asked)
	for _, repository := range registry.Repositories {
		for i := range repository.Images {
			image := &repository.Images[i]
			image.Withheld = !repository.Excluded && !image.Excluded && !use.has(repository, image)
		}
	}
}
