//go:build unix

package localtest

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

// Total is what is compared of a family. All values are whole numbers and their sums
// far below 2^53, so the sum is exact in any order of addition.
type Total struct {
	Series int
	Sum    float64
}

func (t Total) add(value float64) Total { return Total{t.Series + 1, t.Sum + value} }

// The exporter's own families that depend on the registry. The others with their prefix
// are run metrics, about which the registry says nothing.
const (
	exporterPrefix = "aws_ecr_exporter_"
	scansPending   = exporterPrefix + "images_scan_pending"
	stateAvailable = exporterPrefix + "state_available" // only of a function with a durable state
	oldestScanAge  = exporterPrefix + "scan_oldest_answer_age_seconds"
	scanResults    = "aws_ecr_image_scan_" // the prefix of the families of scan results
)

// Expect returns what the store must have of each family of the contract after a push
// at a time, with the scan results of some images still to be read.
func Expect(registry *ecrtest.Registry, at time.Time, pending int) map[string]Total {
	totals := map[string]Total{
		scansPending:  {1, float64(pending)},
		oldestScanAge: {1, 0},
	}
	for s := range contracttest.Of(registry, contracttest.IndexScansAt(registry, at)) {
		totals[s.Family] = totals[s.Family].add(s.Value)
	}
	return totals
}

// Totals queries what the store has of each family at a time, run metrics excluded. Apart
// from the metrics of pods the store contains only what the function pushed.
func (s *Store) Totals(ctx context.Context, at time.Time) (map[string]Total, error) {
	totals := map[string]Total{}
	for aggregation, set := range map[string]func(*Total, float64){
		"count": func(t *Total, value float64) { t.Series = int(value) },
		"sum":   func(t *Total, value float64) { t.Sum = value },
	} {
		vector, err := s.Query(ctx, aggregation+` by (__name__) ({__name__!="", __name__!~"kube_.+"})`, at)
		if err != nil {
			return nil, err
		}
		for _, v := range vector {
			family := v.Labels["__name__"]
			if strings.HasPrefix(family, exporterPrefix) && family != scansPending && family != oldestScanAge && family != stateAvailable {
				continue
			}
			t := totals[family]
			set(&t, v.Value)
			totals[family] = t
		}
	}
	return totals, nil
}

// Compare checks the totals of every expected family, and the number of series of all
// families against the number that the function reports as accepted. The error names
// every difference.
func Compare(want, got map[string]Total, accepted int) error {
	var errs []error
	for _, family := range slices.Sorted(maps.Keys(want)) {
		if !matches(family, want[family], got[family], int(want[scansPending].Sum)) {
			errs = append(errs, fmt.Errorf("%s: the store has %d series with the sum %.0f, the registry %d with %.0f",
				family, got[family].Series, got[family].Sum, want[family].Series, want[family].Sum))
		}
	}
	series := 0
	for _, t := range got {
		series += t.Series
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
func matches(family string, want, got Total, pending int) bool {
	switch {
	case family == oldestScanAge:
		return got.Series == want.Series
	case strings.HasPrefix(family, scanResults) && pending > 0:
		return got.Series <= want.Series && got.Sum <= want.Sum
	}
	return got == want
}
