// Package metrics turns an inventory into series. The families are rows of one
// table; a further family is a further row.
package metrics

import (
	"slices"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Family is one row of the table: a metric family, what its series are about and
// where their value comes from.
type Family struct {
	// Name is the metric name.
	Name string
	// Help is its HELP text, at most 1024 bytes (the limit of Amazon Managed
	// Service for Prometheus).
	Help string
	// Type is the exposition format's word.
	Type string
	// Labels are the names of its labels, sorted, without __name__. What each
	// one holds is in labelValues.
	Labels []string
	// Unit tells in a few words what the value is, for the README.
	Unit string

	per   level
	value func(*subject) (v float64, ok bool)
	// run gives the samples of a family of RunFamilies; it is nil in any other.
	run func(*Run) []sample
}

// level says what one series of a family is about.
type level uint8

const (
	perExporter   level = iota // one series
	perRegistry                // one a registry whose repositories were listed
	perRepository              // one a repository
	perTag                     // one a tag of an active image
	perSeverity                // one a tag of an active image and severity reported for it
)

// subject is what one series is about. Levels fill it from the top down.
type subject struct {
	options    *Options
	registry   *inventory.Registry
	repository *inventory.Repository
	image      *inventory.Image
	tag        string
	severity   inventory.SeverityCount
	// digest and reference are the texts of the image's digest and of its
	// "uri:tag". They lie in scratch, and so are valid for one subject only.
	digest, reference string
	scratch           []byte
}

const gauge = "gauge"

var tagLabels = []string{"digest", "image", "name", "registry_id", "tag"}

// contract is the metric contract: names, help texts, types and label names that
// users of the Python exporter query. They are fixed.
var contract = []Family{
	{
		Name: "aws_ecr_repository_count", Help: "Total count of all ECR repositories", Type: gauge,
		Labels: []string{"registry_id"}, Unit: "repositories in the registry",
		per:   perRegistry,
		value: func(s *subject) (float64, bool) { return float64(len(s.registry.Repositories)), true },
	},
	{
		Name: "aws_ecr_repository_info", Help: "ECR repository information", Type: gauge,
		Labels: []string{"encryption_type", "name", "registry_id", "repository_uri", "scan_on_push", "tag_mutability"}, Unit: "always 1",
		per:   perRepository,
		value: func(*subject) (float64, bool) { return 1, true },
	},
	{
		Name: "aws_ecr_image_size_in_bytes", Help: "The size of an image in bytes", Type: gauge,
		Labels: tagLabels, Unit: "bytes; an index has the size of its largest child",
		per:   perTag,
		value: func(s *subject) (float64, bool) { return float64(s.image.SizeBytes), s.image.SizeBytes >= 0 },
	},
	{
		Name: "aws_ecr_image_pushed_at_timestamp_seconds", Help: "The unix timestamp that this image was pushed at", Type: gauge,
		Labels: tagLabels, Unit: "whole Unix seconds",
		per:   perTag,
		value: func(s *subject) (float64, bool) { return seconds(s.image.PushedAt) },
	},
	{
		Name: "aws_ecr_image_scan_severity_count", Help: "ECR image scan summary results", Type: gauge,
		Labels: []string{"digest", "image", "name", "registry_id", "severity", "tag"}, Unit: "findings of that severity; only severities that the API reported",
		per:   perSeverity,
		value: func(s *subject) (float64, bool) { return float64(s.severity.Count), true },
	},
	{
		Name: "aws_ecr_image_scan_completed_at_timestamp_seconds", Help: "The unix timestamp when the scan was completed", Type: gauge,
		Labels: tagLabels, Unit: "whole Unix seconds; also for a clean scan",
		per: perTag,
		value: func(s *subject) (float64, bool) {
			if s.image.Scan == nil {
				return 0, false
			}
			return seconds(s.image.Scan.CompletedAt)
		},
	},
	{
		Name: "aws_ecr_repository_exporter_up", Help: "Always 1, to check that the exporter is running", Type: gauge,
		Unit:  "always 1",
		per:   perExporter,
		value: func(*subject) (float64, bool) { return 1, true },
	},
}

// further are the families beyond the contract.
var further = []Family{
	{
		Name: "aws_ecr_image_scan_status", Help: "The status of an image's vulnerability scan, as ECR words it", Type: gauge,
		Labels: []string{"digest", "image", "name", "registry_id", "status", "tag"}, Unit: "always 1; `SCAN_NOT_FOUND` where ECR knows no scan",
		per:   perTag,
		value: func(s *subject) (float64, bool) { return 1, s.image.Scan != nil && s.image.Scan.Status != "" },
	},
	{
		Name: "aws_ecr_exporter_images_scan_pending", Help: "Images whose scan results are asked for and not, or not wholly, known", Type: gauge,
		Labels: []string{"registry_id"}, Unit: "images",
		per:   perRegistry,
		value: func(s *subject) (float64, bool) { return float64(s.registry.ScansPending), asksForScans(s.registry) },
	},
	{
		Name: "aws_ecr_exporter_scan_oldest_answer_age_seconds", Help: "The age of the oldest scan result that is shown", Type: gauge,
		Labels: []string{"registry_id"}, Unit: "seconds",
		per: perRegistry,
		value: func(s *subject) (float64, bool) {
			oldest := s.registry.ScansOldest
			// What was asked for in this very run is younger than its samples.
			return max(0, s.options.At.Sub(oldest.Time()).Seconds()), asksForScans(s.registry) && !oldest.IsZero()
		},
	},
	{
		Name: "aws_ecr_exporter_state_available", Help: "Whether the durable state could be loaded and saved", Type: gauge,
		Unit: "1, or 0 while the inventory is in memory only",
		per:  perExporter,
		value: func(s *subject) (float64, bool) {
			if s.options.StateAvailable == nil {
				return 0, false
			} else if *s.options.StateAvailable {
				return 1, true
			}
			return 0, true
		},
	},
}

// asksForScans reports whether scan results are asked for, image by image.
func asksForScans(registry *inventory.Registry) bool {
	return registry.ScanSource == inventory.ScansFromFindings || registry.ScanSource == inventory.ScansFromInspector
}

func seconds(t inventory.Time) (float64, bool) {
	return float64(t.Seconds()), !t.IsZero()
}

// labelValues says what each label of the table holds. A value that the API left
// out is empty.
var labelValues = map[string]func(*subject) string{
	"digest":          func(s *subject) string { return s.digest },
	"encryption_type": func(s *subject) string { return s.repository.EncryptionType },
	"image":           func(s *subject) string { return s.reference },
	"name":            func(s *subject) string { return s.repository.Name },
	"registry_id": func(s *subject) string {
		if s.repository != nil {
			return s.repository.RegistryID
		}
		return s.registry.ID
	},
	"repository_uri": func(s *subject) string { return s.repository.URI },
	"scan_on_push": func(s *subject) string {
		switch on := s.repository.ScanOnPush; {
		case on == nil:
			return ""
		case *on:
			return "true"
		default:
			return "false"
		}
	},
	"severity":       func(s *subject) string { return s.severity.Severity },
	"status":         func(s *subject) string { return s.image.Scan.Status },
	"tag":            func(s *subject) string { return s.tag },
	"tag_mutability": func(s *subject) string { return s.repository.TagMutability },
}

// Families returns the table's rows in their order, those of the contract first.
func Families() []*Family {
	rows := slices.Concat(contract, further)
	list := make([]*Family, len(rows))
	for i := range rows {
		list[i] = &rows[i]
	}
	return list
}
