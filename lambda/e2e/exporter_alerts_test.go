package e2e

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// TestExporterAlerts follows README's rules about the exporter over two hours of
// runs, of which some go wrong: which of them fire, and that one bad run is none of
// their business.
func TestExporterAlerts(t *testing.T) {
	t.Parallel()
	const (
		every  = 2 * time.Minute
		length = 2 * time.Hour
	)
	lasting := func(change func(*metrics.Run)) func(int, *metrics.Run) {
		return func(_ int, run *metrics.Run) { change(run) }
	}
	once := func(change func(*metrics.Run)) func(int, *metrics.Run) {
		return func(n int, run *metrics.Run) {
			if n == 30 {
				change(run)
			}
		}
	}
	dropped := func(run *metrics.Run) { run.Dropped["label_value_too_long"] = 3 }
	lost := func(run *metrics.Run) { run.Unconfirmed = 10 }
	for name, c := range map[string]struct {
		run func(n int, run *metrics.Run) // nil: no more runs after the first hour
		// firing are the rules that fire at the end.
		firing []string
	}{
		"all is well":              {lasting(func(*metrics.Run) {}), nil},
		"stopped":                  {nil, []string{"EcrExporterNotSucceeding"}},
		"no success":               {lasting(func(run *metrics.Run) { run.SucceededAt = start }), []string{"EcrExporterNotSucceeding"}},
		"dropped in every run":     {lasting(dropped), []string{"EcrExporterSeriesDropped"}},
		"dropped once":             {once(dropped), nil},
		"unconfirmed in every run": {lasting(lost), []string{"EcrExporterSeriesLost"}},
		"unconfirmed once":         {once(lost), nil},
		"not sent in every run":    {lasting(func(run *metrics.Run) { run.NotSent = 1 }), []string{"EcrExporterSeriesLost"}},
		"throttled":                {lasting(func(run *metrics.Run) { run.Throttles["DescribeImages"] = 30 }), []string{"EcrExporterThrottled"}},
		"throttled once":           {once(func(run *metrics.Run) { run.Throttles["DescribeImages"] = 30 }), nil},
		"old":                      {lasting(func(run *metrics.Run) { run.OldestRecord = start.Add(-2 * time.Hour) }), []string{"EcrExporterRegistryOld"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prometheus := tsdbtest.Start(t, tsdbtest.Options{})
			alerts, err := prometheus.LoadAlerts("testdata/exporter-alerts.yaml")
			if err != nil {
				t.Fatal(err)
			}
			firing := map[string]bool{}
			for n := range int(length / every) {
				at := start.Add(time.Duration(n) * every)
				if c.run != nil || n < 30 {
					run := metrics.Run{
						At: at, SucceededAt: at, OldestRecord: at.Add(-30 * time.Minute), RegistryID: account, Sent: 1000,
						Requests: map[string]int{"DescribeImages": 100}, Throttles: map[string]int{"DescribeImages": 0},
						Dropped: map[string]int{"label_value_too_long": 0}, Errors: map[string]int{"push": 0},
					}
					if c.run != nil {
						c.run(n, &run)
					}
					scrape(t, prometheus, at, seriesOfRun(run))
				}
				for minute := range 2 {
					all, err := alerts.Eval(t.Context(), at.Add(time.Duration(minute)*time.Minute))
					if err != nil {
						t.Fatal(err)
					}
					clear(firing)
					for _, alert := range all {
						if alert.Firing {
							firing[alert.Labels[labels.AlertName]] = true
						}
					}
					if c.firing == nil && len(firing) > 0 {
						t.Fatalf("firing after %d runs: %v", n+1, all)
					}
				}
			}
			if diff := cmp.Diff(c.firing, slices.Sorted(maps.Keys(firing))); diff != "" {
				t.Errorf("firing at the end (-want +got):\n%s", diff)
			}
		})
	}
}

// seriesOfRun are the series in which a run tells of itself.
func seriesOfRun(run metrics.Run) []tsdbtest.Series {
	var all []tsdbtest.Series
	for s := range metrics.OfRun(run, metrics.RunFamilies(), nil) {
		var b labels.ScratchBuilder
		for _, label := range s.Labels {
			b.Add(label.Name, label.Value)
		}
		b.Sort()
		all = append(all, tsdbtest.Series{Labels: b.Labels(), Value: s.Value})
	}
	return all
}
