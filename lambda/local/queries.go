//go:build unix

package main

// namedQuery is a PromQL query that users of a registry have, and how its result is shown as
// a table.
type namedQuery struct {
	title  string
	promQL string
	labels []string // the columns of the table before the value
	unit   string   // of the value
	digits int      // of the value after the decimal point
}

// queries are those that are shown. The inner aggregations count an image once, however
// many tags it has.
var queries = []namedQuery{
	{
		title:  "Largest repositories",
		promQL: `topk(5, sum by (name) (max by (name, digest) (aws_ecr_image_size_in_bytes))) / 1e9`,
		labels: []string{"name"}, unit: "GB", digits: 1,
	},
	{
		title:  "Most CRITICAL and HIGH findings in images tagged latest",
		promQL: `topk(5, max by (name) (sum by (name, digest) (aws_ecr_image_scan_severity_count{tag="latest", severity=~"CRITICAL|HIGH"})))`,
		labels: []string{"name"}, unit: "findings",
	},
	{
		title:  "Most images pushed in the last seven days",
		promQL: `topk(5, count by (name) (max by (name, digest) (aws_ecr_image_pushed_at_timestamp_seconds) > time() - 7 * 86400))`,
		labels: []string{"name"}, unit: "images",
	},
}

// podQueries are those of docs/queries.md about the pods of the simulated cluster. The
// first joins on the digest.
var podQueries = []namedQuery{
	{
		title: "Pods with CRITICAL findings, joined on the digest",
		promQL: `max by (cluster, namespace, pod, container, name, digest) (label_replace(label_replace(
  {__name__=~"kube_pod_(init_)?container_info"},
    "digest", "$1", "image_id", ".*@(sha256:[0-9a-f]{64})"),
    "name", "$1", "image_id", "(?:[^/]+://)?(?:[^/]*[.:][^/]*/)?([^@]+)@.*"))
* on (digest) group_left ()
  max by (digest) ({__name__=~"aws_ecr_(untagged_)?image_scan_severity_count", severity="CRITICAL"})
`,
		labels: []string{"cluster", "pod", "name"}, unit: "CRITICAL",
	},
	{
		title: "The same, joined on image as users of the Python exporter do",
		promQL: `max by (namespace, container, image, pod) (kube_pod_container_info) * on (image) group_left(name, tag) aws_ecr_image_scan_severity_count{severity="CRITICAL"}
`,
		labels: []string{"pod", "name", "tag"}, unit: "CRITICAL",
	},
}
