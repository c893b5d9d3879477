package inventory

import (
	"cmp"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"slices"
	"unique"

	"github.com/fxamacker/cbor/v2"
)

// The stored form of an inventory is a CBOR sequence (RFC 8742) inside gzip, whose
// checksum covers all of it: a header, the registry, then each repository followed by
// its images, one item each, and a trailer. Records are maps with small integer keys, so
// that one may gain a field without a new version. Items are written and read one by
// one: there is never a second copy of the whole.

// formatName and formatVersion make the header. The version is incremented when an older
// program would misread what is written.
//
// Version 1 stored what is excluded (Hidden) instead of what is shown.
const (
	formatName    = "ecr-remote-write inventory"
	formatVersion = 2
)

type header struct {
	Name    string `cbor:"1,keyasint"`
	Version int    `cbor:"2,keyasint"`
	// Repositories is how many follow the registry, and Previous how many previous
	// versions follow them.
	Repositories int `cbor:"3,keyasint"`
	Previous     int `cbor:"4,keyasint,omitempty"`
}

// repositoryItem is a repository and the number of image items that follow it.
type repositoryItem struct {
	Repository *Repository `cbor:"1,keyasint"`
	Images     int         `cbor:"2,keyasint"`
}

type trailer struct {
	Images int `cbor:"1,keyasint"`
}

// ErrFormat says that what was read is not a stored inventory of a version that this
// program knows, or is damaged.
var ErrFormat = errors.New("not a usable inventory")

// ErrLater says so of a version after this program's. It comes with ErrFormat.
var ErrLater = errors.New("of a later version")

// Encode writes the stored form of a registry.
func Encode(w io.Writer, registry *Registry) error {
	zip, err := gzip.NewWriterLevel(w, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("encoding the inventory: %w", err)
	}
	out := newEncoder(zip)
	out.write(header{formatName, formatVersion, len(registry.Repositories), len(registry.Previous)})
	out.write(registry)
	for _, repository := range registry.Repositories {
		out.repository(repository)
	}
	for _, version := range registry.Previous {
		out.repository(version)
	}
	out.write(trailer{out.images})
	if out.err == nil {
		out.err = zip.Close()
	}
	if out.err != nil {
		return fmt.Errorf("encoding the inventory: %w", out.err)
	}
	return nil
}

// encoder writes items until one fails.
type encoder struct {
	items  *cbor.Encoder
	item   *itemWriter
	images int // written
	err    error
}

func newEncoder(w io.Writer) *encoder {
	item := &itemWriter{w: w}
	return &encoder{items: cbor.NewEncoder(item), item: item}
}

func (e *encoder) write(item any) {
	if e.err == nil {
		e.item.n = 0
		e.err = e.items.Encode(item)
	}
}

func (e *encoder) repository(repository *Repository) {
	e.write(repositoryItem{repository, len(repository.Images)})
	for i := range repository.Images {
		e.image(&repository.Images[i])
	}
}

func (e *encoder) image(image *Image) {
	e.write(image)
	e.images++
}

// Decode reads the stored form of a registry. An error that matches ErrFormat is about
// the content; any other comes from the reader.
func Decode(r io.Reader) (*Registry, error) { return decodeWithin(r, memoryLimit()) }

// decodeWithin is Decode with a bound of the memory in bytes.
func decodeWithin(r io.Reader, limit int64) (*Registry, error) {
	source := &sourceReader{r: r}
	registry, err := decode(source, limit)
	switch {
	case source.err != nil:
		return nil, fmt.Errorf("reading the inventory: %w", source.err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return registry, nil
}

// sourceReader remembers an error of the reader, which the decoders above it wrap or hide.
type sourceReader struct {
	r   io.Reader
	err error
}

func (s *sourceReader) Read(p []byte) (int, error) {
	n, err := s.r.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func decode(r io.Reader, limit int64) (*Registry, error) {
	zip, items, head, registry, err := begin(r, formatName, limit)
	if err != nil {
		return nil, err
	}
	// In version 1 what was pushed and not hidden is shown, under the present shape.
	shown := head.Version == 1 && !registry.PushedAt.IsZero()
	images := 0
	for i := range head.Repositories + head.Previous {
		repository, err := decodeRepository(items, shown)
		if err != nil {
			return nil, fmt.Errorf("repository %d of %d and %d: %w", i+1, head.Repositories, head.Previous, err)
		}
		images += len(repository.Images)
		if i < head.Repositories {
			registry.Repositories = append(registry.Repositories, repository)
		} else {
			registry.Previous = append(registry.Previous, repository)
		}
	}
	var tail trailer
	if err := items.Decode(&tail); err != nil {
		return nil, fmt.Errorf("trailer: %w", err)
	}
	if tail.Images != images {
		return nil, fmt.Errorf("trailer: %d images, want %d", images, tail.Images)
	}
	return registry, end(zip, items, registry)
}

// begin reads the header and the registry.
func begin(r io.Reader, name string, limit int64) (io.Reader, *itemReader, header, *Registry, error) {
	var head header
	fail := func(err error) (io.Reader, *itemReader, header, *Registry, error) { return nil, nil, head, nil, err }
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fail(fmt.Errorf("gzip header: %w", err))
	}
	items := newItemReader(zip, limit)
	if err := items.Decode(&head); err != nil {
		return fail(fmt.Errorf("header: %w", err))
	}
	if head.Name != name {
		return fail(fmt.Errorf("header: %.40q, want %q", head.Name, name))
	}
	switch {
	case head.Version > formatVersion:
		// All versions have what wrote them at the same place.
		var own struct {
			WrittenBy string `cbor:"22,keyasint"`
		}
		if items.Decode(&own) != nil {
			own.WrittenBy = "" // not known
		}
		return fail(fmt.Errorf("%w: %d, want 1 or %d (written by %.100q)", ErrLater, head.Version, formatVersion, own.WrittenBy))
	case head.Version < 1:
		return fail(fmt.Errorf("header: version %d, want 1 or %d", head.Version, formatVersion))
	}
	registry := &Registry{}
	if err := items.Decode(registry); err != nil {
		return fail(fmt.Errorf("registry: %w", err))
	}
	return zip, items, head, registry, nil
}

// end checks that nothing follows, and that the records are in order.
func end(zip io.Reader, items *itemReader, registry *Registry) error {
	// The checksum follows the last byte of content, and is verified when the end is read.
	rest := io.LimitReader(io.MultiReader(items.Buffered(), zip), 1)
	if n, err := io.Copy(io.Discard, rest); err != nil || n != 0 {
		return fmt.Errorf("end: %d more bytes, %w", n, cmp.Or(err, errors.New("want none")))
	}
	if !registry.sorted() {
		return errors.New("records are not in order, or not distinct")
	}
	return nil
}

// decodeRepository reads a repository and its images. With shown set, what is not hidden
// is shown (see formatVersion).
func decodeRepository(items *itemReader, shown bool) (*Repository, error) {
	var item struct {
		Repository *struct {
			Repository
			Hidden bool `cbor:"16,keyasint,omitempty"`
		} `cbor:"1,keyasint"`
		Images int `cbor:"2,keyasint"`
	}
	if err := items.Decode(&item); err != nil {
		return nil, err
	}
	if item.Repository == nil || item.Images < 0 {
		return nil, errors.New("no record")
	}
	repository := &item.Repository.Repository
	repository.Shown = repository.Shown || shown && !item.Repository.Hidden
	repository.TagMutability = shared(repository.TagMutability)
	repository.EncryptionType = shared(repository.EncryptionType)
	repository.RegistryID = shared(repository.RegistryID)
	// The number is not trusted with memory before the images are there.
	repository.Images = make([]Image, 0, min(item.Images, 100_000))
	for i := range item.Images {
		image, err := decodeImage(items, shown)
		if err != nil {
			return nil, fmt.Errorf("image %d of %d: %w", i+1, item.Images, err)
		}
		repository.Images = append(repository.Images, image)
	}
	return repository, nil
}

func decodeImage(items *itemReader, shown bool) (Image, error) {
	var stored struct {
		Image
		Hidden bool `cbor:"10,keyasint,omitempty"`
	}
	if err := items.Decode(&stored); err != nil {
		return Image{}, err
	}
	image := stored.Image
	image.Shown = image.Shown || shown && !stored.Hidden
	if index := image.Index; index != nil {
		for j := range index.Children {
			index.Children[j].Platform = shared(index.Children[j].Platform)
		}
		for j := range index.Platforms {
			index.Platforms[j].Platform = shared(index.Platforms[j].Platform)
		}
	}
	return image, nil
}

// sorted reports whether they are sorted, each once.
func (s Severities) sorted() bool {
	for i := 1; i < len(s); i++ {
		if s[i-1].Severity.Compare(s[i].Severity) >= 0 {
			return false
		}
	}
	return true
}

// shared returns the one copy of a string that many records have in common.
func shared(s string) string { return unique.Make(s).Value() }

// sorted reports whether the records are in the order that Find and FindImage rest on,
// and each is there once: repositories by name, images by digest, tags and severities.
func (r *Registry) sorted() bool {
	ascending := func(n int, less func(i, j int) bool) bool {
		for i := 1; i < n; i++ {
			if !less(i-1, i) {
				return false
			}
		}
		return true
	}
	if !ascending(len(r.Repositories), func(i, j int) bool { return r.Repositories[i].Name < r.Repositories[j].Name }) ||
		!slices.IsSortedFunc(r.Previous, byName) ||
		!ascending(len(r.DueNames), func(i, j int) bool { return r.DueNames[i] < r.DueNames[j] }) {
		return false
	}
	for _, registry := range append([]*Registry{r}, r.Sent...) {
		if registry == nil || registry.Details == nil {
			continue
		}
		if d := registry.Details; !ascending(len(d.CacheRules), func(i, j int) bool { return CompareCacheRules(d.CacheRules[i], d.CacheRules[j]) < 0 }) ||
			!ascending(len(d.Replication), func(i, j int) bool { return CompareDestinations(d.Replication[i], d.Replication[j]) < 0 }) {
			return false
		}
	}
	for _, repository := range r.Repositories {
		images := repository.Images
		if !ascending(len(images), func(i, j int) bool { return images[i].Digest.Compare(images[j].Digest) < 0 }) {
			return false
		}
	}
	for _, list := range [][]*Repository{r.Repositories, r.Previous} {
		for _, repository := range list {
			if s := repository.Summary; s != nil && !s.Severities.sorted() {
				return false
			}
			for i := range repository.Images {
				image := &repository.Images[i]
				if !ascending(len(image.Tags), func(i, j int) bool { return image.Tags[i] < image.Tags[j] }) {
					return false
				}
				if image.Scan != nil && !image.Scan.Severities.sorted() {
					return false
				}
			}
		}
	}
	return true
}
