// Package inventory holds an ECR registry as it was last seen: one record a
// repository, one an image, one a scan, each with the time it was read. It is
// plain data, so that what asks AWS (pkg/ecr), what decides when to ask
// (pkg/refresh), what stores the answer (pkg/state) and what turns it into
// series (pkg/metrics) meet here and nowhere else.
//
// Records are kept small on purpose: a registry of 100,000 tagged images has
// to fit beside everything else in a 128 MB function.
package inventory

import (
	"cmp"
	"slices"
	"strings"
	"time"
)

// Time is a moment in Unix milliseconds; zero means that it is not known. ECR
// sends epoch seconds, so a millisecond loses nothing, and eight bytes a record
// are a third of a time.Time.
type Time int64

// TimeOf converts t; the zero time.Time gives the zero Time.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

// IsZero reports whether the moment is unknown.
func (t Time) IsZero() bool { return t == 0 }

// Time converts back; the zero Time gives the zero time.Time.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t))
}

// Seconds returns whole Unix seconds, the unit of every timestamp family.
func (t Time) Seconds() int64 {
	return t.Time().Unix()
}

// Registry is one ECR registry: an account in one Region.
type Registry struct {
	// ID is the AWS account of the registry, twelve digits; empty until the
	// first answer named it.
	ID string `cbor:"1,keyasint,omitempty"`
	// ListedAt is when its repositories were last listed with success; zero
	// means never, and then Repositories says nothing about what exists.
	ListedAt Time `cbor:"2,keyasint,omitempty"`
	// Repositories are sorted by name.
	Repositories []*Repository `cbor:"-"`
}

// Repository is one repository and its images.
type Repository struct {
	Name       string `cbor:"1,keyasint,omitempty"`
	ARN        string `cbor:"2,keyasint,omitempty"`
	URI        string `cbor:"3,keyasint,omitempty"` // what precedes ":tag" in an image reference
	RegistryID string `cbor:"4,keyasint,omitempty"`
	CreatedAt  Time   `cbor:"5,keyasint,omitempty"`
	// TagMutability is the API's own word: MUTABLE, IMMUTABLE,
	// MUTABLE_WITH_EXCLUSION or IMMUTABLE_WITH_EXCLUSION.
	TagMutability string `cbor:"6,keyasint,omitempty"`
	// EncryptionType is AES256, KMS or KMS_DSSE; empty when the API left it out.
	EncryptionType string `cbor:"7,keyasint,omitempty"`
	KMSKey         string `cbor:"8,keyasint,omitempty"`
	// ScanOnPush is nil when the API left the scanning configuration out.
	ScanOnPush *bool `cbor:"9,keyasint,omitempty"`

	// ImagesReadAt is when the listing that gave Images began; zero means that
	// they were never listed.
	ImagesReadAt Time `cbor:"10,keyasint,omitempty"`
	// TriedAt is when a listing was last begun, whatever became of it. Work is
	// ordered by it, so that a repository that fails does not hold up the rest.
	TriedAt Time `cbor:"11,keyasint,omitempty"`
	// Denied is set while the last listing was refused for want of a permission.
	Denied bool `cbor:"12,keyasint,omitempty"`
	// Images are sorted by digest and hold untagged ones too.
	Images []Image `cbor:"-"`
}

// Image status values as the API writes them.
const (
	ImageActive     = "ACTIVE"
	ImageArchived   = "ARCHIVED"
	ImageActivating = "ACTIVATING"
)

// Image is one manifest of a repository.
type Image struct {
	Digest Digest `cbor:"1,keyasint,omitempty"`
	// Tags are sorted; an untagged image has none.
	Tags []string `cbor:"2,keyasint,omitempty"`
	// SizeBytes is -1 when the API gave none. An index has the size of its
	// largest child.
	SizeBytes    int64  `cbor:"3,keyasint,omitempty"`
	PushedAt     Time   `cbor:"4,keyasint,omitempty"`
	PulledAt     Time   `cbor:"5,keyasint,omitempty"` // lastRecordedPullTime, which ECR refreshes about daily
	MediaType    string `cbor:"6,keyasint,omitempty"` // of the manifest
	ArtifactType string `cbor:"7,keyasint,omitempty"` // artifactMediaType
	// Status is ImageActive, ImageArchived or ImageActivating; empty, from an
	// API that does not know it, counts as active.
	Status string `cbor:"8,keyasint,omitempty"`
	// Scan is nil while nothing is known, which is not the same as no findings.
	Scan *Scan `cbor:"9,keyasint,omitempty"`
}

// Active reports whether the image can be pulled now. Archived images, and those
// on their way back, cannot, and no family of the contract shows them.
func (i *Image) Active() bool { return i.Status == "" || i.Status == ImageActive }

// Scan is what is known of an image's vulnerability scan.
type Scan struct {
	// Status is the API's own word (COMPLETE, ACTIVE, FAILED, …); empty when a
	// summary came without one.
	Status string `cbor:"1,keyasint,omitempty"`
	// CompletedAt is when the findings were made; zero when unknown.
	CompletedAt Time `cbor:"2,keyasint,omitempty"`
	// Severities are sorted by name and hold only what the API reported.
	Severities []SeverityCount `cbor:"3,keyasint,omitempty"`
}

// SeverityCount is the number of findings of one severity.
type SeverityCount struct {
	Severity string `cbor:"1,keyasint"` // the API's upper-case word
	Count    int32  `cbor:"2,keyasint"`
}

// Find returns the repository of that name, or nil.
func (r *Registry) Find(name string) *Repository {
	i, ok := slices.BinarySearchFunc(r.Repositories, name, func(e *Repository, n string) int {
		return strings.Compare(e.Name, n)
	})
	if !ok {
		return nil
	}
	return r.Repositories[i]
}

// SetRepositories replaces the list of repositories by a new, complete one read
// at a moment. A repository that was known keeps its images and their freshness;
// one that is not in the list is gone. One that was deleted and made again, or
// that is of another registry, has a name in common with the known one and no
// more. Of two records of one name the later in the list wins: pages of a listing
// may overlap.
func (r *Registry) SetRepositories(list []*Repository, at Time) {
	byName := make(map[string]*Repository, len(list))
	for _, repo := range list {
		byName[repo.Name] = repo
	}
	next := make([]*Repository, 0, len(byName))
	for _, repo := range byName {
		if old := r.Find(repo.Name); old != nil && old.URI == repo.URI && old.CreatedAt == repo.CreatedAt {
			repo.ImagesReadAt, repo.TriedAt, repo.Denied = old.ImagesReadAt, old.TriedAt, old.Denied
			repo.Images = old.Images
		}
		next = append(next, repo)
		if repo.RegistryID != "" {
			r.ID = repo.RegistryID
		}
	}
	slices.SortFunc(next, func(a, b *Repository) int { return strings.Compare(a.Name, b.Name) })
	r.Repositories = next
	r.ListedAt = at
}

// Remove forgets a repository, which the API said does not exist.
func (r *Registry) Remove(name string) {
	r.Repositories = slices.DeleteFunc(r.Repositories, func(e *Repository) bool { return e.Name == name })
}

// SetImages replaces the images by a new, complete listing that began at a
// moment. An image that was known keeps its scan unless the listing brought one.
//
// Images are made distinct by digest, and a tag is left on one image only, the
// one pushed last: pages of one listing are read one after the other, and a tag
// that moves in between is seen on both images.
func (r *Repository) SetImages(list []Image, at Time) {
	slices.SortFunc(list, func(a, b Image) int { return a.Digest.Compare(b.Digest) })
	list = slices.CompactFunc(list, func(a, b Image) bool { return a.Digest == b.Digest })
	owner := make(map[string]int, len(list))
	for i := range list {
		slices.Sort(list[i].Tags)
		for _, tag := range list[i].Tags {
			if j, taken := owner[tag]; !taken || newer(&list[i], &list[j]) {
				owner[tag] = i
			}
		}
	}
	for i := range list {
		image := &list[i]
		image.Tags = slices.Clip(slices.DeleteFunc(slices.Compact(image.Tags), func(tag string) bool { return owner[tag] != i }))
		if image.Scan == nil {
			if old := r.FindImage(image.Digest); old != nil {
				image.Scan = old.Scan
			}
		}
	}
	r.Images = slices.Clip(list)
	r.ImagesReadAt, r.TriedAt, r.Denied = at, max(at, r.TriedAt), false
}

// newer reports whether a has a better claim to a tag than b: pulled from the
// shelf of active images first, then the later push.
func newer(a, b *Image) bool {
	if a.Active() != b.Active() {
		return a.Active()
	}
	return cmp.Compare(a.PushedAt, b.PushedAt) > 0
}

// FindImage returns the image of that digest, or nil.
func (r *Repository) FindImage(d Digest) *Image {
	i, ok := slices.BinarySearchFunc(r.Images, d, func(e Image, d Digest) int { return e.Digest.Compare(d) })
	if !ok {
		return nil
	}
	return &r.Images[i]
}

// ImageCount returns the number of images in all repositories, and how many of
// them are active and have a tag, which are those the families show.
func (r *Registry) ImageCount() (all, tagged int) {
	for _, repo := range r.Repositories {
		all += len(repo.Images)
		for i := range repo.Images {
			if image := &repo.Images[i]; image.Active() && len(image.Tags) > 0 {
				tagged++
			}
		}
	}
	return all, tagged
}

// OldestRead returns the time of the oldest listing that the inventory rests on:
// of the repositories, or of any repository's images. It is zero while any part
// was never read.
func (r *Registry) OldestRead() Time {
	oldest := r.ListedAt
	for _, repo := range r.Repositories {
		oldest = min(oldest, repo.ImagesReadAt)
	}
	return oldest
}

// sorted reports whether repositories and images are in the order that Find and
// FindImage rest on, each of them once.
func (r *Registry) sorted() bool {
	for i, repo := range r.Repositories {
		if i > 0 && r.Repositories[i-1].Name >= repo.Name {
			return false
		}
		for j := 1; j < len(repo.Images); j++ {
			if repo.Images[j-1].Digest.Compare(repo.Images[j].Digest) >= 0 {
				return false
			}
		}
	}
	return true
}
