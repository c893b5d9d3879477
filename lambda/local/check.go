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

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// total is what is compared of a family. All values are whole numbers and their sums
// far below 2^53, so the sum is exact in any order of addition.
type total struct {
	series int
	sum    float64
}

func (t total) add(value float64) total { return total{t.series + 1, t.sum + value} }

// The exporter's own families that depend on the registry. The others with their prefix
// are run metrics, about which the registry says nothing.
const (
	exporterPrefix = "aws_ecr_exporter_"
	scansPending   = exporterPrefix + "images_scan_pending"
	oldestScanAge  = exporterPrefix + "scan_oldest_answer_age_seconds"
	scanResults    = "aws_ecr_image_scan_" // the prefix of the families of scan results
)

// expect returns what the store must have of each family of the contract after a push
// at a time, with the scan results of some images still to be read.
func expect(registry *ecrtest.Registry, at time.Time, pending int) map[string]total {
	totals := map[string]total{
		scansPending:  {1, float64(pending)},
		oldestScanAge: {1, 0},
	}
	for s := range contracttest.Of(registry, contracttest.ScansAt(registry, at)) {
		totals[s.Family] = totals[s.Family].add(s.Value)
	}
	return totals
}

// totals queries what the store has of each family at a time, run metrics excluded. The
// store contains only what the function pushed.
func (s *store) totals(ctx context.Context, at time.Time) (map[string]total, error) {
	totals := map[string]total{}
	for aggregation, set := range map[string]func(*total, float64){
		"count": func(t *total, value float64) { t.series = int(value) },
		"sum":   func(t *total, value float64) { t.sum = value },
	} {
		vector, err := s.query(ctx, aggregation+` by (__name__) ({__name__!=""})`, at)
		if err != nil {
			return nil, err
		}
		for _, v := range vector {
			family := v.labels["__name__"]
			if strings.HasPrefix(family, exporterPrefix) && family != scansPending && family != oldestScanAge {
				continue
			}
			t := totals[family]
			set(&t, v.value)
			totals[family] = t
		}
	}
	return totals, nil
}

// compare checks the totals of every expected family, and the number of series of all
// families against the number that the function reports as accepted. The error names
// every difference.
func compare(want, got map[string]total, accepted int) error {
	var errs []error
	for _, family := range slices.Sorted(maps.Keys(want)) {
		if !matches(family, want[family], got[family], int(want[scansPending].sum)) {
			errs = append(errs, fmt.Errorf("%s: the store has %d series with the sum %.0f, the registry %d with %.0f",
				family, got[family].series, got[family].sum, want[family].series, want[family].sum))
		}
	}
	series := 0
	for _, t := range got {
		series += t.series
	}
	if series != accepted {
		errs = append(errs, fmt.Errorf("the store has %d series, the Summary reports %d as accepted", series, accepted))
	}
	if len(errs) > 0 {
		return fmt.Errorf("the store does not have what should have been pushed:\n%w", errors.Join(errs...))
	}
	return nil
}

// matches reports whether the totals of a family are right. While scan results are
// pending, some of theirs may be missing; the age of a result depends on the moment.
func matches(family string, want, got total, pending int) bool {
	switch {
	case family == oldestScanAge:
		return got.series == want.series
	case strings.HasPrefix(family, scanResults) && pending > 0:
		return got.series <= want.series && got.sum <= want.sum
	}
	return got == want
}
