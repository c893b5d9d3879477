package ecrtest

import "cmp"

type describeImagesInput struct {
	RegistryID     *string        `json:"registryId"`
	RepositoryName *string        `json:"repositoryName"`
	ImageIDs       []wireImageID  `json:"imageIds"`
	MaxResults     *int32         `json:"maxResults"`
	NextToken      *string        `json:"nextToken"`
	Filter         wireImageQuery `json:"filter"`
}

type wireImageID struct {
	Digest *string `json:"imageDigest,omitempty"`
	Tag    *string `json:"imageTag,omitempty"`
}

type wireImageQuery struct {
	TagStatus   string `json:"tagStatus"`
	ImageStatus string `json:"imageStatus"`
}

type describeImagesOutput struct {
	Images    []wireImage `json:"imageDetails"`
	NextToken string      `json:"nextToken,omitempty"`
}

// wireImage is the ImageDetail of the service model.
type wireImage struct {
	RegistryID        string           `json:"registryId"`
	RepositoryName    string           `json:"repositoryName"`
	Digest            string           `json:"imageDigest"`
	Tags              []string         `json:"imageTags,omitempty"`
	SizeBytes         *int64           `json:"imageSizeInBytes,omitempty"`
	PushedAt          float64          `json:"imagePushedAt,omitempty"`
	ManifestMediaType string           `json:"imageManifestMediaType,omitempty"`
	ArtifactMediaType string           `json:"artifactMediaType,omitempty"`
	PulledAt          float64          `json:"lastRecordedPullTime,omitempty"`
	SubjectDigest     string           `json:"subjectManifestDigest,omitempty"`
	Status            string           `json:"imageStatus,omitempty"`
	ArchivedAt        float64          `json:"lastArchivedAt,omitempty"`
	ActivatedAt       float64          `json:"lastActivatedAt,omitempty"`
	ScanStatus        *wireScanStatus  `json:"imageScanStatus,omitempty"`
	Scan              *wireScanSummary `json:"imageScanFindingsSummary,omitempty"`
}

type wireScanStatus struct {
	Status      string `json:"status"`
	Description string `json:"description,omitempty"`
}

type wireScanSummary struct {
	CompletedAt     float64          `json:"imageScanCompletedAt,omitempty"`
	SourceUpdatedAt float64          `json:"vulnerabilitySourceUpdatedAt,omitempty"`
	Counts          map[string]int32 `json:"findingSeverityCounts,omitzero"`
}

// describeImages handles DescribeImages: pages in the order of digests, or the images of
// imageIds.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImages.html
func describeImages(c *call, in *describeImagesInput) (any, error) {
	if in.RepositoryName == nil {
		return nil, invalid("repositoryName", "must not be null")
	}
	name := *in.RepositoryName
	if err := checkRepositoryName("repositoryName", name); err != nil {
		return nil, err
	}
	query := in.Filter
	if err := query.check(); err != nil {
		return nil, err
	}
	reg, err := c.registry(in.RegistryID, name)
	if err != nil {
		return nil, err
	}
	if in.ImageIDs != nil {
		return describeImagesByID(c, reg, name, in)
	}
	scope := tokenScope(c.op.name, reg.id, name, query.TagStatus, query.ImageStatus)
	limit, cursor, err := c.page(in.MaxResults, in.NextToken, scope)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(reg.ARN(name)); err != nil {
		return nil, err
	}
	page, more, known := reg.imagesAfter(name, cursor, limit, query.match)
	if !known {
		return nil, repositoryNotFound(name, reg.id)
	}
	out := &describeImagesOutput{Images: wireImages(reg.id, name, page)}
	if more {
		out.NextToken = c.server.tokens.seal(page[len(page)-1].digest.String(), scope)
	}
	return out, nil
}

func describeImagesByID(c *call, reg *Registry, name string, in *describeImagesInput) (any, error) {
	if err := checkLength("imageIds", len(in.ImageIDs), 1, maxNames); err != nil {
		return nil, err
	}
	if in.MaxResults != nil || in.NextToken != nil {
		return nil, invalid("imageIds", "must not be combined with maxResults or nextToken")
	}
	for _, id := range in.ImageIDs {
		if id.Digest == nil && id.Tag == nil {
			return nil, invalid("imageIds", "must have an imageDigest or an imageTag")
		}
	}
	if err := c.authorize(reg.ARN(name)); err != nil {
		return nil, err
	}
	records, missing, known := reg.imagesByID(name, in.ImageIDs)
	if !known {
		return nil, repositoryNotFound(name, reg.id)
	}
	if missing != nil {
		return nil, imageNotFound(missing, name, reg.id)
	}
	found := records[:0]
	for i := range records {
		if in.Filter.match(&records[i]) {
			found = append(found, records[i])
		}
	}
	return &describeImagesOutput{Images: wireImages(reg.id, name, found)}, nil
}

// orNull formats an optional part of an image id as in ECR's messages.
func orNull(s *string) string {
	if s == nil {
		return "null"
	}
	return *s
}

// imagesByID returns the records of the ids, each once, or the first id without an image.
// known is false if the repository does not exist.
func (r *Registry) imagesByID(repository string, ids []wireImageID) (found []record, missing *wireImageID, known bool) {
	r.mu.Lock() // the tag index may have to be built
	defer r.mu.Unlock()
	repo, ok := r.repositories[repository]
	if !ok {
		return nil, nil, false
	}
	seen := make(map[digest]bool, len(ids))
	for i := range ids {
		rec := repo.images.lookup(&ids[i])
		if rec == nil {
			return nil, &ids[i], true
		}
		if !seen[rec.digest] {
			seen[rec.digest] = true
			found = append(found, *rec)
		}
	}
	return found, nil, true
}

// lookup returns the record of an id. A digest and a tag must both belong to the image.
func (s *imageSet) lookup(id *wireImageID) *record {
	var d digest
	var ok bool
	if id.Digest != nil {
		if d, ok = parseDigest(*id.Digest); !ok {
			return nil
		}
	}
	if id.Tag != nil {
		owner, ok := s.tags()[*id.Tag]
		if !ok || id.Digest != nil && owner != d {
			return nil
		}
		d = owner
	}
	i, found := s.find(d)
	if !found {
		return nil
	}
	return &s.records[i]
}

func (q *wireImageQuery) check() error {
	return cmp.Or(
		checkWord("filter.tagStatus", q.TagStatus, "TAGGED", "UNTAGGED", "ANY"),
		checkWord("filter.imageStatus", q.ImageStatus, "ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"),
	)
}

// match applies the filter. Without an image status only active images match:
// "If not specified, only images with ACTIVE status are returned"
// (API_DescribeImagesFilter).
func (q *wireImageQuery) match(rec *record) bool {
	switch q.TagStatus {
	case "TAGGED":
		if len(rec.tags) == 0 {
			return false
		}
	case "UNTAGGED":
		if len(rec.tags) > 0 {
			return false
		}
	}
	switch q.ImageStatus {
	case "ANY":
		return true
	case "ARCHIVED":
		return rec.status == statusArchived
	case "ACTIVATING":
		return rec.status == statusActivating
	default:
		return rec.status.active()
	}
}

func wireImages(registryID, repository string, records []record) []wireImage {
	out := make([]wireImage, len(records))
	for i := range records {
		rec := &records[i]
		w := &out[i]
		*w = wireImage{
			RegistryID:        registryID,
			RepositoryName:    repository,
			Digest:            rec.digest.String(),
			Tags:              rec.tags,
			PushedAt:          epoch(rec.pushed),
			ManifestMediaType: rec.manifestType.Value(),
			ArtifactMediaType: rec.artifactType.Value(),
			PulledAt:          epoch(rec.pulled),
			Status:            rec.status.String(),
		}
		if rec.size >= 0 {
			w.SizeBytes = &rec.size
		}
		x := rec.extra
		if x == nil {
			continue
		}
		w.SubjectDigest, w.ArchivedAt, w.ActivatedAt = x.subject, epoch(x.archived), epoch(x.activated)
		if x.scanStatus != nil {
			w.ScanStatus = &wireScanStatus{Status: x.scanStatus.Status, Description: x.scanStatus.Description}
		}
		if x.scan != nil {
			w.Scan = &wireScanSummary{
				CompletedAt:     epoch(toMillis(x.scan.CompletedAt)),
				SourceUpdatedAt: epoch(toMillis(x.scan.SourceUpdatedAt)),
				Counts:          x.scan.Counts,
			}
		}
	}
	return out
}
