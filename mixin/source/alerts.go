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
	testFar      = `region="us-east-1", ` + testRegistry
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

// ofTestRun are the labels of an alert about a run, and others.
func ofTestRun(more ...[2]string) map[string]string {
	labels := map[string]string{"registry_id": "112233445566", "region": "eu-west-1"}
	for _, label := range more {
		labels[label[0]] = label[1]
	}
	return labels
}

func series(name, labels, values string) []Input {
	return []Input{{name + "{" + labels + "}", values}}
}

func with(rule Rule, fires, silent Case, more ...Case) Rule {
	rule.Fires, rule.Silent, rule.More = fires, silent, more
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
			Case{Input: testPod("1"), At: "10m", Labels: map[string]string{
				"cluster": "c1", "namespace": "shop", "container": "app", "name": "shop/app", "digest": testDigest,
			}},
			Case{Input: testPod("0"), At: "10m"}),
		with(alert("ImageNeverScanned", "warning", "1d",
			`max by (registry_id, region, name, digest) (aws_ecr_image_scan_status{status="SCAN_NOT_FOUND"})`,
			"An image in {{ $labels.name }} was never scanned",
			"ECR knows no scan of {{ $labels.name }}@{{ $labels.digest }}, for a day. Scan on push is off, or the registry's rules leave it out."),
			Case{Input: series("aws_ecr_image_scan_status", testImage()+`, status="SCAN_NOT_FOUND"`, "1x1500"), At: "25h", Labels: image},
			Case{Input: series("aws_ecr_image_scan_status", testImage()+`, status="COMPLETE"`, "1x1500"), At: "25h"}),
		with(alert("ScanFailing", "warning", "6h",
			`max by (registry_id, region, name, digest, status) (aws_ecr_image_scan_status{status=~"FAILED|LIMIT_EXCEEDED|FINDINGS_UNAVAILABLE"})`,
			"The scan of an image in {{ $labels.name }} fails",
			"The scan of {{ $labels.name }}@{{ $labels.digest }} has the status {{ $labels.status }}. Its findings are not known."),
			Case{Input: series("aws_ecr_image_scan_status", testImage()+`, status="FAILED"`, "1x500"), At: "7h", Labels: map[string]string{
				"registry_id": "112233445566", "name": "shop/app", "digest": testDigest, "status": "FAILED",
			}},
			// Fails for an hour only.
			Case{Input: series("aws_ecr_image_scan_status", testImage()+`, status="FAILED"`, "1x60"), At: "1h"}),
		with(alert("RepositoryNearImageQuota", "warning", "1h",
			`sum by (registry_id, region, name) (aws_ecr_repository_images)
  > on (registry_id) group_left () 0.8 * min by (registry_id) (aws_ecr_registry_quota_limit{quota="images_per_repository"})`,
			"{{ $labels.name }} has more than 80 % of the images that a repository may have",
			"Pushes to {{ $labels.name }} fail at the quota. Expire images by a lifecycle policy, or raise the quota."),
			Case{Input: images(2000), At: "2h", Labels: repository},
			Case{Input: images(900), At: "2h"}),
		with(alert("NothingPulledFor90Days", "info", "1h",
			idle("")+" > 90 * 86400",
			"Nothing was pulled from {{ $labels.name }} for 90 days",
			"Neither a pull from {{ $labels.name }} is recorded for 90 days nor, if there never was one, a push. It may be no longer needed."),
			Case{Input: pulled(91), At: "2h", Labels: repository},
			Case{Input: pulled(89), At: "2h"}),
	}
}

func exporterAlerts() []Rule {
	registry := ofTestRun()
	run := func(family, labels, values string) []Input {
		return series("aws_ecr_exporter_"+family, testRun+labels, values)
	}
	lost := func(refused string) []Input {
		return append(run("series_refused", "", refused),
			append(run("series_unconfirmed", "", "0x180"), run("series_not_sent", "", "0x180")...)...)
	}
	return []Rule{
		with(alert("EcrExporterSilent", "critical", "",
			`time() - max by (registry_id, region) (last_over_time(aws_ecr_exporter_last_success_timestamp_seconds[1d])) > 900
unless on (registry_id, region) aws_ecr_exporter_target_up == 0
unless on (registry_id, region) (last_over_time(aws_ecr_exporter_target_info[1d])
  unless on (registry_id, region) aws_ecr_exporter_target_info
  and on () aws_ecr_exporter_target_info)`,
			"No run for the registry {{ $labels.registry_id }} in {{ $labels.region }} has succeeded for 15 minutes",
			"The exporter has stopped, or every run fails. What is shown gets old, and after five minutes without a push disappears."),
			Case{Input: append(run("last_success_timestamp_seconds", "", "0+60x60"), series("aws_ecr_exporter_last_success_timestamp_seconds", testFar, "0+60x180")...), At: "80m", Labels: registry},
			Case{Input: run("last_success_timestamp_seconds", "", "-600+60x180"), At: "80m"},
			stopped("and still a target", registry, Input{target(testRun), "1x180"}),
			stopped("while nothing plans", registry, Input{target(testRun), "1x60"}),
			stopped("but cannot be read", nil, Input{"aws_ecr_exporter_target_up{" + testRun + "}", "0x180"}),
			stopped("but is no target any more", nil, Input{target(testRun), "1x60"}, Input{target(testFar), "1x180"})),
		with(alert("EcrDataOld", "warning", "",
			`max by (registry_id, region) (min_over_time(aws_ecr_exporter_oldest_record_age_seconds[10m])) > 3 * 1800`,
			"The data about the registry {{ $labels.registry_id }} in {{ $labels.region }} is old",
			"Some repository was not listed for three times CACHE_REFRESH_INTERVAL. Its images are shown as they were then."),
			Case{Input: run("oldest_record_age_seconds", "", "0+60x180"), At: "2h", Labels: registry},
			Case{Input: run("oldest_record_age_seconds", "", "0+60x80 0+60x80"), At: "2h"}),
		with(alert("EcrChangesLate", "warning", "",
			`max by (registry_id, region, change) (max_over_time(aws_ecr_exporter_lag_seconds{change=~"push|delete"}[1h]) > 3 * 1800
  or max_over_time(aws_ecr_exporter_lag_seconds{change="scan"}[1h]) > 2 * 86400)`,
			"Changes of the registry {{ $labels.registry_id }} in {{ $labels.region }} were shown late: {{ $labels.change }}",
			"In the last hour the series showed a push or deletion later than three times CACHE_REFRESH_INTERVAL, or a scan later than twice SCAN_REFRESH_INTERVAL."),
			Case{Input: append(run("lag_seconds", `, change="push"`, "5400x20 5401 _x20"), run("lag_seconds", `, change="scan"`, "86400x60")...), At: "40m", Labels: ofTestRun([2]string{"change", "push"})},
			// 90 minutes are late for a push, not for a scan; and nobody is told a day later.
			Case{Input: append(run("lag_seconds", `, change="push"`, "9000 5400x179"), run("lag_seconds", `, change="scan"`, "172800x180")...), At: "90m"}),
		with(alert("EcrEventsLate", "warning", "1h",
			// A registry without events was never faster.
			`max by (registry_id, region) (quantile_over_time(0.5, aws_ecr_exporter_lag_seconds{change="push"}[6h])) > 300
  and max by (registry_id, region) (quantile_over_time(0.5, aws_ecr_exporter_lag_seconds{change="push"}[1w] offset 6h)) <= 300`,
			"Events of the registry {{ $labels.registry_id }} in {{ $labels.region }} are late or do not arrive",
			"Half of the pushes of the last six hours were shown only after more than five minutes, unlike those of the week before. The schedule has shown them."),
			Case{Input: run("lag_seconds", `, change="push"`, "2x10 _x360 900x10 2x9 _x60"), At: "446m", Labels: registry},
			// One event was lost, and of another registry there are none.
			Case{Input: append(run("lag_seconds", `, change="push"`, "2x10 _x360 2x10 1800 2x10 _x60"),
				series("aws_ecr_exporter_lag_seconds", testFar+`, change="push"`, "900x10 _x360 900x10 _x80")...), At: "446m"}),
		with(alert("EcrScansOld", "warning", "",
			`max by (registry_id, region) (min_over_time(aws_ecr_exporter_scan_oldest_answer_age_seconds[10m])) > 2 * 86400`,
			"Scan results of the registry {{ $labels.registry_id }} in {{ $labels.region }} are old",
			"Some scan result that is shown was not read again for twice SCAN_REFRESH_INTERVAL. Findings since then are not shown."),
			Case{Input: run("scan_oldest_answer_age_seconds", "", "172801x20"), At: "15m", Labels: registry},
			Case{Input: run("scan_oldest_answer_age_seconds", "", "172801x8 60 172801x8"), At: "15m"}),
		with(alert("SeriesRefused", "warning", "10m",
			`sum by (registry_id, region) (min_over_time(aws_ecr_exporter_series_unconfirmed[10m]) > 0
  or min_over_time(aws_ecr_exporter_series_refused[10m]) > 0
  or min_over_time(aws_ecr_exporter_series_not_sent[10m]) > 0)`,
			"Series of the registry {{ $labels.registry_id }} in {{ $labels.region }} are not stored",
			"In every run the receiver refuses series, does not confirm them, or is too slow for all of them."),
			Case{Input: lost("5x180"), At: "1h", Labels: registry},
			Case{Input: lost(everyOther), At: "1h"}),
		with(alert("SeriesDropped", "warning", "10m",
			`sum by (registry_id, region, reason) (min_over_time(aws_ecr_exporter_series_dropped[10m])) > 0`,
			"Series of the registry {{ $labels.registry_id }} in {{ $labels.region }} are not sent: {{ $labels.reason }}",
			"A receiver would refuse them. Every run drops them, so they are missing until the cause is mended."),
			Case{Input: run("series_dropped", `, reason="label_value_too_long"`, "2x180"), At: "1h", Labels: ofTestRun([2]string{"reason", "label_value_too_long"})},
			Case{Input: run("series_dropped", `, reason="label_value_too_long"`, everyOther), At: "1h"}),
		with(alert("EcrExporterThrottled", "warning", "30m",
			`sum by (registry_id, region, operation) (sum_over_time(aws_ecr_exporter_api_throttles[1h]))
  / sum by (registry_id, region, operation) (sum_over_time(aws_ecr_exporter_api_requests[1h])) > 0.2`,
			"AWS throttles {{ $labels.operation }} of the registry {{ $labels.registry_id }} in {{ $labels.region }}",
			"More than a fifth of the requests of an hour were throttled. The data gets older than it should."),
			Case{Input: append(run("api_throttles", `, operation="DescribeImages"`, "30x180"), run("api_requests", `, operation="DescribeImages"`, "100x180")...), At: "2h", Labels: ofTestRun([2]string{"operation", "DescribeImages"})},
			Case{Input: append(run("api_throttles", `, operation="DescribeImages"`, "5x180"), run("api_requests", `, operation="DescribeImages"`, "100x180")...), At: "2h"}),
	}
}
