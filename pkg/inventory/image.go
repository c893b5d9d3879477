package inventory

import "slices"

// Image status values as the API writes them.
var (
	ImageActive     = WordOf("ACTIVE")
	ImageArchived   = WordOf("ARCHIVED")
	ImageActivating = WordOf("ACTIVATING")
)

// Image is one manifest in a repository. It has 112 bytes, since its small fields are together: a
// large registry has more than a million.
type Image struct {
	Digest Digest `cbor:"1,keyasint,omitempty" json:"digest"`
	// Tags are sorted and distinct; an untagged image has none.
	Tags []string `cbor:"2,keyasint,omitempty" json:"tags"`
	// SizeBytes is -1 if the API gave none. An index has the size of its largest child.
	SizeBytes int64 `cbor:"3,keyasint,omitempty" json:"size_bytes"`
	PushedAt  Time  `cbor:"4,keyasint,omitempty" json:"pushed_at,omitzero"`
	Scan      *Scan `cbor:"9,keyasint,omitempty" json:"scan,omitempty"` // nil while unknown, which is not "no findings"
	// Listed is what Inspector's lists have about the image while they are being read: no
	// result before they are complete. It is not stored.
	Listed *Scan `cbor:"-" json:"-"`
	// Index is what an index lists; nil while unknown. The index's Scan is then the sum of
	// its children's (see Registry.SumIndexes).
	Index *Index `cbor:"11,keyasint,omitempty" json:"index,omitempty"`
	// PulledAt is ECR's lastRecordedPullTime, which it updates about daily.
	PulledAt     Second `cbor:"5,keyasint,omitzero" json:"pulled_at,omitzero"`
	MediaType    Word   `cbor:"6,keyasint,omitzero" json:"media_type,omitempty"`    // of the manifest
	ArtifactType Word   `cbor:"7,keyasint,omitzero" json:"artifact_type,omitempty"` // artifactMediaType
	Status       Word   `cbor:"8,keyasint,omitzero" json:"status,omitempty"`        // ImageActive, …; empty counts as active
	// HasSubject is set if the image is about another one, such as a signature or an SBOM.
	HasSubject bool `cbor:"12,keyasint,omitempty" json:"has_subject,omitempty"`
	Mark
}

// Active reports whether the image can be pulled now. Archived images, and those being
// restored, cannot, and have no series.
func (i *Image) Active() bool { return i.Status == 0 || i.Status == ImageActive }

// Tagged reports whether the image is active and has a tag: then the contract's
// families show it.
func (i *Image) Tagged() bool { return len(i.Tags) > 0 && i.Active() }

// imageConfigs are the artifact types of images that a container can run.
var imageConfigs = []Word{0, WordOf("application/vnd.oci.image.config.v1+json"), WordOf("application/vnd.docker.container.image.v1+json")}

// Runnable reports whether a container can run the image: it is not a signature, an SBOM, a
// Helm chart or the like.
func (i *Image) Runnable() bool {
	return i.Active() && !i.HasSubject && slices.Contains(imageConfigs, i.ArtifactType)
}
