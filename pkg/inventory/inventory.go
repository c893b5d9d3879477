// Package inventory holds an ECR registry as last read: one record a repository, one
// an image, one a scan, each with the time it was read. It is plain data, shared by
// what calls AWS (pkg/ecr), decides when to call (pkg/refresh), stores the records
// (pkg/state) and builds series from them (pkg/metrics).
//
// It keeps track of which records have been pushed, and keeps the previous version of
// a changed record until its series have been ended. Which series a record has is
// decided by pkg/metrics alone.
package inventory

import (
	"slices"
	"strings"
)

// Registry is one ECR registry: an account in one Region.
type Registry struct {
	// ID is the AWS account of the registry, twelve digits; empty until an API
	// response named it.
	ID string `cbor:"1,keyasint,omitempty" json:"id,omitempty"`
	// Region is the AWS Region of the registry; empty in states that were stored before
	// it was.
	Region string `cbor:"16,keyasint,omitempty" json:"region,omitempty"`
	// ListedAt is when the repositories were last listed successfully; zero means
	// never, and then Repositories says nothing about what exists.
	ListedAt Time `cbor:"2,keyasint,omitempty" json:"listed_at,omitzero"`
	// Repositories are sorted by name.
	Repositories []*Repository `cbor:"-" json:"-"`

	// DueNames are the repositories whose own records are to be read, because an event
	// reported them and reading failed. Sorted, and at most MaxDueNames: more are read by
	// listing all repositories. A name that is not in Repositories has no series and is
	// not counted.
	DueNames []string `cbor:"15,keyasint,omitempty" json:"due_names,omitempty"`

	// PushedAt is the timestamp of the last push of which a receiver accepted
	// anything.
	PushedAt Time `cbor:"3,keyasint,omitempty" json:"pushed_at,omitzero"`
	// Sent are the registry's own records, without repositories, as they were pushed:
	// the last one, and any before it whose series may not have been ended yet.
	Sent []*Registry `cbor:"11,keyasint,omitempty" json:"sent,omitempty"`
	// Previous are earlier versions of records that were pushed and had series that
	// the records in their place do not have. They stay until a push has ended those
	// series with staleness markers. Sorted by name; each holds some of its
	// repository's images, and its own rows have to be ended only if it is Shown.
	Previous []*Repository `cbor:"-" json:"-"`
	Shape    ShapeID       `cbor:"12,keyasint,omitempty" json:"shape,omitempty"` // of a record in Sent
	// Shapes are the shapes that records were last pushed under.
	Shapes map[ShapeID]Shape `cbor:"13,keyasint,omitempty" json:"shapes,omitempty"`

	// ScanSource is where scan results come from: one of the Scans… constants, or
	// empty until a run has decided.
	ScanSource string `cbor:"4,keyasint,omitempty" json:"scan_source,omitempty"`
	// ScansListedAt is when reading Inspector's lists of the whole registry last
	// began, of those that were read to the end.
	ScansListedAt Time `cbor:"5,keyasint,omitempty" json:"scans_listed_at,omitzero"`
	// ScansPending is the number of images without a final scan result, of those
	// whose scan is read. ScansOldest is when the oldest result was read.
	ScansPending int  `cbor:"6,keyasint,omitempty" json:"scans_pending,omitempty"`
	ScansOldest  Time `cbor:"7,keyasint,omitempty" json:"scans_oldest,omitzero"`

	// ScanType is the type of scanning that the registry is configured for, one
	// of the ScanType… constants or another word of the API; empty while unknown.
	ScanType string `cbor:"20,keyasint,omitempty" json:"scan_type,omitempty"`
	// Details is what was read about the registry itself because a setting asks for it; nil if
	// nothing was.
	Details *RegistryDetails `cbor:"21,keyasint,omitempty" json:"details,omitempty"`

	// Removed are the repositories that were recently found deleted, for Merge.
	Removed []Removal `cbor:"8,keyasint,omitempty" json:"-"`
	// SucceededAt is the timestamp of the last run that lost nothing.
	SucceededAt Time `cbor:"9,keyasint,omitempty" json:"succeeded_at,omitzero"`
	// Protocols are the remote-write protocols that endpoints were found to accept,
	// by the endpoint's URL without user info and query.
	Protocols map[string]string `cbor:"10,keyasint,omitempty" json:"protocols,omitempty"`

	// Running is what a store was seen to know of what runs.
	Running Running `cbor:"17,keyasint,omitzero" json:"running,omitzero"`

	// Peaks are the most series that were pushed, if these are many.
	Peaks Peaks `cbor:"18,keyasint,omitzero" json:"peaks,omitzero"`

	// WrittenBy is the version of the program that saved the state last; empty in states
	// that were stored before it was.
	WrittenBy string `cbor:"22,keyasint,omitempty" json:"written_by,omitempty"`
	// Whole identifies the stored whole that Unsaved is about; empty if there is none.
	Whole string `cbor:"14,keyasint,omitempty" json:"-"`
	// Unsaved names what changed since the registry was stored as a whole.
	Unsaved Unsaved `cbor:"-" json:"-"`
	// Found are the changes of repositories that no push has shown yet, by name. It is not stored.
	Found map[string]Found `cbor:"-" json:"-"`
	// Ends reports whether a unit that was pushed has a series that the unit in its
	// place does not have. pkg/metrics derives it from the family table. While it is
	// nil the previous version of every changed record is kept, which costs memory
	// and changes no series.
	Ends func(pushed, now Unit) bool `cbor:"-" json:"-"`
	// Keeps reports whether an untagged image that can run and that no index lists is of
	// use, because it may be shown. While it is nil every image is.
	Keeps func(image *Image) bool `cbor:"-" json:"-"`
}

// IsOf reports whether this can be the registry of an account and a Region: what is empty is
// not known.
func (r *Registry) IsOf(account, region string) bool {
	return !differ(r.ID, account) && !differ(r.Region, region)
}

func differ(a, b string) bool { return a != "" && b != "" && a != b }

// Where scan results come from (see Registry.ScanSource).
const (
	ScansFromFindings  = "findings"  // DescribeImageScanFindings, one call an image
	ScansFromInspector = "inspector" // Inspector's lists, and findings where these are incomplete
	ScansFromSummary   = "summary"   // what DescribeImages returns, if anything
	ScansFromNowhere   = "none"
)

// Unit is what a group of series is about, and ends with: a registry's own record, a
// repository's own record, or one image of a repository. The zero Unit has no series.
type Unit struct {
	Registry   *Registry
	Repository *Repository
	Image      *Image // with its repository
}

func imageUnit(repository *Repository, image *Image) Unit {
	return Unit{Repository: repository, Image: image}
}

// Find returns the repository of that name, or nil.
func (r *Registry) Find(name string) *Repository {
	if i, found := slices.BinarySearchFunc(r.Repositories, name, compareName); found {
		return r.Repositories[i]
	}
	return nil
}

func compareName(r *Repository, name string) int { return strings.Compare(r.Name, name) }

func byName(a, b *Repository) int { return strings.Compare(a.Name, b.Name) }

// ImageCount returns the number of images in all repositories, and how many of them
// have series in the contract's families: those active, tagged and not excluded.
func (r *Registry) ImageCount() (all, tagged int) {
	for _, repository := range r.Repositories {
		all += len(repository.Images) + repository.Rest.Untagged.Images + repository.Rest.Archived.Images
		for i := range repository.Images {
			if image := &repository.Images[i]; !repository.Excluded && !image.Excluded && image.Tagged() {
				tagged++
			}
		}
	}
	return all, tagged
}

// OldestRead returns the time of the oldest listing that the inventory rests on: of
// the repositories, or of one repository's images. It is zero while any part was never
// read. Excluded repositories do not count: nobody lists them.
func (r *Registry) OldestRead() Time {
	oldest := r.ListedAt
	for _, repository := range r.Repositories {
		if !repository.Excluded {
			oldest = min(oldest, repository.ImagesReadAt)
		}
	}
	return oldest
}
