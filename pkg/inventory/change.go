package inventory

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// SetRepositories replaces the list of repositories by a new, complete one that was
// read at a moment. A known repository keeps its images and when they were read; one
// that is not in the list was deleted. Of two records of one name the later one in the
// list wins: pages of a listing may overlap.
func (r *Registry) SetRepositories(list []*Repository, at Time) {
	listed := make(map[string]*Repository, len(list))
	for _, repository := range list {
		listed[repository.Name] = repository
	}
	for _, old := range r.Repositories {
		if listed[old.Name] == nil {
			r.removed(old, at)
		}
	}
	for _, repository := range listed {
		r.replaceRepository(repository)
		r.ID = cmp.Or(repository.RegistryID, r.ID)
	}
	r.Repositories = slices.SortedFunc(maps.Values(listed), byName)
	r.ListedAt, r.DueNames = at, nil
	r.Removed = stillNeeded(r.Removed, at)
}

// SetRepository puts one repository's record in the list, as SetRepositories does. Its ReadAt
// is set by the caller.
func (r *Registry) SetRepository(repository *Repository) {
	r.replaceRepository(repository)
	r.ID = cmp.Or(repository.RegistryID, r.ID)
	r.dropDueName(repository.Name)
	i, found := slices.BinarySearchFunc(r.Repositories, repository, byName)
	if found {
		r.Repositories[i] = repository
	} else {
		r.Repositories = slices.Insert(r.Repositories, i, repository)
	}
}

// replaceRepository copies into a new record of a repository what is known about its
// images and its listing, and keeps the old record if series end. An event can have had the
// images listed of a repository that was made anew, before its own record was read.
func (r *Registry) replaceRepository(repository *Repository) {
	old := r.Find(repository.Name)
	if old == nil || !old.sameIdentity(repository) && !old.listedSince(repository) {
		r.found(repository.Name, Found{Since: r.ListedAt})
		if r.Unsaved.noteImages(repository); old != nil {
			r.foundDeleted(old)
			r.keepAll(old)
		}
		return
	}
	repository.takeReading(old)
	if !old.sameIdentity(repository) {
		repository.Details = nil // it was made anew
	}
	repository.Mark, repository.Shapes, repository.Images = old.Mark, old.Shapes, old.Images
	r.changed(old, repository)
}

// Update changes a repository's own record, and keeps the old one if series end.
func (r *Registry) Update(repository *Repository, change func(*Repository)) {
	old := *repository
	change(repository)
	r.changed(&old, repository)
}

// Forget forgets a repository's images, none of which is shown.
func (r *Registry) Forget(repository *Repository) {
	r.Unsaved.noteImages(repository)
	repository.Images, repository.Rest, repository.ImagesReadAt = nil, Rest{}, 0
}

// changed keeps what ends by a change of a repository's own record.
func (r *Registry) changed(old, repository *Repository) {
	if sameRecord(old, repository) {
		return
	}
	r.Unsaved.note(repository.Name)
	r.keepOwn(old, repository)
	if repository.orSame(old) == repository {
		return // only read again: that is in no label of an image
	}
	for i := range repository.Images {
		image := &repository.Images[i]
		r.keepImage(imageUnit(old, image), imageUnit(repository, image))
	}
}

// Remove forgets a repository that the API says does not exist.
func (r *Registry) Remove(name string) {
	r.dropDueName(name)
	i, found := slices.BinarySearchFunc(r.Repositories, name, compareName)
	if !found {
		return
	}
	r.removed(r.Repositories[i], TimeOf(time.Now()))
	r.Repositories = slices.Delete(r.Repositories, i, i+1)
}

// removed records that a repository was deleted.
func (r *Registry) removed(old *Repository, at Time) {
	r.Removed = append(r.Removed, Removal{old.Name, old.CreatedAt, at})
	r.foundDeleted(old)
	r.Unsaved.note(old.Name)
	r.keepAll(old)
}

// SetImages replaces a repository's images by a new, complete listing that began at a
// moment. A known image keeps its scan unless the listing has a newer one.
//
// Images are made distinct by digest, and a tag stays on one image only, the one
// pushed last: the pages of a listing are read one after the other, and a tag that
// moves in between is seen on both images.
func (r *Registry) SetImages(repository *Repository, list []Image, at Time) {
	list = distinct(list)
	for old, now := range pairs(repository.Images, list, compareDigest) {
		if old != nil && now != nil && now.Index == nil {
			now.Index = old.Index // a digest's manifest never changes
		}
	}
	list, rest := r.useful(list)
	since := cmp.Or(repository.ImagesReadAt, r.Found[repository.Name].Since)
	r.found(repository.Name, Found{Since: since})
	for old, now := range pairs(repository.Images, list, compareDigest) {
		switch {
		case old == nil:
			r.foundImage(repository.Name, now, since)
			r.Unsaved.noteImage(repository.Name, now.Digest)
		case now == nil:
			if old.Shown && old.Tagged() {
				r.found(repository.Name, Found{Deleted: since})
			}
			r.Unsaved.noteImage(repository.Name, old.Digest)
			r.keepImage(imageUnit(repository, old), Unit{})
		default:
			if !replacesScan(now.Scan, old.Scan) {
				now.Scan = old.Scan
			}
			r.foundScan(repository.Name, now.Scan, old.Scan, since)
			now.Listed = old.Listed
			if now.Mark = old.Mark; sameRecord(old, now) {
				continue
			}
			r.Unsaved.noteImage(repository.Name, now.Digest)
			r.keepImage(imageUnit(repository, old), imageUnit(repository, now))
		}
	}
	r.Update(repository, func(repository *Repository) {
		repository.Images, repository.Rest = list, rest
		repository.ImagesReadAt, repository.TriedAt = at, max(at, repository.TriedAt)
		repository.Denied, repository.Due = false, false
	})
}

func compareDigest(a, b Image) int { return a.Digest.Compare(b.Digest) }

// distinct sorts images by digest and leaves each digest, and each tag, in once.
func distinct(list []Image) []Image {
	slices.SortFunc(list, compareDigest)
	list = slices.CompactFunc(list, func(a, b Image) bool { return a.Digest == b.Digest })
	owner := make(map[string]int, len(list))
	for i := range list {
		slices.Sort(list[i].Tags)
		for _, tag := range list[i].Tags {
			if j, taken := owner[tag]; !taken || ownsTag(&list[i], &list[j]) {
				owner[tag] = i
			}
		}
	}
	for i := range list {
		tags := slices.DeleteFunc(slices.Compact(list[i].Tags), func(tag string) bool { return owner[tag] != i })
		list[i].Tags = slices.Clip(tags)
	}
	return list
}

// ownsTag reports whether image a, rather than b, has a tag that was seen on both: an
// active image first, then the later push.
func ownsTag(a, b *Image) bool {
	if a.Active() != b.Active() {
		return a.Active()
	}
	return a.PushedAt > b.PushedAt
}

// replacesScan reports whether what a listing says about a scan replaces what is known:
// not if it says nothing, nor if a result that was requested is as new.
func replacesScan(listed, known *Scan) bool {
	switch {
	case listed == nil:
		return false
	case known == nil || known.AskedAt.IsZero():
		return true
	default:
		return listed.CompletedAt > known.CompletedAt
	}
}

// SetScan replaces what is known about an image's scan.
func (r *Registry) SetScan(repository *Repository, image *Image, scan *Scan) {
	r.foundScan(repository.Name, scan, image.Scan, cmp.Or(r.Found[repository.Name].Since, repository.ImagesReadAt))
	r.setResults(repository, image, scan, image.Index)
}

// SetIndex replaces what is known about the children of an index.
func (r *Registry) SetIndex(repository *Repository, image *Image, index *Index) {
	r.setResults(repository, image, image.Scan, index)
}

func (r *Registry) setResults(repository *Repository, image *Image, scan *Scan, index *Index) {
	r.Unsaved.noteImage(repository.Name, image.Digest)
	old := *image
	image.Scan, image.Index = scan, index
	r.keepImage(imageUnit(repository, &old), imageUnit(repository, image))
}
