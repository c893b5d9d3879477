package source

import (
	"fmt"
	"strings"
)

// The labels of the series in the tests.
const (
	testRegistry = `registry_id="112233445566"`
	testName     = testRegistry + `, name="shop/app"`
	testRun      = `region="eu-west-1", ` + testRegistry
)

// everyOther is a number that is 0 in every other run, which is no lasting fault.
var everyOther = strings.TrimSpace(strings.Repeat("2 0 ", 40))

var testDigest = "sha256:" + strings.Repeat("0a", 32)

// testImage are the labels of an image with a tag.
func testImage() string {
	return fmt.Sprintf(`%s, digest=%q, image="R/shop/app:v1", tag="v1"`, testName, testDigest)
}

// testPod is a container that runs the image, or does not.
func testPod(running string) []Input {
	const of = `cluster="c1", namespace="shop", pod="app-1", container="app"`
	return []Input{
		{`kube_pod_container_info{` + of + `, image="R/shop/app:v1", image_id="112233445566.dkr.ecr.eu-west-1.amazonaws.com/shop/app@` + testDigest + `"}`, "1x180"},
		{`kube_pod_container_status_running{` + of + `}`, running + "x180"},
		{`aws_ecr_image_scan_severity_count{` + testImage() + `, severity="CRITICAL"}`, "3x180"},
		{`aws_ecr_image_scan_severity_count{` + strings.Replace(testImage(), ":v1", ":latest", 1) + `, severity="CRITICAL"}`, "3x180"},
	}
}

func series(name, labels, values string) []Input {
	return []Input{{name + "{" + labels + "}", values}}
}

func with(rule Rule, fires, silent Case) Rule {
	rule.Fires, rule.Silent = fires, silent
	return rule
}

func imageAlerts() []Rule {
	image := map[string]string{"registry_id": "112233445566", "name": "shop/app", "digest": testDigest}
	repository := map[string]string{"registry_id": "112233445566", "name": "shop/app"}
	// Pulls and pushes at the time 0, and 89 or 91 days later.
	pulled := func(days int) []Input {
		return append(
			series("aws_ecr_repository_newest_pull_timestamp_seconds", testName, fmt.Sprintf("%dx300", -days*86400)),
			series("aws_ecr_repository_newest_push_timestamp_seconds", testName, fmt.Sprintf("%dx300", -400*86400))...)
	}
	images := func(count int) []Input {
		return append(
			series("aws_ecr_repository_images", testName+`, state="tagged"`, fmt.Sprintf("%dx180", count)),
			append(
				series("aws_ecr_repository_images", testName+`, state="untagged"`, "15000x180"),
				series("aws_ecr_registry_quota_limit", testRun+`, quota="images_per_repository"`, "20000x180")...)...)
	}
	return []Rule{
		with(critical(),
			Case{testPod("1"), "10m", map[string]string{
				"cluster": "c1", "namespace": "shop", "container": "app", "name": "shop/app", "digest": testDigest,
			}},
			Case{testPod("0"), "10m", nil}),
		with(alert("ImageNeverScanned", "warning", "1d",
			`max by (registry_id, region, name, digest) (aws_ecr_image_scan_status{status="SCAN_NOT_FOUND"})`,
			"An image in {{ $labels.name }} was never scanned",
			"ECR knows no scan of {{ $labels.name }}@{{ $labels.digest }}, for a day. Scan on push is off, or the registry's rules leave it out."),
			Case{series("aws_ecr_image_scan_status", testImage()+`, status="SCAN_NOT_FOUND"`, "1x1500"), "25h", image},
			Case{series("aws_ecr_image_scan_status", testImage()+`, status="COMPLETE"`, "1x1500"), "25h", nil}),
		with(alert("ScanFailing", "warning", "6h",
			`max by (registry_id, region, name, digest, status) (aws_ecr_image_scan_status{status=~"FAILED|LIMIT_EXCEEDED|FINDINGS_UNAVAILABLE"})`,
			"The scan of an image in {{ $labels.name }} fails",
			"The scan of {{ $labels.name }}@{{ $labels.digest }} has the status {{ $labels.status }}. Its findings are not known."),
			Case{series("aws_ecr_image_scan_status", testImage()+`, status="FAILED"`, "1x500"), "7h", map[string]string{
				"registry_id": "112233445566", "name": "shop/app", "digest": testDigest, "status": "FAILED",
			}},
			// Fails for an hour only.
			Case{series("aws_ecr_image_scan_status", testImage()+`, status="FAILED"`, "1x60"), "1h", nil}),
		with(alert("RepositoryNearImageQuota", "warning", "1h",
			`sum by (registry_id, region, name) (aws_ecr_repository_images)
  > on (registry_id) group_left () 0.8 * min by (registry_id) (aws_ecr_registry_quota_limit{quota="images_per_repository"})`,
			"{{ $labels.name }} has more than 80 % of the images that a repository may have",
			"Pushes to {{ $labels.name }} fail at the quota. Expire images by a lifecycle policy, or raise the quota."),
			Case{images(2000), "2h", repository},
			Case{images(900), "2h", nil}),
		with(alert("NothingPulledFor90Days", "info", "1h",
			idle("")+" > 90 * 86400",
			"Nothing was pulled from {{ $labels.name }} for 90 days",
			"Neither a pull from {{ $labels.name }} is recorded for 90 days nor, if there never was one, a push. It may be no longer needed."),
			Case{pulled(91), "2h", repository},
			Case{pulled(89), "2h", nil}),
	}
}

func exporterAlerts() []Rule {
	registry := map[string]string{"registry_id": "112233445566"}
	run := func(family, labels, values string) []Input {
		return series("aws_ecr_exporter_"+family, testRun+labels, values)
	}
	lost := func(refused string) []Input {
		return append(run("series_refused", "", refused),
			append(run("series_unconfirmed", "", "0x180"), run("series_not_sent", "", "0x180")...)...)
	}
	return []Rule{
		with(alert("EcrExporterSilent", "critical", "",
			`time() - max by (registry_id) (last_over_time(aws_ecr_exporter_last_success_timestamp_seconds[1d])) > 900`,
			"No run for the registry {{ $labels.registry_id }} has succeeded for 15 minutes",
			"The exporter has stopped, or every run fails. What is shown gets old, and after five minutes without a push disappears."),
			Case{run("last_success_timestamp_seconds", "", "0+60x60"), "80m", registry},
			Case{run("last_success_timestamp_seconds", "", "-600+60x180"), "80m", nil}),
		with(alert("EcrDataOld", "warning", "",
			`max by (registry_id) (min_over_time(aws_ecr_exporter_oldest_record_age_seconds[10m])) > 3 * 1800`,
			"The data about the registry {{ $labels.registry_id }} is old",
			"Some repository was not listed for three times CACHE_REFRESH_INTERVAL. Its images are shown as they were then."),
			Case{run("oldest_record_age_seconds", "", "0+60x180"), "2h", registry},
			Case{run("oldest_record_age_seconds", "", "0+60x80 0+60x80"), "2h", nil}),
		with(alert("EcrChangesLate", "warning", "",
			`max by (registry_id, change) (max_over_time(aws_ecr_exporter_lag_seconds{change=~"push|delete"}[1h]) > 3 * 1800
  or max_over_time(aws_ecr_exporter_lag_seconds{change="scan"}[1h]) > 2 * 86400)`,
			"Changes of the registry {{ $labels.registry_id }} were shown late: {{ $labels.change }}",
			"In the last hour the series showed a push or deletion later than three times CACHE_REFRESH_INTERVAL, or a scan later than twice SCAN_REFRESH_INTERVAL."),
			Case{append(run("lag_seconds", `, change="push"`, "5400x20 5401 _x20"), run("lag_seconds", `, change="scan"`, "86400x60")...), "40m", map[string]string{
				"registry_id": "112233445566", "change": "push",
			}},
			// 90 minutes are late for a push, not for a scan; and nobody is told a day later.
			Case{append(run("lag_seconds", `, change="push"`, "9000 5400x179"), run("lag_seconds", `, change="scan"`, "172800x180")...), "90m", nil}),
		with(alert("EcrEventsLate", "warning", "1h",
			// A registry without events was never faster.
			`max by (registry_id) (quantile_over_time(0.5, aws_ecr_exporter_lag_seconds{change="push"}[6h])) > 300
  and max by (registry_id) (quantile_over_time(0.5, aws_ecr_exporter_lag_seconds{change="push"}[1w] offset 6h)) <= 300`,
			"Events of the registry {{ $labels.registry_id }} are late or do not arrive",
			"Half of the pushes of the last six hours were shown only after more than five minutes, unlike those of the week before. The schedule has shown them."),
			Case{run("lag_seconds", `, change="push"`, "2x10 _x360 900x10 2x9 _x60"), "446m", registry},
			// One event was lost, and of another registry there are none.
			Case{append(run("lag_seconds", `, change="push"`, "2x10 _x360 2x10 1800 2x10 _x60"),
				series("aws_ecr_exporter_lag_seconds", `region="eu-west-1", registry_id="222233334444", change="push"`, "900x10 _x360 900x10 _x80")...), "446m", nil}),
		with(alert("EcrScansOld", "warning", "",
			`max by (registry_id) (min_over_time(aws_ecr_exporter_scan_oldest_answer_age_seconds[10m])) > 2 * 86400`,
			"Scan results of the registry {{ $labels.registry_id }} are old",
			"Some scan result that is shown was not read again for twice SCAN_REFRESH_INTERVAL. Findings since then are not shown."),
			Case{run("scan_oldest_answer_age_seconds", "", "172801x20"), "15m", registry},
			Case{run("scan_oldest_answer_age_seconds", "", "172801x8 60 172801x8"), "15m", nil}),
		with(alert("SeriesRefused", "warning", "10m",
			`sum by (registry_id) (min_over_time(aws_ecr_exporter_series_unconfirmed[10m]) > 0
  or min_over_time(aws_ecr_exporter_series_refused[10m]) > 0
  or min_over_time(aws_ecr_exporter_series_not_sent[10m]) > 0)`,
			"Series of the registry {{ $labels.registry_id }} are not stored",
			"In every run the receiver refuses series, does not confirm them, or is too slow for all of them."),
			Case{lost("5x180"), "1h", registry},
			Case{lost(everyOther), "1h", nil}),
		with(alert("SeriesDropped", "warning", "10m",
			`sum by (registry_id, reason) (min_over_time(aws_ecr_exporter_series_dropped[10m])) > 0`,
			"Series of the registry {{ $labels.registry_id }} are not sent: {{ $labels.reason }}",
			"A receiver would refuse them. Every run drops them, so they are missing until the cause is mended."),
			Case{run("series_dropped", `, reason="label_value_too_long"`, "2x180"), "1h", map[string]string{
				"registry_id": "112233445566", "reason": "label_value_too_long",
			}},
			Case{run("series_dropped", `, reason="label_value_too_long"`, everyOther), "1h", nil}),
		with(alert("EcrExporterThrottled", "warning", "30m",
			`sum by (registry_id, operation) (sum_over_time(aws_ecr_exporter_api_throttles[1h]))
  / sum by (registry_id, operation) (sum_over_time(aws_ecr_exporter_api_requests[1h])) > 0.2`,
			"AWS throttles {{ $labels.operation }} of the registry {{ $labels.registry_id }}",
			"More than a fifth of the requests of an hour were throttled. The data gets older than it should."),
			Case{append(run("api_throttles", `, operation="DescribeImages"`, "30x180"), run("api_requests", `, operation="DescribeImages"`, "100x180")...), "2h", map[string]string{
				"registry_id": "112233445566", "operation": "DescribeImages",
			}},
			Case{append(run("api_throttles", `, operation="DescribeImages"`, "5x180"), run("api_requests", `, operation="DescribeImages"`, "100x180")...), "2h", nil}),
	}
}
