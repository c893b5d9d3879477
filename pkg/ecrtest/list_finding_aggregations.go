package ecrtest

import (
	"cmp"
	"encoding/json"
)

type listAggregationsInput struct {
	Type       string        `json:"aggregationType"`
	AccountIDs stringFilters `json:"accountIds"`
	// Request is a union with one member, the type of the aggregation.
	Request    map[string]json.RawMessage `json:"aggregationRequest"`
	MaxResults *int32                     `json:"maxResults"`
	NextToken  *string                    `json:"nextToken"`
}

// wireContainerAggregation are the filters of AwsEcrContainerAggregation in the service model.
// Raw ones are not simulated.
type wireContainerAggregation struct {
	ResourceIDs   stringFilters   `json:"resourceIds"`
	ImageSHAs     stringFilters   `json:"imageShas"`
	Repositories  stringFilters   `json:"repositories"`
	ImageTags     stringFilters   `json:"imageTags"`
	Architectures json.RawMessage `json:"architectures"`
	LastInUseAt   json.RawMessage `json:"lastInUseAt"`
	InUseCount    json.RawMessage `json:"inUseCount"`
	SortBy        json.RawMessage `json:"sortBy"`
	SortOrder     json.RawMessage `json:"sortOrder"`
}

type listAggregationsOutput struct {
	Type      string            `json:"aggregationType"`
	Responses []wireAggregation `json:"responses"`
	NextToken string            `json:"nextToken,omitempty"`
}

// wireAggregation is the AggregationResponse of the service model, a union.
type wireAggregation struct {
	Container wireContainerCounts `json:"awsEcrContainerAggregation"`
}

// wireContainerCounts is the AwsEcrContainerAggregationResponse of the service model.
type wireContainerCounts struct {
	ResourceID   string             `json:"resourceId"`
	AccountID    string             `json:"accountId"`
	Architecture string             `json:"architecture"`
	ImageSHA     string             `json:"imageSha"`
	ImageTags    []string           `json:"imageTags,omitempty"`
	Repository   string             `json:"repository"`
	Counts       wireSeverityCounts `json:"severityCounts"`
	LastInUseAt  float64            `json:"lastInUseAt,omitempty"`
	InUseCount   *int64             `json:"inUseCount,omitempty"`
}

type wireSeverityCounts struct {
	All      int64 `json:"all"`
	Critical int64 `json:"critical"`
	High     int64 `json:"high"`
	Medium   int64 `json:"medium"`

	Low           *int64 `json:"low,omitempty"`
	Informational *int64 `json:"informational,omitempty"`
	Untriaged     *int64 `json:"untriaged,omitempty"`
}

const (
	aggregateContainers = "AWS_ECR_CONTAINER"
	maxAggregations     = 100
)

// listFindingAggregations handles ListFindingAggregations of the images of a registry, in
// the order of repositories and digests; sorting is not simulated. Images without findings
// are absent.
// See https://docs.aws.amazon.com/inspector/v2/APIReference/API_ListFindingAggregations.html
func listFindingAggregations(c *call, in *listAggregationsInput) (any, error) {
	if in.Type != aggregateContainers {
		return nil, notSimulated("aggregationType")
	}
	filter, text, err := in.filter()
	if err != nil {
		return nil, err
	}
	limit := maxAggregations
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	reg := c.server.registry
	scope := tokenScope(c.op.name, reg.id, text)
	limit, cursor, err := c.pageOf(limit, maxAggregations, in.NextToken, scope, invalidInspector)
	if err != nil {
		return nil, err
	}
	if err := c.authorizeInspector(); err != nil {
		return nil, err
	}
	out := &listAggregationsOutput{Type: in.Type, Responses: []wireAggregation{}}
	last := ""
	reg.coveredAfter(cursor, c.server.now(), func(name string) bool {
		return in.AccountIDs.match(reg.id) && filter.Repositories.match(name)
	}, func(row *covered) bool {
		if row.rec == nil || row.state.total() == 0 || !filter.match(reg, row) {
			return true
		}
		if len(out.Responses) == limit {
			out.NextToken = c.server.tokens.seal(last, scope)
			return false
		}
		w := wireContainer(reg, row)
		if !c.server.omitsLowCounts() {
			w.Counts.addLow(row.state.Counts)
		}
		out.Responses = append(out.Responses, wireAggregation{w})
		last = row.cursor()
		return true
	})
	return out, nil
}

// filter decodes and validates the request. Its text is part of the scope of tokens.
func (in *listAggregationsInput) filter() (filter wireContainerAggregation, text string, err error) {
	const member = "awsEcrContainerAggregation"
	if err := in.AccountIDs.check("accountIds", "EQUALS", "NOT_EQUALS", "PREFIX"); err != nil {
		return filter, "", err
	}
	raw, ok := in.Request[member]
	if len(in.Request) > 1 || len(in.Request) == 1 && !ok {
		return filter, "", invalidInspector("aggregationRequest", "Member must be that of the aggregationType")
	}
	if ok {
		if err := json.Unmarshal(raw, &filter); err != nil {
			return filter, "", serializationError(err)
		}
	}
	accounts, err := json.Marshal(in.AccountIDs)
	if err != nil {
		return filter, "", err
	}
	return filter, string(accounts) + string(raw), cmp.Or(
		filter.ResourceIDs.check("resourceIds", "EQUALS", "NOT_EQUALS", "PREFIX"),
		filter.ImageSHAs.check("imageShas", "EQUALS", "NOT_EQUALS", "PREFIX"),
		filter.Repositories.check("repositories", "EQUALS", "NOT_EQUALS", "PREFIX"),
		filter.ImageTags.check("imageTags", "EQUALS", "NOT_EQUALS", "PREFIX"),
		refuse(map[string]json.RawMessage{
			"architectures": filter.Architectures, "lastInUseAt": filter.LastInUseAt, "inUseCount": filter.InUseCount,
			"sortBy": filter.SortBy, "sortOrder": filter.SortOrder,
		}),
	)
}

// match applies all filters but that on the repository.
func (f *wireContainerAggregation) match(reg *Registry, row *covered) bool {
	return f.ImageTags.match(row.rec.tags...) &&
		(len(f.ImageSHAs) == 0 || f.ImageSHAs.match(row.rec.digest.String())) &&
		(len(f.ResourceIDs) == 0 || f.ResourceIDs.match(row.resourceID(reg)))
}

func wireContainer(reg *Registry, row *covered) wireContainerCounts {
	w := wireContainerCounts{
		ResourceID:   row.resourceID(reg),
		AccountID:    reg.id,
		Architecture: "amd64",
		ImageSHA:     row.rec.digest.String(),
		ImageTags:    row.rec.tags,
		Repository:   row.repository,
		Counts: wireSeverityCounts{
			All:      int64(row.state.total()),
			Critical: int64(row.state.Counts["CRITICAL"]),
			High:     int64(row.state.Counts["HIGH"]),
			Medium:   int64(row.state.Counts["MEDIUM"]),
		},
		LastInUseAt: epoch(row.use.at),
	}
	if row.use.at != 0 {
		w.InUseCount = new(row.use.count)
	}
	return w
}

// addLow adds the counts that are in the service model since 2026.
func (w *wireSeverityCounts) addLow(counts map[string]int32) {
	w.Low, w.Informational, w.Untriaged = new(int64(counts["LOW"])), new(int64(counts["INFORMATIONAL"])), new(int64(counts["UNTRIAGED"]))
}

// OmitLowCounts makes ListFindingAggregations leave out the counts of LOW, INFORMATIONAL and
// UNTRIAGED, as Inspector did before 2026.
func (s *Server) OmitLowCounts() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.noLowCounts = true
}

func (s *Server) omitsLowCounts() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.noLowCounts
}
