package exporter

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// keptForAnswer is what the last push of a run leaves of the invocation, for
// returning its Summary.
const keptForAnswer = 500 * time.Millisecond

// reportRun makes the series of the run itself and, last in the run, pushes and
// publishes them. Runs for events have none: they are for a few repositories, and
// between two whole runs their numbers would be noise.
func (e *Exporter) reportRun(ctx context.Context, registry *inventory.Registry, run run, steps *steps) {
	steps.calls, steps.throttles = e.Calls.TakeCalls()
	if run.print != nil || run.partial {
		return
	}
	stats := e.stats(registry, steps)
	if e.Publish != nil {
		// The dimensions of an alarm must not depend on what a run has learned.
		local := stats
		local.RegistryID = ""
		if err := e.Publish(steps.at, metrics.OfRun(local, e.RunFamilies, nil)); err != nil {
			e.Logger.WarnContext(ctx, "the run's metrics could not be written to the log", slog.Any("error", err))
		}
	}
	// Where nothing arrived, a few more will not, and trying takes until the deadline.
	if len(e.RunFamilies) == 0 || steps.pushed.Accepted == 0 && steps.failed["push"] != "" {
		return
	}
	steps.do("report", func() error {
		pushing, cancel := before(ctx, keptForAnswer)
		defer cancel()
		_, err := e.Sender.Push(pushing, steps.at, metrics.OfRun(stats, e.RunFamilies, e.External), e.RunFamilies)
		return err
	})
}

// stats is what the run's own series tell.
func (e *Exporter) stats(registry *inventory.Registry, steps *steps) metrics.Run {
	if e.operations == nil {
		e.operations = map[string]bool{}
	}
	for operation := range steps.calls {
		e.operations[operation] = true
	}
	known := slices.Collect(maps.Keys(e.operations))
	dropped := withZeros(steps.pushed.Dropped, remotewrite.Reasons)
	return metrics.Run{
		At:              steps.at,
		SucceededAt:     registry.SucceededAt.Time(),
		RegistryID:      registry.ID,
		RefreshDuration: steps.took("refresh"),
		PushDuration:    steps.took("push"),
		OldestRecord:    registry.OldestRead().Time(),
		Requests:        withZeros(steps.calls, known),
		Throttles:       withZeros(steps.throttles, known),
		Sent:            steps.pushed.Accepted,
		Refused:         steps.pushed.Refused,
		Unconfirmed:     steps.pushed.Unconfirmed,
		NotSent:         steps.pushed.NotSent,
		SentBytes:       steps.pushed.BytesCompressed,
		Retries:         steps.pushed.Retries,
		Dropped:         dropped,
		Errors:          steps.errorCounts(),
		Version:         e.Version,
		GoVersion:       e.GoVersion,
	}
}

// withZeros is a copy of the counts in which every name has one: a series that
// came only with its first fault could not be told from one that is missing.
func withZeros[Name ~string](counts map[string]int, names []Name) map[string]int {
	all := make(map[string]int, len(names))
	for _, name := range names {
		all[string(name)] = 0
	}
	maps.Copy(all, counts)
	return all
}

// errorCounts tells by step how many things failed.
func (s *steps) errorCounts() map[string]int {
	counts := map[string]int{"load": 0, "refresh": s.refreshed.Failed + s.refreshed.Denied + s.refreshed.Scans.Failed, "push": 0, "save": 0}
	var push *remotewrite.PushError
	for _, err := range s.errs {
		if errors.As(err, &push) {
			counts["push"] = push.Batches
		}
	}
	for step := range s.failed {
		counts[step] = max(1, counts[step])
	}
	return counts
}
