//go:build unix

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

const (
	// promised is within how many seconds docs/promises.md promises that a change is shown whose
	// event arrives.
	promised = 60
	// promisedAge is the promised age of the oldest record, in seconds.
	promisedAge = 1980
	// lifecycles is how many images are pushed, scanned and deleted.
	lifecycles = 10
)

// changeOf is the value of the label change by what happened to an image.
var changeOf = map[string]string{"pushed": "push", "scanned": "scan", "deleted": "delete"}

// promises has images pushed, scanned and deleted, and checks how long each takes to be shown by
// a query. What the function exports about that must not be less, nor the records older than
// promised. The schedule's promises take half an hour: the simulation has them.
func (s *session) promises(ctx context.Context) (string, error) {
	begun, measured := time.Now(), map[string][]float64{}
	for range lifecycles * localtest.ImageChanges {
		change, _, took, err := s.change(ctx)
		if err != nil {
			return "", err
		}
		measured[changeOf[change.What]] = append(measured[changeOf[change.What]], took.Seconds())
	}
	pushed, err := s.invoke(ctx)
	if err != nil {
		return "", err
	}
	if err := pushed.check(); err != nil {
		return "", err
	}
	exported, err := s.numbers(ctx, fmt.Sprintf("max by (change) (max_over_time(aws_ecr_exporter_lag_seconds[%ds]))", int(time.Since(begun).Seconds())+1))
	if err != nil {
		return "", err
	}
	var texts []string
	for _, change := range []string{"push", "scan", "delete"} {
		of := slices.Sorted(slices.Values(measured[change]))
		longest, told := of[len(of)-1], exported[change]
		switch {
		case longest > promised:
			return "", fmt.Errorf("%s: shown after %.1f s, and %d s are promised", change, longest, promised)
		case told == 0, change != "delete" && told > promised, told > promisedAge:
			return "", fmt.Errorf("%s: the function exports %.0f s, measured were %.1f s", change, told, longest)
		}
		texts = append(texts, fmt.Sprintf("%s p50 %.2f s, max %.2f s, exported %.0f s", change, of[(len(of)-1)/2], longest, told))
	}
	ages, err := s.numbers(ctx, "aws_ecr_exporter_oldest_record_age_seconds")
	if err != nil {
		return "", err
	}
	age, there := ages[""]
	if !there || age > promisedAge {
		return "", fmt.Errorf("the oldest record is %.0f s old (exported: %t), and %d s are promised", age, there, promisedAge)
	}
	return fmt.Sprintf("%s; oldest record %.0f s", strings.Join(texts, "; "), age), nil
}

// numbers are what a query returns, by the label change.
func (s *session) numbers(ctx context.Context, promQL string) (map[string]float64, error) {
	if err := s.stores[0].Flush(ctx); err != nil {
		return nil, err
	}
	samples, err := s.stores[0].Query(ctx, promQL, time.Now())
	if err != nil {
		return nil, err
	}
	numbers := map[string]float64{}
	for _, sample := range samples {
		numbers[sample.Labels["change"]] = sample.Value
	}
	return numbers, nil
}
