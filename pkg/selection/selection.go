// Package selection settles, before series are built, what of an inventory is shown:
// repositories by name, images by tag, by age and by rank.
//
// What is left out keeps its record, marked Hidden. What was shown and is left out from
// now on, because of a change in the registry, of time that passed or of the
// configuration, is kept as a former record as well and so gets staleness markers in
// the same run, exactly as if it had been deleted (see inventory.Registry.Ended). What
// was never shown gets none.
//
// One thing is not ended by markers: single tags of an image that goes on, when the tag
// filter itself is changed. Which tags an earlier configuration let through is not
// stored, and records of all images would have to be kept to find out. These series end
// by the receiver's lookback, five minutes with Prometheus, as do those of a family that
// is left out from now on or of an external label that has another value.
package selection

import (
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Options say what is shown: what every one of them lets through. The zero value shows
// everything.
type Options struct {
	// Repository and Tag report whether a repository, or a tag of an image, is to be
	// shown, by its name; nil lets all through. An image without any such tag is not
	// shown.
	Repository, Tag func(name string) bool
	// PushedWithin and PulledWithin let an image through that was pushed, or pulled,
	// so long ago at most. If both are set either is enough. A time that ECR did not
	// tell is not within; 0 means that the time does not matter.
	PushedWithin, PulledWithin time.Duration
	// NewestImages lets through so many images of each repository, those pushed last,
	// of the active ones that everything above lets through; 0 means all.
	NewestImages int
}

// Selection says what is shown. Its methods may be called at once, but for Apply with
// the same registry.
type Selection struct {
	options Options
	all     bool // of every repository each image
}

// New returns the selection that the options describe.
func New(options Options) *Selection {
	return &Selection{options: options, all: options.Tag == nil && options.PushedWithin <= 0 && options.PulledWithin <= 0 && options.NewestImages <= 0}
}

// Repository reports whether a repository of that name is shown.
func (s *Selection) Repository(name string) bool {
	return s.options.Repository == nil || s.options.Repository(name)
}

// Tag reports whether a tag is shown of an image that is.
func (s *Selection) Tag(tag string) bool { return s.options.Tag == nil || s.options.Tag(tag) }

// forgottenAfter is how long after their last listing the images of a repository that
// is left out are forgotten. A filter that was set by mistake so costs nothing, and one
// that stays frees the memory.
const forgottenAfter = 24 * time.Hour

// Apply settles for every repository and image of a registry whether it is hidden at
// a moment, and keeps former records of what ended by that. It reports whether any
// record changed.
func (s *Selection) Apply(registry *inventory.Registry, at time.Time) (changed bool) {
	a := application{Selection: s, registry: registry}
	if s.options.PushedWithin > 0 {
		a.pushedSince = inventory.TimeOf(at.Add(-s.options.PushedWithin))
	}
	if s.options.PulledWithin > 0 {
		a.pulledSince = inventory.TimeOf(at.Add(-s.options.PulledWithin))
	}
	if s.options.NewestImages > 0 {
		a.newest = &newest{limit: s.options.NewestImages}
	}
	forget := inventory.TimeOf(at.Add(-forgottenAfter))
	for _, repository := range registry.Repositories {
		hidden := !s.Repository(repository.Name)
		a.changed = registry.SetHidden(repository, hidden) || a.changed
		switch {
		case !hidden:
			a.images(repository)
		case !repository.ImagesReadAt.IsZero() && repository.ImagesReadAt < forget:
			repository.Images, repository.ImagesReadAt, a.changed = nil, 0, true
		}
	}
	return a.changed
}

// application is an Apply under way.
type application struct {
	*Selection
	registry *inventory.Registry
	// pushedSince and pulledSince are the earliest times that are within; zero if
	// they do not matter.
	pushedSince, pulledSince inventory.Time
	newest                   *newest // nil if rank does not matter
	changed                  bool
}

// images settles the images of a repository that is shown.
func (a *application) images(repository *inventory.Repository) {
	images := repository.Images
	if a.newest != nil {
		a.newest.reset(images)
	}
	for i := range images {
		switch image := &images[i]; {
		case a.all:
			a.set(repository, image, false)
		case !a.lets(image):
			a.set(repository, image, true)
		case a.newest == nil:
			a.set(repository, image, false)
		case !image.Active(): // which has no rank, and no series either
			a.set(repository, image, true)
		default:
			if out := a.newest.add(i); out >= 0 {
				a.set(repository, &images[out], true)
			}
		}
	}
	if a.newest != nil {
		for _, i := range a.newest.kept {
			a.set(repository, &images[i], false)
		}
	}
}

func (a *application) set(repository *inventory.Repository, image *inventory.Image, hidden bool) {
	a.changed = a.registry.SetImageHidden(repository, image, hidden) || a.changed
}

// lets reports whether an image is shown, but for its rank.
func (a *application) lets(image *inventory.Image) bool {
	if !a.within(image) {
		return false
	}
	if a.options.Tag == nil {
		return len(image.Tags) > 0
	}
	return slices.ContainsFunc(image.Tags, a.options.Tag)
}

func (a *application) within(image *inventory.Image) bool {
	if a.pushedSince.IsZero() && a.pulledSince.IsZero() {
		return true
	}
	return within(image.PushedAt, a.pushedSince) || within(image.PulledAt, a.pulledSince)
}

// within reports whether a moment is known, and is so late.
func within(t, since inventory.Time) bool {
	return !since.IsZero() && !t.IsZero() && t >= since
}
