package ecrtest

import (
	"fmt"
	"strconv"
	"time"
)

type describeScanFindingsInput struct {
	RegistryID     *string      `json:"registryId"`
	RepositoryName *string      `json:"repositoryName"`
	ImageID        *wireImageID `json:"imageId"`
	MaxResults     *int32       `json:"maxResults"`
	NextToken      *string      `json:"nextToken"`
}

type describeScanFindingsOutput struct {
	RegistryID     string            `json:"registryId"`
	RepositoryName string            `json:"repositoryName"`
	ImageID        wireImageID       `json:"imageId"`
	Status         wireScanStatus    `json:"imageScanStatus"`
	Findings       *wireScanFindings `json:"imageScanFindings,omitempty"`
	NextToken      string            `json:"nextToken,omitempty"`
}

// wireScanFindings is the ImageScanFindings of the service model. Basic scanning sets
// Findings, enhanced scanning Enhanced.
type wireScanFindings struct {
	wireScanSummary
	Findings []wireFinding         `json:"findings,omitzero"`
	Enhanced []wireEnhancedFinding `json:"enhancedFindings,omitzero"`
}

// describeImageScanFindings handles DescribeImageScanFindings: the state of one image's scan
// and pages of its findings, each with all counts. In a registry with enhanced scanning ECR
// calls Inspector, with the caller's permissions.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html
func describeImageScanFindings(c *call, in *describeScanFindingsInput) (any, error) {
	if in.RepositoryName == nil {
		return nil, invalid("repositoryName", "must not be null")
	}
	name := *in.RepositoryName
	if err := checkRepositoryName("repositoryName", name); err != nil {
		return nil, err
	}
	if in.ImageID == nil || in.ImageID.Digest == nil && in.ImageID.Tag == nil {
		return nil, invalid("imageId", "must have an imageDigest or an imageTag")
	}
	reg, err := c.registry(in.RegistryID, name)
	if err != nil {
		return nil, err
	}
	scope := tokenScope(c.op.name, reg.id, name, orNull(in.ImageID.Digest), orNull(in.ImageID.Tag))
	limit, cursor, err := c.page(in.MaxResults, in.NextToken, scope)
	if err != nil {
		return nil, err
	}
	if err := c.authorize(reg.ARN(name)); err != nil {
		return nil, err
	}
	scanType := reg.Scanning().Type
	if scanType == enhanced {
		if err := c.authorizeAction("inspector2:ListFindings", reg.inspectorARN("/findings/list")); err != nil {
			return nil, err
		}
	}
	found, err := reg.findScan(name, in.ImageID, c.server.now())
	if err != nil {
		return nil, err
	}
	first, _ := strconv.Atoi(cursor) // sealed by this function; 0 without one
	out := &describeScanFindingsOutput{
		RegistryID:     reg.id,
		RepositoryName: name,
		ImageID:        wireImageID{Digest: new(found.rec.digest.String()), Tag: in.ImageID.Tag},
		Status:         wireScanStatus{Status: found.state.Status, Description: found.state.Description},
		Findings:       reg.scanFindings(scanType, found, first, limit),
	}
	if next := first + limit; next < found.state.total() {
		out.NextToken = c.server.tokens.seal(strconv.Itoa(next), scope)
	}
	return out, nil
}

// scanned is an image with the state of its scan.
type scanned struct {
	repository string
	rec        record
	state      ScanState
}

// findScan returns the image of an id with the state of its scan, or the API's error.
func (r *Registry) findScan(name string, id *wireImageID, at time.Time) (*scanned, error) {
	r.mu.Lock() // the tag index may have to be built
	defer r.mu.Unlock()
	repo, ok := r.repositories[name]
	if !ok {
		return nil, repositoryNotFound(name, r.id)
	}
	rec := repo.images.lookup(id)
	if rec == nil {
		return nil, imageNotFound(id, name, r.id)
	}
	state, ok := r.scanAt(repo, rec, at)
	if !ok {
		return nil, newError("ScanNotFoundException",
			"Image scan does not exist for the image with '{imageDigest:'%s', imageTag:'%s'}' in the repository with name '%s' in the registry with id '%s'",
			orNull(id.Digest), orNull(id.Tag), name, r.id)
	}
	return &scanned{repository: name, rec: *rec, state: state}, nil
}

// inspectorARN is the resource of a call to Inspector in its messages. Policies allow these
// calls on "*".
func (r *Registry) inspectorARN(path string) string {
	return fmt.Sprintf("arn:%s:inspector2:%s:%s:%s", r.partition(), r.region, r.id, path)
}
