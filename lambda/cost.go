package main

import (
	"context"
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
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// What a forecast takes for granted where nobody says more.
const (
	defaultMemory = 256 // MB, that of template.yaml
	operations    = 6   // of AWS that a function calls, each with a metric of its own
	inUseShare    = 25  // of so many images one is in use
)

// notGiven is the number of -images and -in-use if they are not given; maxImages is the largest.
const (
	notGiven  = -1
	maxImages = 100_000_000
)

// newEstimator returns what forecasts the cost of a function with this configuration: without an
// endpoint one with AMP, and a state in S3 as in template.yaml.
func newEstimator(c *config.Config, table *metrics.Table, prices cost.Prices) *cost.Estimator {
	memory, err := strconv.Atoi(os.Getenv("AWS_LAMBDA_FUNCTION_MEMORY_SIZE"))
	if err != nil || memory <= 0 {
		memory = defaultMemory
	}
	unset := c.RemoteWriteURL.Host == ""
	return &cost.Estimator{
		Prices: prices, Table: table, Schedule: c.Schedule.Interval(), Refresh: time.Duration(c.CacheRefreshInterval), Memory: memory,
		Calls: c.ECRRequestsPerSecond, Scans: c.ScanRequestsPerSecond, Metrics: customMetrics(c.CloudWatchMetrics, table),
		AMP: unset || c.RemoteWriteAuth == auth.SigV4, S3: unset || c.StateURL.Bucket != "",
	}
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
func forecasts(e cost.Estimator) func(*inventory.Registry, metrics.Push, int) (samples, dollars float64) {
	return func(registry *inventory.Registry, pushed metrics.Push, series int) (samples, dollars float64) {
		e.Pushed = pushed
		usage := e.Usage(registry, series, false)
		return usage.Samples, e.Prices.Bill(usage, e.AMP).Total()
	}
}

// readPrices returns the prices of the file that is named, else the list prices.
func (o *options) readPrices() (cost.Prices, error) {
	if o.prices == "" {
		return cost.ListPrices(), nil
	}
	return cost.LoadPrices(o.prices)
}

// runCost writes what a month costs: with -images for a typical registry of that size, without
// any request, else for the present registry, which it reads.
func runCost(ctx context.Context, o options, environ []string, stdout, stderr io.Writer) error {
	c, err := config.Load(environ, config.ToPrint)
	if err != nil {
		return err
	}
	prices, err := o.readPrices()
	if err != nil {
		return err
	}
	if o.images == notGiven {
		return costOfRegistry(ctx, c, o.brief, environ, prices, stdout, stderr)
	}
	table, err := metrics.New(c.Shape())
	if err != nil {
		return err
	}
	if o.inUse == notGiven {
		o.inUse = o.images / inUseShare
	}
	e := newEstimator(c, table, prices)
	both := e.Typical(o.images, o.inUse)
	if o.brief {
		e.WriteLine(stdout, o.images, both)
		return nil
	}
	fmt.Fprintf(stdout, "A typical registry of %s, %s of them in use.\n", quantity.Plural(o.images, "tagged image", "tagged images"), quantity.Grouped(o.inUse))
	e.WriteTable(stdout, both)
	return nil
}

// costOfRegistry reads the registry and writes what it costs. In brief it reads lists only, and
// forecasts a typical registry with as many images.
func costOfRegistry(ctx context.Context, c *config.Config, brief bool, environ []string, prices cost.Prices, stdout, stderr io.Writer) error {
	if brief {
		c.ScanSource, c.IndexScans = refresh.ScanNone, false
	}
	progress := newProgress(stderr)
	defer progress.clear()
	export, err := wire(ctx, c, wiring{log: newLogger(progress, c, environ, nil), print: true, laptop: progress})
	if err != nil {
		return err
	}
	summary, err := export.Print(ctx, io.Discard)
	progress.clear()
	if !useful(&summary, err) {
		return explain(c, err)
	}
	e := newEstimator(c, export.Table, prices)
	if brief {
		e.WriteLine(stdout, summary.TaggedImages, e.Typical(summary.TaggedImages, summary.TaggedImages/inUseShare))
		return explain(c, err)
	}
	fmt.Fprintf(stdout, "This registry of %s.\n", contents(&summary))
	e.WriteTable(stdout, costOf(e, export, &summary))
	return explain(c, err)
}

// costOf forecasts the registry of a run that printed it.
func costOf(e *cost.Estimator, export *exporter.Exporter, s *exporter.Summary) []cost.Forecast {
	e.Pushed = s.Push
	return e.Both(export.Registry())
}
