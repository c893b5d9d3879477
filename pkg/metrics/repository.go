package metrics

import (
	"cmp"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// states are the states of images, each of which is in one, and their totals.
var states = []struct {
	name  string
	total func(*inventory.Summary) inventory.Total
}{
	{"archived", func(s *inventory.Summary) inventory.Total { return s.Archived }},
	{"index", func(s *inventory.Summary) inventory.Total { return s.Index }},
	{"tagged", func(s *inventory.Summary) inventory.Total { return s.Tagged }},
	{"untagged", func(s *inventory.Summary) inventory.Total { return s.Untagged }},
}

var stateLabels = with(repositoryLabels, label{"state", func(s *subject) string { return states[s.i].name }})

func (s *subject) total() inventory.Total { return states[s.i].total(s.repository.Summary) }

// perState is how many series there are a repository.
func perState(s *subject) int {
	if s.repository.Summary == nil {
		return 0 // its images were never listed
	}
	return len(states)
}

// ofRepositories are the further families about a repository.
var ofRepositories = []Family{
	{
		Name: "aws_ecr_repository_created_timestamp_seconds", Help: "The unix timestamp that this repository was created at", Type: gauge,
		Unit: "whole Unix seconds",
		per:  perRepository, labels: repositoryLabels,
		value: func(s *subject) (float64, bool) { return seconds(s.repository.CreatedAt) },
	},
	{
		Name: "aws_ecr_repository_images", Help: "Images of a repository by state", Type: gauge,
		Unit: "images; each is in one state: `archived`, else `index`, else `tagged`, else `untagged`",
		per:  perRepository, many: perState, labels: stateLabels,
		value: func(s *subject) (float64, bool) { return float64(s.total().Images), true },
	},
	{
		Name: "aws_ecr_repository_size_bytes", Help: "The size of the images of a repository by state", Type: gauge,
		Unit: "bytes, an upper bound of what is billed, as images share layers; indexes are left out",
		per:  perRepository, many: perState, labels: stateLabels,
		value: func(s *subject) (float64, bool) { return float64(s.total().Bytes), states[s.i].name != "index" },
	},
	{
		Name: "aws_ecr_repository_newest_push_timestamp_seconds", Help: "The unix timestamp of the last push to a repository", Type: gauge,
		Unit: "whole Unix seconds, of the images that are there",
		per:  perRepository, labels: repositoryLabels,
		value: func(s *subject) (float64, bool) { return seconds(s.summary().PushedAt) },
	},
	{
		Name: "aws_ecr_repository_newest_pull_timestamp_seconds", Help: "The unix timestamp of the last recorded pull from a repository", Type: gauge,
		Unit: "whole Unix seconds, of the images that are there; ECR records a pull about once a day",
		per:  perRepository, labels: repositoryLabels,
		value: func(s *subject) (float64, bool) { return seconds(s.summary().PulledAt) },
	},
	{
		Name: "aws_ecr_repository_refreshed_timestamp_seconds", Help: "The unix timestamp of the listing that what is shown of a repository's images rests on", Type: gauge,
		Unit: "whole Unix seconds",
		per:  perRepository, labels: repositoryLabels,
		value: func(s *subject) (float64, bool) { return seconds(s.repository.ImagesReadAt) },
	},
	{
		Name: "aws_ecr_repository_findings", Help: "ECR image scan summary results of the tagged image that was pushed last to a repository", Type: gauge,
		Unit: "findings of that severity; signatures and other attachments are not images here",
		per:  perRepository, many: func(s *subject) int { return len(s.summary().Severities) },
		labels: with(repositoryLabels, label{"severity", func(s *subject) string { return s.summary().Severities[s.i].Severity }}),
		value:  func(s *subject) (float64, bool) { return float64(s.summary().Severities[s.i].Count), true },
	},
	{
		Name: "aws_ecr_repository_lifecycle_policy", Help: "Whether a repository has a lifecycle policy", Type: gauge,
		Unit: "1, or 0 without one", Setting: "LIFECYCLE_POLICIES", asked: func(s *inventory.Shape) bool { return s.LifecyclePolicies },
		per: perRepository, labels: repositoryLabels,
		value: func(s *subject) (float64, bool) {
			details := s.repository.Details
			switch {
			case details == nil || details.LifecycleReadAt.IsZero():
				return 0, false
			case details.LifecyclePolicy:
				return 1, true
			default:
				return 0, true
			}
		},
	},
	{
		Name: "aws_ecr_repository_tags_info", Help: "The tags of a repository itself", Type: gauge,
		Unit: "always 1; a label for each key in `REPOSITORY_TAGS`, empty without that tag", Setting: "REPOSITORY_TAGS",
		asked: func(s *inventory.Shape) bool { return len(s.RepositoryTags) > 0 },
		per:   perRepository, labels: repositoryLabels, more: tagKeyLabels,
		value: func(s *subject) (float64, bool) {
			return 1, s.repository.Details != nil && !s.repository.Details.TagsReadAt.IsZero()
		},
	},
}

// summary is that of the repository, empty while unknown.
func (s *subject) summary() *inventory.Summary { return cmp.Or(s.repository.Summary, &noSummary) }

var noSummary inventory.Summary

// tagPrefix begins the names of labels that are a repository's own tags.
const tagPrefix = "tag_"

// tagKeyLabels are the labels of the tags that a shape asks for. Their names are made of the
// keys as kube-state-metrics makes those of Kubernetes labels: what is no letter, digit or
// underscore becomes an underscore, CamelCase becomes snake_case, and names that are then
// equal are numbered in the order of the keys.
//
// See https://github.com/kubernetes/kube-state-metrics/blob/main/internal/store/utils.go.
func tagKeyLabels(shape *inventory.Shape) []label {
	names := make([]string, len(shape.RepositoryTags))
	same := map[string]int{}
	for i, key := range shape.RepositoryTags {
		names[i] = tagPrefix + snakeCase(notInLabels.ReplaceAllString(key, "_"))
		same[names[i]]++
	}
	labels := make([]label, len(names))
	numbered := map[string]int{}
	for i, key := range shape.RepositoryTags {
		name := names[i]
		if same[name] > 1 {
			numbered[name]++
			name = fmt.Sprintf("%s_conflict%d", name, numbered[name])
		}
		labels[i] = label{name, func(s *subject) string { return s.repository.Details.Tag(key) }}
	}
	return labels
}

var (
	notInLabels = regexp.MustCompile(`[^a-zA-Z0-9_]`)
	camelCase   = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

func snakeCase(name string) string {
	return strings.ToLower(camelCase.ReplaceAllString(name, "${1}_${2}"))
}
