package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/cost"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// atOnce is how many registries are read at once outside Lambda.
const atOnce = 4

// oneOf returns the exporter of one of TARGETS' registries, given as ACCOUNT/REGION, and its
// configuration.
func (m *many) oneOf(ctx context.Context, name string) (*exporter.Exporter, *config.Config, error) {
	all, err := m.planner.Targets(ctx)
	if err != nil {
		return nil, nil, err
	}
	for i := range all {
		if all[i].String() == name {
			return m.newExporter(&all[i], m.log)
		}
	}
	return nil, nil, fmt.Errorf("%s is none of the %s of TARGETS: -targets lists them", name, quantity.Plural(len(all), "registry", "registries"))
}

// each calls do for each registry, a few at once, and shows how many are done. It returns what
// failed, registry by registry.
func (m *many) each(ctx context.Context, doing string, all []targets.Target, do func(i int, target *targets.Target) error) (errs []error, err error) {
	var (
		mu      sync.Mutex
		done    int
		workers errgroup.Group
	)
	errs = make([]error, len(all))
	workers.SetLimit(atOnce)
	for i := range all {
		workers.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			errs[i] = do(i, &all[i])
			mu.Lock()
			defer mu.Unlock()
			done++
			m.laptop.counting(doing, done, len(all))
			return nil
		})
	}
	return errs, workers.Wait()
}

// printAll prints the series of all registries, and what they cost together.
func (m *many) printAll(ctx context.Context, o *options, stdout io.Writer) error {
	m.several = true
	if o.cost {
		stdout, m.costs = io.Discard, stdout
	}
	began := time.Now()
	var (
		mu     sync.Mutex
		series int
		usages = [2][]cost.Usage{}
		bill   *cost.Estimator
	)
	all, err := m.planner.Targets(ctx)
	if err != nil {
		return err
	}
	errs, err := m.each(ctx, "printing", all, func(_ int, target *targets.Target) error {
		export, c, err := m.newExporter(target, m.log)
		if err != nil {
			return err
		}
		estimator, err := newEstimator(c, export.Table, o.prices)
		if err != nil {
			return err
		}
		var text bytes.Buffer
		summary, err := export.Print(ctx, &text)
		if !useful(&summary, err) {
			return err
		}
		forecasts, forecastErr := costOf(c, estimator, export, &summary)
		mu.Lock()
		defer mu.Unlock()
		series, bill = series+summary.Series, estimator
		for i := range min(len(forecasts), len(usages)) {
			usages[i] = append(usages[i], forecasts[i].Usage)
		}
		_, printErr := fmt.Fprintf(stdout, "# %s\n%s", target, text.Bytes())
		return errors.Join(err, forecastErr, printErr)
	})
	if err != nil {
		return err
	}
	failed := m.explainAll(all, errs)
	fmt.Fprintf(m.laptop, "Printed %s series of %s in %s; nothing was pushed.\n", quantity.Grouped(series), quantity.Plural(len(all), "registry", "registries"), time.Since(began).Round(100*time.Millisecond))
	if bill != nil {
		m.writeBill(bill, usages)
	}
	return failed
}

// writeBill writes what a month of all registries costs.
func (m *many) writeBill(e *cost.Estimator, usages [2][]cost.Usage) {
	push, never := e.Together(usages[0]), e.Together(usages[1])
	fmt.Fprintf(m.costs, "About %s a month for %s samples", cost.Dollars(e.Prices.Bill(push, e.AMP).Total()), quantity.Grouped(int(push.Samples)))
	if len(usages[1]) > 0 {
		fmt.Fprintf(m.costs, ", %s with IDLE_IMAGES=never", cost.Dollars(e.Prices.Bill(never, e.AMP).Total()))
	}
	fmt.Fprintf(m.costs, ", at the prices of %s in %s.\n", e.Prices.Date, e.Prices.Region)
}

// explainAll writes what failed, registry by registry, and returns how many did.
func (m *many) explainAll(all []targets.Target, errs []error) error {
	failed := 0
	for i, err := range errs {
		if err != nil {
			failed++
			fmt.Fprintf(m.laptop, "%s: %s\n", &all[i], printable(err))
		}
	}
	if failed == 0 {
		return nil
	}
	return fmt.Errorf("%s of %s failed", quantity.Grouped(failed), quantity.Plural(len(all), "registry", "registries"))
}

// list prints the registries of TARGETS with what is stored of them.
func (m *many) list(ctx context.Context, o *options, stdout io.Writer) error {
	all, err := m.planner.Targets(ctx)
	if err != nil {
		return err
	}
	rows := make([]struct{ success, images, dollars string }, len(all))
	errs, err := m.each(ctx, "listing", all, func(i int, target *targets.Target) error {
		rows[i].success = "never"
		registry, forecast, err := m.readStored(ctx, o, target)
		if err != nil || registry == nil {
			return err
		}
		if at := registry.SucceededAt; !at.IsZero() {
			rows[i].success = at.Time().UTC().Format(time.RFC3339)
		}
		_, tagged := registry.ImageCount()
		rows[i].images, rows[i].dollars = quantity.Grouped(tagged), cost.Dollars(forecast.Bill.Total())
		return nil
	})
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REGISTRY\tNAME\tEVERY\tROLE\tLAST SUCCESS\tTAGGED IMAGES\tA MONTH")
	for i := range all {
		role := all[i].Role
		if role == "" {
			role = "the function's own"
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", &all[i], all[i].Name, all[i].Interval, role, rows[i].success, rows[i].images, rows[i].dollars)
	}
	return errors.Join(w.Flush(), m.explainAll(all, errs))
}

// readStored reads what is stored of a registry, nil if nothing is, and forecasts its cost.
func (m *many) readStored(ctx context.Context, o *options, target *targets.Target) (*inventory.Registry, cost.Forecast, error) {
	c, err := m.configOf(target)
	if err != nil {
		return nil, cost.Forecast{}, err
	}
	store, ok := newStore(c, m.stored, m.log).(*state.Store)
	if !ok {
		return nil, cost.Forecast{}, nil
	}
	registry, err := store.Read(ctx)
	if registry == nil || err != nil {
		return nil, cost.Forecast{}, err
	}
	table, err := metrics.New(c.Shape())
	if err != nil {
		return nil, cost.Forecast{}, err
	}
	e, err := newEstimator(c, table, o.prices)
	if err != nil {
		return nil, cost.Forecast{}, err
	}
	if e.Select, err = selects(c, time.Now()); err != nil {
		return nil, cost.Forecast{}, err
	}
	forecasts := e.Both(registry)
	if c.IdleImages == config.IdleNever {
		return registry, forecasts[1], nil
	}
	return registry, forecasts[0], nil
}

// runMany runs what a flag asks for of TARGETS' registries, outside Lambda. It returns false if
// that is about one registry, whose exporter it then returns with its configuration.
func runMany(ctx context.Context, o *options, c *config.Config, environ []string, use config.Use, w wiring, stdout io.Writer) (*exporter.Exporter, *config.Config, bool, error) {
	m, err := newMany(ctx, c, environ, use, w)
	if err != nil {
		return nil, nil, true, err
	}
	m.costs = w.laptop
	switch {
	case o.targets:
		return nil, nil, true, m.list(ctx, o, stdout)
	case o.target != "":
		export, c, err := m.oneOf(ctx, o.target)
		return export, c, err != nil, err
	case o.prints():
		return nil, nil, true, m.printAll(ctx, o, stdout)
	}
	return nil, nil, true, errors.New("TARGETS names many registries: say which with -target ACCOUNT/REGION; -targets lists them")
}
