package inventory

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
)

// The stored form of the changes since the whole was stored is like that of the whole, but
// has only the records that Unsaved names, and says which are gone. What it does not name is
// as in the whole.
const changesName = "ecr-remote-write inventory changes"

// changeItem is a repository that changed. Its images that changed follow, one item each.
type changeItem struct {
	Name string `cbor:"1,keyasint"`
	// Repository is its own record, nil if the repository is gone.
	Repository *Repository `cbor:"2,keyasint,omitempty"`
	// All is set if the images that follow are all that there are.
	All bool `cbor:"3,keyasint,omitempty"`
	// Gone are the images that are gone.
	Gone   []Digest `cbor:"4,keyasint,omitempty"`
	Images int      `cbor:"5,keyasint,omitempty"`
}

// EncodeChanges writes the stored form of what changed since the registry was stored as a
// whole. It must not be used if Unsaved.All is set, or there is no Whole.
func EncodeChanges(w io.Writer, registry *Registry) error {
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("encoding changes of the inventory: %w", err)
	}
	out := newEncoder(zip)
	out.write(header{changesName, formatVersion, len(registry.Unsaved.Repositories), len(registry.Previous)})
	out.write(registry)
	for _, name := range slices.Sorted(maps.Keys(registry.Unsaved.Repositories)) {
		out.change(registry.Find(name), name, registry.Unsaved.Repositories[name])
	}
	for _, version := range registry.Previous {
		out.repository(version)
	}
	out.write(trailer{out.images})
	if out.err == nil {
		out.err = zip.Close()
	}
	if out.err != nil {
		return fmt.Errorf("encoding changes of the inventory: %w", out.err)
	}
	return nil
}

func (e *encoder) change(repository *Repository, name string, changed *UnsavedRepository) {
	item := changeItem{Name: name, Repository: repository, All: changed.All}
	var images []*Image
	switch {
	case repository == nil:
		item.All = false
	case changed.All:
		for i := range repository.Images {
			images = append(images, &repository.Images[i])
		}
	default:
		for _, digest := range slices.SortedFunc(maps.Keys(changed.Images), Digest.Compare) {
			if image := repository.FindImage(digest); image != nil {
				images = append(images, image)
			} else {
				item.Gone = append(item.Gone, digest)
			}
		}
	}
	item.Images = len(images)
	e.write(item)
	for _, image := range images {
		e.image(image)
	}
}

// DecodeChanges reads the stored form of changes and applies them to the whole that they are
// about, which has just been decoded. Changes of another whole are about an earlier one: this
// one has them, or another environment made them at the same moment. Of those only what was
// read later than what the whole has is applied, and nothing of another registry. The error
// is like that of Decode, and the whole is then not usable.
func DecodeChanges(r io.Reader, whole *Registry) error {
	source := &sourceReader{r: r}
	err := decodeChanges(source, whole)
	switch {
	case source.err != nil:
		return fmt.Errorf("reading changes of the inventory: %w", source.err)
	case err != nil:
		return fmt.Errorf("changes: %w: %w", ErrFormat, err)
	}
	return nil
}

func decodeChanges(r io.Reader, whole *Registry) error {
	zip, items, head, registry, err := begin(r, changesName, memoryLimit())
	if err != nil {
		return err
	}
	current := registry.Whole == whole.Whole
	related := registry.IsOf(whole.ID, whole.Region)
	known := map[string]*Repository{}
	for _, repository := range whole.Repositories {
		known[repository.Name] = repository
	}
	images := 0
	for i := range head.Repositories {
		var item changeItem
		if err := items.Decode(&item); err != nil {
			return fmt.Errorf("repository %d of %d: %w", i+1, head.Repositories, err)
		}
		changed, err := decodeChangedImages(items, item.Images)
		if err != nil {
			return fmt.Errorf("repository %d of %d: %w", i+1, head.Repositories, err)
		}
		images += len(changed)
		if item.Repository != nil {
			item.Repository.Name = item.Name
		}
		if current || related && whole.isOlderThan(&item, known[item.Name], registry) {
			whole.applyChange(known, &item, changed)
		}
	}
	var previous []*Repository
	for i := range head.Previous {
		version, err := decodeRepository(items, false)
		if err != nil {
			return fmt.Errorf("previous version %d of %d: %w", i+1, head.Previous, err)
		}
		images += len(version.Images)
		previous = append(previous, version)
	}
	var tail trailer
	if err := items.Decode(&tail); err != nil {
		return fmt.Errorf("trailer: %w", err)
	}
	if tail.Images != images {
		return fmt.Errorf("trailer: %d images, want %d", images, tail.Images)
	}
	whole.Repositories = slices.SortedFunc(maps.Values(known), byName)
	if current {
		// The registry's own record is that of the changes.
		registry.Repositories, registry.Previous = whole.Repositories, previous
		registry.Unsaved, registry.Ends = whole.Unsaved, whole.Ends
		registry.Unsaved.Any = false // all of it is stored
		*whole = *registry
	} else if related {
		for _, name := range registry.DueNames {
			whole.AddDueName(name)
		}
		whole.Unsaved.noteAll()
	}
	return end(zip, items, whole)
}

func decodeChangedImages(items *itemReader, n int) ([]Image, error) {
	if n < 0 {
		return nil, errors.New("a negative number of images")
	}
	list := make([]Image, 0, min(n, 100_000)) // not trusted with more memory before they are there
	for i := range n {
		image, err := decodeImage(items, false)
		if err != nil {
			return nil, fmt.Errorf("image %d of %d: %w", i+1, n, err)
		}
		list = append(list, image)
	}
	if !slices.IsSortedFunc(list, compareDigest) {
		return nil, errors.New("images are not in order")
	}
	return list, nil
}

// isOlderThan reports whether what the registry knows of a repository was read before a
// change of another environment.
func (r *Registry) isOlderThan(item *changeItem, known *Repository, changes *Registry) bool {
	switch {
	case item.Repository == nil:
		return known != nil && slices.ContainsFunc(changes.Removed, func(gone Removal) bool {
			return gone.Name == known.Name && gone.CreatedAt >= known.CreatedAt && gone.At >= known.ImagesReadAt
		})
	case known == nil:
		return item.All && !r.knowsDeleted(item.Repository, changes.ListedAt)
	default:
		return item.Repository.ImagesReadAt > known.ImagesReadAt || item.Repository.CreatedAt > known.CreatedAt
	}
}

// applyChange puts a changed repository in place of the known one.
func (r *Registry) applyChange(byName map[string]*Repository, item *changeItem, changed []Image) {
	known := byName[item.Name]
	if item.Repository == nil {
		delete(byName, item.Name)
		r.Unsaved.note(item.Name)
		return
	}
	repository := item.Repository
	if item.All || known == nil {
		repository.Images = changed
		byName[item.Name] = repository
		r.Unsaved.noteImages(repository)
		return
	}
	gone := map[Digest]bool{}
	for _, digest := range item.Gone {
		gone[digest] = true
		r.Unsaved.noteImage(item.Name, digest)
	}
	r.Unsaved.note(item.Name)
	for old, now := range pairs(known.Images, changed, compareDigest) {
		switch {
		case now != nil:
			repository.Images = append(repository.Images, *now)
			r.Unsaved.noteImage(item.Name, now.Digest)
		case !gone[old.Digest]:
			repository.Images = append(repository.Images, *old)
		}
	}
	byName[item.Name] = repository
}
