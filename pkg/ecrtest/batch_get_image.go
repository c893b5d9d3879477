package ecrtest

import (
	"strings"
	"time"
)

type batchGetImageInput struct {
	RegistryID     *string       `json:"registryId"`
	RepositoryName *string       `json:"repositoryName"`
	ImageIDs       []wireImageID `json:"imageIds"`
	// MediaTypes are the accepted ones. ECR translates manifests only for a request by tag,
	// and then only to the oldest format, which is not simulated:
	// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-manifest-formats.html
	MediaTypes []string `json:"acceptedMediaTypes"`
}

type batchGetImageOutput struct {
	Images   []wireManifestImage `json:"images"`
	Failures []wireImageFailure  `json:"failures"`
}

// wireManifestImage is the Image of the service model.
type wireManifestImage struct {
	RegistryID        string      `json:"registryId"`
	RepositoryName    string      `json:"repositoryName"`
	ImageID           wireImageID `json:"imageId"`
	Manifest          string      `json:"imageManifest"`
	ManifestMediaType string      `json:"imageManifestMediaType,omitempty"`
}

// wireImageFailure is the ImageFailure of the service model.
type wireImageFailure struct {
	ImageID wireImageID `json:"imageId"`
	Code    string      `json:"failureCode"`
	Reason  string      `json:"failureReason"`
}

// batchGetImage handles BatchGetImage: the manifests of up to 100 images. It is a pull: it
// moves the pull time of each image that it returns, unless the caller is excluded.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_BatchGetImage.html
func batchGetImage(c *call, in *batchGetImageInput) (any, error) {
	if in.RepositoryName == nil {
		return nil, invalid("repositoryName", "must not be null")
	}
	name := *in.RepositoryName
	if err := checkRepositoryName("repositoryName", name); err != nil {
		return nil, err
	}
	if err := checkLength("imageIds", len(in.ImageIDs), 1, maxNames); err != nil {
		return nil, err
	}
	if in.MediaTypes != nil {
		if err := checkLength("acceptedMediaTypes", len(in.MediaTypes), 1, maxNames); err != nil {
			return nil, err
		}
	}
	reg, err := c.registry(in.RegistryID, name)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(reg.ARN(name)); err != nil {
		return nil, err
	}
	return reg.pull(name, in.ImageIDs, c.user(), c.server.now())
}

// pull returns the manifests of images and moves their pull times.
func (r *Registry) pull(name string, ids []wireImageID, caller string, at time.Time) (*batchGetImageOutput, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	repo, ok := r.repositories[name]
	if !ok {
		return nil, repositoryNotFound(name, r.id)
	}
	excluded := r.excludesPullsOf(caller)
	out := &batchGetImageOutput{Images: []wireManifestImage{}, Failures: []wireImageFailure{}}
	for i := range ids {
		id := &ids[i]
		rec := repo.images.lookup(id)
		if code, reason := repo.images.failureOf(id, rec); code != "" {
			out.Failures = append(out.Failures, wireImageFailure{*id, code, reason})
			continue
		}
		out.Images = append(out.Images, wireManifestImage{
			RegistryID: r.id, RepositoryName: name,
			ImageID:           wireImageID{Digest: new(rec.digest.String()), Tag: id.Tag},
			Manifest:          rec.manifest(),
			ManifestMediaType: rec.manifestType.Value(),
		})
		if !excluded {
			rec.pulled = toMillis(at)
		}
	}
	return out, nil
}

// failureOf returns the failure for an id whose image is rec, or nil; empty for none.
func (s *imageSet) failureOf(id *wireImageID, rec *record) (code, reason string) {
	switch {
	case id.Digest == nil && id.Tag == nil:
		return "MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null"
	case id.Digest != nil && !wellFormed(*id.Digest):
		return "InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'"
	case id.Tag != nil && !imageTag.MatchString(*id.Tag):
		return "InvalidImageTag", "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]+'"
	case rec == nil && id.Digest != nil && id.Tag != nil && s.lookup(&wireImageID{Tag: id.Tag}) != nil:
		return "ImageTagDoesNotMatchDigest", "Requested image tag does not match the digest"
	case rec == nil:
		return "ImageNotFound", "Requested image not found"
	case !rec.status.active():
		// Archived images fail; the code is the likeliest of the service model.
		return "ImageInaccessible", "Requested image is not active"
	}
	return "", ""
}

func wellFormed(digest string) bool {
	algorithm, digits, ok := strings.Cut(digest, ":")
	return ok && algorithm != "" && digits != "" && strings.Trim(digits, "0123456789abcdefABCDEF") == ""
}
