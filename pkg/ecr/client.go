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
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// pageSize is the largest page of DescribeRepositories and DescribeImages
// (API_DescribeImages, maxResults).
const pageSize = 1000

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
	// Logger logs invalid records; nil discards.
	Logger *slog.Logger
}

// Client reads one registry. It is safe for concurrent use. Its errors match ErrGone,
// ErrDenied and ErrNoTime of package awsapi where these apply.
type Client struct {
	api        *ecr.Client
	registryID *string
	log        *slog.Logger
}

// New returns a client for the Region of cfg. It makes no call.
func New(cfg aws.Config, options Options) *Client {
	if options.Limiter == nil {
		options.Limiter = awsapi.NewLimiter(20)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{api: ecr.NewFromConfig(options.Limiter.Configure(cfg)), log: options.Logger}
	if options.RegistryID != "" {
		c.registryID = &options.RegistryID
	}
	return c
}

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
	return aws.ToString(out.RegistryId), nil
}

var describeRepositories = awsapi.Permission{Action: "ecr:DescribeRepositories", Resource: anyRepository}

// Repositories returns every repository of the registry, without images.
func (c *Client) Repositories(ctx context.Context) ([]*inventory.Repository, error) {
	var list []*inventory.Repository
	for token := ""; ; {
		out, err := c.api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{
			RegistryId: c.registryID, MaxResults: aws.Int32(pageSize), NextToken: awsapi.PageToken(token),
		})
		if err != nil {
			return nil, fmt.Errorf("listing repositories: %w", err)
		}
		for i := range out.Repositories {
			if repository := c.repository(&out.Repositories[i]); repository != nil {
				list = append(list, repository)
			}
		}
		if token = awsapi.NextToken(token, out.NextToken); token == "" {
			return list, nil
		}
	}
}

// Repository returns one repository of the registry, without images.
func (c *Client) Repository(ctx context.Context, name string) (*inventory.Repository, error) {
	out, err := c.api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: c.registryID, RepositoryNames: []string{name}})
	if err != nil {
		return nil, fmt.Errorf("describing repository %s: %w", name, err)
	}
	for i := range out.Repositories {
		if repository := c.repository(&out.Repositories[i]); repository != nil && repository.Name == name {
			return repository, nil
		}
	}
	return nil, fmt.Errorf("describing repository %s: %w: the response does not have it", name, awsapi.ErrGone)
}

var describeImages = awsapi.Permission{Action: "ecr:DescribeImages", Resource: anyRepository}

// Images returns one page of a repository's images, including archived and untagged
// ones, and the token of the next page. The token of the first page is empty, and so is the
// one after the last page.
//
// The error matches awsapi.ErrInvalidToken if the listing has to start over.
func (c *Client) Images(ctx context.Context, repository, token string) ([]inventory.Image, string, error) {
	out, err := c.api.DescribeImages(ctx, &ecr.DescribeImagesInput{
		RegistryId:     c.registryID,
		RepositoryName: aws.String(repository),
		MaxResults:     aws.Int32(pageSize),
		NextToken:      awsapi.PageToken(token),
		Filter:         &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	})
	if err != nil {
		if invalid := (*types.InvalidParameterException)(nil); token != "" && errors.As(err, &invalid) {
			err = fmt.Errorf("%w: %w", awsapi.ErrInvalidToken, err)
		}
		return nil, "", fmt.Errorf("listing images of repository %s: %w", repository, err)
	}
	images := make([]inventory.Image, 0, len(out.ImageDetails))
	for i := range out.ImageDetails {
		if image, ok := c.image(repository, &out.ImageDetails[i]); ok {
			images = append(images, image)
		}
	}
	return images, awsapi.NextToken(token, out.NextToken), nil
}
