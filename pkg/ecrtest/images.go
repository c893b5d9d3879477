package ecrtest

import (
	"fmt"
	"slices"
	"time"
)

// imageSet are the images of one repository.
type imageSet struct {
	// records are sorted by digest, the order of pages. The order of ECR has no meaning
	// either.
	records []record
	// byTag is built when first needed, which is never for most repositories of a large
	// generated registry.
	byTag map[string]digest
	// scans are those that were set. Generated scans are not stored.
	scans map[digest]history
}

func (s *imageSet) find(d digest) (i int, found bool) {
	return slices.BinarySearchFunc(s.records, d, func(rec record, d digest) int { return rec.digest.compare(d) })
}

func (s *imageSet) tags() map[string]digest {
	if s.byTag == nil {
		s.byTag = make(map[string]digest)
		for i := range s.records {
			for _, tag := range s.records[i].tags {
				s.byTag[tag] = s.records[i].digest
			}
		}
	}
	return s.byTag
}

// put adds a record or replaces the one with its digest. As in a push, other images lose
// its tags.
func (s *imageSet) put(rec record) {
	tags := s.tags()
	i, found := s.find(rec.digest)
	if found {
		for _, tag := range s.records[i].tags {
			delete(tags, tag)
		}
	}
	for _, tag := range rec.tags {
		if owner, ok := tags[tag]; ok {
			s.untag(owner, tag)
		}
		tags[tag] = rec.digest
	}
	if found {
		s.records[i] = rec
	} else {
		s.records = slices.Insert(s.records, i, rec)
	}
}

// untag removes a tag from the image of a digest. The caller updates byTag.
func (s *imageSet) untag(d digest, tag string) {
	i, found := s.find(d)
	if !found {
		return
	}
	rec := &s.records[i]
	left := make([]string, 0, len(rec.tags))
	for _, t := range rec.tags {
		if t != tag {
			left = append(left, t)
		}
	}
	rec.tags = left
}

// delete removes the image at an index.
func (s *imageSet) delete(i int) {
	tags := s.tags()
	for _, tag := range s.records[i].tags {
		delete(tags, tag)
	}
	delete(s.scans, s.records[i].digest)
	s.records = slices.Delete(s.records, i, i+1)
}

// edit changes the images of a repository under the lock.
func (r *Registry) edit(name string, change func(*imageSet) error) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	repo, ok := r.repositories[name]
	if !ok {
		return fmt.Errorf("repository %q: does not exist", name)
	}
	if err := change(&repo.images); err != nil {
		return fmt.Errorf("repository %q: %w", name, err)
	}
	return nil
}

// editImage changes an image except for its digest.
func (r *Registry) editImage(name, dig string, change func(*Image)) error {
	return r.edit(name, func(s *imageSet) error {
		i, err := s.mustFind(dig)
		if err != nil {
			return err
		}
		img := s.records[i].image()
		change(&img)
		img.Digest = dig
		rec, err := newRecord(&img)
		if err != nil {
			return err
		}
		s.put(rec)
		return nil
	})
}

func (s *imageSet) mustFind(dig string) (int, error) {
	d, ok := parseDigest(dig)
	if !ok {
		return 0, fmt.Errorf("image digest %q: want sha256: and 64 hexadecimal digits", dig)
	}
	i, found := s.find(d)
	if !found {
		return 0, fmt.Errorf("image %s: does not exist", dig)
	}
	return i, nil
}

// PutImage pushes an image: it adds it, or replaces the one with its digest. Other images
// lose its tags.
func (r *Registry) PutImage(repository string, img Image) error {
	rec, err := newRecord(&img)
	if err != nil {
		return fmt.Errorf("put into repository %q: %w", repository, err)
	}
	return r.edit(repository, func(s *imageSet) error {
		s.put(rec)
		return nil
	})
}

// UpdateImage changes an image except for its digest. Other images lose tags that change
// adds. change must not call the Registry.
func (r *Registry) UpdateImage(repository, digest string, change func(*Image)) error {
	return r.editImage(repository, digest, change)
}

// Tag moves or adds a tag to an image.
func (r *Registry) Tag(repository, digest, tag string) error {
	return r.editImage(repository, digest, func(img *Image) { img.Tags = append(img.Tags, tag) })
}

// Untag removes a tag from its image. The image stays, even without tags.
func (r *Registry) Untag(repository, tag string) error {
	return r.edit(repository, func(s *imageSet) error {
		owner, ok := s.tags()[tag]
		if !ok {
			return fmt.Errorf("tag %q: does not exist", tag)
		}
		s.untag(owner, tag)
		delete(s.byTag, tag)
		return nil
	})
}

// DeleteImage deletes an image with its tags.
func (r *Registry) DeleteImage(repository, digest string) error {
	return r.edit(repository, func(s *imageSet) error {
		i, err := s.mustFind(digest)
		if err != nil {
			return err
		}
		s.delete(i)
		return nil
	})
}

// Archive moves an image to the archive. It keeps its tags.
func (r *Registry) Archive(repository, digest string, at time.Time) error {
	return r.editImage(repository, digest, func(img *Image) {
		img.Status, img.ArchivedAt = statusArchived.String(), at
	})
}

// Restore moves an image out of the archive.
func (r *Registry) Restore(repository, digest string, at time.Time) error {
	return r.editImage(repository, digest, func(img *Image) {
		img.Status, img.ActivatedAt = statusActive.String(), at
	})
}

// Image returns the image with a digest or a tag.
func (r *Registry) Image(repository, reference string) (Image, bool) {
	r.mu.Lock() // the tag index may have to be built
	defer r.mu.Unlock()
	repo, ok := r.repositories[repository]
	if !ok {
		return Image{}, false
	}
	d, ok := parseDigest(reference)
	if !ok {
		if d, ok = repo.images.tags()[reference]; !ok {
			return Image{}, false
		}
	}
	i, found := repo.images.find(d)
	if !found {
		return Image{}, false
	}
	return repo.images.records[i].image(), true
}

// Images returns all images of a repository, sorted by digest; none if the repository does
// not exist.
func (r *Registry) Images(repository string) []Image {
	r.mu.RLock()
	defer r.mu.RUnlock()
	repo, ok := r.repositories[repository]
	if !ok {
		return nil
	}
	all := make([]Image, 0, len(repo.images.records))
	for i := range repo.images.records {
		all = append(all, repo.images.records[i].image())
	}
	return all
}

// imagesAfter returns up to limit matching records after a cursor, which is empty for the
// first page, and whether there are more. known is false if the repository does not exist.
func (r *Registry) imagesAfter(repository, cursor string, limit int, match func(*record) bool) (page []record, more, known bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	repo, ok := r.repositories[repository]
	if !ok {
		return nil, false, false
	}
	rest := repo.images.records
	if d, ok := parseDigest(cursor); ok {
		i, found := repo.images.find(d)
		if found {
			i++
		}
		rest = rest[i:]
	}
	page = make([]record, 0, min(limit, len(rest)))
	for i := range rest {
		if !match(&rest[i]) {
			continue
		}
		if len(page) == limit {
			return page, true, true
		}
		page = append(page, rest[i])
	}
	return page, false, true
}
