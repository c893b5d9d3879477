// Package ecr reads a registry from the Amazon ECR API: its paging, its records,
// and which errors mean that a thing is gone.
//
// It is the only package that knows the ECR client.
package ecr

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go/middleware"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/pace"
)

// pageSize is the most that DescribeRepositories and DescribeImages give at once
// (API_DescribeImages, maxResults).
const pageSize = 1000

// Options configure a Client.
type Options struct {
	// RegistryID is the account whose registry is read; empty means the
	// caller's own.
	RegistryID string
	// Pace is at which the operations are called; nil means 20 times a second each.
	Pace *pace.Pace
	// Logger is told of records that cannot be used; nil discards.
	Logger *slog.Logger
}

// Client reads one registry. It is safe for concurrent use.
type Client struct {
	api        *ecr.Client
	registryID *string
	pace       *pace.Pace
	log        *slog.Logger
}

// New returns a client for the registry that cfg's credentials and Region lead
// to. It makes no call.
func New(cfg aws.Config, options Options) *Client {
	if options.Pace == nil {
		options.Pace = pace.New(20)
	}
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	c := &Client{
		pace: options.Pace,
		log:  options.Logger,
	}
	if options.RegistryID != "" {
		c.registryID = aws.String(options.RegistryID)
	}
	c.api = ecr.NewFromConfig(cfg, func(o *ecr.Options) { o.Retryer = pace.Retryer() })
	return c
}

// Permission is an IAM action that a call needs, and on what.
type Permission struct {
	Action string
	// Resource is "repository/*" for an action on repositories, "*" for one
	// that knows no resources.
	Resource string
}

// Permissions are the IAM actions this package calls (Service Authorization
// Reference, Amazon Elastic Container Registry). Each is declared beside its call.
var Permissions = []Permission{describeRegistry, describeRepositories, describeImages}

// ScanPermissions are those that reading scan results needs on top. An enhanced
// registry's results are Inspector's, which has to be permitted too.
var ScanPermissions = []Permission{scanningConfiguration, scanFindings, listFindings}

var describeRegistry = Permission{"ecr:DescribeRegistry", "*"}

// RegistryID returns the account of the registry: the configured one, or the one
// DescribeRegistry names.
func (c *Client) RegistryID(ctx context.Context) (string, error) {
	if c.registryID != nil {
		return *c.registryID, nil
	}
	var out *ecr.DescribeRegistryOutput
	err := c.call(ctx, "DescribeRegistry", func(with func(*ecr.Options)) (err error) {
		out, err = c.api.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{}, with)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("describing the registry: %w", err)
	}
	return aws.ToString(out.RegistryId), nil
}

var describeRepositories = Permission{"ecr:DescribeRepositories", "repository/*"}

// Repositories returns every repository of the registry, without images.
func (c *Client) Repositories(ctx context.Context) ([]*inventory.Repository, error) {
	var list []*inventory.Repository
	for in := (&ecr.DescribeRepositoriesInput{RegistryId: c.registryID, MaxResults: aws.Int32(pageSize)}); ; {
		var out *ecr.DescribeRepositoriesOutput
		err := c.call(ctx, "DescribeRepositories", func(with func(*ecr.Options)) (err error) {
			out, err = c.api.DescribeRepositories(ctx, in, with)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("listing repositories: %w", err)
		}
		for i := range out.Repositories {
			if repository := c.repository(&out.Repositories[i]); repository != nil {
				list = append(list, repository)
			}
		}
		if next := aws.ToString(out.NextToken); next == "" || next == aws.ToString(in.NextToken) {
			return list, nil
		}
		in.NextToken = out.NextToken
	}
}

// Repository returns one repository of the registry, without images. The error
// matches inventory.ErrGone if there is none of that name.
func (c *Client) Repository(ctx context.Context, name string) (*inventory.Repository, error) {
	var out *ecr.DescribeRepositoriesOutput
	err := c.call(ctx, "DescribeRepositories", func(with func(*ecr.Options)) (err error) {
		out, err = c.api.DescribeRepositories(ctx, &ecr.DescribeRepositoriesInput{RegistryId: c.registryID, RepositoryNames: []string{name}}, with)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("describing repository %s: %w", name, err)
	}
	for i := range out.Repositories {
		if repository := c.repository(&out.Repositories[i]); repository != nil && repository.Name == name {
			return repository, nil
		}
	}
	return nil, fmt.Errorf("describing repository %s: %w: the answer does not name it", name, inventory.ErrGone)
}

var describeImages = Permission{"ecr:DescribeImages", "repository/*"}

// Images returns one page of a repository's images, archived and untagged ones
// too, and the token of the next page; an empty token ends the listing. The
// first page has the empty token.
//
// The error matches inventory.ErrGone if the repository does not exist (any
// more), inventory.ErrDenied if it may not be read, and inventory.ErrToken if the
// token is no longer good and the listing must begin anew.
func (c *Client) Images(ctx context.Context, repository, token string) ([]inventory.Image, string, error) {
	in := &ecr.DescribeImagesInput{
		RegistryId:     c.registryID,
		RepositoryName: aws.String(repository),
		MaxResults:     aws.Int32(pageSize),
		Filter:         &types.DescribeImagesFilter{ImageStatus: types.ImageStatusFilterAny},
	}
	if token != "" {
		in.NextToken = aws.String(token)
	}
	var out *ecr.DescribeImagesOutput
	err := c.call(ctx, "DescribeImages", func(with func(*ecr.Options)) (err error) {
		out, err = c.api.DescribeImages(ctx, in, with)
		return err
	})
	if err != nil {
		if invalid := (*types.InvalidParameterException)(nil); token != "" && errors.As(err, &invalid) {
			err = fmt.Errorf("%w: %w", inventory.ErrToken, err)
		}
		return nil, "", fmt.Errorf("listing images of repository %s: %w", repository, err)
	}
	images := make([]inventory.Image, 0, len(out.ImageDetails))
	for i := range out.ImageDetails {
		if image, ok := c.image(repository, &out.ImageDetails[i]); ok {
			images = append(images, image)
		}
	}
	next := aws.ToString(out.NextToken)
	if next == token {
		next = "" // a token that leads back to its own page would never end
	}
	return images, next, nil
}

// call makes one call of an operation, at its pace, and tells what is gone.
func (c *Client) call(ctx context.Context, operation string, do func(with func(*ecr.Options)) error) error {
	err := c.pace.Call(ctx, operation, func(register func(*middleware.Stack) error) error {
		return do(func(o *ecr.Options) { o.APIOptions = append(o.APIOptions, register) })
	})
	if gone := (*types.RepositoryNotFoundException)(nil); errors.As(err, &gone) {
		return fmt.Errorf("%w: %w", inventory.ErrGone, err)
	}
	return err
}
