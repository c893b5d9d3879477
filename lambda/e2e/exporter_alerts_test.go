package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/model/labels"
)

// runMetrics are the values of the run metrics that the rules of docs/operations.md read, by name
// without prefix. TestRunMetrics checks that the function sends these families.
type runMetrics map[string]float64

// series are those of one registry.
func (r runMetrics) series(t *testing.T) []tsdbtest.Series {
	t.Helper()
	var text strings.Builder
	for name, value := range r {
		label := map[string]string{
			"series_dropped": `,reason="label_value_too_long"`, "api_requests": `,operation="DescribeImages"`, "api_throttles": `,operation="DescribeImages"`,
		}[name]
		fmt.Fprintf(&text, "aws_ecr_exporter_%s{region=%q,registry_id=%q%s} %f\n", name, region, account, label, value)
	}
	all, err := tsdbtest.ParseText([]byte(text.String()))
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestExporterAlerts evaluates the rules of docs/operations.md about the exporter over two hours of runs,
// some of which go wrong. No rule may fire for a single bad run.
func TestExporterAlerts(t *testing.T) {
	t.Parallel()
	const (
		every = 2 * time.Minute
		runs  = int(2 * time.Hour / every)
		bad   = 30 // the number of the one bad run, and of the last one before a stop
	)
	always := func(name string, value float64) func(int, runMetrics) {
		return func(_ int, run runMetrics) { run[name] = value }
	}
	once := func(name string, value float64) func(int, runMetrics) {
		return func(n int, run runMetrics) {
			if n == bad {
				run[name] = value
			}
		}
	}
	for name, c := range map[string]struct {
		change func(n int, run runMetrics) // nil: no run after the first hour
		firing []string                    // at the end
	}{
		"all is well":              {func(int, runMetrics) {}, nil},
		"stopped":                  {nil, []string{"EcrExporterSilent"}},
		"no success":               {always("last_success_timestamp_seconds", float64(start.Unix())), []string{"EcrExporterSilent"}},
		"dropped in every run":     {always("series_dropped", 3), []string{"SeriesDropped"}},
		"dropped once":             {once("series_dropped", 3), nil},
		"unconfirmed in every run": {always("series_unconfirmed", 10), []string{"SeriesRefused"}},
		"unconfirmed once":         {once("series_unconfirmed", 10), nil},
		"not sent in every run":    {always("series_not_sent", 1), []string{"SeriesRefused"}},
		"throttled":                {always("api_throttles", 30), []string{"EcrExporterThrottled"}},
		"throttled once":           {once("api_throttles", 30), nil},
		"old": {
			func(n int, run runMetrics) {
				run["oldest_record_age_seconds"] = (2*time.Hour + time.Duration(n)*every).Seconds()
			},
			[]string{"EcrDataOld"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			prometheus := tsdbtest.Start(t, tsdbtest.Options{})
			alerts := documentedAlerts(t, prometheus, "exporter")
			firing := map[string]bool{}
			for n := range runs {
				at := start.Add(time.Duration(n) * every)
				if c.change != nil || n < bad {
					run := runMetrics{
						"last_success_timestamp_seconds": float64(at.Unix()), "oldest_record_age_seconds": 1800,
						"series_sent": 1000, "series_dropped": 0, "series_refused": 0, "series_unconfirmed": 0, "series_not_sent": 0,
						"api_requests": 100, "api_throttles": 0,
					}
					if c.change != nil {
						c.change(n, run)
					}
					scrape(t, prometheus, at, run.series(t))
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
