// Package cost forecasts what the function costs a month, before anyone pays it: series to
// samples, samples and everything else that AWS bills to dollars. It counts the series by
// walking the family table over an inventory, and calls nothing. What was measured and what
// is modelled is in docs/cost.md.
package cost

import (
	"math"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// Month is the month that everything is forecast for.
const Month = 30 * 24 * time.Hour

// Estimator forecasts what a function costs that runs with these settings.
type Estimator struct {
	Prices Prices
	Table  *metrics.Table
	// Schedule is the time between two runs, Refresh that between two listings of a repository.
	Schedule, Refresh time.Duration
	// Memory is that of the function, in MB.
	Memory int
	// Calls is the rate limit of an operation of ECR, Scans that of scan results, a second.
	Calls, Scans float64
	// Metrics is the number of custom metrics that the function has in CloudWatch.
	Metrics int
	// OneOfMany is set if the function reads many registries: what they share counts for none.
	OneOfMany bool
	// AMP is set if the samples go to Amazon Managed Service for Prometheus, S3 if the state is
	// kept there.
	AMP, S3 bool
	// Pushed is a push of the registry's series, by which requests are forecast; without one it
	// is a typical push.
	Pushed metrics.Push
	// Select, if set, marks what has no series in a registry with IDLE_IMAGES=push
	// or, if never is set, with never.
	Select func(registry *inventory.Registry, never bool)
}

// Count is the number of series of a family.
type Count struct {
	Family *metrics.Family
	Series int
}

// Forecast is a month with one setting of IDLE_IMAGES.
type Forecast struct {
	// Counts are by family, and RunSeries those of the run metrics. Series is the sum.
	Counts            []Count
	RunSeries, Series int
	Usage             Usage
	Bill              Bill
	// Scraped is AMP's bill for the same series from a pod that is scraped every 60 seconds.
	Scraped Bill
}

// forecast forecasts a month for a registry as it is marked.
func (e *Estimator) forecast(registry *inventory.Registry, never bool) Forecast {
	of := map[*metrics.Family]int{}
	for series := range e.Table.ByRepository(registry, metrics.Options{At: time.Now()}) {
		of[series.Family]++
	}
	var f Forecast
	for _, family := range e.Table.Families() {
		f.Counts = append(f.Counts, Count{family, of[family]})
		f.Series += of[family]
	}
	for range e.Table.OfRun(typicalRun) {
		f.RunSeries++
	}
	f.Series += f.RunSeries
	f.Usage = e.Usage(registry, f.Series, never)
	f.Bill = e.Prices.Bill(f.Usage, e.AMP)
	f.Scraped = e.Prices.Bill(Usage{Samples: float64(f.Series) * Month.Minutes()}, e.AMP)
	return f
}

// What a month is forecast by. CPU and bytes are measured (docs/performance.md, docs/cost.md),
// waiting and the size of logs are modelled.
const (
	cpuOfSeries  = 20.5 / 51_000 / 1000 // seconds: a warm run that only pushes 51,000 series takes 20.5 ms
	memoryOfCPU  = 1769                 // MB at which a function has one processor: https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html
	maxSeries    = 5000                 // of a request, the default of REMOTE_WRITE_MAX_SERIES
	maxBytes     = 900_000              // of a request, the default of REMOTE_WRITE_MAX_BYTES
	concurrent   = 4                    // requests, the default of REMOTE_WRITE_CONCURRENCY
	waitForWrite = 0.05                 // seconds for a response of the receiver
	waitForState = 0.04                 // seconds for two reads that say that nothing has changed
	eventRun     = 0.4                  // seconds of a run for an event: two calls, a save, a push
	logOfRun     = 1900                 // bytes: the summary, and Lambda's own three lines
	logOfMetric  = 80
	page         = 1000 // images of DescribeImages
	containers   = 1    // that the query finds for an image in use: some have more, some none
	pollers      = 5    // of Lambda at an empty queue, each waiting 20 seconds: 3 requests a minute
	ofEvent      = 3    // requests to SQS for the message of an event: it is sent, received and deleted
	ofTurn       = 2.1  // for that of a run of one of many registries: ten are sent at once
)

var polls = pollers * Month.Seconds() / 20

// Usage forecasts what a month uses if each run pushes so many series and, with never, asks the
// store what runs. It goes through the registry's images.
func (e *Estimator) Usage(registry *inventory.Registry, series int, never bool) Usage {
	r := e.reading(registry)
	runs, refreshes := Month.Seconds()/e.Schedule.Seconds(), Month.Seconds()/max(e.Refresh, e.Schedule).Seconds()
	n := float64(series)
	processor := max(1, memoryOfCPU/float64(e.Memory))
	push := e.Pushed
	if push.Series == 0 {
		push = typicalPush
	}
	raw, compressed := float64(push.BytesRaw)/float64(push.Series), float64(push.BytesCompressed)/float64(push.Series)
	requests := max(1, math.Ceil(n/min(maxSeries, maxBytes/raw))) + 1 // that of the run metrics
	run := n*cpuOfSeries*processor + waitForState + math.Ceil(requests/concurrent)*waitForWrite + waitForWrite
	seriesOfEvent := n / max(1, r.repositories)
	found := 0.0
	if never {
		run += waitForWrite
		found = r.shown * containers
	}

	u := Usage{
		Samples:      n*runs + r.events*seriesOfEvent,
		Bytes:        (n*runs + r.events*seriesOfEvent) * compressed,
		QuerySamples: found * runs,
		Requests:     requests*runs + r.events,
		Invocations:  runs + r.events,
		Metrics:      float64(e.Metrics),
		LogBytes:     (runs+r.events)*logOfRun + runs*float64(e.Metrics)*logOfMetric,
	}
	u.GBSeconds = (runs*run + r.events*eventRun + refreshes*r.pages/e.Calls + r.scans/e.Scans) * float64(e.Memory) / 1024
	if e.S3 {
		// Repositories are listed at times of their own, so that nearly every run lists some.
		// It saves the inventory and empties the changes.
		lists := 1 - math.Pow(max(0, 1-e.Schedule.Seconds()/e.Refresh.Seconds()), r.repositories)
		u.Puts = 2*runs*lists + r.events
		u.Gets = 2 * u.Invocations
	}
	u.Messages = ofEvent * r.events
	if e.OneOfMany {
		u.Messages, u.Metrics = u.Messages+ofTurn*runs, 0
	} else {
		u.Messages += polls
	}
	return u
}

// reading is what keeping a registry up to date takes a month.
type reading struct{ repositories, pages, scans, events, shown float64 }

func (e *Estimator) reading(registry *inventory.Registry) (r reading) {
	since := inventory.TimeOf(time.Now().Add(-Month))
	for _, repository := range registry.Repositories {
		if repository.Excluded {
			continue
		}
		r.repositories++
		listed := len(repository.Images) + repository.Rest.Untagged.Images + repository.Rest.Archived.Images
		r.pages += math.Ceil(max(1, float64(listed)) / page)
		for i := range repository.Images {
			image := &repository.Images[i]
			if image.Tagged() && image.HasSeries() {
				r.shown++
			}
			scanned := image.Scan != nil && !image.IsIndex() // an index has the sum of its children's
			if scanned && registry.ScanSource == inventory.ScansFromFindings {
				r.scans += Month.Hours() / 24 // once a day
			}
			if image.PushedAt >= since {
				r.events += 2 // an older one is deleted for it
				if scanned {
					r.events++
				}
			}
		}
	}
	return r
}

// typicalPush is a push of the simulated registry of 2026 by remote write 1.0.
var typicalPush = metrics.Push{Series: 1, BytesRaw: 300, BytesCompressed: 35}

// typicalRun is a run that has a series of each run family for each value of its label.
var typicalRun = metrics.Run{
	SamplesPerMonth: 1, CostDollars: 1, At: time.Unix(1, 0), SucceededAt: time.Unix(1, 0), OldestRecord: time.Unix(1, 0), RegistryID: "0", Version: "0", GoVersion: "0",
	Requests: keys(6), Throttles: keys(6), UnreadIndexes: keys(len(inventory.IndexReasons) + 1), Errors: keys(4), // operations, operations, reasons, steps
	Push: metrics.Push{Dropped: keys(9)}, // reasons
}

func keys(n int) map[string]int {
	m := map[string]int{}
	for i := range n {
		m[string(rune('a'+i))] = 0
	}
	return m
}
