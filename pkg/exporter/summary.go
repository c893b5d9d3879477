package exporter

import (
	"math"
	"slices"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// Summary is what one run did. It is logged as one line and returned to who invoked the
// function. All durations are in seconds.
type Summary struct {
	// Timestamp is that of every sample of the run.
	Timestamp time.Time `json:"timestamp"`

	// What the inventory holds after the run.
	Registry     string `json:"registry"`
	Repositories int    `json:"repositories"`
	Images       int    `json:"images"`
	TaggedImages int    `json:"taggedImages"`
	// OldestRecordAge is the age of the oldest listing that the series rest on; absent
	// while some repository was never listed.
	OldestRecordAge *float64 `json:"oldestRecordAgeSeconds,omitempty"`

	// What became of the repositories and scans that were due.
	refresh.Result
	Scans Scans `json:"scans"`
	// Events is what events came to, in a run for events.
	Events *Events `json:"events,omitempty"`

	// What became of the series. Ended are those among them that are staleness markers.
	metrics.Push
	Ended int `json:"ended"`

	// Calls counts requests to AWS by operation, Throttles those answered with a
	// throttling error.
	Calls     map[string]int `json:"calls"`
	Throttles map[string]int `json:"throttles,omitempty"`

	Durations map[string]float64 `json:"durationsSeconds"`
	// Errors are what failed, by step. Those of refresh and push fail the invocation;
	// without load and save it goes on in memory.
	Errors map[string]string `json:"errors,omitempty"`
}

// Scans is the part of a Summary about scan results.
type Scans struct {
	// Source is where they come from.
	Source string `json:"source"`
	refresh.ScanResult
	// Pending is the number of images without a final result.
	Pending int `json:"pending"`
}

// Events is the part of a Summary about events.
type Events struct {
	Repositories []string `json:"repositories"`
	// Missing are those of Repositories that the registry does not have. One that could not
	// be read is not among them.
	Missing []string `json:"missing,omitempty"`
	// Ignored counts events that reported nothing new.
	Ignored int `json:"ignored"`
}

// steps collects the results of a run's steps.
type steps struct {
	begun     time.Time
	at        time.Time // the samples' timestamp
	refreshed refresh.EventResult
	pushed    metrics.Push
	lags      map[string]int // how late the push showed changes, in seconds by kind
	ramped    int            // images that the push leaves out for now, since it grows too much
	calls     map[string]int // requests to AWS by operation
	throttles map[string]int
	durations map[string]float64
	failed    map[string]string
	errs      []error
}

// do makes one step, whose failure fails the run.
func (s *steps) do(name string, step func() error) {
	s.try(name, step, func(err error) { s.errs = append(s.errs, err) })
}

// try makes one step, records how long it took and whether it failed, and passes its error
// to failed.
func (s *steps) try(name string, step func() error, failed func(error)) {
	if s.durations == nil {
		s.durations, s.failed = map[string]float64{}, map[string]string{}
	}
	start := time.Now()
	err := step()
	s.durations[name] = seconds(time.Since(start))
	if err != nil {
		s.failed[name] = err.Error()
		failed(err)
	}
}

// took is how long a step took.
func (s *steps) took(name string) time.Duration {
	return time.Duration(s.durations[name] * float64(time.Second))
}

func (s *steps) summary(registry *inventory.Registry) Summary {
	all, tagged := registry.ImageCount()
	summary := Summary{
		Timestamp: s.at,

		Registry:     registry.ID,
		Repositories: len(registry.Repositories),
		Images:       all,
		TaggedImages: tagged,

		Result: s.refreshed.Result,
		Scans:  Scans{Source: registry.ScanSource, ScanResult: s.refreshed.Scans, Pending: registry.ScansPending},

		Push:  s.pushed,
		Ended: s.pushed.Markers.Series,

		Calls:     s.calls,
		Throttles: s.throttles,
		Durations: s.durations,
		Errors:    s.failed,
	}
	if s.refreshed.Repositories != nil {
		summary.Events = &Events{Repositories: s.refreshed.Repositories, Ignored: s.refreshed.Ignored}
		for _, name := range s.refreshed.Repositories {
			if registry.Find(name) == nil && !slices.Contains(registry.DueNames, name) {
				summary.Events.Missing = append(summary.Events.Missing, name)
			}
		}
	}
	if oldest := registry.OldestRead(); !oldest.IsZero() {
		age := seconds(s.at.Sub(oldest.Time()))
		summary.OldestRecordAge = &age
	}
	s.durations["total"] = seconds(time.Since(s.begun))
	return summary
}

// seconds are rounded to milliseconds: the rest is noise in a log line.
func seconds(d time.Duration) float64 { return math.Round(d.Seconds()*1000) / 1000 }
