package main

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/mixin/source"
)

// A dashboard of vmui, the web UI of VictoriaMetrics, which `make run` opens.
//
// See https://github.com/VictoriaMetrics/VictoriaMetrics/tree/master/app/vmui#predefined-dashboards
type (
	vmuiDashboard struct {
		Title string    `json:"title"`
		Rows  []vmuiRow `json:"rows"`
	}
	vmuiRow struct {
		Title  string      `json:"title"`
		Panels []vmuiPanel `json:"panels"`
	}
	vmuiPanel struct {
		Title       string   `json:"title"`
		Description string   `json:"description"`
		Unit        string   `json:"unit,omitempty"`
		Expr        []string `json:"expr"`
		Alias       []string `json:"alias"`
		// Width is in twelfths of the page.
		Width int `json:"width"`
	}
)

// addVMUI adds the dashboards of vmui, in the order of their files.
func addVMUI(files map[string]string) error {
	for i, d := range source.Dashboards() {
		text, err := json.MarshalIndent(vmui(d), "", "  ")
		if err != nil {
			return fmt.Errorf("write the dashboard %s of vmui: %w", d.File, err)
		}
		files[fmt.Sprintf("mixin/vmui/%d-%s.json", i+1, d.File)] = string(text) + "\n"
	}
	return nil
}

// vmui returns a dashboard of vmui. All its panels are graphs: what Grafana shows as a number
// or as a table is in a row of its own, which is closed at first.
func vmui(d source.Dashboard) vmuiDashboard {
	_, title, _ := strings.Cut(d.Title, " / ")
	graphs, others := vmuiRow{Title: title}, vmuiRow{Title: "What Grafana shows as numbers and tables"}
	for _, p := range d.Panels {
		switch {
		case p.Kind == source.Graph, p.Kind == source.Rank:
			graphs.Panels = append(graphs.Panels, vmuiPanelOf(p))
		case len(p.Hide) == 0: // else only the labels say something
			others.Panels = append(others.Panels, vmuiPanelOf(p))
		}
	}
	return vmuiDashboard{Title: title, Rows: []vmuiRow{graphs, others}}
}

func vmuiPanelOf(p source.Panel) vmuiPanel {
	unit, scale := vmuiUnit(p)
	panel := vmuiPanel{Title: p.Title, Description: p.About + "\n\nIf there is nothing: " + p.None, Unit: unit, Width: 6}
	for _, q := range p.Queries {
		expr := vmuiExpr(q.Expr)
		if label := optional.FindStringSubmatch(q.Legend); label != nil {
			expr = fmt.Sprintf(`label_replace(%s, %q, "none", %[2]q, "")`, expr, label[1])
		}
		if scale != "" {
			expr = "(" + expr + ") " + scale
		}
		alias := ofRegistry.ReplaceAllString(q.Legend, "$1")
		if alias == "" {
			alias = "{{name}}"
		}
		panel.Expr, panel.Alias = append(panel.Expr, expr), append(panel.Alias, alias)
	}
	return panel
}

// vmuiUnit returns the unit of a panel, and how to come to it: vmui knows none, and only
// writes it after the number.
func vmuiUnit(p source.Panel) (unit, scale string) {
	switch p.Unit {
	case "bytes":
		if strings.Contains(p.Queries[0].Expr, "_sent_bytes") {
			return "kB", "/ 1e3"
		}
		return "GB", "/ 1e9"
	case "percentunit":
		return "%", "* 100"
	case "currencyUSD":
		return "$", ""
	case "s":
		if p.Kind == source.Table {
			return "days", "/ 86400"
		}
		return "s", ""
	}
	return "", ""
}

var (
	// A matcher of a variable, of which vmui has none.
	variable    = regexp.MustCompile(`(, )?\w+=~"\$\w+"`)
	overRange   = regexp.MustCompile(`max_over_time\(([^\[\]]+)\[\$__range\]\)`)
	rankAtSteps = regexp.MustCompile(`\b(top|bottom)k\(`)
	recorded    = regexp.MustCompile(`\becr:\w+:\w+`)
	// A legend that is a label which some series do not have: vmui writes nothing for them.
	optional = regexp.MustCompile(`^{{(tag_team|artifact_media_type)}}$`)
	// The simulation has one registry, of which not every legend has to remind.
	ofRegistry   = regexp.MustCompile(`(.) {{registry_id}} {{region}}$`)
	emptyMatcher = strings.NewReplacer("{, ", "{", "{}", "")
)

// vmuiExpr rewrites a query for vmui: without variables, with the recording rules in place of
// what they record, and with rankings over the whole graph, for which MetricsQL has functions.
//
// See https://docs.victoriametrics.com/victoriametrics/metricsql/
func vmuiExpr(expr string) string {
	expr = overRange.ReplaceAllString(expr, "$1")
	expr = strings.ReplaceAll(expr, "$__range", "1h")
	expr = rankAtSteps.ReplaceAllString(expr, "${1}k_last(")
	expr = emptyMatcher.Replace(variable.ReplaceAllString(expr, ""))
	return recorded.ReplaceAllStringFunc(expr, recording)
}

// recording is what the rules of a name record.
func recording(name string) string {
	var all []string
	for _, group := range source.Recordings() {
		for _, rule := range group.Rules {
			if rule.Record != name {
				continue
			}
			expr := rule.Expr
			for label, value := range rule.Labels {
				expr = fmt.Sprintf("label_set(%s, %q, %q)", expr, label, value)
			}
			all = append(all, expr)
		}
	}
	return "(" + strings.Join(all, ", ") + ")"
}
