//go:build unix

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// question is a PromQL query that someone with a registry has, and how its answer is
// shown: as a table here and as a graph in the UI.
type question struct {
	title  string
	promQL string
	labels []string // the table's columns beside the value
	unit   string   // of the value
	digits int      // of it, after the point
}

// questions are the three that are asked. An image is one digest, however many tags
// it has, hence the inner aggregations.
var questions = []question{
	{
		title:  "Largest repositories",
		promQL: `topk(5, sum by (name) (max by (name, digest) (aws_ecr_image_size_in_bytes))) / 1e9`,
		labels: []string{"name"}, unit: "GB", digits: 1,
	},
	{
		title:  "Most CRITICAL and HIGH findings in what is tagged latest",
		promQL: `topk(5, max by (name) (sum by (name, digest) (aws_ecr_image_scan_severity_count{tag="latest", severity=~"CRITICAL|HIGH"})))`,
		labels: []string{"name"}, unit: "findings",
	},
	{
		title:  "Most images pushed in the last seven days",
		promQL: `topk(5, count by (name) (max by (name, digest) (aws_ecr_image_pushed_at_timestamp_seconds) > time() - 7 * 86400))`,
		labels: []string{"name"}, unit: "images",
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

// writeDashboard writes the dashboard of the questions into a folder that it makes.
func writeDashboard(folder string, questions []question) error {
	var row dashboardRow
	for _, q := range questions {
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
