// Package ecr reads a registry from the Amazon ECR API and converts what it returns to
// records of the inventory.
//
// It is the only package that imports the ECR client. When to call is decided in
// pkg/refresh.
package ecr

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// pageSize is the largest page of DescribeRepositories and DescribeImages
// (API_DescribeImages, maxResults).
const pageSize = 1000

// maxResponse bounds a response in bytes. A page of 1,000 images has 0.6 MB, and 1 MB if each
// has ten tags.
const maxResponse = 4_000_000

// smallPage is the page size of DescribeImages where a larger page is too large to read.
const smallPage = 20

// Permissions are the IAM actions that are needed to read repositories and images.
var Permissions = []awsapi.Permission{describeRegistry, describeRepositories, describeImages}

// ScanPermissions are the IAM actions that are needed to read scan results too.
var ScanPermissions = []awsapi.Permission{getScanningConfiguration, describeScanFindings, listFindings}

const anyRepository = "arn:aws:ecr:REGION:ACCOUNT:repository/*"

// Options configure a Client.
type Options struct {
	// RegistryID is the account whose registry is read; empty means the caller's own.
	RegistryID string
	// Limiter limits the calls; nil means 20 requests a second of each operation.
	Limiter *awsapi.Limiter
}

// Client reads one registry. It is safe for concurrent use. Its errors match ErrGone,
// ErrDenied, ErrNoTime, ErrIncomplete and ErrTooLarge of package awsapi where these apply.
type Client struct {
	api     *ecr.Client
	indexes *ecr.Client // with a larger bound of responses
	sts     *sts.Client

	serviceQuotas *servicequotas.Client

	registryID *string
	invalid    awsapi.Invalid
	// readsIndexes is set by a CheckPullTimes that allows to read indexes.
	readsIndexes atomic.Bool
}

// New returns a client for the Region of cfg. It makes no call.
func New(cfg aws.Config, options Options) *Client {
	if options.Limiter == nil {
		options.Limiter = awsapi.NewLimiter(20)
	}
	bounded := func(maxResponse int) *ecr.Client {
		return ecr.NewFromConfig(options.Limiter.ConfigureBounded(cfg, maxResponse), func(o *ecr.Options) { o.Protocol = awsapi.Checked(o.Protocol) })
	}
	c := &Client{
		api: bounded(maxResponse), indexes: bounded(maxIndexResponse),
		sts:           sts.NewFromConfig(options.Limiter.ConfigureBounded(cfg, maxResponse)),
		serviceQuotas: servicequotas.NewFromConfig(options.Limiter.ConfigureBounded(cfg, maxResponse)),
	}
	if options.RegistryID != "" {
		c.registryID = &options.RegistryID
	}
	return c
}

// TakeInvalid returns how many values were left out of records because they cannot be true,
// since it was last called, and the first few.
func (c *Client) TakeInvalid() (n int, first []string) { return c.invalid.Take() }

var describeRegistry = awsapi.Permission{Action: "ecr:DescribeRegistry", Resource: "*"}

// RegistryID returns the account of the registry: the configured one, or the caller's.
func (c *Client) RegistryID(ctx context.Context) (string, error) {
	if c.registryID != nil {
		return *c.registryID, nil
	}
	out, err := c.api.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
	if err != nil {
		return "", fmt.Errorf("describing the registry: %w", err)
	}
	id := aws.ToString(out.RegistryId)
	if id == "" {
		return "", fmt.Errorf("describing the registry: %w: no registryId", awsapi.ErrIncomplete)
	}
	return id, nil
}

var describeRepositories = awsapi.Permission{Action: "ecr:DescribeRepositories", Resource: anyRepository}

// Repositories returns every repository of the registry, without images.
func (c *Client) Repositories(ctx context.Context) ([]*inventory.Repository, error) {
	var list []*inventory.Repository
	for pages := (awsapi.Pages{}); ; {
		page, next, err := c.describe(ctx, &ecr.DescribeRepositoriesInput{MaxResults: aws.Int32(pageSize), NextToken: awsapi.PageToken(pages.Token)})
		if err == nil {
			first := ""
			if len(page) > 0 {
				first = page[0].Name
			}
			err = pages.Advance(next, len(page), first)
		}
		if err != nil {
			return nil, fmt.Errorf("listing repositories: %w", err)
		}
		if list = append(list, page...); pages.Token == "" {
			return list, nil
		}
	}
}

// describe makes one call for repositories. Without a list, or with a record that does not
// say which repository it is, the response says nothing about what exists.
func (c *Client) describe(ctx context.Context, in *ecr.DescribeRepositoriesInput) (page []*inventory.Repository, next string, err error) {
	in.RegistryId = c.registryID
	out, err := c.api.DescribeRepositories(ctx, in)
	if err != nil {
		return nil, "", err
	}
	if out.Repositories == nil {
		return nil, "", fmt.Errorf("%w: no list of repositories", awsapi.ErrIncomplete)
	}
	for i := range out.Repositories {
		repository, err := c.repository(&out.Repositories[i])
		if err != nil {
			return nil, "", err
		}
		page = append(page, repository)
	}
	return page, aws.ToString(out.NextToken), nil
}

// Repository returns one repository of the registry, without images. Only the API's error
// for a missing repository means that it is gone: a response without it is incomplete.
func (c *Client) Repository(ctx context.Context, name string) (*inventory.Repository, error) {
	page, _, err := c.describe(ctx, &ecr.DescribeRepositoriesInput{RepositoryNames: []string{name}})
	if err != nil {
		return nil, fmt.Errorf("describing repository %s: %w", name, err)
	}
	for _, repository := range page {
		if repository.Name == name {
			return repository, nil
		}
	}
	return nil, fmt.Errorf("describing repository %s: %w: the response does not have it", name, awsapi.ErrIncomplete)
}

var describeImages = awsapi.Permission{Action: "ecr:DescribeImages", Resource: anyRepository}

// Images returns one page of a repository's images, including archived and untagged
// ones, and the token of the next page. The token of the first page is empty, and so is the
// one after the last page.
//
// The error matches awsapi.ErrInvalidToken if the listing has to start over.
func (c *Client) Images(ctx context.Context, repository, token string) ([]inventory.Image, string, error) {
	out, err := c.images(ctx, repository, token, pageSize)
	if errors.Is(err, awsapi.ErrTooLarge) {
		// An image can have a thousand tags (ECR's quota), of 128 bytes each.
		out, err = c.images(ctx, repository, token, smallPage)
	}
	if err != nil {
		if invalid := (*types.InvalidParameterException)(nil); token != "" && errors.As(err, &invalid) {
			err = fmt.Errorf("%w: %w", awsapi.ErrInvalidToken, err)
		}
		return nil, "", fmt.Errorf("listing images of repository %s: %w", repository, err)
	}
	if out.ImageDetails == nil {
		return nil, "", fmt.Errorf("listing images of repository %s: %w: no list of images", repository, awsapi.ErrIncomplete)
	}
	images := make([]inventory.Image, 0, len(out.ImageDetails))
	for i := range out.ImageDetails {
		image, err := c.image(repository, &out.ImageDetails[i])
		switch {
		case errors.Is(err, errOtherDigest):
		case err != nil:
			return nil, "", fmt.Errorf("listing images of repository %s: %w", repository, err)
		default:
			images = append(images, image)
		}
	}
	return images, aws.ToString(out.NextToken), nil
}

func (c *Client) images(ctx context.Context, repository, token string, limit int32) (*ecr.DescribeImagesOutput, error) {
	return c.api.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RegistryId:     c.registryID,
		RepositoryName: aws.String(repository),
		MaxResults:     aws.Int32(limit),
		NextToken:      awsapi.PageToken(token),
		Filter:         &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	})
}
