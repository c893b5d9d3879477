package exporter

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// keptForAnswer is the time that the last push of a run leaves for returning its Summary: enough
// for a small function on a busy machine.
const keptForAnswer = time.Second

// pushRunMetrics pushes and publishes the metrics of the run itself, as its last step.
// Runs for events have only how late they showed changes: they are about a few repositories,
// and between two whole runs their other numbers would be noise.
func (e *Exporter) pushRunMetrics(ctx context.Context, registry *inventory.Registry, run run, steps *steps) {
	steps.calls, steps.throttles = e.Calls.TakeCalls()
	if run.print != nil || run.partial && len(steps.lags) == 0 {
		return
	}
	if run.partial {
		steps.try("report", func() error {
			return e.report(ctx, metrics.Run{At: steps.at, RegistryID: registry.ID, Partial: true, Lags: steps.lags})
		}, func(err error) {
			e.Logger.WarnContext(ctx, "how late changes were shown could not be sent", slog.Any("error", err))
		})
		return
	}
	stats := e.stats(registry, steps)
	if e.Publish != nil {
		// The dimensions of an alarm must not depend on what a run has learned.
		local := stats
		local.RegistryID = ""
		if err := e.Publish(steps.at, e.Table.Local().OfRun(local)); err != nil {
			e.Logger.WarnContext(ctx, "the run metrics could not be written to the log", slog.Any("error", err))
		}
	}
	// Where nothing was accepted these will not be, and trying takes until the deadline.
	if len(e.Table.RunFamilies()) == 0 || steps.pushed.Accepted == 0 && steps.failed["push"] != "" {
		return
	}
	steps.do("report", func() error { return e.report(ctx, stats) })
}

func (e *Exporter) report(ctx context.Context, stats metrics.Run) error {
	pushing, cancel := before(ctx, keptForAnswer)
	defer cancel()
	_, err := e.Sender.Push(pushing, stats.At, e.Table.OfRun(stats), e.Table.RunFamilies())
	return err
}

// stats is what the run metrics show.
func (e *Exporter) stats(registry *inventory.Registry, steps *steps) metrics.Run {
	if e.operations == nil {
		e.operations = map[string]bool{}
	}
	for operation := range steps.calls {
		e.operations[operation] = true
	}
	known := slices.Collect(maps.Keys(e.operations))
	push := steps.pushed
	push.Dropped = withZeros(push.Dropped, remotewrite.Reasons)
	run := metrics.Run{
		At:              steps.at,
		SucceededAt:     registry.SucceededAt.Time(),
		RegistryID:      cmp.Or(registry.ID, e.Account),
		RefreshDuration: steps.took("refresh"),
		PushDuration:    steps.took("push"),
		OldestRecord:    registry.OldestRead().Time(),
		Lags:            steps.lags,
		Requests:        withZeros(steps.calls, known),
		Throttles:       withZeros(steps.throttles, known),
		UnreadIndexes:   unreadIndexes(steps.refreshed.Indexes),
		AsksWhatRuns:    e.Running != nil,
		IsTarget:        e.Account != "",
		Read:            steps.failed["refresh"] == "",
		RunningAt:       registry.Running.AnsweredAt.Time(),
		Withheld:        e.withheld(registry, steps),
		Push:            push,
		Errors:          steps.errorCounts(),
		Version:         e.Version,
		GoVersion:       e.GoVersion,
	}
	if e.Forecast == nil {
		return run
	}
	run.SamplesPerMonth, run.CostDollars = 1, 1 // to count their own series too
	series := push.Series - push.DroppedTotal() - push.Markers.Series
	for range e.Table.OfRun(run) {
		series++
	}
	run.SamplesPerMonth, run.CostDollars = e.Forecast(registry, push, series)
	return run
}

// unreadIndexes counts the indexes that are not read by reason.
func unreadIndexes(counts refresh.IndexCounts) map[string]int {
	const pending = "pending"
	return withZeros(map[string]int{cmp.Or(counts.Off, pending): counts.Unread}, append(slices.Clone(inventory.IndexReasons), pending))
}

// withZeros is a copy of the counts in which every name has one: a series that appears
// only with its first fault could not be told from a missing one.
func withZeros[Name ~string](counts map[string]int, names []Name) map[string]int {
	all := make(map[string]int, len(names))
	for _, name := range names {
		all[string(name)] = 0
	}
	maps.Copy(all, counts)
	return all
}

// errorCounts counts what failed, by step.
func (s *steps) errorCounts() map[string]int {
	counts := map[string]int{"load": 0, "refresh": s.refreshed.Failed + s.refreshed.Denied + s.refreshed.Scans.Failed, "push": 0, "save": 0}
	if _, asked := s.durations["query"]; asked {
		counts["query"] = 0
	}
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
