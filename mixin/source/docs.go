package source

import "strings"

// Example is a query of README or docs, by the name that its comment there has.
type Example struct{ Name, Expr string }

// Examples are the queries of README and docs.
func Examples() []Example {
	return []Example{
		{"pods-critical", pods(byPod, "") + severityOfDigest("CRITICAL")},
		{"running-pods-critical", pods(byPod, "") + severityOfDigest("CRITICAL") + running("")},
		{"images-critical", pods(byContainer, "") + severityOfDigest("CRITICAL")},
		{"pods-unknown", pods(byPod, ofECR) + notScanned},
		// Those of the Python exporter, as they are in its README.
		{"pods-critical-by-image", `max by (namespace, container, image, pod) (kube_pod_container_info) * on (image) group_left(name, tag) aws_ecr_image_scan_severity_count{severity="CRITICAL"}`},
		{"images-critical-by-image", `max by (namespace, container, image) (kube_pod_container_info) * on (image) group_left(name, tag) aws_ecr_image_scan_severity_count{severity="CRITICAL"}`},
		{"running-pods-critical-by-image", `max by (pod) (kube_pod_container_status_running > 0) * on (pod) group_right() max by (pod, namespace, container, image) (kube_pod_container_info) * on (image) group_left(name, tag) aws_ecr_image_scan_severity_count{severity="CRITICAL"}`},
		{"running-images-critical-by-image", `max without (pod) (max by (pod) (kube_pod_container_status_running > 0) * on (pod) group_right() max by (pod, namespace, container, image) (kube_pod_container_info) * on (image) group_left(name, tag) aws_ecr_image_scan_severity_count{severity="CRITICAL"})`},
		{"compare-exporters", `count by (__name__, exporter) ({__name__=~"aws_ecr_(repository|image)_.*", __name__!~".*exporter_up"})`},
		{"largest-repositories", `topk(10, sum by (name) (max by (name, digest) (aws_ecr_image_size_in_bytes)))`},
		{"no-scan-on-push", `aws_ecr_repository_info{scan_on_push="false"}`},
		{"data-age", `max by (registry_id) (aws_ecr_exporter_oldest_record_age_seconds)`},
		{"in-use-unknown", `time() - aws_ecr_exporter_in_use_query_success_timestamp_seconds > 12 * 3600`},
		{"scans-pending", `max by (registry_id) (aws_ecr_exporter_images_scan_pending)`},
		// The questions of a platform team that a dashboard answers less directly.
		{"worst-image-team", worstImage},
		{"never-pulled", `sort_desc(sum by (registry_id, region, name) (aws_ecr_repository_size_bytes)
  unless on (registry_id, region, name) aws_ecr_repository_newest_pull_timestamp_seconds)`},
		{"last-pull", `time() - max by (registry_id, region, name, tag, digest) (aws_ecr_image_last_pulled_timestamp_seconds{name="shop/app"})`},
		{"what-is-this-digest", `group by (registry_id, region, name, tag) (
  {__name__=~"aws_ecr_(untagged_)?image_pushed_at_timestamp_seconds", digest="sha256:…"})`},
		{"may-delete", mayDelete},
		{"why-no-findings", whyNoFindings("")},
	}
}

// worstImage is the image with the most CRITICAL findings, and the team of its repository.
const worstImage = `topk(1, sum by (registry_id, region, name, digest) (
    max by (registry_id, region, name, digest) (aws_ecr_image_scan_severity_count{severity="CRITICAL"}))
  * on (registry_id, region, name) group_left (tag_team)
    max by (registry_id, region, name, tag_team) (aws_ecr_repository_tags_info))`

// mayDelete are the images that no pod has and that were neither pushed nor pulled for 90 days.
var mayDelete = `max by (registry_id, region, name, digest) (
  time() - (aws_ecr_image_last_pulled_timestamp_seconds > aws_ecr_image_pushed_at_timestamp_seconds
    or aws_ecr_image_pushed_at_timestamp_seconds)) > 90 * 86400
unless on (digest)
` + indent(pods("digest", ""))

// whyNoFindings has the images without a complete scan and their status; those without a
// status were not read yet.
func whyNoFindings(matchers string) string {
	status, pushed := `{status!~"ACTIVE|COMPLETE"`+matchers+"}", strings.TrimPrefix(matchers, ", ")
	if pushed != "" {
		pushed = "{" + pushed + "}"
	}
	return `max by (registry_id, region, name, tag, digest, status) (aws_ecr_image_scan_status` + status + `)
or max by (registry_id, region, name, tag, digest) (aws_ecr_image_pushed_at_timestamp_seconds` + pushed + `) * 0 + 1
  unless on (registry_id, region, name, digest) aws_ecr_image_scan_status`
}
