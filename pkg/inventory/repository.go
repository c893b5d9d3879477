package inventory

import "slices"

// Repository is one repository and its images.
type Repository struct {
	Name       string `cbor:"1,keyasint,omitempty" json:"name"`
	ARN        string `cbor:"2,keyasint,omitempty" json:"arn,omitempty"`
	URI        string `cbor:"3,keyasint,omitempty" json:"uri,omitempty"` // precedes ":tag" in an image reference
	RegistryID string `cbor:"4,keyasint,omitempty" json:"registry_id,omitempty"`
	CreatedAt  Time   `cbor:"5,keyasint,omitempty" json:"created_at,omitzero"`
	// TagMutability is the API's word: MUTABLE, IMMUTABLE, MUTABLE_WITH_EXCLUSION or
	// IMMUTABLE_WITH_EXCLUSION.
	TagMutability string `cbor:"6,keyasint,omitempty" json:"tag_mutability,omitempty"`
	// EncryptionType is AES256, KMS or KMS_DSSE; empty if the API left it out.
	EncryptionType string `cbor:"7,keyasint,omitempty" json:"encryption_type,omitempty"`
	KMSKey         string `cbor:"8,keyasint,omitempty" json:"kms_key,omitempty"`
	// ScanOnPush is nil if the API left the scanning configuration out.
	ScanOnPush *bool `cbor:"9,keyasint,omitempty" json:"scan_on_push,omitempty"`
	// ReadAt is when the repository's own record was read alone; zero means that it is from
	// the list of repositories.
	ReadAt Time `cbor:"19,keyasint,omitempty" json:"read_at,omitzero"`

	// ImagesReadAt is when the listing that gave Images began; zero means never.
	ImagesReadAt Time `cbor:"10,keyasint,omitempty" json:"images_read_at,omitzero"`
	// TriedAt is when a listing last began, successful or not. Work is ordered by
	// it, so that a failing repository does not hold up the others.
	TriedAt Time `cbor:"11,keyasint,omitempty" json:"tried_at,omitzero"`
	// Denied is set while the last listing failed because of a missing permission.
	Denied bool `cbor:"12,keyasint,omitempty" json:"denied,omitempty"`
	// Due is set if Images may be out of date: an event reported a change, or the
	// repository is excluded, so that events about it are ignored.
	Due bool `cbor:"13,keyasint,omitempty" json:"due,omitempty"`
	// ScansDueSince is when an event reported that scan results changed: results read
	// before are read again.
	ScansDueSince Time `cbor:"14,keyasint,omitempty" json:"scans_due_since,omitzero"`

	// Summary is what the images add up to; nil until they were listed.
	Summary *Summary `cbor:"20,keyasint,omitempty" json:"summary,omitempty"`
	// Details is what was read about the repository because a setting asks for it; nil if
	// nothing was.
	Details *RepositoryDetails `cbor:"21,keyasint,omitempty" json:"details,omitempty"`

	Mark
	// Shapes are the numbers of the shapes (see Registry.Shapes) that the repository
	// and its images were pushed under: the one of the last push, and any before it
	// whose series may not have been ended yet. None stands for the present one.
	Shapes []ShapeID `cbor:"18,keyasint,omitempty" json:"shapes,omitempty"`

	// Images are sorted by digest and include untagged ones.
	Images []Image `cbor:"-" json:"-"`
}

// Mark is what the push, not the registry, says about a record.
type Mark struct {
	// Shown is set if the last push of the record sent its series, or may have. Only
	// Registry.Pushing and Registry.Pushed set it.
	Shown bool `cbor:"17,keyasint,omitempty" json:"shown,omitempty"`
	// Pending is set while it is only the push under way that makes the record Shown.
	Pending bool `cbor:"-" json:"-"`
	// Excluded is set if the present settings leave the record out (see
	// pkg/selection). It is decided anew in each run and not stored.
	Excluded bool `cbor:"-" json:"-"`
}

// FindImage returns the image with that digest, or nil.
func (r *Repository) FindImage(digest Digest) *Image {
	i, found := slices.BinarySearchFunc(r.Images, digest, func(image Image, d Digest) int { return image.Digest.Compare(d) })
	if !found {
		return nil
	}
	return &r.Images[i]
}

// listedSince reports whether the images were listed since a later repository of the same
// name was made: then they are its images.
func (r *Repository) listedSince(later *Repository) bool {
	return later.CreatedAt > r.CreatedAt && r.ImagesReadAt >= later.CreatedAt
}

// sameIdentity reports whether two records of one name are about one repository, and
// not about one that was deleted and another that was created in its place.
func (r *Repository) sameIdentity(other *Repository) bool {
	return r.URI == other.URI && r.CreatedAt == other.CreatedAt && r.RegistryID == other.RegistryID
}

// takeReading copies from another record of the repository when its images and scans were
// read, whether they have to be read again, and what no list of repositories has.
func (r *Repository) takeReading(from *Repository) {
	r.ImagesReadAt, r.TriedAt, r.Denied, r.Due = from.ImagesReadAt, from.TriedAt, from.Denied, from.Due
	r.ScansDueSince, r.Summary, r.Details = from.ScansDueSince, from.Summary, from.Details
}
