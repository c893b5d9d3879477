// Package contracttest states which series a simulated registry must yield: names,
// labels and values of the metric contract. It is written from the contract and the
// simulator's data alone, and shares no code with the function, so that tests at every
// level can hold the function against it.
//
// Families beyond the contract are not part of it: their own tests check them. The one
// exception is aws_ecr_image_scan_status, which every image with a scan has.
package contracttest

import (
	"iter"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// The families that are stated here.
const (
	Up            = "aws_ecr_repository_exporter_up"
	Repositories  = "aws_ecr_repository_count"
	Repository    = "aws_ecr_repository_info"
	ImageSize     = "aws_ecr_image_size_in_bytes"
	ImagePushed   = "aws_ecr_image_pushed_at_timestamp_seconds"
	ScanSeverity  = "aws_ecr_image_scan_severity_count"
	ScanCompleted = "aws_ecr_image_scan_completed_at_timestamp_seconds"
	ScanStatus    = "aws_ecr_image_scan_status"
)

// Families are the names of all of them.
var Families = []string{Up, Repositories, Repository, ImageSize, ImagePushed, ScanSeverity, ScanCompleted, ScanStatus}

// Series is one expected series.
type Series struct {
	Family string
	// Labels are pairs of name and value, sorted by name. A label without a value is
	// the same as no label, and is left out.
	Labels [][2]string
	Value  float64
}

// Key is the series in the text format, name{a="1",b="2"}.
func (s Series) Key() string {
	if len(s.Labels) == 0 {
		return s.Family
	}
	key := make([]byte, 0, 512)
	key = append(key, s.Family...)
	separator := byte('{')
	for _, label := range s.Labels {
		key = append(key, separator)
		key = append(key, label[0]...)
		key = append(key, '=')
		key = strconv.AppendQuote(key, label[1])
		separator = ','
	}
	return string(append(key, '}'))
}

// Scans returns what the function knows of an image's scan, and whether it knows
// anything.
type Scans func(repository string, image ecrtest.Image) (ecrtest.ScanState, bool)

// ScanSummary is the scan as DescribeImages reports it, which is all that a function
// without another source of scans knows.
func ScanSummary(_ string, image ecrtest.Image) (ecrtest.ScanState, bool) {
	var state ecrtest.ScanState
	if image.ScanStatus != nil {
		state.Status = image.ScanStatus.Status
	}
	if image.Scan != nil {
		state.CompletedAt, state.Counts = image.Scan.CompletedAt, image.Scan.Counts
	}
	return state, true
}

// ScansAt is the scan of each image as the API reports it at a time. For an image that
// was never scanned the API has an error and no status; the status is then the error's
// name.
func ScansAt(registry *ecrtest.Registry, at time.Time) Scans {
	return func(repository string, image ecrtest.Image) (ecrtest.ScanState, bool) {
		state, ok := registry.Scan(repository, image.Digest, at)
		if !ok {
			state.Status = "SCAN_NOT_FOUND"
		}
		return state, true
	}
}

// Of yields the series that a registry must have, given what is known of its scans.
func Of(registry *ecrtest.Registry, scans Scans) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		repositories := registry.Repositories()
		if !yield(Series{Up, nil, 1}) ||
			!yield(Series{Repositories, [][2]string{{"registry_id", registry.ID()}}, float64(len(repositories))}) {
			return
		}
		for _, repository := range repositories {
			if !yield(Series{Repository, repositoryLabels(registry, repository), 1}) {
				return
			}
			for image := range Shown(registry, repository.Name) {
				scan, known := scans(repository.Name, image)
				for _, tag := range image.Tags {
					if !ofTag(registry, repository.Name, image, tag, scan, known, yield) {
						return
					}
				}
			}
		}
	}
}

// Shown yields the images of a repository that have series: active, and with a tag.
func Shown(registry *ecrtest.Registry, repository string) iter.Seq[ecrtest.Image] {
	return func(yield func(ecrtest.Image) bool) {
		for _, image := range registry.Images(repository) {
			if (image.Status == "" || image.Status == "ACTIVE") && len(image.Tags) > 0 && !yield(image) {
				return
			}
		}
	}
}

func repositoryLabels(registry *ecrtest.Registry, repository ecrtest.Repository) [][2]string {
	encryption, scanOnPush := "", ""
	if repository.Encryption != nil {
		encryption = repository.Encryption.Type
	}
	if repository.ScanOnPush != nil {
		scanOnPush = strconv.FormatBool(*repository.ScanOnPush)
	}
	return slices.DeleteFunc([][2]string{
		{"encryption_type", encryption},
		{"name", repository.Name},
		{"registry_id", registry.ID()},
		{"repository_uri", registry.URI(repository.Name)},
		{"scan_on_push", scanOnPush},
		{"tag_mutability", repository.TagMutability},
	}, func(label [2]string) bool { return label[1] == "" })
}

// ofTag yields the series of one tag. What the API leaves out has no series.
func ofTag(registry *ecrtest.Registry, repository string, image ecrtest.Image, tag string, scan ecrtest.ScanState, known bool, yield func(Series) bool) bool {
	labels := [][2]string{
		{"digest", image.Digest},
		{"image", registry.URI(repository) + ":" + tag},
		{"name", repository},
		{"registry_id", registry.ID()},
		{"tag", tag},
	}
	with := func(name, value string) [][2]string {
		i, _ := slices.BinarySearchFunc(labels, name, func(label [2]string, name string) int { return strings.Compare(label[0], name) })
		return slices.Insert(slices.Clone(labels), i, [2]string{name, value})
	}
	if image.SizeBytes != nil && !yield(Series{ImageSize, labels, float64(*image.SizeBytes)}) ||
		!image.PushedAt.IsZero() && !yield(Series{ImagePushed, labels, float64(image.PushedAt.Unix())}) {
		return false
	}
	if !known {
		return true
	}
	if scan.Status != "" && !yield(Series{ScanStatus, with("status", scan.Status), 1}) ||
		!scan.CompletedAt.IsZero() && !yield(Series{ScanCompleted, labels, float64(scan.CompletedAt.Unix())}) {
		return false
	}
	for severity, count := range scan.Counts {
		if !yield(Series{ScanSeverity, with("severity", severity), float64(count)}) {
			return false
		}
	}
	return true
}
