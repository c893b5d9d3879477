package main

import (
	"fmt"
	"io"
	"iter"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/cost"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/quantity"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// What a forecast takes for granted where nobody says more.
const (
	defaultMemory = 256 // MB, that of template.yaml
	operations    = 6   // of AWS that a function calls, each with a metric of its own
	inUseShare    = 25  // of so many images one is in use

	maxImages = 100_000_000 // of -images
)

// newEstimator returns what forecasts the cost of a function with this configuration: without an
// endpoint one with AMP, and a state in S3 as in template.yaml. The prices are those of a file,
// or list prices if none is named.
func newEstimator(c *config.Config, table *metrics.Table, file string) (*cost.Estimator, error) {
	prices, err := cost.LoadPrices(file)
	if err != nil {
		return nil, err
	}
	memory, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err != nil || memory <= 0 {
		memory = defaultMemory
	}
	unset := c.RemoteWriteURL.Host == ""
	return &cost.Estimator{
		Prices: prices, Table: table, Schedule: c.Schedule.Interval(), Refresh: time.Duration(c.CacheRefreshInterval), Memory: memory,
		Calls: c.ECRRequestsPerSecond, Scans: c.ScanRequestsPerSecond, Metrics: customMetrics(c.CloudWatchMetrics, table),
		OneOfMany: c.OneOfMany, AMP: unset || c.RemoteWriteAuth == auth.SigV4, S3: unset || c.StateURL.Bucket != "",
	}, nil
}

// customMetrics is how many metrics CloudWatch bills while nothing fails.
func customMetrics(which config.CloudWatchMetrics, table *metrics.Table) (n int) {
	for _, family := range table.RunFamilies() {
		if which == config.AllMetrics && !strings.HasSuffix(family.Name, "_info") || which == config.MetricsForAlarms && family.Alarm {
			n++
		}
	}
	if which == config.AllMetrics {
		n += operations
	}
	return n
}

// forAlarms yields the few series that alarms need, without the labels by which parts of a
// total would be metrics of their own.
func forAlarms(series iter.Seq[metrics.Series]) iter.Seq[metrics.Series] {
	return func(yield func(metrics.Series) bool) {
		for s := range series {
			if !s.Family.Alarm {
				continue
			}
			s.Labels = slices.DeleteFunc(s.Labels, func(label metrics.Label) bool { return slices.Contains(s.Family.Labels, label.Name) })
			if !yield(s) {
				return
			}
		}
	}
}

// forecasts returns the forecast of each run.
func forecasts(e *cost.Estimator, never bool) func(*inventory.Registry, metrics.Push, int) (samples, dollars float64) {
	return func(registry *inventory.Registry, pushed metrics.Push, series int) (samples, dollars float64) {
		e.Pushed = pushed
		usage := e.Usage(registry, series, never)
		return usage.Samples, e.Prices.Bill(usage, e.AMP).Total()
	}
}

// runCost writes what a month of a typical registry costs. It makes no request.
func runCost(o options, environ []string, stdout io.Writer) error {
	c, err := config.Load(environ, config.ToPrint)
	if err != nil {
		return err
	}
	table, err := metrics.New(c.Shape())
	if err != nil {
		return err
	}
	e, err := newEstimator(c, table, o.prices)
	if err != nil {
		return err
	}
	if o.brief {
		e.WriteLine(stdout, o.images, e.Typical(o.images, o.inUse))
		return nil
	}
	fmt.Fprintf(stdout, "A typical registry of %s, %s of them in use.\n", quantity.Plural(o.images, "tagged image", "tagged images"), quantity.Grouped(o.inUse))
	e.WriteTable(stdout, e.Typical(o.images, o.inUse))
	return nil
}

// writeCost writes what the registry of a run that printed it costs, or in brief a typical one
// with as many images.
func writeCost(w io.Writer, c *config.Config, e *cost.Estimator, export *exporter.Exporter, s *exporter.Summary, brief bool) error {
	if brief {
		e.WriteLine(w, s.TaggedImages, e.Typical(s.TaggedImages, s.TaggedImages/inUseShare))
		return nil
	}
	forecasts, err := costOf(c, e, export, s)
	if err != nil {
		return err
	}
	e.WriteTable(w, forecasts)
	return nil
}

// costOf forecasts the registry of a run that printed it, for IDLE_IMAGES=push and never. What
// runs is taken from the state, if it is known there.
func costOf(c *config.Config, e *cost.Estimator, export *exporter.Exporter, s *exporter.Summary) (forecasts []cost.Forecast, err error) {
	e.Pushed = s.Push
	if e.Select, err = selects(c, s.Timestamp); err != nil {
		return nil, err
	}
	return e.Both(export.Registry()), nil
}

// selects returns what selects the images that have series, for IDLE_IMAGES=push or never.
func selects(c *config.Config, at time.Time) (func(registry *inventory.Registry, never bool), error) {
	pushes, nevers := c.Shape(), c.Shape()
	pushes.InUseWithin, nevers.InUseWithin = 0, time.Duration(c.InUseWithin)
	all, err := selection.New(pushes)
	if err != nil {
		return nil, err
	}
	inUse, err := selection.New(nevers)
	if err != nil {
		return nil, err
	}
	return func(registry *inventory.Registry, never bool) {
		if all.Apply(registry, at); never {
			inUse.Apply(registry, at)
			inUse.Withhold(registry, at, true)
		}
	}, nil
}
