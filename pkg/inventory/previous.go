package inventory

import "slices"

// A series ends when what it was about is gone: an image deleted, a tag moved, a
// setting changed. Receivers show it until its staleness marker, or until the lookback
// of five minutes is over. So a change keeps the previous version of a record that was
// pushed in Registry.Previous, from which pkg/metrics makes the markers.
//
// While pushes fail there can be several previous versions of one record. All are kept:
// which of them a receiver stored is unknown, and one marker too many is harmless.

// keepAll keeps the record of a repository that no longer exists, and its images.
func (r *Registry) keepAll(old *Repository) {
	r.keepOwn(old, nil)
	for i := range old.Images {
		r.keepImage(imageUnit(old, &old.Images[i]), Unit{})
	}
}

// keepOwn keeps a repository's own record if it was pushed and the one in its place, nil
// if there is none, does not have all its series. That one is then yet to be pushed.
func (r *Registry) keepOwn(old, now *Repository) {
	if !old.Shown || !r.ends(Unit{Repository: old}, Unit{Repository: now}) {
		return
	}
	r.previous(old).Shown = true
	if now != nil {
		now.Shown = false
	}
}

// keepImage keeps the record of an image if it was pushed and the one in its place does not
// have all its series. That one is then yet to be pushed.
func (r *Registry) keepImage(old, now Unit) {
	if !old.Image.Shown {
		return
	}
	unchanged := now.Image != nil && sameRecord(old.Image, now.Image) && sameRecord(old.Repository, now.Repository)
	if unchanged || !r.ends(old, now) {
		return
	}
	kept := r.previous(old.Repository)
	kept.Images = append(kept.Images, *old.Image)
	kept.Images[len(kept.Images)-1].Listed = nil
	if now.Image != nil {
		now.Image.Shown = false
		r.Unsaved.noteImage(now.Repository.Name, now.Image.Digest)
	}
}

func (r *Registry) ends(old, now Unit) bool { return r.Ends == nil || r.Ends(old, now) }

// previous returns the entry of Previous for a version of a repository's record.
func (r *Registry) previous(version *Repository) *Repository {
	i, _ := slices.BinarySearchFunc(r.Previous, version, byName)
	for ; i < len(r.Previous) && r.Previous[i].Name == version.Name; i++ {
		if slices.Equal(r.Previous[i].Shapes, version.Shapes) && sameRecord(r.Previous[i], version) {
			return r.Previous[i]
		}
	}
	entry := *version
	entry.Mark, entry.Images = Mark{}, nil
	r.Previous = slices.Insert(r.Previous, i, &entry)
	return &entry
}

// compactPrevious drops previous versions of images that have no series which another
// version has not: merging with the same copy again must not make them grow.
func (r *Registry) compactPrevious() {
	for _, entry := range r.Previous {
		slices.SortStableFunc(entry.Images, compareDigest)
		kept := entry.Images[:0]
		for _, image := range entry.Images {
			covered := false
			for i := len(kept) - 1; i >= 0 && kept[i].Digest == image.Digest && !covered; i-- {
				covered = sameRecord(&kept[i], &image) || r.Ends != nil && !r.Ends(imageUnit(entry, &image), imageUnit(entry, &kept[i]))
			}
			if !covered {
				kept = append(kept, image)
			}
		}
		entry.Images = kept
	}
}

// Pushing records, before a push under a shape, what it may show from a moment on, so that
// it can be stored first: else series would not be ended if the process died in between.
// With names it is a push of these repositories only.
func (r *Registry) Pushing(at Time, shape Shape, names []string) {
	r.mark(at, shape, false, names, func(m *Mark, excluded bool) {
		m.Pending = m.Pending || !m.Shown && !excluded
		m.Shown = m.Shown || !excluded
	})
}

// Pushed records that a push under a shape arrived at a moment, at least in part: what is
// not excluded is shown from then on. With names it was a push of these repositories only.
// If told is set it delivered the markers of what had ended; else they are due again, also
// those of the shapes that records had before.
func (r *Registry) Pushed(at Time, shape Shape, told bool, names []string) {
	r.mark(at, shape, told, names, func(m *Mark, excluded bool) {
		m.Shown, m.Pending = !excluded || m.Shown && !told, false
	})
	if told {
		r.Previous = slices.DeleteFunc(r.Previous, func(version *Repository) bool { return named(names, version) })
		r.dropShapes()
	}
}

// NotPushed records that the push under way did not arrive at all.
func (r *Registry) NotPushed() {
	undo := func(m *Mark) { m.Shown, m.Pending = m.Shown && !m.Pending, false }
	for _, repository := range r.Repositories {
		undo(&repository.Mark)
		for i := range repository.Images {
			undo(&repository.Images[i].Mark)
		}
	}
}

func named(names []string, repository *Repository) bool {
	return names == nil || slices.Contains(names, repository.Name)
}

// mark changes the marks and shapes of the records of a push.
func (r *Registry) mark(at Time, shape Shape, told bool, names []string, change func(m *Mark, excluded bool)) {
	id := r.shapeID(shape)
	shapes := []ShapeID{id} // shared by all repositories
	for _, repository := range r.Repositories {
		if !named(names, repository) {
			continue
		}
		marked := shapes
		if !told {
			marked = unionOfShapes(shapes, repository.Shapes)
		}
		shown := repository.Shown
		change(&repository.Mark, repository.Excluded)
		if repository.Shown != shown || !slices.Equal(repository.Shapes, marked) {
			repository.Shapes = marked
			r.Unsaved.note(repository.Name)
		}
		for i := range repository.Images {
			image := &repository.Images[i]
			shown := image.Shown
			change(&image.Mark, repository.Excluded || !image.HasSeries())
			if image.Shown != shown {
				r.Unsaved.noteImage(repository.Name, image.Digest)
			}
		}
	}
	r.PushedAt = max(r.PushedAt, at)
	if names == nil {
		sent := r.own()
		sent.Shape = id
		if told {
			r.Sent = nil
		}
		r.addSent(sent)
	}
}

// unionOfShapes returns the first list, with what only the other one has after it.
func unionOfShapes(shapes, others []ShapeID) []ShapeID {
	for _, id := range others {
		if !slices.Contains(shapes, id) {
			shapes = append(slices.Clip(shapes), id)
		}
	}
	return shapes
}

// addSent adds an own record that was pushed, in place of those whose series it all has.
func (r *Registry) addSent(sent *Registry) {
	r.Sent = slices.DeleteFunc(r.Sent, func(known *Registry) bool {
		return known.Shape == sent.Shape && !r.ends(Unit{Registry: known}, Unit{Registry: sent})
	})
	r.Sent = append(r.Sent, sent)
}

// own returns a copy of the registry's own record.
func (r *Registry) own() *Registry {
	own := *r
	own.Repositories, own.Previous, own.Removed, own.Shapes, own.Sent = nil, nil, nil, nil, nil
	own.Ends, own.Keeps, own.Found = nil, nil, nil
	own.Region, own.Whole, own.DueNames, own.Unsaved, own.Running, own.Peaks = "", "", nil, Unsaved{}, Running{}, Peaks{}
	return &own
}

// WholePushedAt is the timestamp of the last push that was not for events; zero if it is not
// known.
func (r *Registry) WholePushedAt() (at Time) {
	for _, sent := range r.Sent {
		at = max(at, sent.PushedAt)
	}
	return at
}
