package inventory

import (
	"cmp"
	"strings"
)

// RepositoryDetails is what was read about one repository because a setting asks for it. It
// is replaced as a whole, never changed.
type RepositoryDetails struct {
	// LifecyclePolicy says whether there is one; LifecycleReadAt is when that was read, zero
	// for never.
	LifecyclePolicy bool `cbor:"1,keyasint,omitempty" json:"lifecycle_policy"`
	LifecycleReadAt Time `cbor:"2,keyasint,omitempty" json:"lifecycle_read_at,omitzero"`
	// Tags are the repository's own tags, sorted by key; TagsReadAt is when they were read,
	// zero for never.
	Tags       []ResourceTag `cbor:"3,keyasint,omitempty" json:"tags,omitempty"`
	TagsReadAt Time          `cbor:"4,keyasint,omitempty" json:"tags_read_at,omitzero"`
}

// ResourceTag is a tag in the sense of AWS: a key and a value of a resource.
type ResourceTag struct {
	Key   string `cbor:"1,keyasint,omitempty" json:"key"`
	Value string `cbor:"2,keyasint,omitempty" json:"value"`
}

// Tag returns the value of a tag of the repository itself; empty without one.
func (d *RepositoryDetails) Tag(key string) string {
	for i := range d.Tags {
		if d.Tags[i].Key == key {
			return d.Tags[i].Value
		}
	}
	return ""
}

// SetDetails replaces what was read about a repository alone.
func (r *Registry) SetDetails(repository *Repository, change func(*RepositoryDetails)) {
	details := RepositoryDetails{}
	if repository.Details != nil {
		details = *repository.Details
	}
	change(&details)
	r.Update(repository, func(repository *Repository) { repository.Details = &details })
}

// newerDetails makes one of two copies' records: of each part, what was read last.
func newerDetails(a, b *RepositoryDetails) *RepositoryDetails {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	newer := *a
	if b.LifecycleReadAt > a.LifecycleReadAt {
		newer.LifecyclePolicy, newer.LifecycleReadAt = b.LifecyclePolicy, b.LifecycleReadAt
	}
	if b.TagsReadAt > a.TagsReadAt {
		newer.Tags, newer.TagsReadAt = b.Tags, b.TagsReadAt
	}
	return &newer
}

// The types of scanning that a registry can be configured for.
const (
	ScanTypeBasic    = "BASIC"
	ScanTypeEnhanced = "ENHANCED"
)

// SetScanType replaces the type of scanning.
func (r *Registry) SetScanType(scanType string) {
	r.Unsaved.Any = r.Unsaved.Any || r.ScanType != scanType
	r.ScanType = scanType
}

// SetRegistryDetails replaces what was read about the registry itself.
func (r *Registry) SetRegistryDetails(details *RegistryDetails) {
	r.Details, r.Unsaved.Any = details, true
}

// RegistryDetails is what was read about the registry itself because a setting asks for it. It
// is replaced as a whole, never changed.
type RegistryDetails struct {
	// ReadAt is when reading began.
	ReadAt Time `cbor:"1,keyasint,omitempty" json:"read_at,omitzero"`
	// CacheRules and Replication are sorted, each once.
	CacheRules  []CacheRule              `cbor:"2,keyasint,omitempty" json:"cache_rules,omitempty"`
	Replication []ReplicationDestination `cbor:"3,keyasint,omitempty" json:"replication,omitempty"`
	// MaxRepositories and MaxImages are the quotas of repositories in the registry and of
	// images in a repository; 0 while unknown.
	MaxRepositories int64 `cbor:"4,keyasint,omitempty" json:"max_repositories,omitempty"`
	MaxImages       int64 `cbor:"5,keyasint,omitempty" json:"max_images,omitempty"`
}

// CacheRule is a pull-through cache rule: the repositories whose names have a prefix cache
// those of another registry.
type CacheRule struct {
	Prefix string `cbor:"1,keyasint,omitempty" json:"prefix"`
	// Upstream is the API's word for the registry, such as docker-hub, and URL its host.
	Upstream string `cbor:"2,keyasint,omitempty" json:"upstream,omitempty"`
	URL      string `cbor:"3,keyasint,omitempty" json:"url,omitempty"`
}

// CompareCacheRules orders rules by prefix, of which a registry has each once.
func CompareCacheRules(a, b CacheRule) int { return strings.Compare(a.Prefix, b.Prefix) }

// ReplicationDestination is a registry to which repositories are replicated: those whose
// names have one of the prefixes, which are separated by commas; empty for all.
type ReplicationDestination struct {
	Region     string `cbor:"1,keyasint,omitempty" json:"region"`
	RegistryID string `cbor:"2,keyasint,omitempty" json:"registry_id"`
	Prefixes   string `cbor:"3,keyasint,omitempty" json:"prefixes,omitempty"`
}

// CompareDestinations orders destinations.
func CompareDestinations(a, b ReplicationDestination) int {
	return cmp.Or(strings.Compare(a.Region, b.Region), strings.Compare(a.RegistryID, b.RegistryID), strings.Compare(a.Prefixes, b.Prefixes))
}
