//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// total is what is compared of a family. All values are whole numbers and their sums
// far below 2^53, so that the sum is exact in whatever order it is made.
type total struct {
	series int
	sum    float64
}

// The families of scan results, and those of which more is to be said than how much
// the registry has.
const (
	severities  = "aws_ecr_image_scan_severity_count"
	completions = "aws_ecr_image_scan_completed_at_timestamp_seconds"
	statuses    = "aws_ecr_image_scan_status"
	pendings    = "aws_ecr_exporter_images_scan_pending"
	ages        = "aws_ecr_exporter_scan_oldest_answer_age_seconds"
)

// expect derives from a registry what a push of it has to bring to the store, by
// family, straight from the metric contract and without any code of the function. So
// many images' scan results are still to be asked for.
func expect(registry *ecrtest.Registry, at time.Time, pending int) map[string]total {
	totals := map[string]total{}
	add := func(family string, value float64) {
		t := totals[family]
		totals[family] = total{t.series + 1, t.sum + value}
	}
	repositories := registry.Repositories()
	add("aws_ecr_repository_exporter_up", 1)
	add("aws_ecr_repository_count", float64(len(repositories)))
	add(pendings, float64(pending))
	add(ages, 0)
	for _, repository := range repositories {
		add("aws_ecr_repository_info", 1)
		for _, image := range registry.Images(repository.Name) {
			if image.Status != "" && image.Status != "ACTIVE" {
				continue
			}
			scan, scanned := registry.Scan(repository.Name, image.Digest, at)
			for range image.Tags {
				expectTag(image, add)
				expectScan(scan, scanned, add)
			}
		}
	}
	return totals
}

// expectTag adds the series of one tag of an image: those of which the API tells the
// value.
func expectTag(image ecrtest.Image, add func(family string, value float64)) {
	if image.SizeBytes != nil {
		add("aws_ecr_image_size_in_bytes", float64(*image.SizeBytes))
	}
	if !image.PushedAt.IsZero() {
		add("aws_ecr_image_pushed_at_timestamp_seconds", float64(image.PushedAt.Unix()))
	}
}

// expectScan adds the series of the scan of one tag. That there was none is a status.
func expectScan(scan ecrtest.ScanState, scanned bool, add func(family string, value float64)) {
	add(statuses, 1)
	if !scanned {
		return
	}
	if !scan.CompletedAt.IsZero() {
		add(completions, float64(scan.CompletedAt.Unix()))
	}
	for _, count := range scan.Counts {
		add(severities, float64(count))
	}
}

// ofRun reports whether a family tells of the run itself, which the registry says
// nothing about.
func ofRun(family string) bool {
	return strings.HasPrefix(family, "aws_ecr_exporter_") && family != pendings && family != ages
}

// totals asks the store for what it has of each family at a time. There is nothing
// in it but what the function pushed.
func (s *store) totals(ctx context.Context, at time.Time) (map[string]total, error) {
	counts, err := s.query(ctx, `count by (__name__) ({__name__!=""})`, at)
	if err != nil {
		return nil, err
	}
	sums, err := s.query(ctx, `sum by (__name__) ({__name__!=""})`, at)
	if err != nil {
		return nil, err
	}
	totals := map[string]total{}
	for _, c := range counts {
		if ofRun(c.labels["__name__"]) {
			continue
		}
		totals[c.labels["__name__"]] = total{series: int(c.value)}
	}
	for _, c := range sums {
		t, known := totals[c.labels["__name__"]]
		if !known {
			continue
		}
		t.sum = c.value
		totals[c.labels["__name__"]] = t
	}
	return totals, nil
}

// compare holds what can be queried against what is in the registry, and against how
// many series the function says were accepted. The error names every difference.
func compare(want, got map[string]total, accepted int) error {
	var errs []error
	families := maps.Clone(want)
	maps.Copy(families, got)
	series := 0
	for _, family := range slices.Sorted(maps.Keys(families)) {
		series += got[family].series
		if !matches(family, want[family], got[family], int(want[pendings].sum)) {
			errs = append(errs, fmt.Errorf("%s: %d series with the sum %.0f can be queried, the registry has %d with %.0f",
				family, got[family].series, got[family].sum, want[family].series, want[family].sum))
		}
	}
	if series != accepted {
		errs = append(errs, fmt.Errorf("%d series can be queried, the Summary says %d were accepted", series, accepted))
	}
	if len(errs) > 0 {
		return fmt.Errorf("what can be queried is not what was to be pushed:\n%w", errors.Join(errs...))
	}
	return nil
}

// matches reports whether a family is as it has to be. While some scan results are
// pending, there is only a part of theirs; how old an answer is depends on the moment.
func matches(family string, want, got total, pending int) bool {
	switch family {
	case severities, completions, statuses:
		if pending > 0 {
			return got.series <= want.series && got.sum <= want.sum
		}
	case ages:
		return got.series == want.series
	}
	return got == want
}
