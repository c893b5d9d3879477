package ecr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// The user guide calls the permission to add an exclusion ecr:CreatePullTimeUpdateExclusion,
// the API reference RegisterPullTimeUpdateExclusion; the list has one name.
var listExclusions = awsapi.Permission{Action: "ecr:ListPullTimeUpdateExclusions", Resource: "*"}

// identityTimeout bounds asking STS who calls: in a VPC without a route to STS this must not
// use up the time of the run.
const identityTimeout = 5 * time.Second

// CheckPullTimes reports why indexes must not be read, as one of the reasons of package
// inventory, or "" if they may: BatchGetImage moves the pull time of an image, which people
// and lifecycle policies go by, unless the caller's own principal is among the registry's
// pull-time update exclusions. For IndexesDenied and IndexesUnknown the error is the cause.
//
// Children needs a check that allowed it, one for each refresh: exclusions can be removed.
func (c *Client) CheckPullTimes(ctx context.Context) (reason string, err error) {
	c.readsIndexes.Store(false)
	self, err := c.caller(ctx)
	switch {
	case err != nil:
		return inventory.IndexesUnknown, err
	case c.registryID != nil && *c.registryID != self.account:
		// ListPullTimeUpdateExclusions has no registryId.
		return inventory.IndexesOfOtherAccount, nil
	case self.name == "":
		return inventory.IndexesNotExcluded, nil
	}
	excluded, err := c.excludes(ctx, self)
	switch {
	case errors.Is(err, awsapi.ErrDenied):
		return inventory.IndexesDenied, err
	case err != nil:
		return inventory.IndexesUnknown, err
	case !excluded:
		return inventory.IndexesNotExcluded, nil
	}
	c.readsIndexes.Store(true)
	return "", nil
}

// caller returns the principal whose credentials the calls have. GetCallerIdentity needs no
// permission.
func (c *Client) caller(ctx context.Context) (principal, error) {
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	out, err := c.sts.GetCallerIdentity(ctx, &sts.GetCallerIdentityInput{})
	if err != nil {
		return principal{}, fmt.Errorf("reading the caller's identity: %w", err)
	}
	self := principalOf(aws.ToString(out.Arn))
	if self.account == "" {
		return principal{}, fmt.Errorf("reading the caller's identity: %w: no ARN", awsapi.ErrIncomplete)
	}
	return self, nil
}

// excludes reports whether a principal is among the pull-time update exclusions of the
// caller's own registry.
func (c *Client) excludes(ctx context.Context, self principal) (bool, error) {
	for pages := (awsapi.Pages{}); ; {
		out, err := c.api.ListPullTimeUpdateExclusions(ctx, &ecr.ListPullTimeUpdateExclusionsInput{
			MaxResults: aws.Int32(pageSize), NextToken: awsapi.PageToken(pages.Token),
		})
		switch {
		case err != nil:
		case slices.ContainsFunc(out.PullTimeUpdateExclusions, func(arn string) bool { return principalOf(arn) == self }):
			return true, nil
		default:
			err = pages.Advance(aws.ToString(out.NextToken), len(out.PullTimeUpdateExclusions), "")
		}
		if err != nil {
			return false, fmt.Errorf("listing the pull-time update exclusions: %w", err)
		}
		if pages.Token == "" {
			return false, nil
		}
	}
}

// principal is a role or a user. The names of both are unique in an account, whatever their
// paths. Without a kind and a name it can be in no exclusion, such as the root user.
type principal struct{ partition, account, kind, name string }

// principalOf reads an ARN as of GetCallerIdentity or of an exclusion. That of a role's
// session has no path, arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION; that of the role is
// arn:aws:iam::ACCOUNT:role/PATH/NAME.
func principalOf(arn string) principal {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) != 6 || fields[0] != "arn" || fields[1] == "" || fields[4] == "" {
		return principal{}
	}
	p := principal{partition: fields[1], account: fields[4]}
	path := strings.Split(fields[5], "/")
	last := path[len(path)-1]
	switch service := fields[2]; {
	case last == "":
	case service == "sts" && path[0] == "assumed-role" && len(path) == 3:
		p.kind, p.name = "role", path[1]
	case service == "iam" && len(path) > 1 && (path[0] == "role" || path[0] == "user"):
		p.kind, p.name = path[0], last
	}
	return p
}
