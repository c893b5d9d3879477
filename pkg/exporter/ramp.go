package exporter

import (
	"context"
	"log/slog"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// RampAbove is the number of series from which AMP may throttle a workspace whose active
// series double within 30 minutes.
// See https://docs.aws.amazon.com/prometheus/latest/userguide/AMP_quotas.html
const RampAbove = 2_000_000

// mostPerImage is more series than most images have. With too few images for RampAbove they
// are not counted.
const mostPerImage = 200

// ramp withholds images that would make the push larger than the store may take: more than
// twice the most pushed more than 30 minutes ago. What was pushed before is not withheld.
func (e *Exporter) ramp(ctx context.Context, registry *inventory.Registry, at time.Time) (withheld int) {
	if images, _ := registry.ImageCount(); e.RampAbove == 0 || images < e.RampAbove/mostPerImage {
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
	peaks := registry.Peaks.At(inventory.TimeOf(at))
	if peaks.Series == [3]int{} && shown > e.RampAbove {
		peaks.Series = [3]int{shown, shown, shown} // by a version that did not note it, or long ago
		registry.Peaks = peaks
	}
	limit := max(e.RampAbove, 2*peaks.Series[2])
	if shown+more <= limit {
		return 0
	}
	withheld = e.Admit(registry, at, limit-shown, series)
	e.Logger.InfoContext(ctx, "the store may not take so many more series at once: the next runs add them", slog.Int("images", withheld), slog.Int("limit", limit))
	return withheld
}
