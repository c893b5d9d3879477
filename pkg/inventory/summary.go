package inventory

import (
	"slices"
	"strings"
)

// Summary is what a repository's images add up to. It is a part of the repository's record,
// so that series made of it end as others do. It is replaced as a whole, never changed.
type Summary struct {
	// Each image is counted once: as archived, else as an index, else as tagged or untagged.
	Archived Total `cbor:"1,keyasint,omitzero" json:"archived"`
	Index    Total `cbor:"2,keyasint,omitzero" json:"index"`
	Tagged   Total `cbor:"3,keyasint,omitzero" json:"tagged"`
	Untagged Total `cbor:"4,keyasint,omitzero" json:"untagged"`
	// PushedAt and PulledAt are the latest push and pull of an image; zero if unknown.
	PushedAt Time `cbor:"5,keyasint,omitempty" json:"pushed_at,omitzero"`
	PulledAt Time `cbor:"6,keyasint,omitempty" json:"pulled_at,omitzero"`
	// MostTags is the number of tags of the image that has most.
	MostTags int `cbor:"7,keyasint,omitempty" json:"most_tags,omitempty"`
	// Severities are the findings of the tagged image that was pushed last and is no
	// attachment of another one, such as a signature.
	Severities Severities `cbor:"8,keyasint,omitempty" json:"severities,omitempty"`
}

// Total counts images, and adds up the sizes of those whose size is known and counts: that of
// an index is also the size of one of its images.
type Total struct {
	Images int   `cbor:"1,keyasint,omitempty" json:"images"`
	Bytes  int64 `cbor:"2,keyasint,omitempty" json:"bytes"`
}

func (t *Total) add(image *Image) {
	t.Images++
	if !image.IsIndex() {
		t.Bytes += max(0, image.SizeBytes)
	}
}

func (t *Total) addAll(other Total) {
	t.Images += other.Images
	t.Bytes += other.Bytes
}

// Count returns the number of images.
func (s *Summary) Count() int {
	return s.Archived.Images + s.Index.Images + s.Tagged.Images + s.Untagged.Images
}

// Summarize gives a repository whose images were listed the summary of its images.
func (r *Registry) Summarize(repository *Repository) {
	if repository.ImagesReadAt.IsZero() {
		return // what is known of it stays, until its series have ended
	}
	summary := Summary{}
	summary.totals(repository.Images)
	summary.newest(repository.Images)
	rest := &repository.Rest
	summary.Archived.addAll(rest.Archived)
	summary.Untagged.addAll(rest.Untagged)
	summary.PushedAt, summary.PulledAt = max(summary.PushedAt, rest.PushedAt), max(summary.PulledAt, rest.PulledAt)
	if known := repository.Summary; known != nil && same(known, &summary) {
		return
	}
	kept := summary
	r.Update(repository, func(repository *Repository) { repository.Summary = &kept })
}

// totals counts images by state.
func (s *Summary) totals(images []Image) {
	for i := range images {
		switch image := &images[i]; {
		case !image.Active():
			s.Archived.add(image)
		case image.IsIndex():
			s.Index.add(image)
		case len(image.Tags) > 0:
			s.Tagged.add(image)
		default:
			s.Untagged.add(image)
		}
	}
}

// newest notes what the newest images say.
func (s *Summary) newest(images []Image) {
	var newest *Image
	for i := range images {
		image := &images[i]
		s.PushedAt, s.PulledAt, s.MostTags = max(s.PushedAt, image.PushedAt), max(s.PulledAt, image.PulledAt.Time()), max(s.MostTags, len(image.Tags))
		if image.Tagged() && image.Runnable() && !image.attached() && (newest == nil || image.PushedAt > newest.PushedAt) {
			newest = image
		}
	}
	if newest != nil && newest.Scan != nil {
		s.Severities = newest.Scan.Severities.List()
	}
}

// attached reports whether the image is an attachment of another one by its tags, which are
// then sha256-DIGEST with or without a suffix: so cosign names signatures, and so do clients
// of registries without referrers.
func (i *Image) attached() bool {
	return len(i.Tags) > 0 && !slices.ContainsFunc(i.Tags, func(tag string) bool {
		digest, found := strings.CutPrefix(tag, "sha256-")
		return !found || len(digest) < 2*len(Digest{})
	})
}
