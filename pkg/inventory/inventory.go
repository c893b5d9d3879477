// Package inventory holds an ECR registry as it was last seen: one record a
// repository, one an image, one a scan, each with the time it was read. It is
// plain data, so that what asks AWS (pkg/ecr), what decides when to ask
// (pkg/refresh), what stores the answer (pkg/state) and what turns it into
// series (pkg/metrics) meet here and nowhere else.
//
// Records are kept small on purpose: 100,000 tagged images take about 20 MB, so that
// a large registry fits beside everything else in a small function.
package inventory

import (
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

	// PushedAt is the timestamp of the last push that arrived, at least in part.
	// What was known by then has series that a receiver holds to be alive.
	PushedAt Time `cbor:"3,keyasint,omitempty"`
	// Ended are former records of repositories and images, of which a push has
	// told and some series are no more. They stay until a push has sent these
	// series' staleness markers. Sorted by name; their images are a selection.
	Ended []*Repository `cbor:"-"`
	// Removed are the repositories that were found gone lately, for Merge.
	Removed []Removal `cbor:"8,keyasint,omitempty"`

	// ScanSource says where scan results come from at present: one of the Scan…
	// words below. Empty means that no run has settled it.
	ScanSource string `cbor:"4,keyasint,omitempty"`
	// ScansListedAt is when Inspector's lists of the whole registry were last
	// read to the end.
	ScansListedAt Time `cbor:"5,keyasint,omitempty"`
	// ScansPending is the number of images, of those whose scan is asked for,
	// that have no final answer. ScansOldest is the time of the oldest answer.
	ScansPending int  `cbor:"6,keyasint,omitempty"`
	ScansOldest  Time `cbor:"7,keyasint,omitempty"`

	// SucceededAt is the timestamp of the last run that lost nothing.
	SucceededAt Time `cbor:"9,keyasint,omitempty"`
	// Protocols are the remote-write protocols that endpoints were found to speak,
	// by the endpoint's URL without user info and query.
	Protocols map[string]string `cbor:"10,keyasint,omitempty"`

	// BeginHidden is set by who settles what is Hidden after a change and before the
	// push: what is new then begins hidden, for it has not been shown. One that a
	// filter leaves out so has nothing that could end. It is not stored.
	BeginHidden bool `cbor:"-"`
}

// Where scan results come from (see Registry.ScanSource).
const (
	ScansFromFindings  = "findings"  // DescribeImageScanFindings, one call an image
	ScansFromInspector = "inspector" // Inspector's lists, and findings where these are not exact
	ScansFromSummary   = "summary"   // what DescribeImages tells, if anything
	ScansFromNowhere   = "none"
)

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
	// Due is set when an event told of a change that is not in Images yet.
	Due bool `cbor:"13,keyasint,omitempty"`
	// ScansDueSince is when an event told that scan results changed: answers from
	// before are asked for again.
	ScansDueSince Time `cbor:"14,keyasint,omitempty"`
	// Denied is set while the last listing was refused for want of a permission.
	Denied bool `cbor:"12,keyasint,omitempty"`
	// Unsent is set if the last push did not come to send all of the repository's
	// series: they go first in the next one.
	Unsent bool `cbor:"15,keyasint,omitempty"`
	// Hidden is set while a filter leaves the repository out: neither it nor its
	// images have series. See SetHidden.
	Hidden bool `cbor:"16,keyasint,omitempty"`
	// Images are sorted by digest and hold untagged ones too.
	Images []Image `cbor:"-"`
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

// FindImage returns the image of that digest, or nil.
func (r *Repository) FindImage(d Digest) *Image {
	i, ok := slices.BinarySearchFunc(r.Images, d, func(e Image, d Digest) int { return e.Digest.Compare(d) })
	if !ok {
		return nil
	}
	return &r.Images[i]
}

// ImageCount returns the number of images in all repositories, and how many of
// them the families show: those that are active, have a tag and are not hidden.
func (r *Registry) ImageCount() (all, tagged int) {
	for _, repo := range r.Repositories {
		all += len(repo.Images)
		for i := range repo.Images {
			if repo.Images[i].Shown() {
				tagged++
			}
		}
	}
	return all, tagged
}

// OldestRead returns the time of the oldest listing that the inventory rests on:
// of the repositories, or of any repository's images. It is zero while any part
// was never read. Repositories that are hidden are not counted: nobody lists them.
func (r *Registry) OldestRead() Time {
	oldest := r.ListedAt
	for _, repo := range r.Repositories {
		if !repo.Hidden {
			oldest = min(oldest, repo.ImagesReadAt)
		}
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
	return slices.IsSortedFunc(r.Ended, byRepositoryName)
}
