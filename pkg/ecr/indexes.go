package ecr

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// IndexOperation is the operation that Children calls.
const IndexOperation = "BatchGetImage"

// MaxIndexes is how many indexes one request can name (API_BatchGetImage, imageIds).
const MaxIndexes = 100

// maxIndexResponse bounds a response of BatchGetImage in bytes. A manifest can have 4 MiB;
// that of an index usually has a few kilobytes.
const maxIndexResponse = 16 << 20

// IndexPermissions are the IAM actions that are needed to read the children of indexes.
var IndexPermissions = []awsapi.Permission{batchGetImage, listExclusions}

var batchGetImage = awsapi.Permission{Action: "ecr:BatchGetImage", Resource: anyRepository}

// Children reads the images that indexes of a repository list: one request for each
// MaxIndexes of them, and more if the response is too large or an index lists indexes,
// which are followed one level. It needs an allowing CheckPullTimes, and refuses otherwise.
//
// The result has each index that the API responded about. After an error, which is that of
// a request, it lacks the others.
func (c *Client) Children(ctx context.Context, repository string, indexes []inventory.Digest) ([]inventory.IndexResult, error) {
	if !c.readsIndexes.Load() {
		return nil, fmt.Errorf("reading indexes of repository %s: the pull times would move", repository)
	}
	read := map[inventory.Digest]indexManifest{}
	err := c.readManifests(ctx, repository, indexes, read)
	if err == nil {
		err = c.readManifests(ctx, repository, nestedIn(indexes, read), read)
	}
	return collect(indexes, read), err
}

// nestedIn returns the indexes that others list and that are not read yet.
func nestedIn(indexes []inventory.Digest, read map[inventory.Digest]indexManifest) []inventory.Digest {
	var nested []inventory.Digest
	found := map[inventory.Digest]bool{}
	for _, digest := range indexes {
		for _, inner := range read[digest].nested {
			if _, known := read[inner]; !known && !found[inner] {
				found[inner] = true
				nested = append(nested, inner)
			}
		}
	}
	return nested
}

// collect makes the results of the indexes that were read with all that they list.
func collect(indexes []inventory.Digest, read map[inventory.Digest]indexManifest) []inventory.IndexResult {
	var results []inventory.IndexResult
	for _, digest := range indexes {
		manifest, known := read[digest]
		result := inventory.IndexResult{Digest: digest, Children: slices.Clone(manifest.children), Err: manifest.err}
		result.Others = slices.Concat(manifest.others, manifest.nested)
		for _, nested := range manifest.nested {
			inner, innerKnown := read[nested]
			known = known && innerKnown
			result.Err = cmp.Or(result.Err, inner.err)
			result.Others = append(result.Others, inner.others...)
			for _, child := range inner.children {
				if len(result.Children) <= maxChildren && !slices.Contains(result.Children, child) {
					result.Children = append(result.Children, child)
				}
			}
		}
		if result.Err == nil && len(result.Children) > maxChildren {
			result.Err = fmt.Errorf("index %s: more than %d children", digest, maxChildren)
		}
		result.Others = distinct(result.Others)
		if result.Err != nil {
			result.Children, result.Others = nil, nil
		}
		if known {
			results = append(results, result)
		}
	}
	return results
}

// distinct returns each digest once, at most maxChildren of them; nil if there are none.
func distinct(digests []inventory.Digest) []inventory.Digest {
	if len(digests) == 0 {
		return nil
	}
	slices.SortFunc(digests, inventory.Digest.Compare)
	digests = slices.Compact(digests)
	return slices.Clip(digests[:min(len(digests), maxChildren)])
}

// readManifests adds the manifests of indexes, or why they could not be read. The error is
// that of a request: about the indexes that are then missing nothing is known.
func (c *Client) readManifests(ctx context.Context, repository string, digests []inventory.Digest, into map[inventory.Digest]indexManifest) error {
	for batch := range slices.Chunk(digests, MaxIndexes) {
		if err := c.readBatch(ctx, repository, batch, into); err != nil {
			return fmt.Errorf("reading indexes of repository %s: %w", repository, err)
		}
	}
	return nil
}

func (c *Client) readBatch(ctx context.Context, repository string, digests []inventory.Digest, into map[inventory.Digest]indexManifest) error {
	in := &ecr.BatchGetImageInput{
		RegistryId: c.registryID, RepositoryName: &repository,
		// Not documented, but other clients send them: github.com/awslabs/amazon-ecr-containerd-resolver
		AcceptedMediaTypes: []string{ociIndex, dockerList},
	}
	for _, digest := range digests {
		in.ImageIds = append(in.ImageIds, types.ImageIdentifier{ImageDigest: aws.String(digest.String())})
	}
	out, err := c.indexes.BatchGetImage(ctx, in)
	switch {
	case errors.Is(err, awsapi.ErrTooLarge) && len(digests) == 1:
		into[digests[0]] = indexManifest{err: fmt.Errorf("index %s@%s: %w", repository, digests[0], err)}
		return nil
	case errors.Is(err, awsapi.ErrTooLarge):
		half := len(digests) / 2
		if err := c.readBatch(ctx, repository, digests[:half], into); err != nil {
			return err
		}
		return c.readBatch(ctx, repository, digests[half:], into)
	case err != nil:
		return err
	case out.Images == nil && out.Failures == nil:
		return fmt.Errorf("%w: neither images nor failures", awsapi.ErrIncomplete)
	}
	c.record(repository, digests, out, into)
	return nil
}

// record adds what a response says about the indexes of its request.
func (c *Client) record(repository string, digests []inventory.Digest, out *ecr.BatchGetImageOutput, into map[inventory.Digest]indexManifest) {
	for _, digest := range digests {
		into[digest] = indexManifest{err: fmt.Errorf("index %s@%s: %w: the response does not have it", repository, digest, awsapi.ErrIncomplete)}
	}
	for i := range out.Failures {
		failure := &out.Failures[i]
		if digest, ok := idOf(failure.ImageId, digests); ok {
			reason := awsapi.Printable(string(failure.FailureCode)+": "+aws.ToString(failure.FailureReason), maxReason)
			into[digest] = indexManifest{err: fmt.Errorf("index %s@%s: %s", repository, digest, reason)}
		}
	}
	for i := range out.Images {
		image := &out.Images[i]
		if digest, ok := idOf(image.ImageId, digests); ok {
			convert := converter{&c.invalid, "index " + repository + "@" + digest.String()}
			manifest, err := convert.index(aws.ToString(image.ImageManifestMediaType), aws.ToString(image.ImageManifest))
			if err != nil {
				manifest.err = fmt.Errorf("index %s@%s: %w", repository, digest, err)
			}
			into[digest] = manifest
		}
	}
}

// maxReason bounds the text of a failure in bytes.
const maxReason = 300

// idOf returns the digest of a response's image if the request named it.
func idOf(id *types.ImageIdentifier, requested []inventory.Digest) (inventory.Digest, bool) {
	if id == nil {
		return inventory.Digest{}, false
	}
	digest, err := inventory.ParseDigest(aws.ToString(id.ImageDigest))
	return digest, err == nil && slices.Contains(requested, digest)
}
