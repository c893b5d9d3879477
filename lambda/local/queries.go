//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// namedQuery is a PromQL query that users of a registry have, and how its result is shown:
// as a table here and as a graph in the UI.
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

// dashboard is a file of vmui's own format.
//
// See https://github.com/VictoriaMetrics/VictoriaMetrics/tree/master/app/vmui/packages/vmui/public/dashboards.
type dashboard struct {
	Title string         `json:"title"`
	Rows  []dashboardRow `json:"rows"`
}

type dashboardRow struct {
	Panels []panel `json:"panels"`
}

type panel struct {
	Title string   `json:"title"`
	Unit  string   `json:"unit,omitempty"`
	Expr  []string `json:"expr"`
	// Width is in twelfths of the page.
	Width int `json:"width"`
}

// writeDashboard writes the dashboard of the queries into a new folder.
func writeDashboard(folder string, queries []namedQuery) error {
	var row dashboardRow
	for _, q := range queries {
		row.Panels = append(row.Panels, panel{Title: q.title, Unit: q.unit, Expr: []string{q.promQL}, Width: 6})
	}
	text, err := json.MarshalIndent(dashboard{Title: "ecr-remote-write", Rows: []dashboardRow{row}}, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the dashboard: %w", err)
	}
	if err := os.Mkdir(folder, 0o700); err != nil {
		return fmt.Errorf("make a folder for the dashboard: %w", err)
	}
	if err := os.WriteFile(filepath.Join(folder, "ecr-remote-write.json"), text, 0o600); err != nil {
		return fmt.Errorf("write the dashboard: %w", err)
	}
	return nil
}
