package source

import "strings"

// Labels of the joins: of a container of a pod, and of the image that it runs.
const (
	byPod       = "cluster, namespace, pod, container, name, digest"
	byContainer = "cluster, namespace, container, name, digest"
)

// pods is one series for each container of a pod and each digest, whatever the runtime
// writes before it. The name is the repository from which the runtime pulled. Matchers begin
// with a comma.
func pods(by, matchers string) string {
	return `max by (` + by + `) (label_replace(label_replace(
  {__name__=~"kube_pod_(init_)?container_info"` + matchers + `},
    "digest", "$1", "image_id", ".*@(sha256:[0-9a-f]{64})"),
    "name", "$1", "image_id", "(?:[^/]+://)?(?:[^/]*[.:][^/]*/)?([^@]+)@.*"))`
}

// severityOfDigest is the right side of the join: one series for each digest. A digest can
// have two tags, and be in two repositories or registries.
func severityOfDigest(severity string) string {
	return `
* on (digest) group_left ()
  max by (digest) ({__name__=~"aws_ecr_(untagged_)?image_scan_severity_count", severity="` + severity + `"})`
}

// severitiesOfDigest is the sum of the severities that a dashboard shows.
const severitiesOfDigest = `
* on (digest) group_left ()
  sum by (digest) (max by (digest, severity) ({__name__=~"aws_ecr_(untagged_)?image_scan_severity_count", ` + ofSeverity + `}))`

// running keeps the containers that run.
func running(matchers string) string {
	return `
and on (cluster, namespace, pod, container) {__name__=~"kube_pod_(init_)?container_status_running"` + matchers + `} == 1`
}

// runningSeverity has one series for each container, name and digest that runs and has
// findings of a severity, for all pods of the container together.
func runningSeverity(severity string) string {
	return "max without (pod) (\n" + indent(pods(byPod, "")+severityOfDigest(severity)+running("")) + "\n) > 0"
}

// runningByImage is the alert of the users of the Python exporter, who join on image.
const runningByImage = `max without (pod) (max by (pod) (kube_pod_container_status_running > 0)
  * on (pod) group_right() max by (pod, namespace, container, image) (kube_pod_container_info)
  * on (image) group_left(name, tag) aws_ecr_image_scan_severity_count{severity="CRITICAL"}) > 0`

// ofECR limits pods to images from any registry in ECR.
const ofECR = `, image_id=~".*[.]dkr[.-]ecr[.].*"`

// notScanned removes the digests of which a scan is known.
const notScanned = `
unless on (digest) {__name__=~"aws_ecr_image_scan_completed_at_timestamp_seconds|aws_ecr_(untagged_)?image_scan_severity_count"}`

func indent(text string) string { return "  " + strings.ReplaceAll(text, "\n", "\n  ") }
