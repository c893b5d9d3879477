package exporter

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// RampAbove is the number of series from which AMP may throttle a workspace whose active
// series double within rampTime.
// See https://docs.aws.amazon.com/prometheus/latest/userguide/AMP_quotas.html
const (
	RampAbove = 2_000_000
	rampTime  = 30 * time.Minute
)

// mostPerTag is more series than a tag has. Below it nothing is counted.
const mostPerTag = 50

// ramp withholds images that would make the push larger than the store may take: more than
// twice the most pushed before rampTime. What was pushed before is not withheld.
func (e *Exporter) ramp(ctx context.Context, registry *inventory.Registry, at time.Time) (withheld int) {
	if e.RampAbove == 0 || !manyTags(registry, e.RampAbove/mostPerTag) {
		return 0
	}
	series := e.Table.Counter()
	shown, more := 0, 0
	for _, repository := range registry.Repositories {
		for i := range repository.Images {
			switch image := &repository.Images[i]; {
			case repository.Excluded || !image.HasSeries():
			case image.Shown:
				shown += series(repository, image)
			default:
				more += series(repository, image)
			}
		}
	}
	before, known := registry.PeakBefore(inventory.TimeOf(at), rampTime)
	if !known && shown > e.RampAbove {
		before = shown // by a version that did not note it, or it is long ago
	}
	limit := max(e.RampAbove, 2*before)
	if shown+more <= limit {
		return 0
	}
	withheld = e.Admit(registry, at, limit-shown, series)
	e.Logger.InfoContext(ctx, "the store may not take so many more series at once: the next runs add them", slog.Int("images", withheld), slog.Int("limit", limit))
	return withheld
}

// manyTags reports whether there are more tags than a number.
func manyTags(registry *inventory.Registry, most int) bool {
	n := 0
	for _, repository := range registry.Repositories {
		for i := range repository.Images {
			if n += max(1, len(repository.Images[i].Tags)); n > most {
				return true
			}
		}
	}
	return false
}
