package exporter

import (
	"context"
	"log/slog"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Running knows which images run.
type Running interface {
	// Images calls saw with each name of an image that runs. It stops with an error if saw
	// returns false. Without an error these are all.
	Images(ctx context.Context, saw func(image string) bool) error
}

// ask notes which images run. A store that does not answer, or not in full, changes nothing
// about what is known, but adds what it said.
func (e *Exporter) ask(ctx context.Context, registry *inventory.Registry, steps *steps) {
	steps.try("query", func() error {
		asking, cancel := before(ctx, keptForPush)
		defer cancel()
		at := inventory.TimeOf(steps.at)
		err := e.Running.Images(asking, func(image string) bool { return registry.SawRunning(image, at) })
		if err == nil {
			registry.RunningAnswered(at)
		}
		registry.ForgetRunning(at)
		return err
	}, func(err error) {
		e.Logger.WarnContext(ctx, "the store did not say which images run: for a day those that it named last count as in use, then all images do", slog.Any("error", err))
	})
}

// withheld counts the images that have no series at present, by why.
func (e *Exporter) withheld(registry *inventory.Registry, steps *steps) map[string]int {
	counts := map[string]int{}
	if e.RampAbove > 0 {
		counts["ramp"] = steps.ramped
	}
	if e.Running == nil {
		return counts
	}
	counts["idle"] = -steps.ramped
	for _, repository := range registry.Repositories {
		for i := range repository.Images {
			if repository.Images[i].Withheld {
				counts["idle"]++
			}
		}
	}
	return counts
}
