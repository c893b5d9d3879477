// Package exporter makes one run: load the inventory, refresh what is due, push every
// series, save, and summarise.
package exporter

import (
	"context"
	"errors"
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
	// Of says which registry's state it is; what is empty is not known. What is stored of
	// another one is not loaded, nor replaced.
	Of(account, region string)
	// Load returns what was saved last; nil if there is nothing. With an error it
	// returns the copy in memory, if there is one.
	Load(ctx context.Context) (*inventory.Registry, error)
	// Save keeps the registry, and so what its Unsaved names: as a whole, or only that.
	Save(ctx context.Context, registry *inventory.Registry, whole bool) error
}

// Calls counts requests to AWS.
type Calls interface {
	// TakeCalls returns the requests by operation, and how many of them were
	// throttled, since it was last called.
	TakeCalls() (calls, throttles map[string]int)
}

// Options are the parts of an Exporter.
type Options struct {
	Store Store
	// SaveInterval is how long the whole inventory may differ from the stored whole, unless
	// a refresh is finished. Changes are stored before they are pushed.
	SaveInterval time.Duration

	Refresher *refresh.Refresher
	// Reach, if set, is called before a refresh that is not for events. With an error, such as for
	// a role that is missing, nothing is read, and what is known is pushed.
	Reach func(ctx context.Context, registry *inventory.Registry, at time.Time) error
	// Account, if set, is that of the registry, which is one of many of a deployment.
	Account string
	// Running, if set, is asked in each run that is not for events what runs, for images that
	// are idle have no series.
	Running Running
	// RampAbove is the number of series above which pushes grow over several runs; 0 for no
	// such number. Admit then withholds images that are not shown yet beyond a number of
	// series, and returns how many.
	RampAbove int
	Admit     func(registry *inventory.Registry, at time.Time, room int, series func(*inventory.Repository, *inventory.Image) int) int
	// Table makes the series. Its shape says whether the store is durable: then whether
	// it is available is a metric.
	Table *metrics.Table
	// Sender pushes the series. For Print it should discard the requests: their sizes
	// are what counts (see remotewrite.Options).
	Sender *remotewrite.Sender
	// Auto is set if the Sender finds out which protocol the endpoint accepts; that is
	// then kept in the inventory.
	Auto  bool
	Calls Calls
	// NewRun, if set, is called at the start of each run.
	NewRun func()
	// Publish, if set, also gets the run metrics, without external labels and Region, and those of
	// a run whose push failed, too.
	Publish func(at time.Time, series iter.Seq[metrics.Series]) error
	// Version and GoVersion are those of the program.
	Version, GoVersion string
	// Forecast, if set, returns what a month of runs that push so many series sends, in
	// samples, and costs, in dollars. pushed is the push of those that are not about the run.
	Forecast func(registry *inventory.Registry, pushed metrics.Push, series int) (samples, dollars float64)
	// RefreshBudget bounds the time for calling AWS; zero means until everything due is
	// read.
	RefreshBudget time.Duration
	Logger        *slog.Logger
}

// ErrWaits is what Reach returns if it did not try, because it failed a short while ago. It does
// not fail the run, which does not count as one that succeeded either.
var ErrWaits = errors.New("waiting before trying again")

// Exporter makes runs, one at a time.
type Exporter struct {
	Options
	registry *inventory.Registry // of the last run
	last     time.Time           // timestamp of the last run's samples
	saved    time.Time           // when the store last took the whole inventory
	// succeeded is the time of the last success as the store has it.
	succeeded time.Time
	// operations are the AWS operations that were called so far.
	operations map[string]bool
}

// Registry returns the inventory of the last run, nil before the first. It must not be used
// while a run is under way.
func (e *Exporter) Registry() *inventory.Registry { return e.registry }

// New returns an Exporter.
func New(options Options) *Exporter {
	if options.Logger == nil {
		options.Logger = slog.New(slog.DiscardHandler)
	}
	return &Exporter{Options: options}
}

// Time at the end of an invocation that earlier steps leave for later ones: for saving and
// pushing what is known, however the refresh goes, and then for reporting. A deadline that
// passes would take all three with it.
const (
	keptForPush   = 40 * time.Second
	keptForReport = 3 * time.Second
	// longestLoad bounds loading: a store that does not respond must not take up the
	// invocation.
	longestLoad = 20 * time.Second
)

// succeededKept is how old the stored time of the last success may be for one of many registries,
// whose next run may be another environment's. That of a single registry is in memory.
const succeededKept = time.Hour

// Run makes one run within ctx's deadline, if it has one: it refreshes what is due and
// pushes every series. Whatever fails, the later steps are still made; the error joins
// what failed, and is not nil if anything due was lost.
func (e *Exporter) Run(ctx context.Context) (Summary, error) {
	return e.run(ctx, run{refresh: e.refresh})
}

// Apply makes a run for events: it refreshes and pushes the repositories that they name,
// and nothing else.
func (e *Exporter) Apply(ctx context.Context, events []refresh.Event) (Summary, error) {
	return e.run(ctx, run{
		refresh: func(ctx context.Context, registry *inventory.Registry, at time.Time) refresh.EventResult {
			return e.Refresher.Apply(ctx, registry, events, at)
		},
		partial: true,
	})
}

// Print makes a run that writes the series as exposition text instead of pushing them,
// and saves nothing.
func (e *Exporter) Print(ctx context.Context, w io.Writer) (Summary, error) {
	return e.run(ctx, run{refresh: e.refresh, print: w})
}

func (e *Exporter) refresh(ctx context.Context, registry *inventory.Registry, at time.Time) refresh.EventResult {
	return refresh.EventResult{Result: e.Refresher.Run(ctx, registry, at)}
}

// run is what the kinds of runs differ in.
type run struct {
	refresh func(context.Context, *inventory.Registry, time.Time) refresh.EventResult
	// partial is set if only the repositories that the refresh names are pushed.
	partial bool
	// print, if set, is where the series are written as text. Then nothing is pushed,
	// and nothing saved.
	print io.Writer
}

// run makes one run, in order. What it learned is saved before it is pushed: else series
// that a killed run began would never be ended.
func (e *Exporter) run(ctx context.Context, run run) (Summary, error) {
	if e.NewRun != nil {
		e.NewRun()
	}
	steps := steps{begun: time.Now()}
	available := true

	var registry *inventory.Registry
	steps.try("load", func() (err error) {
		registry, err = e.load(ctx)
		available = err == nil
		return err
	}, e.degraded(ctx))
	e.adopt(registry)
	steps.at = e.timestamp(steps.begun, registry.PushedAt.Time())

	if e.Running != nil && !run.partial {
		e.ask(ctx, registry, &steps)
	}
	steps.try("refresh", func() error {
		refreshing, cancel := e.refreshing(ctx, steps.at)
		defer cancel()
		if e.Reach != nil && !run.partial { // what events say is noted in any case
			if err := e.Reach(refreshing, registry, steps.at); err != nil {
				return err
			}
		}
		steps.refreshed = run.refresh(refreshing, registry, steps.at)
		if other := (*refresh.OtherRegistryError)(nil); errors.As(steps.refreshed.Err, &other) {
			// Only the listing showed it. The run goes on as a cold start would.
			e.Logger.WarnContext(ctx, "the state is of another registry and is not used", slog.Any("error", other))
			e.Store.Of(other.Account, "")
			e.registry = nil
			var err error
			if registry, err = e.load(ctx); err != nil {
				e.degraded(ctx)(err)
			}
			e.adopt(registry)
			steps.refreshed = run.refresh(refreshing, registry, steps.at)
		}
		return steps.refreshed.Err
	}, func(err error) {
		if !errors.Is(err, ErrWaits) {
			steps.errs = append(steps.errs, err)
		}
	})

	options := metrics.Options{At: steps.at}
	if run.partial {
		options.Only = append([]string{}, steps.refreshed.Repositories...)
	}
	if run.print == nil {
		steps.ramped = e.ramp(ctx, registry, steps.at)
		registry.Pushing(inventory.TimeOf(steps.at), e.Table.Shape(), options.Only)
		if whole := !run.partial && e.saveWhole(registry, steps.at, &steps.refreshed.Result); whole || registry.Unsaved.Any {
			steps.try("save", func() error { return e.save(ctx, registry, whole, steps.at) }, e.degraded(ctx))
			// Saving may have merged records of another environment, which are not selected yet.
			e.Refresher.Select(registry, steps.at)
			steps.ramped = e.ramp(ctx, registry, steps.at)
		}
	}
	options.StateAvailable = available && steps.failed["save"] == ""

	steps.do("push", func() error {
		pushing, cancel := before(ctx, keptForReport)
		defer cancel()
		if run.print != nil {
			return e.print(pushing, run.print, registry, options, &steps)
		}
		return e.push(pushing, registry, options, &steps)
	})

	if !run.partial && len(steps.errs) == 0 && steps.failed["refresh"] == "" {
		registry.SucceededAt = inventory.TimeOf(steps.at)
		if e.Account != "" && steps.at.Sub(e.succeeded) >= succeededKept {
			registry.Unsaved.Any = true
			if err := e.save(ctx, registry, false, steps.at); err != nil {
				e.degraded(ctx)(err)
			}
		}
	}
	steps.lags = lags(registry, &steps, options.Only)
	e.pushRunMetrics(ctx, registry, run, &steps)
	summary := steps.summary(registry)
	return summary, errors.Join(steps.errs...)
}

// degraded logs that the state is in memory only for now. Nothing is lost by that while
// the execution environment lives.
func (e *Exporter) degraded(ctx context.Context) func(error) {
	return func(err error) {
		e.Logger.WarnContext(ctx, "the state is not available: the inventory is in memory only", slog.Any("error", err))
	}
}

// saveWhole reports whether a run that is not for events saves the whole inventory, and not
// only its changes.
func (e *Exporter) saveWhole(registry *inventory.Registry, at time.Time, refreshed *refresh.Result) bool {
	changed := registry.Unsaved.All || len(registry.Unsaved.Repositories) > 0
	return changed && (refreshed.Finished() || e.saved.IsZero() || at.Sub(e.saved) >= e.SaveInterval)
}

func (e *Exporter) save(ctx context.Context, registry *inventory.Registry, whole bool, at time.Time) error {
	// An interrupted run keeps what it learned.
	saving, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.saveTime(ctx))
	defer cancel()
	registry.WrittenBy = e.Version
	err := e.Store.Save(saving, registry, whole)
	if err == nil {
		e.succeeded = registry.SucceededAt.Time()
	}
	if err == nil && (whole || registry.Unsaved.Repositories == nil) {
		e.saved = at
	}
	return err
}

// saveTime is how long saving may take: half of what is left of the invocation, the other
// half being for the push.
func (e *Exporter) saveTime(ctx context.Context) time.Duration {
	deadline, bounded := ctx.Deadline()
	if !bounded {
		return time.Minute
	}
	return max(time.Until(deadline)/2, keptForReport/6)
}

// clockSkew is how far another environment's clock may be ahead of ours.
const clockSkew = time.Minute

// timestamp is the run's: the present, but later than the last push of this environment,
// or of another whose clock is ahead. A receiver refuses a sample that is older, or has
// another value for the same moment.
func (e *Exporter) timestamp(now, pushed time.Time) time.Time {
	at := now.Truncate(time.Millisecond)
	for _, last := range []time.Time{e.last, pushed} {
		if !at.After(last) && last.Sub(at) < clockSkew {
			at = last.Add(time.Millisecond)
		}
	}
	e.last = at
	return at
}

// load returns the inventory to go on with: an empty one if there is none.
func (e *Exporter) load(ctx context.Context) (*inventory.Registry, error) {
	loading, cancel := context.WithTimeout(ctx, longestLoad)
	defer cancel()
	registry, err := e.Store.Load(loading)
	if registry == nil {
		registry = e.registry // the store is not available
	}
	if registry == nil {
		registry = &inventory.Registry{}
	}
	if e.registry == nil {
		e.succeeded = registry.SucceededAt.Time()
	}
	return registry, err
}

// adopt makes an inventory that of the run.
func (e *Exporter) adopt(registry *inventory.Registry) {
	e.registry = registry
	registry.Ends = e.Table.Ends(registry)
}

// refreshing bounds the refresh by the budget and by the time that the rest needs.
func (e *Exporter) refreshing(ctx context.Context, start time.Time) (context.Context, context.CancelFunc) {
	ctx, cancel := before(ctx, keptForPush)
	if e.RefreshBudget <= 0 {
		return ctx, cancel
	}
	bounded, cancelBudget := context.WithDeadline(ctx, start.Add(e.RefreshBudget))
	return bounded, func() { cancelBudget(); cancel() }
}

// before returns a context that ends a while before ctx does, but not before half of the
// time left is over.
func before(ctx context.Context, kept time.Duration) (context.Context, context.CancelFunc) {
	deadline, ok := ctx.Deadline()
	if !ok {
		return context.WithCancel(ctx)
	}
	return context.WithDeadline(ctx, deadline.Add(-min(kept, time.Until(deadline)/2)))
}
