// Package metrics turns an inventory into series. The families are rows of one table:
// each row says its labels, its value and what its series are about, and which series a
// change ends follows from the rows (see Stale). A new family is one new row.
package metrics

import (
	"slices"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Family is one row of the table: a metric family, and how its series are made.
type Family struct {
	// Name is the metric name.
	Name string
	// Help is its HELP text, at most 1024 bytes (the limit of Amazon Managed Service
	// for Prometheus).
	Help string
	// Type is the word of the exposition format.
	Type string
	// Unit says in a few words what the value is, for the documentation.
	Unit string
	// OptIn is set if the family is shown only if a setting includes it by name.
	OptIn bool
	// Partial is set if runs for events send it too.
	Partial bool
	// Alarm is set for the few run metrics that alarms in CloudWatch need, where each has a price.
	Alarm bool
	// Setting is the variable that a family needs to be shown, empty for none: AWS is asked
	// for what it shows only then.
	Setting string
	// Labels are the names of its labels, sorted, without __name__. They follow from
	// the row's labels.
	Labels []string

	per    level
	labels []label
	value  func(*subject) (v float64, ok bool)
	// many, of a family with several series for what its level is about, is their number: the
	// subject's i says which one a label and value are of.
	many func(*subject) int
	// asked, of a family with a Setting, reports whether a shape has it; more are the labels
	// that follow from it.
	asked func(*inventory.Shape) bool
	more  func(*inventory.Shape) []label
	// counts, of a family of RunFamilies with a label of its own, gives the value of
	// each series by that label's value, in place of value.
	counts func(*Run) map[string]int
}

// level says what one series of a family is about.
type level uint8

const (
	perExporter         level = iota // one series
	perRegistry                      // one a registry whose repositories were listed
	perRepository                    // one a repository
	perTag                           // one a tag of an active image
	perSeverity                      // one a tag of an active image and severity reported for it
	perPlatform                      // one a tag of an active index, platform of its images and severity reported for one
	perUntagged                      // one an active image without a tag
	perUntaggedSeverity              // one an active image without a tag and severity reported for it
)

const gauge = "gauge"

// label is a label of a family and its value, which is empty if the API left it out.
type label struct {
	name  string
	value func(*subject) string
}

// Label sets that families share. The labels of an image's series have to name its
// repository and digest, those of a repository's series the repository: so the series of
// two of them never coincide.
var (
	registryLabels   = []label{{registryID, func(s *subject) string { return s.registry.ID }}}
	repositoryLabels = []label{
		{"name", func(s *subject) string { return s.repository.Name }},
		{registryID, func(s *subject) string { return s.repository.RegistryID }},
	}
	digestLabels = with(repositoryLabels, label{"digest", func(s *subject) string { return s.digest }})
	tagLabels    = with(digestLabels,
		label{"image", func(s *subject) string { return s.reference }},
		label{"tag", func(s *subject) string { return s.tag }},
	)
)

// with returns a label set with further labels.
func with(set []label, more ...label) []label { return slices.Concat(set, more) }

// The labels of the exporter's own families. Two functions of one account in two Regions
// can send to one workspace.
var (
	regionLabels   = []label{{"region", func(s *subject) string { return s.shape.Region }}}
	exporterLabels = with(registryLabels, regionLabels...)
)

func always(*subject) (float64, bool) { return 1, true }

// ExporterUp is the one family without a label: of many registries only one can have it.
const ExporterUp = "aws_ecr_repository_exporter_up"

// contract is the metric contract: names, help texts, types and label names that users
// of the Python exporter query. They are fixed.
var contract = []Family{
	{
		Name: "aws_ecr_repository_count", Help: "Total count of all ECR repositories", Type: gauge,
		Unit: "repositories in the registry",
		per:  perRegistry, labels: registryLabels,
		value: func(s *subject) (float64, bool) { return float64(len(s.registry.Repositories)), true },
	},
	{
		Name: "aws_ecr_repository_info", Help: "ECR repository information", Type: gauge,
		Unit: "always 1",
		per:  perRepository,
		labels: with(repositoryLabels,
			label{"encryption_type", func(s *subject) string { return s.repository.EncryptionType }},
			label{"repository_uri", func(s *subject) string { return s.repository.URI }},
			label{"scan_on_push", func(s *subject) string { return boolean(s.repository.ScanOnPush) }},
			label{"tag_mutability", func(s *subject) string { return s.repository.TagMutability }},
		),
		value: always,
	},
	{
		Name: "aws_ecr_image_size_in_bytes", Help: "The size of an image in bytes", Type: gauge,
		Unit: "bytes; an index has the size of its largest child",
		per:  perTag, labels: tagLabels,
		value: func(s *subject) (float64, bool) { return float64(s.image.SizeBytes), s.image.SizeBytes >= 0 },
	},
	{
		Name: "aws_ecr_image_pushed_at_timestamp_seconds", Help: "The unix timestamp that this image was pushed at", Type: gauge,
		Unit: "whole Unix seconds",
		per:  perTag, labels: tagLabels,
		value: func(s *subject) (float64, bool) { return seconds(s.image.PushedAt) },
	},
	{
		Name: "aws_ecr_image_scan_severity_count", Help: "ECR image scan summary results", Type: gauge,
		Unit:   "findings of that severity; only severities that the API reported",
		per:    perSeverity,
		labels: with(tagLabels, label{"severity", func(s *subject) string { return s.severity.Severity.String() }}),
		value:  func(s *subject) (float64, bool) { return float64(s.severity.Count), true },
	},
	{
		Name: "aws_ecr_image_scan_completed_at_timestamp_seconds", Help: "The unix timestamp when the scan was completed", Type: gauge,
		Unit: "whole Unix seconds; also for a clean scan",
		per:  perTag, labels: tagLabels,
		value: func(s *subject) (float64, bool) {
			if s.image.Scan == nil {
				return 0, false
			}
			return seconds(s.image.Scan.CompletedAt)
		},
	},
	exporterUp,
}

var exporterUp = Family{
	Name: ExporterUp, Help: "Always 1, to check that the exporter is running", Type: gauge,
	Unit: "always 1",
	per:  perExporter, value: always,
}

// further are the families beyond the contract.
var further = []Family{
	{
		Name: "aws_ecr_image_scan_status", Help: "The status of an image's vulnerability scan, as ECR words it", Type: gauge,
		Unit:   "always 1; `SCAN_NOT_FOUND` where ECR knows no scan",
		per:    perTag,
		labels: with(tagLabels, label{"status", func(s *subject) string { return s.image.Scan.Status.String() }}),
		value:  func(s *subject) (float64, bool) { return 1, s.image.Scan != nil && s.image.Scan.Status != 0 },
	},
	{
		Name: "aws_ecr_image_platform_scan_severity_count", Help: "ECR image scan summary results of a multi-architecture image by platform", Type: gauge,
		Unit: "findings of that severity; `aws_ecr_image_scan_severity_count` has the highest of the platforms", OptIn: true,
		per: perPlatform,
		labels: with(tagLabels,
			label{"platform", func(s *subject) string { return s.platform }},
			label{"severity", func(s *subject) string { return s.severity.Severity.String() }},
		),
		value: func(s *subject) (float64, bool) { return float64(s.severity.Count), true },
	},
	{
		Name: "aws_ecr_untagged_image_scan_severity_count", Help: "ECR image scan summary results of an image that has no tag and that a pod may run", Type: gauge,
		Unit:   "findings of that severity",
		per:    perUntaggedSeverity,
		labels: with(digestLabels, label{"severity", func(s *subject) string { return s.severity.Severity.String() }}),
		value:  func(s *subject) (float64, bool) { return float64(s.severity.Count), true },
	},
	{
		Name: "aws_ecr_untagged_image_pushed_at_timestamp_seconds", Help: "The unix timestamp that this image, which has no tag and which a pod may run, was pushed at", Type: gauge,
		Unit: "whole Unix seconds",
		per:  perUntagged, labels: digestLabels,
		value: func(s *subject) (float64, bool) { return seconds(s.image.PushedAt) },
	},
	{
		Name: "aws_ecr_exporter_images_scan_pending", Help: "Images whose scan result is not known, or not completely", Type: gauge,
		Unit: "images",
		per:  perRegistry, labels: exporterLabels,
		value: func(s *subject) (float64, bool) { return float64(s.registry.ScansPending), readsScans(s.registry) },
	},
	{
		Name: "aws_ecr_exporter_scan_oldest_answer_age_seconds", Help: "The age of the oldest scan result that is shown", Type: gauge,
		Unit: "seconds",
		per:  perRegistry, labels: exporterLabels,
		value: func(s *subject) (float64, bool) {
			oldest := s.registry.ScansOldest
			// What was read in this very run is younger than its samples.
			return max(0, s.options.At.Sub(oldest.Time()).Seconds()), readsScans(s.registry) && !oldest.IsZero()
		},
	},
	{
		Name: "aws_ecr_exporter_state_available", Help: "Whether the durable state could be loaded and saved", Type: gauge,
		Unit: "1, or 0 while the inventory is in memory only",
		per:  perExporter, labels: regionLabels,
		value: func(s *subject) (float64, bool) {
			if s.options.StateAvailable {
				return 1, s.shape.Durable
			}
			return 0, s.shape.Durable
		},
	},
}

// readsScans reports whether scan results are read image by image.
func readsScans(registry *inventory.Registry) bool {
	return registry.ScanSource == inventory.ScansFromFindings || registry.ScanSource == inventory.ScansFromInspector
}

func seconds(t inventory.Time) (float64, bool) { return float64(t.Seconds()), !t.IsZero() }

// boolean is the text of a setting, empty if it is unknown.
func boolean(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "true"
	default:
		return "false"
	}
}

// Families returns the table's rows in their order, those of the contract first.
func Families() []*Family {
	return pointers(slices.Concat(contract, further, ofRepositories, ofImages, ofRegistry))
}

func pointers(rows []Family) []*Family {
	rows = slices.Clone(rows)
	list := make([]*Family, len(rows))
	for i := range rows {
		list[i] = &rows[i]
		for _, label := range rows[i].labels {
			list[i].Labels = append(list[i].Labels, label.name)
		}
		if rows[i].more != nil {
			list[i].Labels = append(list[i].Labels, tagPrefix+"…")
		}
		slices.Sort(list[i].Labels)
	}
	return list
}
