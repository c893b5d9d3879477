package metrics

import (
	"cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// quotas are ECR's quotas that a registry can reach. used is the use of the repository, or
// other part of the registry, that has most; limit is the default without another one.
//
// See https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html.
var quotas = []struct {
	name     string
	used     func(*inventory.Summary) int // of one repository; nil for the number of repositories
	limit    func(*inventory.RegistryDetails) int64
	fallback int64
}{
	{"repositories", nil, func(d *inventory.RegistryDetails) int64 { return d.MaxRepositories }, 100_000},
	{"images_per_repository", (*inventory.Summary).Count, func(d *inventory.RegistryDetails) int64 { return d.MaxImages }, 100_000},
	// It cannot be raised.
	{"tags_per_image", func(s *inventory.Summary) int { return s.MostTags }, func(*inventory.RegistryDetails) int64 { return 0 }, 1000},
}

var quotaLabels = with(exporterLabels, label{"quota", func(s *subject) string { return quotas[s.i].name }})

func perQuota(*subject) int { return len(quotas) }

// used is the use of a quota. It is unknown while no repository's images were listed.
func (s *subject) used() (float64, bool) {
	of, repositories := quotas[s.i].used, s.registry.Repositories
	if of == nil || len(repositories) == 0 {
		return float64(len(repositories)), true
	}
	most, known := 0, false
	for _, repository := range repositories {
		if repository.Summary != nil {
			most, known = max(most, of(repository.Summary)), true
		}
	}
	return float64(most), known
}

// details are those of the registry, empty while unknown.
func (s *subject) details() *inventory.RegistryDetails { return cmp.Or(s.registry.Details, &noDetails) }

var noDetails inventory.RegistryDetails

func (s *subject) cacheRule() *inventory.CacheRule { return &s.details().CacheRules[s.i] }

func (s *subject) destination() *inventory.ReplicationDestination {
	return &s.details().Replication[s.i]
}

func asksDetails(shape *inventory.Shape) bool { return shape.RegistryDetails }

// ofRegistry are the further families about the registry. Quotas and settings are those of an
// account in one Region.
var ofRegistry = []Family{
	{
		Name: "aws_ecr_registry_scan_type_info", Help: "The type of scanning that a registry is configured for", Type: gauge,
		Unit: "always 1; `BASIC` or `ENHANCED`, where `SCAN_SOURCE` is `auto` or `REGISTRY_DETAILS` is set",
		per:  perRegistry, labels: with(exporterLabels, label{"scan_type", func(s *subject) string { return s.registry.ScanType }}),
		value: func(s *subject) (float64, bool) { return 1, s.registry.ScanType != "" },
	},
	{
		Name: "aws_ecr_pull_through_cache_rule_info", Help: "A pull-through cache rule of a registry", Type: gauge,
		Unit: "always 1", Setting: "REGISTRY_DETAILS", asked: asksDetails,
		per: perRegistry, many: func(s *subject) int { return len(s.details().CacheRules) },
		labels: with(exporterLabels,
			label{"repository_prefix", func(s *subject) string { return s.cacheRule().Prefix }},
			label{"upstream_registry", func(s *subject) string { return s.cacheRule().Upstream }},
			label{"upstream_url", func(s *subject) string { return s.cacheRule().URL }},
		),
		value: always,
	},
	{
		Name: "aws_ecr_replication_destination_info", Help: "A registry to which repositories are replicated", Type: gauge,
		Unit: "always 1; `repository_prefixes` are separated by commas, none for all", Setting: "REGISTRY_DETAILS", asked: asksDetails,
		per: perRegistry, many: func(s *subject) int { return len(s.details().Replication) },
		labels: with(exporterLabels,
			label{"destination_region", func(s *subject) string { return s.destination().Region }},
			label{"destination_registry_id", func(s *subject) string { return s.destination().RegistryID }},
			label{"repository_prefixes", func(s *subject) string { return s.destination().Prefixes }},
		),
		value: always,
	},
	{
		Name: "aws_ecr_registry_quota_limit", Help: "A quota of Amazon ECR", Type: gauge,
		Unit: "the quota of the account if `REGISTRY_DETAILS` is set, else the documented default",
		per:  perRegistry, many: perQuota, labels: quotaLabels,
		value: func(s *subject) (float64, bool) {
			if limit := quotas[s.i].limit(s.details()); limit > 0 {
				return float64(limit), true
			}
			return float64(quotas[s.i].fallback), true
		},
	},
	{
		Name: "aws_ecr_registry_quota_used", Help: "How much of a quota of Amazon ECR is used", Type: gauge,
		Unit: "repositories, or the images or tags of the repository or image that has most",
		per:  perRegistry, many: perQuota, labels: quotaLabels,
		value: (*subject).used,
	},
}
