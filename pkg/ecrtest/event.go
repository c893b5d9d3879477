package ecrtest

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
)

// event is what EventBridge delivers.
// See https://docs.aws.amazon.com/AmazonECR/latest/userguide/ecr-eventbridge.html and
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/image-scanning-enhanced-events.html
type event struct {
	Version    string   `json:"version"`
	ID         string   `json:"id"`
	DetailType string   `json:"detail-type"`
	Source     string   `json:"source"`
	Account    string   `json:"account"`
	Time       string   `json:"time"`
	Region     string   `json:"region"`
	Resources  []string `json:"resources"`
	Detail     any      `json:"detail"`
}

type imageActionDetail struct {
	Result            string `json:"result"`
	Repository        string `json:"repository-name"`
	Digest            string `json:"image-digest"`
	Action            string `json:"action-type"`
	Tag               string `json:"image-tag,omitempty"`
	StorageClass      string `json:"target-storage-class,omitempty"`
	ManifestMediaType string `json:"manifest-media-type,omitempty"`
	ArtifactMediaType string `json:"artifact-media-type,omitempty"`
	ActivatedAt       string `json:"last-activated-at,omitempty"`
	SourceAccount     string `json:"source-account,omitempty"`
	SourceRegion      string `json:"source-region,omitempty"`
}

type imageScanDetail struct {
	Status     string           `json:"scan-status"`
	Repository string           `json:"repository-name"`
	Counts     map[string]int32 `json:"finding-severity-counts"`
	Digest     string           `json:"image-digest"`
	Tags       []string         `json:"image-tags"`
}

type pullThroughCacheDetail struct {
	RuleVersion string `json:"rule-version"`
	Status      string `json:"sync-status"`
	Prefix      string `json:"ecr-repository-prefix"`
	Repository  string `json:"repository-name"`
	Upstream    string `json:"upstream-registry-url"`
	Tag         string `json:"image-tag"`
	Digest      string `json:"image-digest"`
}

type scanResourceDetail struct {
	Action       string                  `json:"action-type"`
	Repositories []scanResourceFrequency `json:"repositories"`
	ResourceType string                  `json:"resource-type"`
	ScanType     string                  `json:"scan-type"`
}

type scanResourceFrequency struct {
	Name     string `json:"repository-name"`
	ARN      string `json:"repository-arn"`
	Now      string `json:"scan-frequency"`
	Previous string `json:"previous-scan-frequency"`
}

// event renders an event of the registry. Its id is derived from everything else: rendering
// it again gives the same event.
func (r *Registry) event(source, detailType string, at time.Time, resources []string, detail any) json.RawMessage {
	e := event{
		Version: "0", DetailType: detailType, Source: source, Account: r.id, Region: r.region,
		Time: at.UTC().Format(time.RFC3339), Resources: resources, Detail: detail,
	}
	text, err := json.Marshal(e)
	if err != nil {
		panic(err) // only strings and numbers, which always encode
	}
	sum := Digest(at.UTC().String() + string(text))[len(digestPrefix):]
	e.ID = fmt.Sprintf("%s-%s-%s-%s-%s", sum[:8], sum[8:12], sum[12:16], sum[16:20], sum[20:32])
	if text, err = json.Marshal(e); err != nil {
		panic(err)
	}
	return text
}

// PushEvent is the EventBridge event "ECR Image Action" for the push of an image under a
// tag, empty for none. The image need not exist.
func (r *Registry) PushEvent(repository, digest, tag string, at time.Time) json.RawMessage {
	return r.imageAction("PUSH", repository, digest, tag, at)
}

// DeleteEvent is the EventBridge event "ECR Image Action" for the deletion of an image,
// or of a tag of it.
func (r *Registry) DeleteEvent(repository, digest, tag string, at time.Time) json.RawMessage {
	return r.imageAction("DELETE", repository, digest, tag, at)
}

func (r *Registry) imageAction(action, repository, digest, tag string, at time.Time) json.RawMessage {
	return r.event("aws.ecr", "ECR Image Action", at, []string{}, imageActionDetail{
		Result: "SUCCESS", Repository: repository, Digest: digest, Action: action, Tag: tag,
	})
}

// StorageClassEvent is the EventBridge event "ECR Image Action" with the action
// UPDATE_STORAGE_CLASS for an image that was archived or restored, according to its status.
// For a referrer, such as a signature, it is an "ECR Referrer Action". A missing image is an
// error.
func (r *Registry) StorageClassEvent(repository, digest string, at time.Time) (json.RawMessage, error) {
	img, ok := r.Image(repository, digest)
	if !ok {
		return nil, fmt.Errorf("storage class event: no image %s in repository %q", digest, repository)
	}
	detail := imageActionDetail{
		Result: "SUCCESS", Repository: repository, Digest: img.Digest, Action: "UPDATE_STORAGE_CLASS", StorageClass: "ARCHIVE",
		ManifestMediaType: img.ManifestMediaType, ArtifactMediaType: img.ArtifactMediaType,
	}
	if img.Status != statusArchived.String() {
		detail.StorageClass = "STANDARD"
		if !img.ActivatedAt.IsZero() {
			detail.ActivatedAt = img.ActivatedAt.UTC().Format(time.RFC3339Nano)
		}
	}
	name := "ECR Image Action"
	if img.SubjectDigest != "" {
		name = "ECR Referrer Action"
	}
	return r.event("aws.ecr", name, at, []string{}, detail), nil
}

// ReplicationEvent is the EventBridge event "ECR Replication Action" for an image that was
// replicated from a registry of another account or Region. The target sends it.
func (r *Registry) ReplicationEvent(repository, digest, tag string, source *Registry, at time.Time) json.RawMessage {
	return r.event("aws.ecr", "ECR Replication Action", at, []string{r.ARN(repository)}, imageActionDetail{
		Result: "SUCCESS", Repository: repository, Digest: digest, Action: "REPLICATE", Tag: tag,
		SourceAccount: source.id, SourceRegion: source.region,
	})
}

// PullThroughCacheEvent is the EventBridge event "ECR Pull Through Cache Action" for an
// image that was fetched from an upstream registry, such as "public.ecr.aws". The prefix
// of the rule is the first part of the repository's name.
func (r *Registry) PullThroughCacheEvent(repository, digest, tag, upstream string, at time.Time) json.RawMessage {
	prefix, _, _ := strings.Cut(repository, "/")
	return r.event("aws.ecr", "ECR Pull Through Cache Action", at, []string{r.ARN(repository)}, pullThroughCacheDetail{
		RuleVersion: "1", Status: "SUCCESS", Prefix: prefix, Repository: repository, Upstream: upstream, Tag: tag, Digest: digest,
	})
}

// ScanEvent is the EventBridge event for the scan of an image that has a result at a time.
// With basic scanning it is an "ECR Image Scan" of ECR, with enhanced scanning an
// "Inspector2 Scan" of Inspector, which has the ARN of the repository and only counts of
// CRITICAL, HIGH, MEDIUM and the total. Severities without findings are absent. An image
// without a result is an error.
func (r *Registry) ScanEvent(repository, digest string, at time.Time) (json.RawMessage, error) {
	img, ok := r.Image(repository, digest)
	state, scanned := r.Scan(repository, digest, at)
	if !ok || !scanned || state.Counts == nil {
		return nil, fmt.Errorf("scan event: no result for image %s in repository %q at %v", digest, repository, at)
	}
	arn := r.ARN(repository)
	detail := imageScanDetail{
		Status: scanComplete, Repository: repository, Counts: map[string]int32{}, Digest: img.Digest, Tags: img.Tags,
	}
	if img.Tags == nil {
		detail.Tags = []string{}
	}
	for severity, n := range state.Counts {
		if n > 0 {
			detail.Counts[severity] = n
		}
	}
	if r.Scanning().Type == basic {
		return r.event("aws.ecr", "ECR Image Scan", at, []string{arn}, detail), nil
	}
	detail.Status, detail.Repository = "INITIAL_SCAN_COMPLETE", arn
	for severity := range detail.Counts {
		switch severity {
		case "CRITICAL", "HIGH", "MEDIUM":
		default:
			delete(detail.Counts, severity)
		}
	}
	detail.Counts["TOTAL"] = int32(state.total())
	return r.event("aws.inspector2", "Inspector2 Scan", at, []string{arn}, detail), nil
}

// ScanResourceChangeEvent is the EventBridge event "ECR Scan Resource Change" for the
// repositories whose scan frequency differs from that of a previous configuration.
func (r *Registry) ScanResourceChangeEvent(previous Scanning, at time.Time) json.RawMessage {
	scanning := r.Scanning()
	detail := scanResourceDetail{
		Action: "SCAN_FREQUENCY_CHANGE", Repositories: []scanResourceFrequency{}, ResourceType: "REPOSITORY", ScanType: scanning.Type,
	}
	for _, repo := range r.Repositories() {
		before, now := previous.frequency(repo.Name), scanning.frequency(repo.Name)
		if before != now {
			detail.Repositories = append(detail.Repositories, scanResourceFrequency{
				Name: repo.Name, ARN: r.ARN(repo.Name), Now: now, Previous: before,
			})
		}
	}
	return r.event("aws.ecr", "ECR Scan Resource Change", at, []string{}, detail)
}
