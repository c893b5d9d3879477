package e2e

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// TestRunMetrics compares the run metrics in Prometheus with the summaries of three runs:
// a good one, one with a refused batch, and another good one.
func TestRunMetrics(t *testing.T) {
	t.Parallel()
	registry := generatedRegistry(t, 20, 200)
	server := ecrtest.Start(t, registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	writes := startProxy(t, prometheus.URL())
	f := startFunction(t, server, writes.url, scansFromSummary, "REMOTE_WRITE_PROTOCOL=1.0",
		"REMOTE_WRITE_MAX_SERIES=100", "REMOTE_WRITE_CONCURRENCY=1", "CACHE_REFRESH_INTERVAL=1s")

	var last summary // that succeeded
	for run, refuse := range []bool{false, true, false} {
		if run > 0 {
			waitUntilDue(last, time.Second)
		}
		if refuse {
			writes.refuse(2, http.StatusBadRequest)
		}
		s, failure := f.try(t, "schedule-rule.json", invocationTimeout)
		if (failure != nil) != refuse || (s.Unconfirmed > 0) != refuse {
			t.Fatalf("run %d: %v, %d unconfirmed", run, failure, s.Unconfirmed)
		}
		if !refuse {
			last = s
		}
		value := func(query string) float64 {
			t.Helper()
			result, err := prometheus.Instant(t.Context(), query, s.Timestamp)
			if err != nil {
				t.Fatal(err)
			}
			if len(result) != 1 {
				t.Errorf("run %d: %s gives %v", run, query, result)
			}
			for _, value := range result {
				return value
			}
			return -1
		}
		const own = `{region="` + region + `",registry_id="` + account + `"}`
		total := 0
		for _, n := range s.Calls {
			total += n
		}
		for query, want := range map[string]float64{
			"aws_ecr_exporter_series_sent" + own:                               float64(s.Accepted),
			"aws_ecr_exporter_series_unconfirmed" + own:                        float64(s.Unconfirmed),
			"aws_ecr_exporter_series_refused" + own:                            0,
			"aws_ecr_exporter_series_not_sent" + own:                           0,
			"sum(aws_ecr_exporter_series_dropped)":                             0,
			"sum(aws_ecr_exporter_api_requests)":                               float64(total),
			"sum(aws_ecr_exporter_api_throttles)":                              0,
			"aws_ecr_exporter_last_success_timestamp_seconds" + own:            float64(last.Timestamp.Unix()),
			`aws_ecr_exporter_errors{stage="push"}`:                            map[bool]float64{true: 1}[refuse],
			`sum(aws_ecr_exporter_errors{stage!="push"})`:                      0,
			"aws_ecr_exporter_build_info" + own:                                1,
			"aws_ecr_exporter_push_duration_seconds" + own + " >= bool 0":      1,
			"aws_ecr_exporter_refresh_duration_seconds" + own + " >= bool 0":   1,
			"aws_ecr_exporter_oldest_record_age_seconds" + own + " < bool 600": 1,
			"aws_ecr_exporter_sent_bytes" + own + " > bool 0":                  1,
			"aws_ecr_exporter_send_retries" + own:                              float64(s.Retries),
			// Zeros are sent too, so that alerts can tell them from missing metrics.
			`count({__name__=~"aws_ecr_exporter_.+"} == 0) > bool 0`: 1,
		} {
			if got := value(query); got != want {
				t.Errorf("run %d: %s is %v, want %v", run, query, got, want)
			}
		}
		for operation, n := range s.Calls {
			if got := value(fmt.Sprintf(`aws_ecr_exporter_api_requests{operation=%q}`, operation)); got != float64(n) {
				t.Errorf("run %d: %v calls of %s, the summary reports %d", run, got, operation, n)
			}
		}
	}
}
