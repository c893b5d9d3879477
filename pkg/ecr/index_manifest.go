package ecr

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Media types of manifests.
var (
	ociIndex   = inventory.OCIIndex.String()
	dockerList = inventory.DockerList.String()
)

var imageTypes = []string{
	"application/vnd.oci.image.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v2+json",
	"application/vnd.docker.distribution.manifest.v1+json",
	"application/vnd.docker.distribution.manifest.v1+prettyjws",
}

// maxChildren bounds the entries of an index, and its children. The largest public ones have
// about 60.
const maxChildren = 1000

// indexManifest is what is needed of an index's manifest.
type indexManifest struct {
	children []inventory.Child
	nested   []inventory.Digest // indexes that it lists
	others   []inventory.Digest // what else it lists
	err      error              // why it could not be read
}

// index decodes the manifest of an index. Anything else, such as the manifest of an image
// that a digest is said to be, is an error: that it lists no children is not known.
// See https://github.com/opencontainers/image-spec/blob/main/image-index.md
func (c converter) index(mediaType, text string) (indexManifest, error) {
	var in struct {
		MediaType      string `json:"mediaType"`
		Manifests      []indexEntry
		Config, Layers json.RawMessage
	}
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		return indexManifest{}, fmt.Errorf("decoding the manifest: %w", err)
	}
	switch {
	case mediaType != "" && !isIndex(mediaType), in.MediaType != "" && !isIndex(in.MediaType), mediaType+in.MediaType == "":
		return indexManifest{}, fmt.Errorf("not an index: media type %.100q, in the manifest %.100q", mediaType, in.MediaType)
	case in.Manifests == nil:
		return indexManifest{}, errors.New("not an index: no list of manifests")
	case in.Config != nil || in.Layers != nil:
		// Clients could take it for either (CVE-2021-41190).
		return indexManifest{}, errors.New("not an index: it has a config or layers too")
	case len(in.Manifests) > maxChildren:
		return indexManifest{}, fmt.Errorf("more than %d entries", maxChildren)
	}
	var out indexManifest
	for i := range in.Manifests {
		if err := c.add(&out, &in.Manifests[i]); err != nil {
			return indexManifest{}, fmt.Errorf("entry %d: %w", i+1, err)
		}
	}
	return out, nil
}

func isIndex(mediaType string) bool { return mediaType == ociIndex || mediaType == dockerList }

type indexEntry struct {
	MediaType   string `json:"mediaType"`
	Digest      string
	Platform    indexPlatform
	Annotations map[string]any
}

type indexPlatform struct {
	OS           string `json:"os"`
	OSVersion    string `json:"os.version"`
	Architecture string
	Variant      string
}

// add adds what an entry is: an index, or an image that can be scanned. Attestations are
// neither, and nor are the layers that an index can list as well.
func (c converter) add(to *indexManifest, entry *indexEntry) error {
	digest, err := inventory.ParseDigest(entry.Digest)
	switch {
	case err != nil:
		return err
	case entry.attestation():
		to.others = append(to.others, digest)
	case isIndex(entry.MediaType):
		if !slices.Contains(to.nested, digest) {
			to.nested = append(to.nested, digest)
		}
	case slices.Contains(imageTypes, entry.MediaType):
		child := inventory.Child{Digest: digest, Platform: c.platform(&entry.Platform)}
		if !slices.Contains(to.children, child) {
			to.children = append(to.children, child)
		}
	default:
		to.others = append(to.others, digest)
	}
	return nil
}

// attestation reports whether an entry is the provenance or SBOM of another one. See
// https://docs.docker.com/build/metadata/attestations/attestation-storage/
func (e *indexEntry) attestation() bool {
	_, reference := e.Annotations["vnd.docker.reference.type"]
	return reference || e.Platform.OS == "unknown" && e.Platform.Architecture == "unknown"
}

// platform returns the text of a platform, as containerd and docker write it; empty if the
// index says none, or one that cannot be.
func (c converter) platform(p *indexPlatform) string {
	text := c.word("platform.os", p.OS)
	if version := c.word("platform.os.version", p.OSVersion); version != "" && text != "" {
		text += "(" + version + ")"
	}
	architecture := c.word("platform.architecture", p.Architecture)
	if text == "" || architecture == "" {
		return ""
	}
	text += "/" + architecture
	if variant := c.word("platform.variant", p.Variant); variant != "" {
		text += "/" + variant
	}
	return shared(text)
}
