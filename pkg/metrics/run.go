package metrics

import (
	"iter"
	"maps"
	"slices"
	"time"
)

// Run is what a run of the exporter did, for the families of RunFamilies.
//
// The maps decide what is sent: a key with the value 0 gives a series with the value 0, a
// missing key none. Queries go on showing the last sample of a series that is no longer
// sent until their lookback is over, so the keys should be the same in every run.
type Run struct {
	// At is when the run began, the time of its samples.
	At time.Time
	// SucceededAt is At of the last run that succeeded, this one or an earlier one;
	// zero if unknown.
	SucceededAt time.Time
	// RefreshDuration is how long AWS was called, 0 in a run in which nothing was due.
	// PushDuration is how long sending the other series took.
	RefreshDuration, PushDuration time.Duration
	// OldestRecord is the time of the oldest listing that the series rest on; zero
	// while some part of the registry was never listed.
	OldestRecord time.Time
	// RegistryID is the AWS account of the registry; empty while unknown.
	RegistryID string

	// Partial is set for a run for events, which sends the families that are Partial only.
	Partial bool
	// Lags are the longest times, in whole seconds, that changes of the registry took to be
	// shown, by the kind of change. A kind of which the run showed none is missing.
	Lags map[string]int

	// Requests counts the requests to AWS by operation, each attempt one, and
	// Throttles those that AWS answered with a throttling error.
	Requests, Throttles map[string]int
	// UnreadIndexes counts the indexes whose children are not known, by why these are not read.
	UnreadIndexes map[string]int
	// AsksWhatRuns is set if idle images have no series, and RunningAt is At of the last run in
	// which the store said what runs; zero means never.
	AsksWhatRuns bool
	RunningAt    time.Time
	// Withheld counts the images that have no series at present, by why.
	Withheld map[string]int
	// IsTarget is set if the registry is one of many of a deployment, and Read if nothing failed in
	// reading what was due of it.
	IsTarget, Read bool
	// Push is what became of the registry's series. Its Dropped counts by reason.
	Push Push
	// Errors counts what failed, by stage of the run.
	Errors map[string]int
	// SamplesPerMonth and CostDollars are what a month of 30 days of such runs sends and
	// costs (see pkg/cost); 0 if it is unknown.
	SamplesPerMonth, CostDollars float64

	// Version is the program's, GoVersion that of the Go release it was built with.
	Version, GoVersion string
}

// The labels of the families of a run.
var (
	runLabels = with(regionLabels, label{registryID, func(s *subject) string { return s.run.RegistryID }})
	keyLabel  = func(name string) []label {
		return with(runLabels, label{name, func(s *subject) string { return s.key }})
	}
)

// one is for a family with one series a run.
func one(value func(*Run) float64) func(*subject) (float64, bool) {
	return func(s *subject) (float64, bool) { return value(s.run), true }
}

func zeroOrOne(is bool) float64 {
	if is {
		return 1
	}
	return 0
}

// runTable are the families about the run.
var runTable = []Family{
	{
		Name: "aws_ecr_exporter_last_success_timestamp_seconds", Help: "The unix timestamp of the last run that succeeded", Type: gauge,
		Unit: "whole Unix seconds", labels: runLabels,
		value: func(s *subject) (float64, bool) {
			return float64(s.run.SucceededAt.Unix()), !s.run.SucceededAt.IsZero()
		},
	},
	{
		Name: "aws_ecr_exporter_refresh_duration_seconds", Help: "How long AWS was called for what was due in the last run", Type: gauge,
		Unit: "seconds", labels: runLabels,
		value: one(func(r *Run) float64 { return r.RefreshDuration.Seconds() }),
	},
	{
		Name: "aws_ecr_exporter_push_duration_seconds", Help: "How long sending the series of the last run took", Type: gauge,
		Unit: "seconds", labels: runLabels,
		value: one(func(r *Run) float64 { return r.PushDuration.Seconds() }),
	},
	{
		Name: "aws_ecr_exporter_oldest_record_age_seconds", Help: "The age of the oldest listing that the series of the last run rest on", Type: gauge,
		Unit: "seconds; none while some repository was never listed", Alarm: true, labels: runLabels,
		value: func(s *subject) (float64, bool) {
			// What was listed in this very run is younger than its samples.
			return max(0, s.run.At.Sub(s.run.OldestRecord).Seconds()), !s.run.OldestRecord.IsZero()
		},
	},
	{
		Name: "aws_ecr_exporter_lag_seconds", Help: "The longest time from a change in the registry until the receiver had it, of the changes that the last run showed first", Type: gauge,
		Unit:    "whole seconds by change, see [promises](promises.md); none if there was no such change, so ask with `max_over_time`",
		Partial: true, labels: keyLabel("change"),
		counts: func(r *Run) map[string]int { return r.Lags },
	},
	{
		Name: "aws_ecr_exporter_api_requests", Help: "Requests to AWS in the last run", Type: gauge,
		Unit: "requests, each attempt one", labels: keyLabel("operation"),
		counts: func(r *Run) map[string]int { return r.Requests },
	},
	{
		Name: "aws_ecr_exporter_api_throttles", Help: "Requests of the last run that AWS throttled", Type: gauge,
		Unit: "requests", labels: keyLabel("operation"),
		counts: func(r *Run) map[string]int { return r.Throttles },
	},
	{
		Name: "aws_ecr_exporter_indexes_unread", Help: "Multi-architecture images whose platforms were not known in the last run, so that they have no scan results", Type: gauge,
		Unit: "images by reason; `pending` if the next runs read them", labels: keyLabel("reason"),
		counts: func(r *Run) map[string]int { return r.UnreadIndexes },
	},
	{
		Name: "aws_ecr_exporter_in_use_query_success", Help: "Whether the store said in the last run which images run", Type: gauge,
		Unit: "1 or 0; only with `IDLE_IMAGES=never`", labels: runLabels,
		value: func(s *subject) (float64, bool) {
			if s.run.RunningAt.Equal(s.run.At) {
				return 1, s.run.AsksWhatRuns
			}
			return 0, s.run.AsksWhatRuns
		},
	},
	{
		Name: "aws_ecr_exporter_in_use_query_success_timestamp_seconds", Help: "The unix timestamp of the last run in which the store said which images run; without one for 24 hours all images count as in use", Type: gauge,
		Unit: "whole Unix seconds; only with `IDLE_IMAGES=never`", labels: runLabels,
		value: func(s *subject) (float64, bool) {
			return float64(s.run.RunningAt.Unix()), s.run.AsksWhatRuns && !s.run.RunningAt.IsZero()
		},
	},
	{
		Name: "aws_ecr_exporter_images_withheld", Help: "Images that had no series in the last run, though the settings select them", Type: gauge,
		Unit: "images by reason: `idle` with `IDLE_IMAGES=never`, `ramp` for an AMP workspace", labels: keyLabel("reason"),
		counts: func(r *Run) map[string]int { return r.Withheld },
	},
	{
		Name: "aws_ecr_exporter_series_sent", Help: "Series of the last run that the receiver accepted", Type: gauge,
		Unit: "series", labels: runLabels,
		value: one(func(r *Run) float64 { return float64(r.Push.Accepted) }),
	},
	{
		Name: "aws_ecr_exporter_series_refused", Help: "Series of the last run that the receiver refused", Type: gauge,
		Unit: "series", labels: runLabels,
		value: one(func(r *Run) float64 { return float64(r.Push.Refused) }),
	},
	{
		Name: "aws_ecr_exporter_series_unconfirmed", Help: "Series of the last run that the receiver may or may not have stored", Type: gauge,
		Unit: "series in requests without a final response, or whose response does not say what was stored", labels: runLabels,
		value: one(func(r *Run) float64 { return float64(r.Push.Unconfirmed) }),
	},
	{
		Name: "aws_ecr_exporter_series_not_sent", Help: "Series that could not be sent before the end of the last run", Type: gauge,
		Unit: "series of which nothing was written to a connection", Alarm: true, labels: runLabels,
		value: one(func(r *Run) float64 { return float64(r.Push.NotSent) }),
	},
	{
		Name: "aws_ecr_exporter_series_dropped", Help: "Series of the last run that were not sent because a receiver would refuse them", Type: gauge,
		Unit: "series", labels: keyLabel("reason"),
		counts: func(r *Run) map[string]int { return r.Push.Dropped },
	},
	{
		Name: "aws_ecr_exporter_sent_bytes", Help: "The size of the requests to the receiver in the last run", Type: gauge,
		Unit: "bytes, compressed, without retries", labels: runLabels,
		value: one(func(r *Run) float64 { return float64(r.Push.BytesCompressed) }),
	},
	{
		Name: "aws_ecr_exporter_send_retries", Help: "Requests to the receiver that were repeated in the last run", Type: gauge,
		Unit: "attempts beyond the first", labels: runLabels,
		value: one(func(r *Run) float64 { return float64(r.Push.Retries) }),
	},
	{
		Name: "aws_ecr_exporter_errors", Help: "What failed in the last run", Type: gauge,
		Unit: "errors by stage of the run", Alarm: true, labels: keyLabel("stage"),
		counts: func(r *Run) map[string]int { return r.Errors },
	},
	{
		Name: "aws_ecr_exporter_samples_per_month", Help: "Samples that a month of runs like the last run sends", Type: gauge,
		Unit: "samples in 30 days, a forecast", labels: runLabels,
		value: func(s *subject) (float64, bool) { return s.run.SamplesPerMonth, s.run.SamplesPerMonth > 0 },
	},
	{
		Name: "aws_ecr_exporter_estimated_cost_dollars", Help: "What AWS bills for a month of runs like the last run, at list prices", Type: gauge,
		Unit: "US dollars in 30 days, a forecast: see [cost](cost.md)", labels: runLabels,
		value: func(s *subject) (float64, bool) { return s.run.CostDollars, s.run.CostDollars > 0 },
	},
	{
		Name: "aws_ecr_exporter_target_up", Help: "Whether all that was due of the registry could be read in its last run", Type: gauge,
		Unit: "1 or 0", Setting: "TARGETS", labels: runLabels,
		value: func(s *subject) (float64, bool) { return zeroOrOne(s.run.Read), s.run.IsTarget },
	},
	{
		Name: "aws_ecr_exporter_target_last_success_timestamp_seconds", Help: "The unix timestamp of the last run of the registry that succeeded", Type: gauge,
		Unit: "whole Unix seconds", Setting: "TARGETS", labels: runLabels,
		value: func(s *subject) (float64, bool) {
			return float64(s.run.SucceededAt.Unix()), s.run.IsTarget && !s.run.SucceededAt.IsZero()
		},
	},
	{
		Name: "aws_ecr_exporter_target_rate_exceeded", Help: "Whether the push of the last run was faster than the registry's share of the endpoint's rate, because it would have been late", Type: gauge,
		Unit: "1 or 0", Setting: "TARGETS", labels: runLabels,
		value: func(s *subject) (float64, bool) { return zeroOrOne(s.run.Push.RateExceeded), s.run.IsTarget },
	},
	{
		Name: "aws_ecr_exporter_build_info", Help: "The version of the exporter that made the last run, and of Go", Type: gauge,
		Unit: "always 1",
		labels: with(runLabels,
			label{"goversion", func(s *subject) string { return s.run.GoVersion }},
			label{"version", func(s *subject) string { return s.run.Version }},
		),
		value: always,
	},
}

// RunFamilies returns the families about a run of the exporter, in their order.
func RunFamilies() []*Family { return pointers(runTable) }

// OfRun yields the series of a run, family by family, and within a family by the value of
// its own label. A label without a value, such as registry_id before the registry is
// known, is left out. Unlike what All yields, the series stay valid.
func (t *Table) OfRun(run Run) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		s := &subject{run: &run, shape: &t.shape}
		for _, family := range t.run {
			if run.Partial && !family.Partial {
				continue
			}
			f := t.form(family)
			emit := func(value float64) bool {
				labels := slices.Clone(f.Labels)
				for i, of := range f.values {
					if of != nil {
						labels[i].Value = of(s)
					}
				}
				labels = slices.DeleteFunc(labels, func(l Label) bool { return l.Value == "" })
				return yield(Series{Family: family, Labels: labels, Value: value})
			}
			if family.counts == nil {
				if value, ok := family.value(s); ok && !emit(value) {
					return
				}
				continue
			}
			counts := family.counts(&run)
			for _, s.key = range slices.Sorted(maps.Keys(counts)) {
				if !emit(float64(counts[s.key])) {
					return
				}
			}
		}
	}
}
