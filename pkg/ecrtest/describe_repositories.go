package ecrtest

type describeRepositoriesInput struct {
	RegistryID      *string  `json:"registryId"`
	RepositoryNames []string `json:"repositoryNames"`
	MaxResults      *int32   `json:"maxResults"`
	NextToken       *string  `json:"nextToken"`
}

type describeRepositoriesOutput struct {
	Repositories []wireRepository `json:"repositories"`
	NextToken    string           `json:"nextToken,omitempty"`
}

// wireRepository is the Repository of the service model.
type wireRepository struct {
	ARN              string          `json:"repositoryArn"`
	RegistryID       string          `json:"registryId"`
	Name             string          `json:"repositoryName"`
	URI              string          `json:"repositoryUri"`
	CreatedAt        float64         `json:"createdAt,omitempty"`
	TagMutability    string          `json:"imageTagMutability,omitempty"`
	ExclusionFilters []wireWildcard  `json:"imageTagMutabilityExclusionFilters,omitempty"`
	Scanning         *wireScanning   `json:"imageScanningConfiguration,omitempty"`
	Encryption       *wireEncryption `json:"encryptionConfiguration,omitempty"`
}

type wireWildcard struct {
	Type   string `json:"filterType"`
	Filter string `json:"filter"`
}

type wireScanning struct {
	ScanOnPush bool `json:"scanOnPush"`
}

type wireEncryption struct {
	Type   string `json:"encryptionType"`
	KMSKey string `json:"kmsKey,omitempty"`
}

// maxNames is the maximum number of names or image ids in one request.
const maxNames = 100

// describeRepositories handles DescribeRepositories: pages sorted by name, or the
// requested names in their order.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeRepositories.html
func describeRepositories(c *call, in *describeRepositoriesInput) (any, error) {
	if in.RepositoryNames != nil {
		return describeNamedRepositories(c, in)
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
	if err := c.authorize(reg.ARN("*")); err != nil {
		return nil, err
	}
	repos, more := reg.repositoriesAfter(cursor, limit)
	out := &describeRepositoriesOutput{Repositories: make([]wireRepository, 0, len(repos))}
	for i := range repos {
		out.Repositories = append(out.Repositories, reg.wireRepository(&repos[i]))
	}
	if more {
		out.NextToken = c.server.tokens.seal(repos[len(repos)-1].Name, scope)
	}
	return out, nil
}

func describeNamedRepositories(c *call, in *describeRepositoriesInput) (any, error) {
	if err := checkLength("repositoryNames", len(in.RepositoryNames), 1, maxNames); err != nil {
		return nil, err
	}
	if in.MaxResults != nil || in.NextToken != nil {
		return nil, invalid("repositoryNames", "must not be combined with maxResults or nextToken")
	}
	for _, name := range in.RepositoryNames {
		if err := checkRepositoryName("repositoryNames", name); err != nil {
			return nil, err
		}
	}
	reg, err := c.registry(in.RegistryID, in.RepositoryNames[0])
	if err != nil {
		return nil, err
	}
	out := &describeRepositoriesOutput{Repositories: make([]wireRepository, 0, len(in.RepositoryNames))}
	for _, name := range in.RepositoryNames {
		if err := c.authorize(reg.ARN(name)); err != nil {
			return nil, err
		}
		repo, ok := reg.Repository(name)
		if !ok {
			return nil, repositoryNotFound(name, reg.id)
		}
		out.Repositories = append(out.Repositories, reg.wireRepository(&repo))
	}
	return out, nil
}

func (r *Registry) wireRepository(repo *Repository) wireRepository {
	w := wireRepository{
		ARN:           r.ARN(repo.Name),
		RegistryID:    r.id,
		Name:          repo.Name,
		URI:           r.URI(repo.Name),
		CreatedAt:     epoch(toMillis(repo.CreatedAt)),
		TagMutability: repo.TagMutability,
	}
	for _, filter := range repo.ExclusionFilters {
		w.ExclusionFilters = append(w.ExclusionFilters, wireWildcard{Type: "WILDCARD", Filter: filter})
	}
	if repo.ScanOnPush != nil {
		w.Scanning = &wireScanning{ScanOnPush: *repo.ScanOnPush}
	}
	if repo.Encryption != nil {
		w.Encryption = &wireEncryption{Type: repo.Encryption.Type, KMSKey: repo.Encryption.KMSKey}
	}
	return w
}
