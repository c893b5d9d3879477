// Package exporter makes one run: load the inventory, refresh what is due, push
// every series, save, and say what happened.
package exporter

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// Store keeps the inventory between runs.
type Store interface {
	// Load returns what was saved last; nil if there is nothing.
	Load(ctx context.Context) (*inventory.Registry, error)
	// Save keeps the registry.
	Save(ctx context.Context, registry *inventory.Registry) error
}

// Calls counts requests to AWS.
type Calls interface {
	// TakeCalls returns the requests by operation, and how many of them were
	// throttled, since it was last called.
	TakeCalls() (calls, throttles map[string]int)
}

// Options are the parts of an Exporter.
type Options struct {
	Store     Store
	Refresher *refresh.Refresher
	Sender    *remotewrite.Sender // may be nil for dry runs
	Calls     Calls
	// Families are the rows of the table that are exported.
	Families []*metrics.Family
	// External are labels put on every series.
	External []metrics.Label
	// RegistryID is the configured account; empty if it is the caller's own.
	RegistryID string
	// RefreshBudget bounds the asking; zero means that a run asks until all that
	// is due is done.
	RefreshBudget time.Duration
	Logger        *slog.Logger
}

// Exporter makes runs, one at a time.
type Exporter struct {
	Options
	last time.Time // timestamp of the last run's samples
}

// New returns an Exporter.
func New(options Options) *Exporter {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Exporter{Options: options}
}

// Time at the end of an invocation that is kept from the steps before. The last
// seconds push what is known, however the asking goes, and after that save and
// report: a deadline that passes takes all three with it.
const (
	keptForPush   = 40 * time.Second
	keptForReport = 3 * time.Second
)

// Run makes one run within ctx's deadline, if it has one. Whatever fails, every
// later step is still made; the error joins what failed, and is not nil if
// anything that was due was lost.
func (e *Exporter) Run(ctx context.Context) (Summary, error) {
	return e.run(ctx, func(ctx context.Context, at time.Time, series iter.Seq[metrics.Series]) (remotewrite.Report, error) {
		report, err := e.Sender.Push(ctx, at, series, e.Families)
		if dropped := report.DroppedTotal(); err == nil && dropped > 0 {
			err = fmt.Errorf("%d of %d series could not be sent: %v", dropped, report.Series, report.Dropped)
		}
		return report, err
	}, e.Store.Save)
}

// Print makes a run that writes the series as exposition text instead of pushing
// them, and saves nothing.
func (e *Exporter) Print(ctx context.Context, w io.Writer) (Summary, error) {
	return e.run(ctx, func(_ context.Context, _ time.Time, series iter.Seq[metrics.Series]) (report remotewrite.Report, err error) {
		counted := func(yield func(metrics.Series) bool) {
			for s := range series {
				report.Series++
				if !yield(s) {
					return
				}
			}
		}
		err = metrics.WriteText(w, counted)
		return report, err
	}, func(context.Context, *inventory.Registry) error { return nil })
}

// run is one run, in order.
func (e *Exporter) run(
	ctx context.Context,
	push func(context.Context, time.Time, iter.Seq[metrics.Series]) (remotewrite.Report, error),
	save func(context.Context, *inventory.Registry) error,
) (Summary, error) {
	steps := steps{at: e.timestamp()}

	var registry *inventory.Registry
	steps.do("load", func() (err error) {
		registry, err = e.load(ctx)
		return err
	})

	steps.do("refresh", func() error {
		asking, cancel := e.asking(ctx, steps.at)
		defer cancel()
		steps.refreshed = e.Refresher.Run(asking, registry, steps.at)
		return steps.refreshed.Err
	})

	steps.do("push", func() (err error) {
		pushing, cancel := before(ctx, keptForReport)
		defer cancel()
		series := metrics.All(registry, e.Families, metrics.Options{External: e.External})
		steps.pushed, err = push(pushing, steps.at, series)
		return err
	})

	if steps.refreshed.Changed() {
		steps.do("save", func() error {
			// An interrupted run keeps what it learned.
			return save(context.WithoutCancel(ctx), registry)
		})
	}
	summary := steps.summary(registry, e.Calls)
	return summary, errors.Join(steps.errs...)
}

// timestamp is the run's: the present, and later than the last run's, since a
// receiver refuses another value for the same moment.
func (e *Exporter) timestamp() time.Time {
	at := time.Now().Truncate(time.Millisecond)
	if !at.After(e.last) {
		at = e.last.Add(time.Millisecond)
	}
	e.last = at
	return at
}

// load returns the inventory to go on with, which is an empty one if there is
// none, or none of the registry that is configured.
func (e *Exporter) load(ctx context.Context) (*inventory.Registry, error) {
	registry, err := e.Store.Load(ctx)
	switch {
	case registry == nil:
		return &inventory.Registry{}, err
	case e.RegistryID != "" && registry.ID != "" && registry.ID != e.RegistryID:
		e.Logger.WarnContext(ctx, "the state is of another registry and is not used",
			slog.String("registry", registry.ID), slog.String("configured", e.RegistryID))
		return &inventory.Registry{}, err
	}
	return registry, err
}

// asking bounds the refresh by the budget and by what has to remain for the rest.
func (e *Exporter) asking(ctx context.Context, start time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := before(ctx, keptForPush)
	if e.RefreshBudget <= 0 {
		return ctx, cancel
	}
	bounded, cancelBudget := context.WithDeadline(ctx, start.Add(e.RefreshBudget))
	return bounded, func() { cancelBudget(); cancel() }
}

// before returns a context that ends a while before ctx does, or, of little time,
// when half of it is over.
func before(ctx context.Context, kept time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(kept, time.Until(deadline)/2)))
}
