package exporter

import (
	"math"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
)

// Summary is what one run did. It is logged as one line and returned to who
// invoked the function. All durations are in seconds.
type Summary struct {
	// Timestamp is that of every sample of the run.
	Timestamp time.Time `json:"timestamp"`

	// What the inventory holds after the run.
	Registry     string `json:"registry"`
	Repositories int    `json:"repositories"`
	Images       int    `json:"images"`
	TaggedImages int    `json:"taggedImages"`

	// What became of the repositories that were due.
	Due       int `json:"due"`
	Refreshed int `json:"refreshed"`
	Gone      int `json:"gone"`
	Denied    int `json:"denied"`
	Failed    int `json:"failed"`
	Left      int `json:"left"`
	// Scans says what became of the scan results that were due.
	Scans Scans `json:"scans"`
	// Notices says what events came to, in a run for events.
	Notices *Notices `json:"notices,omitempty"`
	// OldestRecordAge is the age of the oldest listing the series rest on;
	// absent while some repository was never listed.
	OldestRecordAge *float64 `json:"oldestRecordAgeSeconds,omitempty"`

	// What became of the series:
	// Series = Accepted + Dropped + Refused + Unconfirmed + NotSent (see
	// metrics.Push). Ended are those among them that are staleness markers.
	Series      int            `json:"series"`
	Ended       int            `json:"ended"`
	Accepted    int            `json:"accepted"`
	Dropped     map[string]int `json:"dropped,omitempty"`
	Refused     int            `json:"refused"`
	Unconfirmed int            `json:"unconfirmed"`
	NotSent     int            `json:"notSent"`

	// Protocol is the remote-write protocol that was spoken.
	Protocol        string `json:"protocol,omitempty"`
	Batches         int    `json:"batches"`
	Bytes           int64  `json:"bytes"`
	BytesCompressed int64  `json:"bytesCompressed"`
	Retries         int    `json:"retries"`
	// Cost is what pushing comes to, in a dry run.
	Cost *Cost `json:"cost,omitempty"`

	// Calls counts requests to AWS by operation, Throttles those answered with
	// a throttling error.
	Calls     map[string]int `json:"calls"`
	Throttles map[string]int `json:"throttles,omitempty"`

	Durations map[string]float64 `json:"durationsSeconds"`
	// Errors are what failed, by step. Those of refresh and push have failed the
	// invocation; without load and save it goes on in memory.
	Errors map[string]string `json:"errors,omitempty"`
}

// Cost is what pushing the series that were printed comes to. The few of the run
// itself are not in it.
type Cost struct {
	// Series is the number of series, of which each push sends one sample.
	Series int `json:"series"`
	// SamplesPerMonth are those of a month of 30 days with runs at the schedule.
	SamplesPerMonth int64 `json:"samplesPerMonth"`
	// BytesPerPush is the size of all requests' bodies, compressed as they are
	// sent, and BytesPerMonth that of a month.
	BytesPerPush  int64 `json:"bytesPerPush"`
	BytesPerMonth int64 `json:"bytesPerMonth"`
	// Schedule is the time between two runs, in seconds.
	Schedule float64 `json:"scheduleSeconds"`
}

func costOf(report metrics.Push, schedule time.Duration) *Cost {
	cost := &Cost{Series: report.Series - report.DroppedTotal(), BytesPerPush: report.BytesCompressed, Schedule: seconds(schedule)}
	if schedule > 0 {
		pushes := float64(30*24*time.Hour) / float64(schedule)
		cost.SamplesPerMonth = int64(math.Round(pushes * float64(cost.Series)))
		cost.BytesPerMonth = int64(math.Round(pushes * float64(cost.BytesPerPush)))
	}
	return cost
}

// Scans is the part of a Summary about scan results.
type Scans struct {
	// Source is where they come from.
	Source   string `json:"source"`
	Due      int    `json:"due"`
	Answered int    `json:"answered"`
	Failed   int    `json:"failed"`
	Left     int    `json:"left"`
	// Pending is the number of images without a final answer.
	Pending int `json:"pending"`
}

// Notices is the part of a Summary about events.
type Notices struct {
	Repositories []string `json:"repositories"`
	// Ignored counts events that told of what was known.
	Ignored int `json:"ignored"`
}

// steps collects what the steps of a run say of themselves.
type steps struct {
	begun     time.Time
	at        time.Time // the samples' timestamp
	refreshed refresh.NoticeResult
	pushed    metrics.Push
	ended     int
	cost      *Cost
	calls     map[string]int // requests to AWS by operation
	throttles map[string]int
	durations map[string]float64
	failed    map[string]string
	errs      []error
}

// do makes one step and notes how long it took and whether it failed, which fails
// the run.
func (s *steps) do(name string, step func() error) {
	s.try(name, step, func(err error) { s.errs = append(s.errs, err) })
}

// try makes one step whose failure is for failed to judge.
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

		Due:       s.refreshed.Due,
		Refreshed: s.refreshed.Refreshed,
		Gone:      s.refreshed.Gone,
		Denied:    s.refreshed.Denied,
		Failed:    s.refreshed.Failed,
		Left:      s.refreshed.Left,

		Scans: Scans{
			Source:   registry.ScanSource,
			Due:      s.refreshed.Scans.Due,
			Answered: s.refreshed.Scans.Answered,
			Failed:   s.refreshed.Scans.Failed,
			Left:     s.refreshed.Scans.Left,
			Pending:  registry.ScansPending,
		},

		Series:      s.pushed.Series,
		Ended:       s.ended,
		Accepted:    s.pushed.Accepted,
		Dropped:     s.pushed.Dropped,
		Refused:     s.pushed.Refused,
		Unconfirmed: s.pushed.Unconfirmed,
		NotSent:     s.pushed.NotSent,

		Protocol:        s.pushed.Protocol,
		Batches:         s.pushed.Batches,
		Bytes:           s.pushed.BytesRaw,
		BytesCompressed: s.pushed.BytesCompressed,
		Retries:         s.pushed.Retries,
		Cost:            s.cost,

		Calls:     s.calls,
		Throttles: s.throttles,
		Durations: s.durations,
		Errors:    s.failed,
	}
	if s.refreshed.Repositories != nil {
		summary.Notices = &Notices{s.refreshed.Repositories, s.refreshed.Ignored}
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
