package ecrtest

import (
	"encoding/json"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// cacheRulePrefix is the pattern of PullThroughCacheRuleRepositoryPrefix in the service model.
var cacheRulePrefix = regexp.MustCompile(`^((?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*/?|ROOT)$`)

// CacheRule is a pull-through cache rule.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_PullThroughCacheRule.html
type CacheRule struct {
	// Prefix is that of the repositories' names, or ROOT for all.
	Prefix string
	// Upstream is the kind of registry, such as docker-hub, and URL its host.
	Upstream, URL string
}

// SetCacheRules replaces the pull-through cache rules.
func (r *Registry) SetCacheRules(rules ...CacheRule) error {
	for _, rule := range rules {
		if !cacheRulePrefix.MatchString(rule.Prefix) {
			return fmt.Errorf("set pull-through cache rules: %q is not a prefix", rule.Prefix)
		}
	}
	rules = slices.SortedFunc(slices.Values(rules), func(a, b CacheRule) int { return strings.Compare(a.Prefix, b.Prefix) })
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cacheRules = rules
	return nil
}

// ReplicationRule says which repositories are replicated where.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ReplicationRule.html
type ReplicationRule struct {
	// Prefixes are those of the repositories' names; none means all.
	Prefixes     []string
	Destinations []ReplicationDestination
}

// ReplicationDestination is a registry: an account in a Region.
type ReplicationDestination struct{ Region, RegistryID string }

// SetReplication replaces the replication rules.
func (r *Registry) SetReplication(rules ...ReplicationRule) {
	rules = slices.Clone(rules)
	for i := range rules {
		rules[i].Prefixes, rules[i].Destinations = slices.Clone(rules[i].Prefixes), slices.Clone(rules[i].Destinations)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.replication = rules
}

// SetQuota replaces a quota of the account, given its code as in Service Quotas.
func (r *Registry) SetQuota(code string, value float64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.quotas = maps.Clone(r.quotas)
	r.quotas[code] = value
}

// The quotas of a new registry, by code: repositories, and images in a repository.
// See https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
func defaultQuotas() map[string]float64 {
	return map[string]float64{"L-CFEB8E8D": 100_000, "L-03A36CE1": 100_000}
}

var quotaNames = map[string]string{"L-CFEB8E8D": "Registered repositories", "L-03A36CE1": "Images per repository"}

type describeCacheRulesInput struct {
	RegistryID *string  `json:"registryId"`
	Prefixes   []string `json:"ecrRepositoryPrefixes"`
	MaxResults *int32   `json:"maxResults"`
	NextToken  *string  `json:"nextToken"`
}

type describeCacheRulesOutput struct {
	Rules     []wireCacheRule `json:"pullThroughCacheRules"`
	NextToken string          `json:"nextToken,omitempty"`
}

type wireCacheRule struct {
	Prefix     string `json:"ecrRepositoryPrefix"`
	Upstream   string `json:"upstreamRegistry,omitempty"`
	URL        string `json:"upstreamRegistryUrl"`
	RegistryID string `json:"registryId"`
}

// describePullThroughCacheRules handles DescribePullThroughCacheRules, which is authorised on
// "*". The parameter ecrRepositoryPrefixes is not simulated.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribePullThroughCacheRules.html
func describePullThroughCacheRules(c *call, in *describeCacheRulesInput) (any, error) {
	if len(in.Prefixes) > 0 {
		return nil, invalid("ecrRepositoryPrefixes", "is not simulated")
	}
	reg, err := c.registry(in.RegistryID, "*")
	if err != nil {
		return nil, err
	}
	scope := tokenScope(c.op.name, reg.id)
	limit, cursor, err := c.page(in.MaxResults, in.NextToken, scope)
	if err != nil {
		return nil, err
	}
	if err := c.authorize("*"); err != nil {
		return nil, err
	}
	reg.mu.RLock()
	rest := reg.cacheRules
	reg.mu.RUnlock()
	i, found := slices.BinarySearchFunc(rest, cursor, func(rule CacheRule, prefix string) int { return strings.Compare(rule.Prefix, prefix) })
	if found {
		i++
	}
	rest = rest[i:]
	out := &describeCacheRulesOutput{Rules: []wireCacheRule{}}
	for _, rule := range rest[:min(limit, len(rest))] {
		out.Rules = append(out.Rules, wireCacheRule{rule.Prefix, rule.Upstream, rule.URL, reg.id})
	}
	if len(rest) > limit {
		out.NextToken = c.server.tokens.seal(rest[limit-1].Prefix, scope)
	}
	return out, nil
}

type getLifecyclePolicyInput struct {
	RegistryID *string `json:"registryId"`
	Name       *string `json:"repositoryName"`
}

type getLifecyclePolicyOutput struct {
	RegistryID string `json:"registryId"`
	Name       string `json:"repositoryName"`
	Text       string `json:"lifecyclePolicyText"`
}

// getLifecyclePolicy handles GetLifecyclePolicy.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_GetLifecyclePolicy.html
func getLifecyclePolicy(c *call, in *getLifecyclePolicyInput) (any, error) {
	if in.Name == nil {
		return nil, invalid("repositoryName", "must not be null")
	}
	if err := checkRepositoryName("repositoryName", *in.Name); err != nil {
		return nil, err
	}
	reg, err := c.registry(in.RegistryID, *in.Name)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(reg.ARN(*in.Name)); err != nil {
		return nil, err
	}
	repo, ok := reg.Repository(*in.Name)
	switch {
	case !ok:
		return nil, repositoryNotFound(*in.Name, reg.id)
	case repo.LifecyclePolicy == "":
		return nil, newError("LifecyclePolicyNotFoundException", "Lifecycle policy does not exist for the repository with name '%s' in the registry with id '%s'", *in.Name, reg.id)
	}
	return &getLifecyclePolicyOutput{reg.id, *in.Name, repo.LifecyclePolicy}, nil
}

// checkLifecyclePolicy returns the error for a lifecycle policy that is not JSON.
func checkLifecyclePolicy(text string) error {
	if text != "" && !json.Valid([]byte(text)) {
		return fmt.Errorf("the lifecycle policy is not JSON")
	}
	return nil
}

type listTagsInput struct {
	ARN *string `json:"resourceArn"`
}

type listTagsOutput struct {
	Tags []wireTag `json:"tags"`
}

type wireTag struct {
	Key   string `json:"Key"`
	Value string `json:"Value"`
}

// listTagsForResource handles ListTagsForResource, whose resource is a repository. It has no
// registryId.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_ListTagsForResource.html
func listTagsForResource(c *call, in *listTagsInput) (any, error) {
	if in.ARN == nil {
		return nil, invalid("resourceArn", "must not be null")
	}
	reg := c.server.registry
	name, ours := strings.CutPrefix(*in.ARN, reg.ARN(""))
	if !ours || checkRepositoryName("resourceArn", name) != nil {
		return nil, invalid("resourceArn", "Invalid ARN")
	}
	if err := c.authorize(reg.ARN(name)); err != nil {
		return nil, err
	}
	repo, ok := reg.Repository(name)
	if !ok {
		return nil, repositoryNotFound(name, reg.id)
	}
	out := &listTagsOutput{Tags: []wireTag{}}
	for _, key := range slices.Sorted(maps.Keys(repo.Tags)) {
		out.Tags = append(out.Tags, wireTag{key, repo.Tags[key]})
	}
	return out, nil
}

type listServiceQuotasInput struct {
	Service    *string `json:"ServiceCode"`
	MaxResults *int32  `json:"MaxResults"`
	NextToken  *string `json:"NextToken"`
}

type listServiceQuotasOutput struct {
	Quotas    []wireQuota `json:"Quotas"`
	NextToken string      `json:"NextToken,omitempty"`
}

type wireQuota struct {
	Service string  `json:"ServiceCode"`
	Code    string  `json:"QuotaCode"`
	Name    string  `json:"QuotaName"`
	Value   float64 `json:"Value"`
}

// listServiceQuotas handles ListServiceQuotas of Service Quotas, of the quotas of ECR.
// See https://docs.aws.amazon.com/servicequotas/2019-06-24/apireference/API_ListServiceQuotas.html
func listServiceQuotas(c *call, in *listServiceQuotasInput) (any, error) {
	if in.Service == nil || *in.Service != "ecr" {
		return nil, newError("NoSuchResourceException", "The request failed because the specified service does not exist.")
	}
	scope := tokenScope(c.op.name)
	limit := 100
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	limit, cursor, err := c.pageOf(limit, 100, in.NextToken, scope, func(parameter, constraint string) *apiError {
		return newError("IllegalArgumentException", "%s: %s", parameter, constraint)
	})
	if err != nil {
		return nil, err
	}
	if err := c.authorize("*"); err != nil {
		return nil, err
	}
	reg := c.server.registry
	reg.mu.RLock()
	quotas := reg.quotas
	reg.mu.RUnlock()
	codes := slices.Sorted(maps.Keys(quotas))
	i, found := slices.BinarySearch(codes, cursor)
	if found {
		i++
	}
	codes = codes[i:]
	out := &listServiceQuotasOutput{Quotas: []wireQuota{}}
	for _, code := range codes[:min(limit, len(codes))] {
		out.Quotas = append(out.Quotas, wireQuota{"ecr", code, quotaNames[code], quotas[code]})
	}
	if len(codes) > limit {
		out.NextToken = c.server.tokens.seal(codes[limit-1], scope)
	}
	return out, nil
}
