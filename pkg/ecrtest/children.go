package ecrtest

import (
	"fmt"
	"maps"
	"unique"
)

// Child is a descriptor in the manifest list of an index, without the size of the child's
// manifest. The child itself is another image of the repository, usually untagged; ECR also
// lets it be deleted under the index.
// See https://github.com/opencontainers/image-spec/blob/main/image-index.md
type Child struct {
	Digest    string
	MediaType string
	// Platform is absent in the manifest if it is zero.
	Platform Platform
	// Annotations of an attestation are those of [AttestationOf].
	Annotations map[string]string
}

// Platform is what a child runs on; that of an attestation is unknown/unknown.
type Platform struct {
	OS           string
	Architecture string
	// Variant is usually empty, and v7 or v8 on ARM.
	Variant string
}

// The annotations of attestations, see
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
const (
	annotationType    = "vnd.docker.reference.type"
	annotationSubject = "vnd.docker.reference.digest"
)

// AttestationOf returns the annotations of the child that attests another child: its
// provenance or SBOM, as `docker buildx` stores them.
func AttestationOf(digest string) map[string]string {
	return map[string]string{annotationType: "attestation-manifest", annotationSubject: digest}
}

// unknownPlatform is that of attestations.
var unknownPlatform = Platform{OS: "unknown", Architecture: "unknown"}

// Attests reports whether the child is an attestation, by its platform or annotations.
func (c *Child) Attests() bool {
	return c.Platform == unknownPlatform || c.Annotations[annotationType] != ""
}

// child is a stored Child.
type child struct {
	digest      digest
	mediaType   unique.Handle[string]
	platform    unique.Handle[Platform]
	annotations map[string]string
	// subject is one more than the position of the child that a generated attestation is
	// about, which saves its annotations; 0 for none.
	subject uint8
}

// newChildren validates children and converts them.
func newChildren(all []Child) ([]child, error) {
	stored := make([]child, 0, len(all))
	for i := range all {
		d, ok := parseDigest(all[i].Digest)
		if !ok {
			return nil, fmt.Errorf("child %d: digest %q: want sha256: and 64 hexadecimal digits", i+1, all[i].Digest)
		}
		stored = append(stored, child{
			digest:      d,
			mediaType:   unique.Make(all[i].MediaType),
			platform:    unique.Make(all[i].Platform),
			annotations: maps.Clone(all[i].Annotations),
		})
	}
	return stored, nil
}

// publicChildren converts back; the result shares nothing with the record.
func (x *extra) publicChildren() []Child {
	if len(x.children) == 0 {
		return nil
	}
	all := make([]Child, 0, len(x.children))
	for _, c := range x.children {
		public := Child{
			Digest:      c.digest.String(),
			MediaType:   c.mediaType.Value(),
			Platform:    c.platform.Value(),
			Annotations: maps.Clone(c.annotations),
		}
		if c.subject > 0 {
			public.Annotations = AttestationOf(x.children[c.subject-1].digest.String())
		}
		all = append(all, public)
	}
	return all
}
