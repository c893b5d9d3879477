package ecrtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unique"
)

// Child is an entry of an index's manifest.
type Child struct {
	// Digest need not be that of an image in the repository: a child can be deleted before
	// its index is.
	Digest string
	// MediaType is by default that of an image, of Docker in a Docker list and else of OCI.
	MediaType string
	// Platform is "os/architecture" or "os/architecture/variant"; the entry has none if it
	// is empty.
	Platform    string
	Annotations map[string]string
}

// Attestation returns the entry that docker buildx makes for the provenance or SBOM of
// another child.
// See https://docs.docker.com/build/metadata/attestations/attestation-storage/
func Attestation(digest, of string) Child {
	return Child{Digest: digest, Platform: unknownPlatform, Annotations: attests(of)}
}

// unknownPlatform is that of attestations, whose annotations are those of attests.
const unknownPlatform = "unknown/unknown"

func attests(digest string) map[string]string {
	return map[string]string{
		annotationSubject: digest,
		annotationType:    "attestation-manifest",
	}
}

const (
	annotationType    = "vnd.docker.reference.type"
	annotationSubject = "vnd.docker.reference.digest"
)

// Attests reports whether the child is an attestation, by its platform or annotations.
func (c *Child) Attests() bool {
	return c.Platform == unknownPlatform || c.Annotations[annotationType] != ""
}

// child is a stored Child.
type child struct {
	digest              digest
	mediaType, platform unique.Handle[string]
	annotations         map[string]string // never changed
	// attests is one more than the position of the child that an attestation is about, in
	// place of annotations, which take much memory; 0 for none.
	attests uint8
}

// annotationsOf returns the annotations of the i-th child.
func annotationsOf(list []child, i int) map[string]string {
	if n := list[i].attests; n > 0 {
		return attests(list[n-1].digest.String())
	}
	return list[i].annotations
}

func newChildren(list []Child) ([]child, error) {
	var out []child
	for _, entry := range list {
		d, ok := parseDigest(entry.Digest)
		if !ok {
			return nil, fmt.Errorf("child digest %q: want sha256: and 64 hexadecimal digits", entry.Digest)
		}
		if n := strings.Count(entry.Platform, "/"); entry.Platform != "" && n != 1 && n != 2 {
			return nil, fmt.Errorf("child %s: platform %q: want os/architecture or os/architecture/variant", entry.Digest, entry.Platform)
		}
		stored := child{digest: d, mediaType: unique.Make(entry.MediaType), platform: unique.Make(entry.Platform)}
		stored.annotations = maps.Clone(entry.Annotations)
		if subject := entry.Annotations[annotationSubject]; subject != "" && maps.Equal(entry.Annotations, attests(subject)) {
			about := slices.IndexFunc(list, func(c Child) bool { return c.Digest == subject })
			if about >= 0 && about < math.MaxUint8 {
				stored.attests, stored.annotations = uint8(about+1), nil
			}
		}
		out = append(out, stored)
	}
	return out, nil
}

func publicChildren(list []child) []Child {
	var out []Child
	for i := range list {
		entry := &list[i]
		out = append(out, Child{entry.digest.String(), entry.mediaType.Value(), entry.platform.Value(), maps.Clone(annotationsOf(list, i))})
	}
	return out
}

// wireManifest is a manifest or an index of OCI or Docker.
// See https://github.com/opencontainers/image-spec/blob/main/image-index.md
type wireManifest struct {
	SchemaVersion int              `json:"schemaVersion"`
	MediaType     string           `json:"mediaType,omitempty"`
	ArtifactType  string           `json:"artifactType,omitempty"`
	Config        *wireDescriptor  `json:"config,omitempty"`
	Layers        []wireDescriptor `json:"layers,omitzero"`
	Manifests     []wireDescriptor `json:"manifests,omitzero"`
	Subject       *wireDescriptor  `json:"subject,omitempty"`
}

type wireDescriptor struct {
	MediaType   string            `json:"mediaType"`
	Digest      string            `json:"digest"`
	Size        int64             `json:"size"`
	Platform    *wirePlatform     `json:"platform,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

type wirePlatform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// descriptorSize is the size of a made-up manifest or configuration, in bytes.
const descriptorSize = 1234

// manifest returns the text of an image's manifest: the one that was set, or one made from
// the other fields. Its hash is then not the image's digest.
func (rec *record) manifest() string {
	x := rec.extra
	if x == nil {
		x = &extra{}
	}
	if x.manifest != "" {
		return x.manifest
	}
	out := wireManifest{SchemaVersion: 2, MediaType: rec.manifestType.Value()}
	if x.subject != "" {
		out.Subject = &wireDescriptor{MediaType: typeOCIManifest, Digest: x.subject, Size: descriptorSize}
	}
	if rec.index() {
		out.Manifests = rec.entries(x.children)
	} else {
		layer := "application/vnd.oci.image.layer.v1.tar+gzip"
		out.Config = &wireDescriptor{MediaType: rec.artifactType.Value(), Digest: Digest("config " + rec.digest.String()), Size: descriptorSize}
		out.Layers = []wireDescriptor{{MediaType: layer, Digest: Digest("layer " + rec.digest.String()), Size: max(rec.size, 0)}}
	}
	text, err := json.Marshal(&out)
	if err != nil {
		panic(err) // it has strings and numbers only
	}
	return string(text)
}

func (rec *record) entries(children []child) []wireDescriptor {
	usual := typeOCIManifest
	if rec.manifestType == unique.Make(typeDockerList) {
		usual = typeDockerManifest
	}
	list := make([]wireDescriptor, 0, len(children))
	for i := range children {
		entry := wireDescriptor{MediaType: usual, Digest: children[i].digest.String(), Size: descriptorSize, Annotations: annotationsOf(children, i)}
		if set := children[i].mediaType.Value(); set != "" {
			entry.MediaType = set
		}
		if platform := strings.Split(children[i].platform.Value(), "/"); len(platform) > 1 {
			entry.Platform = &wirePlatform{OS: platform[0], Architecture: platform[1]}
			if len(platform) > 2 {
				entry.Platform.Variant = platform[2]
			}
		}
		list = append(list, entry)
	}
	return list
}
