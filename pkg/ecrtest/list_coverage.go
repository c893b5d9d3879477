package ecrtest

import (
	"cmp"
	"encoding/json"
)

type listCoverageInput struct {
	// Filter is decoded separately; its text is part of the scope of tokens.
	Filter     json.RawMessage `json:"filterCriteria"`
	MaxResults *int32          `json:"maxResults"`
	NextToken  *string         `json:"nextToken"`
}

// wireCoverageFilter is the CoverageFilterCriteria of the service model, without filters that
// do not apply to images: on instances, functions and source code.
type wireCoverageFilter struct {
	AccountID      stringFilters `json:"accountId"`
	ResourceID     stringFilters `json:"resourceId"`
	ResourceType   stringFilters `json:"resourceType"`
	ScanType       stringFilters `json:"scanType"`
	StatusCode     stringFilters `json:"scanStatusCode"`
	StatusReason   stringFilters `json:"scanStatusReason"`
	RepositoryName stringFilters `json:"ecrRepositoryName"`
	ImageTags      stringFilters `json:"ecrImageTags"`
	LastScannedAt  rangeFilters  `json:"lastScannedAt"`
	PulledAt       rangeFilters  `json:"imagePulledAt"`
	LastInUseAt    rangeFilters  `json:"ecrImageLastInUseAt"`
	InUseCount     rangeFilters  `json:"ecrImageInUseCount"`

	FunctionName    json.RawMessage `json:"lambdaFunctionName"`
	FunctionRuntime json.RawMessage `json:"lambdaFunctionRuntime"`
	FunctionTags    json.RawMessage `json:"lambdaFunctionTags"`
	InstanceTags    json.RawMessage `json:"ec2InstanceTags"`
	ScanMode        json.RawMessage `json:"scanMode"`
}

type listCoverageOutput struct {
	Resources []wireCovered `json:"coveredResources"`
	NextToken string        `json:"nextToken,omitempty"`
}

// wireCovered is the CoveredResource of the service model.
type wireCovered struct {
	AccountID     string             `json:"accountId"`
	ResourceID    string             `json:"resourceId"`
	ResourceType  string             `json:"resourceType"`
	ScanType      string             `json:"scanType"`
	Status        wireCoverageStatus `json:"scanStatus"`
	Metadata      wireCoverageData   `json:"resourceMetadata"`
	LastScannedAt float64            `json:"lastScannedAt,omitempty"`
}

type wireCoverageStatus struct {
	Code   string `json:"statusCode"`
	Reason string `json:"reason"`
}

type wireCoverageData struct {
	Repository *wireCoveredRepository `json:"ecrRepository,omitempty"`
	Image      *wireCoveredImage      `json:"ecrImage,omitempty"`
}

type wireCoveredRepository struct {
	Name      string `json:"name"`
	Frequency string `json:"scanFrequency"`
}

type wireCoveredImage struct {
	Tags        []string `json:"tags,omitempty"`
	PulledAt    float64  `json:"imagePulledAt,omitempty"`
	LastInUseAt float64  `json:"lastInUseAt,omitempty"`
	InUseCount  *int64   `json:"inUseCount,omitempty"`
}

const maxCoverage = 200

// listCoverage handles ListCoverage: the repositories of a registry, each followed by its
// images that Inspector covers, with or without findings.
// See https://docs.aws.amazon.com/inspector/v2/APIReference/API_ListCoverage.html
func listCoverage(c *call, in *listCoverageInput) (any, error) {
	var filter wireCoverageFilter
	if in.Filter != nil {
		if err := json.Unmarshal(in.Filter, &filter); err != nil {
			return nil, serializationError(err)
		}
	}
	if err := filter.check(); err != nil {
		return nil, err
	}
	limit := maxCoverage
	if in.MaxResults != nil {
		limit = int(*in.MaxResults)
	}
	reg := c.server.registry
	scope := tokenScope(c.op.name, reg.id, string(in.Filter))
	limit, cursor, err := c.pageOf(limit, maxCoverage, in.NextToken, scope, invalidInspector)
	if err != nil {
		return nil, err
	}
	if err := c.authorizeInspector(); err != nil {
		return nil, err
	}
	out := &listCoverageOutput{Resources: []wireCovered{}}
	last := ""
	reg.coveredAfter(cursor, c.server.now(), func(name string) bool {
		return filter.AccountID.match(reg.id) && filter.RepositoryName.match(name)
	}, func(row *covered) bool {
		w := wireCoverage(reg, row)
		if !filter.match(&w, row) {
			return true
		}
		if len(out.Resources) == limit {
			out.NextToken = c.server.tokens.seal(last, scope)
			return false
		}
		out.Resources = append(out.Resources, w)
		last = row.cursor()
		return true
	})
	return out, nil
}

func wireCoverage(reg *Registry, row *covered) wireCovered {
	code, reason := inspectorState(&row.state)
	w := wireCovered{
		AccountID:    reg.id,
		ResourceID:   row.resourceID(reg),
		ResourceType: resourceRepository,
		ScanType:     "PACKAGE",
		Status:       wireCoverageStatus{Code: code, Reason: reason},
		Metadata:     wireCoverageData{Repository: &wireCoveredRepository{Name: row.repository, Frequency: row.frequency}},
	}
	if row.rec == nil {
		return w
	}
	w.ResourceType = resourceImage
	w.LastScannedAt = epoch(toMillis(row.state.CompletedAt))
	w.Metadata.Image = &wireCoveredImage{Tags: row.rec.tags, PulledAt: epoch(row.rec.pulled), LastInUseAt: epoch(row.use.at)}
	if row.use.at != 0 {
		w.Metadata.Image.InUseCount = new(row.use.count)
	}
	return w
}

func (f *wireCoverageFilter) check() error {
	for member, list := range map[string]stringFilters{
		"accountId": f.AccountID, "resourceId": f.ResourceID, "resourceType": f.ResourceType, "scanType": f.ScanType,
		"scanStatusCode": f.StatusCode, "scanStatusReason": f.StatusReason,
		"ecrRepositoryName": f.RepositoryName, "ecrImageTags": f.ImageTags,
	} {
		if err := list.check("filterCriteria."+member, "EQUALS", "NOT_EQUALS"); err != nil {
			return err
		}
	}
	return cmp.Or(
		f.LastScannedAt.check("filterCriteria.lastScannedAt"),
		f.PulledAt.check("filterCriteria.imagePulledAt"),
		f.LastInUseAt.check("filterCriteria.ecrImageLastInUseAt"),
		f.InUseCount.check("filterCriteria.ecrImageInUseCount"),
		refuse(map[string]json.RawMessage{
			"lambdaFunctionName": f.FunctionName, "lambdaFunctionRuntime": f.FunctionRuntime, "lambdaFunctionTags": f.FunctionTags,
			"ec2InstanceTags": f.InstanceTags, "scanMode": f.ScanMode,
		}),
	)
}

// match applies all filters but those on account and repository.
func (f *wireCoverageFilter) match(w *wireCovered, row *covered) bool {
	image := w.Metadata.Image
	if image == nil {
		image = &wireCoveredImage{}
	}
	return f.ResourceType.match(w.ResourceType) && f.ResourceID.match(w.ResourceID) && f.ScanType.match(w.ScanType) &&
		f.StatusCode.match(w.Status.Code) && f.StatusReason.match(w.Status.Reason) && f.ImageTags.match(image.Tags...) &&
		f.LastScannedAt.match(w.LastScannedAt, w.LastScannedAt != 0) &&
		f.PulledAt.match(image.PulledAt, image.PulledAt != 0) &&
		f.LastInUseAt.match(image.LastInUseAt, image.LastInUseAt != 0) &&
		f.InUseCount.match(float64(row.use.count), image.InUseCount != nil)
}
