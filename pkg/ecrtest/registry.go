package ecrtest

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Registry is one simulated ECR registry: an account in one Region. Its methods may be
// called concurrently, also while it is served; each takes effect atomically.
//
// It does not simulate the write side of the API: for example, it does not refuse to move
// a tag in an IMMUTABLE repository.
type Registry struct {
	id, region string

	mu sync.RWMutex
	// names are the keys of repositories, sorted: pages are cut by name.
	names        []string
	repositories map[string]*repository
	scanning     Scanning
	// exclusions are sorted ARNs. The list is replaced and never changed.
	exclusions []string
	// These are replaced and never changed, too.
	cacheRules  []CacheRule
	replication []ReplicationRule
	quotas      map[string]float64 // by code
}

// repository is a Repository with its images.
type repository struct {
	Repository
	images imageSet
	// scans is set in a generated repository, whose scans are generated.
	scans *scanShares
}

// Repository is what DescribeRepositories returns of a repository, without what follows
// from its name (ARN, URI) and registry.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_Repository.html
type Repository struct {
	// Name may have parts: "team/app".
	Name string
	// CreatedAt is truncated to milliseconds; createdAt is absent if it is zero.
	CreatedAt time.Time
	// TagMutability is MUTABLE, IMMUTABLE, MUTABLE_WITH_EXCLUSION or
	// IMMUTABLE_WITH_EXCLUSION; absent if empty.
	TagMutability string
	// ExclusionFilters are the wildcard patterns of the two …_WITH_EXCLUSION.
	ExclusionFilters []string
	// Encryption is encryptionConfiguration, absent if nil.
	Encryption *Encryption
	// ScanOnPush is that of imageScanningConfiguration, absent if nil.
	ScanOnPush *bool
	// LifecyclePolicy is the text of its lifecycle policy; empty for none.
	LifecyclePolicy string
	// Tags are the tags of the repository itself.
	Tags map[string]string
}

// Encryption is a repository's encryption configuration.
type Encryption struct {
	// Type is AES256, KMS or KMS_DSSE.
	Type string
	// KMSKey is the key's ARN; empty for AES256.
	KMSKey string
}

// NewRegistry returns an empty registry. The id is an AWS account, twelve digits;
// the region, such as "eu-west-1", is part of ARNs and repository URIs.
func NewRegistry(id, region string) *Registry {
	return &Registry{id: id, region: region, repositories: make(map[string]*repository), scanning: Scanning{Type: basic}, quotas: defaultQuotas()}
}

// ID returns the AWS account that the registry belongs to.
func (r *Registry) ID() string { return r.id }

// Region returns the registry's Region.
func (r *Registry) Region() string { return r.region }

// ARN returns the ARN of the repository of that name, which need not exist. With the name
// "*" it is the resource of a call for all repositories.
func (r *Registry) ARN(name string) string {
	return "arn:" + r.partition() + ":ecr:" + r.region + ":" + r.id + ":repository/" + name
}

// URI returns the part before ":tag" of references to images of the repository.
func (r *Registry) URI(name string) string {
	domain := "amazonaws.com"
	if r.partition() == "aws-cn" {
		domain = "amazonaws.com.cn"
	}
	return r.id + ".dkr.ecr." + r.region + "." + domain + "/" + name
}

// partition is the part of AWS that the Region is in, the second field of an ARN.
func (r *Registry) partition() string {
	switch {
	case strings.HasPrefix(r.region, "cn-"):
		return "aws-cn"
	case strings.HasPrefix(r.region, "us-gov-"):
		return "aws-us-gov"
	default:
		return "aws"
	}
}

// repositoryName is the pattern of RepositoryName in the service model.
var repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// The lengths of a repository name, of RepositoryName in the service model.
const (
	minRepositoryName = 2
	maxRepositoryName = 256
)

// PutRepository creates a repository, or changes the settings of the one of that
// name, which keeps its images. Names and values that ECR does not know are errors.
func (r *Registry) PutRepository(repo Repository) error {
	if err := checkRepository(&repo); err != nil {
		return fmt.Errorf("put repository %q: %w", repo.Name, err)
	}
	repo = repo.clone()
	r.mu.Lock()
	defer r.mu.Unlock()
	if old, ok := r.repositories[repo.Name]; ok {
		old.Repository = repo
		return nil
	}
	r.insert(&repository{Repository: repo})
	return nil
}

func checkRepository(repo *Repository) error {
	if n := len(repo.Name); n < minRepositoryName || n > maxRepositoryName || !repositoryName.MatchString(repo.Name) {
		return fmt.Errorf("not a repository name")
	}
	switch repo.TagMutability {
	case "", "MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION":
	default:
		return fmt.Errorf("unknown tag mutability %q", repo.TagMutability)
	}
	if err := checkLifecyclePolicy(repo.LifecyclePolicy); err != nil {
		return err
	}
	if repo.Encryption != nil {
		switch repo.Encryption.Type {
		case "AES256", "KMS", "KMS_DSSE":
		default:
			return fmt.Errorf("unknown encryption type %q", repo.Encryption.Type)
		}
	}
	return nil
}

// insert adds a new repository. The caller holds the lock.
func (r *Registry) insert(repo *repository) {
	r.repositories[repo.Name] = repo
	i, _ := slices.BinarySearch(r.names, repo.Name)
	r.names = slices.Insert(r.names, i, repo.Name)
}

// DeleteRepository deletes a repository with all its images and reports whether it
// existed.
func (r *Registry) DeleteRepository(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, ok := r.repositories[name]; !ok {
		return false
	}
	delete(r.repositories, name)
	i, _ := slices.BinarySearch(r.names, name)
	r.names = slices.Delete(r.names, i, i+1)
	return true
}

// Repository returns the repository of that name.
func (r *Registry) Repository(name string) (Repository, bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	repo, ok := r.repositories[name]
	if !ok {
		return Repository{}, false
	}
	return repo.Repository.clone(), true
}

// Repositories returns all repositories, sorted by name.
func (r *Registry) Repositories() []Repository {
	r.mu.RLock()
	defer r.mu.RUnlock()
	all := make([]Repository, 0, len(r.names))
	for _, name := range r.names {
		all = append(all, r.repositories[name].Repository.clone())
	}
	return all
}

// repositoriesAfter returns up to limit repositories whose names follow a cursor,
// and whether there are more. The result shares slices and pointers with the registry,
// which never changes what they point to.
func (r *Registry) repositoriesAfter(cursor string, limit int) (page []Repository, more bool) {
	r.mu.RLock()
	defer r.mu.RUnlock()
	i, found := slices.BinarySearch(r.names, cursor)
	if found {
		i++
	}
	rest := r.names[i:]
	page = make([]Repository, 0, min(limit, len(rest)))
	for _, name := range rest[:cap(page)] {
		page = append(page, r.repositories[name].Repository)
	}
	return page, len(rest) > len(page)
}

func (r Repository) clone() Repository {
	r.Tags = maps.Clone(r.Tags)
	r.CreatedAt = fromMillis(toMillis(r.CreatedAt))
	r.ExclusionFilters = slices.Clone(r.ExclusionFilters)
	if r.Encryption != nil {
		r.Encryption = new(*r.Encryption)
	}
	if r.ScanOnPush != nil {
		r.ScanOnPush = new(*r.ScanOnPush)
	}
	return r
}

// Totals are counts of a registry.
type Totals struct {
	Repositories int
	// Images are all manifests, of any status.
	Images int
	// TaggedImages are the active images with at least one tag.
	TaggedImages int
	// Tags are the tags of active images: each is a series of an image family.
	Tags int
	// Untagged are the active images without a tag.
	Untagged int
	// Archived are the images that are not active.
	Archived int
}

// Totals returns the present counts.
func (r *Registry) Totals() Totals {
	r.mu.RLock()
	defer r.mu.RUnlock()
	t := Totals{Repositories: len(r.names)}
	for repo := range maps.Values(r.repositories) {
		t.Images += len(repo.images.records)
		for i := range repo.images.records {
			switch rec := &repo.images.records[i]; {
			case !rec.status.active():
				t.Archived++
			case len(rec.tags) == 0:
				t.Untagged++
			default:
				t.TaggedImages++
				t.Tags += len(rec.tags)
			}
		}
	}
	return t
}

// toMillis converts a time as the simulator stores it: Unix milliseconds, 0 for
// the zero time. ECR sends no finer ones.
func toMillis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMillis is the inverse of toMillis, in UTC.
func fromMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
