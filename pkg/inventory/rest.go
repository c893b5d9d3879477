package inventory

import "slices"

// Rest counts the images of a repository that were listed and are not kept, because nothing
// shows them: most of those without a tag. Each is in one state.
type Rest struct {
	Untagged Total `cbor:"1,keyasint,omitzero" json:"untagged,omitzero"`
	Archived Total `cbor:"2,keyasint,omitzero" json:"archived,omitzero"`
	// PushedAt and PulledAt are the latest push and pull of one of them; zero if unknown.
	PushedAt Time `cbor:"3,keyasint,omitempty" json:"pushed_at,omitzero"`
	PulledAt Time `cbor:"4,keyasint,omitempty" json:"pulled_at,omitzero"`
}

func (r *Rest) add(image *Image) {
	if image.Active() {
		r.Untagged.add(image)
	} else {
		r.Archived.add(image)
	}
	r.PushedAt, r.PulledAt = max(r.PushedAt, image.PushedAt), max(r.PulledAt, image.PulledAt.Time())
}

// addAll adds what another one counts.
func (r *Rest) addAll(other *Rest) {
	r.Untagged.addAll(other.Untagged)
	r.Archived.addAll(other.Archived)
	r.PushedAt, r.PulledAt = max(r.PushedAt, other.PushedAt), max(r.PulledAt, other.PulledAt)
}

// useful returns those of a repository's images that can be shown, or decide what is, in a
// list of their own size, and counts the rest. These are the tagged ones, indexes, what the
// indexes list, and what Keeps. Until it is known what all indexes list, every image that can
// run is one of these.
func (r *Registry) useful(images []Image) (kept []Image, rest Rest) {
	if r.Keeps == nil {
		return exactly(images), rest
	}
	listed, decided := listedByIndexes(images)
	keeps := func(image *Image) bool {
		isChild, isListed := listed[image.Digest]
		switch {
		case len(image.Tags) > 0 || image.IsIndex():
			return true
		case !image.Runnable():
			return false
		case isListed && decided:
			return isChild
		default:
			return !decided || r.Keeps(image)
		}
	}
	n := 0
	for i := range images {
		if keeps(&images[i]) {
			n++
		}
	}
	if n == len(images) {
		return exactly(images), rest
	}
	kept = make([]Image, 0, n)
	for i := range images {
		if keeps(&images[i]) {
			kept = append(kept, images[i])
		} else {
			rest.add(&images[i])
		}
	}
	return kept, rest
}

// exactly returns a list without the room in which it grew, up to a quarter of it.
func exactly(images []Image) []Image {
	if cap(images) == len(images) {
		return images
	}
	return slices.Clip(slices.Clone(images))
}

// listedByIndexes returns what indexes list: true for images, false for others, such as
// attestations. It is decided if that is known of all active indexes.
func listedByIndexes(images []Image) (listed map[Digest]bool, decided bool) {
	listed, decided = map[Digest]bool{}, true
	for i := range images {
		image := &images[i]
		if image.Index == nil {
			decided = decided && !(image.IsIndex() && image.Active())
			continue
		}
		for _, child := range image.Index.Children {
			listed[child.Digest] = true
		}
		for _, other := range image.Index.Others {
			if !listed[other] {
				listed[other] = false
			}
		}
	}
	return listed, decided
}

// ForgetRest forgets the images of a repository that are not useful any more, after it
// became known what its indexes list.
func (r *Registry) ForgetRest(repository *Repository) {
	kept, rest := r.useful(repository.Images)
	if len(kept) == len(repository.Images) {
		return
	}
	for old, now := range pairs(repository.Images, kept, compareDigest) {
		if now == nil {
			r.Unsaved.noteImage(repository.Name, old.Digest)
			r.keepImage(imageUnit(repository, old), Unit{})
		}
	}
	r.Update(repository, func(repository *Repository) {
		repository.Images = kept
		repository.Rest.addAll(&rest)
	})
}
