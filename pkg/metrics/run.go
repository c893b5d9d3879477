package metrics

import (
	"iter"
	"maps"
	"slices"
	"strings"
	"time"
)

// Run is what a run of the exporter did, for the families of RunFamilies.
//
// The maps say what is sent: a key with the value 0 gives a series with the value 0,
// a key that is missing none. Queries go on showing the last sample of a series that
// is no longer sent until their lookback is over, so the keys are best the same in
// every run.
type Run struct {
	// At is when the run began, the time of its samples.
	At time.Time
	// SucceededAt is At of the last run that succeeded, this one or an earlier one.
	// It is zero while none is known.
	SucceededAt time.Time
	// RefreshDuration is how long AWS was asked, 0 in a run in which nothing was
	// due. PushDuration is how long sending the other series took.
	RefreshDuration, PushDuration time.Duration
	// OldestRecord is the time of the oldest listing that the series rest on. It is
	// zero while some part of the registry was never listed.
	OldestRecord time.Time
	// RegistryID is the AWS account whose registry it is; empty while unknown.
	RegistryID string

	// Requests counts the requests to AWS by operation, each attempt one, and
	// Throttles those that AWS answered with a throttling error.
	Requests, Throttles map[string]int

	// What became of the series of the registry: Sent were accepted and Refused
	// were not. Of Unconfirmed the receiver's answer does not say whether they were
	// stored, and NotSent could not be delivered before the run had to end.
	Sent, Refused, Unconfirmed, NotSent int
	// Dropped counts by reason the series that a receiver would have refused, and
	// that were not sent for that.
	Dropped map[string]int
	// SentBytes is the size of the requests' bodies after compression, each
	// counted once, and Retries the number of attempts beyond the first of each.
	SentBytes int64
	Retries   int

	// Errors counts what failed, by stage of the run.
	Errors map[string]int

	// Version is the program's, GoVersion that of the Go release it was built with.
	Version, GoVersion string
}

// sample is the value of one series of a run.
type sample struct {
	value float64
	// labels are the values of the family's labels, in their order, without that of
	// registry_id, which all families of a run have.
	labels []string
}

var runLabels = []string{registryID}

const registryID = "registry_id"

// runTable are the families that tell of the run.
var runTable = []Family{
	{
		Name: "aws_ecr_exporter_last_success_timestamp_seconds", Help: "The unix timestamp of the last run that succeeded", Type: gauge,
		Labels: runLabels, Unit: "whole Unix seconds",
		run: known(func(r *Run) (float64, bool) { return float64(r.SucceededAt.Unix()), !r.SucceededAt.IsZero() }),
	},
	{
		Name: "aws_ecr_exporter_refresh_duration_seconds", Help: "How long AWS was asked for what was due in the last run", Type: gauge,
		Labels: runLabels, Unit: "seconds",
		run: one(func(r *Run) float64 { return r.RefreshDuration.Seconds() }),
	},
	{
		Name: "aws_ecr_exporter_push_duration_seconds", Help: "How long sending the series of the last run took", Type: gauge,
		Labels: runLabels, Unit: "seconds",
		run: one(func(r *Run) float64 { return r.PushDuration.Seconds() }),
	},
	{
		Name: "aws_ecr_exporter_oldest_record_age_seconds", Help: "The age of the oldest listing that the series of the last run rest on", Type: gauge,
		Labels: runLabels, Unit: "seconds; none while some repository was never listed",
		run: known(func(r *Run) (float64, bool) {
			// What was listed in this very run is younger than its samples.
			return max(0, r.At.Sub(r.OldestRecord).Seconds()), !r.OldestRecord.IsZero()
		}),
	},
	{
		Name: "aws_ecr_exporter_api_requests", Help: "Requests to AWS in the last run", Type: gauge,
		Labels: []string{"operation", registryID}, Unit: "requests, each attempt one",
		run: each(func(r *Run) map[string]int { return r.Requests }),
	},
	{
		Name: "aws_ecr_exporter_api_throttles", Help: "Requests of the last run that AWS throttled", Type: gauge,
		Labels: []string{"operation", registryID}, Unit: "requests",
		run: each(func(r *Run) map[string]int { return r.Throttles }),
	},
	{
		Name: "aws_ecr_exporter_series_sent", Help: "Series of the last run that the receiver accepted", Type: gauge,
		Labels: runLabels, Unit: "series",
		run: one(func(r *Run) float64 { return float64(r.Sent) }),
	},
	{
		Name: "aws_ecr_exporter_series_refused", Help: "Series of the last run that the receiver refused", Type: gauge,
		Labels: runLabels, Unit: "series",
		run: one(func(r *Run) float64 { return float64(r.Refused) }),
	},
	{
		Name: "aws_ecr_exporter_series_unconfirmed", Help: "Series of the last run that the receiver may or may not have stored", Type: gauge,
		Labels: runLabels, Unit: "series in requests that were answered with an error which may be about a part of them",
		run: one(func(r *Run) float64 { return float64(r.Unconfirmed) }),
	},
	{
		Name: "aws_ecr_exporter_series_not_sent", Help: "Series that could not be delivered before the end of the last run", Type: gauge,
		Labels: runLabels, Unit: "series",
		run: one(func(r *Run) float64 { return float64(r.NotSent) }),
	},
	{
		Name: "aws_ecr_exporter_series_dropped", Help: "Series of the last run that were not sent because a receiver would refuse them", Type: gauge,
		Labels: []string{"reason", registryID}, Unit: "series",
		run: each(func(r *Run) map[string]int { return r.Dropped }),
	},
	{
		Name: "aws_ecr_exporter_sent_bytes", Help: "The size of the requests to the receiver in the last run", Type: gauge,
		Labels: runLabels, Unit: "bytes, compressed",
		run: one(func(r *Run) float64 { return float64(r.SentBytes) }),
	},
	{
		Name: "aws_ecr_exporter_send_retries", Help: "Requests to the receiver that were made again in the last run", Type: gauge,
		Labels: runLabels, Unit: "attempts beyond the first",
		run: one(func(r *Run) float64 { return float64(r.Retries) }),
	},
	{
		Name: "aws_ecr_exporter_errors", Help: "What failed in the last run", Type: gauge,
		Labels: []string{registryID, "stage"}, Unit: "errors by stage of the run",
		run: each(func(r *Run) map[string]int { return r.Errors }),
	},
	{
		Name: "aws_ecr_exporter_build_info", Help: "The version of the exporter that made the last run, and of Go", Type: gauge,
		Labels: []string{"goversion", registryID, "version"}, Unit: "always 1",
		run: func(r *Run) []sample { return []sample{{value: 1, labels: []string{r.GoVersion, r.Version}}} },
	},
}

// one is for a family with one series.
func one(value func(*Run) float64) func(*Run) []sample {
	return func(r *Run) []sample { return []sample{{value: value(r)}} }
}

// known is for a family with one series, or none where the value is not known.
func known(value func(*Run) (float64, bool)) func(*Run) []sample {
	return func(r *Run) []sample {
		if v, ok := value(r); ok {
			return []sample{{value: v}}
		}
		return nil
	}
}

// each is for a family with one series a key, in the keys' order.
func each(counts func(*Run) map[string]int) func(*Run) []sample {
	return func(r *Run) []sample {
		count := counts(r)
		samples := make([]sample, 0, len(count))
		for _, key := range slices.Sorted(maps.Keys(count)) {
			samples = append(samples, sample{value: float64(count[key]), labels: []string{key}})
		}
		return samples
	}
}

// RunFamilies returns the families that tell of a run of the exporter, in their
// order. OfRun yields their series. All has none of them, as OfRun has none of
// Families, so that a selection from both may be given to either.
func RunFamilies() []*Family {
	rows := slices.Clone(runTable)
	list := make([]*Family, len(rows))
	for i := range rows {
		rows[i].value = func(*subject) (float64, bool) { return 0, false }
		list[i] = &rows[i]
	}
	return list
}

// OfRun yields the series of a run, family by family in the order given, and within
// a family by the values of its labels. External labels are put on each as All does
// it. A label without a value, such as registry_id before the registry is known, is
// left out. Other than what All yields, the series stay valid.
func OfRun(run Run, families []*Family, external []Label) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		for _, family := range families {
			if family.run == nil {
				continue
			}
			for _, s := range family.run(&run) {
				if !yield(Series{Family: family, Labels: runSeriesLabels(family, &run, s.labels, external), Value: s.value}) {
					return
				}
			}
		}
	}
}

// runSeriesLabels returns the labels of one series, sorted by name.
func runSeriesLabels(family *Family, run *Run, values []string, external []Label) []Label {
	labels := []Label{{nameLabel, family.Name}}
	for _, name := range family.Labels {
		value := run.RegistryID
		if name != registryID {
			value, values = values[0], values[1:]
		}
		if value != "" {
			labels = append(labels, Label{name, value})
		}
	}
	for _, label := range external {
		if !slices.Contains(family.Labels, label.Name) {
			labels = append(labels, label)
		}
	}
	slices.SortFunc(labels, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return labels
}
