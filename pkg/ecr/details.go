package ecr

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/servicequotas"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// LifecyclePermissions, TagPermissions and RegistryPermissions are the IAM actions that are
// needed to read lifecycle policies, the tags of repositories, and the registry's details.
var (
	LifecyclePermissions = []awsapi.Permission{getLifecyclePolicy}
	TagPermissions       = []awsapi.Permission{listTags}
	RegistryPermissions  = []awsapi.Permission{getScanningConfiguration, describeCacheRules, listServiceQuotas}
)

var getLifecyclePolicy = awsapi.Permission{Action: "ecr:GetLifecyclePolicy", Resource: anyRepository}

// LifecyclePolicy reports whether a repository has a lifecycle policy.
func (c *Client) LifecyclePolicy(ctx context.Context, repository string) (bool, error) {
	out, err := c.api.GetLifecyclePolicy(ctx, &ecr.GetLifecyclePolicyInput{RegistryId: c.registryID, RepositoryName: &repository})
	switch none := (*types.LifecyclePolicyNotFoundException)(nil); {
	case errors.As(err, &none):
		return false, nil
	case err == nil && aws.ToString(out.LifecyclePolicyText) == "":
		err = fmt.Errorf("%w: no lifecyclePolicyText", awsapi.ErrIncomplete)
	}
	if err != nil {
		return false, fmt.Errorf("reading the lifecycle policy of repository %s: %w", repository, err)
	}
	return true, nil
}

var listTags = awsapi.Permission{Action: "ecr:ListTagsForResource", Resource: anyRepository}

// maxResourceTags bounds the tags of a repository. AWS has a quota of 50.
const maxResourceTags = 200

// Tags returns the tags of a repository itself, given its ARN, sorted by key.
func (c *Client) Tags(ctx context.Context, arn string) ([]inventory.ResourceTag, error) {
	out, err := c.api.ListTagsForResource(ctx, &ecr.ListTagsForResourceInput{ResourceArn: &arn})
	switch {
	case err != nil:
	case out.Tags == nil:
		err = fmt.Errorf("%w: no list of tags", awsapi.ErrIncomplete)
	case len(out.Tags) > maxResourceTags:
		err = fmt.Errorf("%w: more than %d tags", awsapi.ErrIncomplete, maxResourceTags)
	}
	if err != nil {
		return nil, fmt.Errorf("listing the tags of %s: %w", arn, err)
	}
	convert := converter{&c.invalid, arn}
	var tags []inventory.ResourceTag
	for _, tag := range out.Tags {
		if key := convert.text("tag key", tag.Key); key != "" {
			tags = append(tags, inventory.ResourceTag{Key: shared(key), Value: shared(convert.text("tag "+key, tag.Value))})
		}
	}
	slices.SortStableFunc(tags, func(a, b inventory.ResourceTag) int { return strings.Compare(a.Key, b.Key) })
	return slices.CompactFunc(tags, func(a, b inventory.ResourceTag) bool { return a.Key == b.Key }), nil
}

// maxDetails bounds the pull-through cache rules and the replication destinations of a
// registry. ECR has quotas of 50 and 250.
const maxDetails = 1000

// Details reads the registry's own configuration and quotas. With an error, what could not be
// read is that of the known details, which can be nil.
//
// Replication and quotas are those of the caller's account. If the registry is another
// account's, they stay unknown.
func (c *Client) Details(ctx context.Context, known *inventory.RegistryDetails) (*inventory.RegistryDetails, error) {
	details := inventory.RegistryDetails{}
	if known != nil {
		details = *known
	}
	rules, err := c.cacheRules(ctx)
	if err == nil {
		details.CacheRules = rules
	}
	account, destinations, replicationErr := c.replication(ctx)
	if replicationErr != nil {
		return &details, errors.Join(err, replicationErr)
	}
	if c.registryID != nil && *c.registryID != account {
		return &details, err
	}
	details.Replication = destinations
	quotas, quotasErr := c.quotas(ctx)
	if quotasErr == nil {
		details.MaxRepositories, details.MaxImages = quotas[repositoriesQuota], quotas[imagesQuota]
	}
	return &details, errors.Join(err, quotasErr)
}

var describeCacheRules = awsapi.Permission{Action: "ecr:DescribePullThroughCacheRules", Resource: "*"}

func (c *Client) cacheRules(ctx context.Context) ([]inventory.CacheRule, error) {
	var rules []inventory.CacheRule
	for pages := (awsapi.Pages{}); ; {
		out, err := c.api.DescribePullThroughCacheRules(ctx, &ecr.DescribePullThroughCacheRulesInput{
			RegistryId: c.registryID, MaxResults: aws.Int32(pageSize), NextToken: awsapi.PageToken(pages.Token),
		})
		switch {
		case err != nil:
		case out.PullThroughCacheRules == nil:
			err = fmt.Errorf("%w: no list of rules", awsapi.ErrIncomplete)
		case len(rules)+len(out.PullThroughCacheRules) > maxDetails:
			err = fmt.Errorf("%w: more than %d rules", awsapi.ErrIncomplete, maxDetails)
		default:
			err = pages.Advance(aws.ToString(out.NextToken), len(out.PullThroughCacheRules), "")
		}
		if err != nil {
			return nil, fmt.Errorf("listing the pull-through cache rules: %w", err)
		}
		for i := range out.PullThroughCacheRules {
			rule := &out.PullThroughCacheRules[i]
			convert := converter{&c.invalid, "a pull-through cache rule"}
			rules = append(rules, inventory.CacheRule{
				Prefix:   strings.Clone(convert.text("ecrRepositoryPrefix", rule.EcrRepositoryPrefix)),
				Upstream: convert.word("upstreamRegistry", string(rule.UpstreamRegistry)),
				URL:      strings.Clone(convert.text("upstreamRegistryUrl", rule.UpstreamRegistryUrl)),
			})
		}
		if pages.Token == "" {
			slices.SortStableFunc(rules, inventory.CompareCacheRules)
			return slices.CompactFunc(rules, func(a, b inventory.CacheRule) bool { return inventory.CompareCacheRules(a, b) == 0 }), nil
		}
	}
}

// replication returns the destinations of the caller's registry, and its account.
func (c *Client) replication(ctx context.Context) (account string, _ []inventory.ReplicationDestination, err error) {
	out, err := c.api.DescribeRegistry(ctx, &ecr.DescribeRegistryInput{})
	if err == nil && out.ReplicationConfiguration == nil {
		err = fmt.Errorf("%w: no replicationConfiguration", awsapi.ErrIncomplete)
	}
	if err != nil {
		return "", nil, fmt.Errorf("describing the registry: %w", err)
	}
	convert := converter{&c.invalid, "a replication rule"}
	var destinations []inventory.ReplicationDestination
	for _, rule := range out.ReplicationConfiguration.Rules {
		var prefixes []string
		for i := range rule.RepositoryFilters {
			prefixes = append(prefixes, convert.text("filter", rule.RepositoryFilters[i].Filter))
		}
		slices.Sort(prefixes)
		for i := range rule.Destinations {
			destinations = append(destinations, inventory.ReplicationDestination{
				Region:     shared(convert.text("region", rule.Destinations[i].Region)),
				RegistryID: convert.word("registryId", aws.ToString(rule.Destinations[i].RegistryId)),
				Prefixes:   strings.Join(prefixes, ","),
			})
		}
	}
	if len(destinations) > maxDetails {
		return "", nil, fmt.Errorf("describing the registry: %w: more than %d destinations", awsapi.ErrIncomplete, maxDetails)
	}
	slices.SortFunc(destinations, inventory.CompareDestinations)
	return aws.ToString(out.RegistryId), slices.Compact(destinations), nil
}

// Codes of the quotas that can be raised.
// See https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html.
const (
	repositoriesQuota = "L-CFEB8E8D"
	imagesQuota       = "L-03A36CE1"
)

var listServiceQuotas = awsapi.Permission{Action: "servicequotas:ListServiceQuotas", Resource: "*"}

// quotas returns the quotas of the caller's account by code, those that can be true.
func (c *Client) quotas(ctx context.Context) (map[string]int64, error) {
	quotas := map[string]int64{}
	for pages := (awsapi.Pages{}); ; {
		out, err := c.serviceQuotas.ListServiceQuotas(ctx, &servicequotas.ListServiceQuotasInput{
			ServiceCode: aws.String("ecr"), MaxResults: aws.Int32(100), NextToken: awsapi.PageToken(pages.Token),
		})
		if err == nil && out.Quotas == nil {
			err = fmt.Errorf("%w: no list of quotas", awsapi.ErrIncomplete)
		}
		if err == nil {
			err = pages.Advance(aws.ToString(out.NextToken), len(out.Quotas), "")
		}
		if err != nil {
			return nil, fmt.Errorf("listing the service quotas of ECR: %w", err)
		}
		for i := range out.Quotas {
			code, value := aws.ToString(out.Quotas[i].QuotaCode), aws.ToFloat64(out.Quotas[i].Value)
			switch {
			case code != repositoriesQuota && code != imagesQuota:
			case value >= 1 && value < 1<<53:
				quotas[code] = int64(value)
			default:
				c.invalid.Add("quota %s %g", code, value)
			}
		}
		if pages.Token == "" {
			return quotas, nil
		}
	}
}
