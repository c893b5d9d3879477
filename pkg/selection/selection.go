// Package selection decides, before series are built, which records of an inventory have
// series: repositories by name, images by tag, by age, by rank and by whether they are in
// use. What it leaves out keeps its record, marked Excluded or Withheld. Whether series end by
// that follows from what was shown before (see inventory.Mark), as if the record had been
// deleted.
package selection

import (
	"fmt"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Selection is the selection under a shape, which is all its configuration.
type Selection struct {
	shape           inventory.Shape
	repository, tag func(name string) bool // nil lets all through
}

// New returns the selection under a shape. The error says which regular expression of the
// shape is invalid.
func New(shape inventory.Shape) (*Selection, error) {
	repository, err := shape.Repositories.Compile()
	if err != nil {
		return nil, fmt.Errorf("repositories: %w", err)
	}
	tag, err := shape.Tags.Compile()
	if err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	return &Selection{shape, repository, tag}, nil
}

// Repository reports whether a repository of that name is selected.
func (s *Selection) Repository(name string) bool { return s.repository == nil || s.repository(name) }

// forgottenAfter is how long after their last listing the images of an excluded
// repository are forgotten. A filter set by mistake costs nothing so, and one that stays
// frees the memory.
const forgottenAfter = 24 * time.Hour

// Apply marks every record of a registry that is excluded at a moment, and no other. It
// reports whether it changed anything that is stored.
func (s *Selection) Apply(registry *inventory.Registry, at time.Time) (changed bool) {
	m := marker{Selection: s, untagged: s.untaggedAt(at)}
	if s.shape.PushedWithin > 0 {
		m.pushedSince = inventory.TimeOf(at.Add(-s.shape.PushedWithin))
	}
	if s.shape.PulledWithin > 0 {
		m.pulledSince = inventory.TimeOf(at.Add(-s.shape.PulledWithin))
	}
	if s.shape.NewestImages > 0 {
		m.newest = &newest{limit: s.shape.NewestImages}
	}
	if s.shape.InUseWithin > 0 {
		m.untagged.use = s.use(registry, at, false)
	}
	m.all = s.tag == nil && m.pushedSince.IsZero() && m.pulledSince.IsZero() && m.newest == nil
	forget := inventory.TimeOf(at.Add(-forgottenAfter))
	for _, repository := range registry.Repositories {
		repository.Excluded = !s.Repository(repository.Name)
		if !repository.Excluded {
			m.images(repository)
			m.untagged.mark(repository)
			continue
		}
		// It is not listed, and events about it are ignored: if a later setting selects
		// it again, it is listed at once.
		changed = changed || !repository.Due
		registry.Update(repository, func(repository *inventory.Repository) { repository.Due = true })
		// Images that are still shown are needed to end their series.
		if !repository.ImagesReadAt.IsZero() && repository.ImagesReadAt < forget && !shown(repository) {
			registry.Forget(repository)
			changed = true
		}
	}
	if s.shape.InUseWithin > 0 {
		s.Withhold(registry, at, false)
	}
	return changed
}

func shown(repository *inventory.Repository) bool {
	return slices.ContainsFunc(repository.Images, func(image inventory.Image) bool { return image.Shown })
}

// marker is an Apply under way.
type marker struct {
	*Selection
	// pushedSince and pulledSince are the earliest times that count; zero if the time
	// does not matter.
	pushedSince, pulledSince inventory.Time
	newest                   *newest // nil if rank does not matter
	all                      bool    // every tagged image is selected
	untagged                 untagged
}

// images marks the images of a repository that is selected.
func (m *marker) images(repository *inventory.Repository) {
	images := repository.Images
	if m.newest != nil {
		m.newest.reset(images)
	}
	for i := range images {
		image := &images[i]
		// An image that is not active has no series, and no rank.
		image.Excluded, image.Withheld = !image.Active() || !m.all && !m.selects(image), false
		if m.newest == nil || image.Excluded || len(image.Tags) == 0 {
			continue
		}
		if dropped := m.newest.add(i); dropped >= 0 {
			images[dropped].Excluded = true
		}
	}
}

// selects reports whether an image is selected, apart from its rank.
func (m *marker) selects(image *inventory.Image) bool {
	if !m.recent(image) {
		return false
	}
	if m.tag == nil {
		return len(image.Tags) > 0
	}
	return slices.ContainsFunc(image.Tags, m.tag)
}

func (m *marker) recent(image *inventory.Image) bool {
	if m.pushedSince.IsZero() && m.pulledSince.IsZero() {
		return true
	}
	return within(image.PushedAt, m.pushedSince) || within(image.PulledAt.Time(), m.pulledSince)
}

// within reports whether a moment is known, and not before another one.
func within(t, since inventory.Time) bool {
	return !since.IsZero() && !t.IsZero() && t >= since
}
