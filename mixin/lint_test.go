package main

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"

	"github.com/aws-exporters/ecr-remote-write/mixin/source"
)

// waived are rules of the linter that do not hold here, and why.
//
// See https://github.com/grafana/dashboard-linter/tree/main/docs/rules.
var waived = map[string]string{
	"template-job-rule":       "series are pushed, not scraped: there is no job",
	"template-instance-rule":  "series are pushed, not scraped: there is no instance",
	"target-job-rule":         "as template-job-rule",
	"target-instance-rule":    "as template-instance-rule",
	"target-counter-agg-rule": "all families are gauges: there is no counter to rate",
	"target-logql-rule":       "no panel reads logs",
}

// load reads every dashboard as the SDK's strict decoder does, which refuses members that
// Grafana's schema does not have.
func load(t *testing.T) map[string]v1 {
	t.Helper()
	plugins.RegisterDefaultPlugins()
	files, err := filepath.Glob("dashboards/*.json")
	if err != nil || len(files) != 4 {
		t.Fatalf("dashboards: %v, %v", files, err)
	}
	all := map[string]v1{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := strict(text); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		var d v1
		if err := json.Unmarshal(text, &d); err != nil {
			t.Fatal(err)
		}
		all[file] = d
	}
	return all
}

// strict is the error of the SDK's strict decoder, which also without a fault returns an
// error, with nothing in it, and half of the dashboard.
func strict(text []byte) error {
	var d v1
	err := d.UnmarshalJSONStrict(text)
	var faults cog.BuildErrors
	if errors.As(err, &faults) && len(faults) == 0 {
		return nil
	}
	return err
}

// TestStrict checks that a member that the schema does not have is found: not in fieldConfig,
// into which the decoder of this version does not look.
func TestStrict(t *testing.T) {
	t.Parallel()
	plugins.RegisterDefaultPlugins()
	text, err := os.ReadFile("dashboards/exporter.json")
	if err != nil {
		t.Fatal(err)
	}
	for _, member := range []string{`"uid"`, `"gridPos"`, `"expr"`, `"reduceOptions"`, `"allValue"`} {
		changed := strings.Replace(string(text), member, `"surplus": 1, `+member, 1)
		if changed == string(text) || strict([]byte(changed)) == nil {
			t.Errorf("a member beside %s was not found", member)
		}
	}
}

// grafana replaces variables by what Grafana puts for them.
var grafana = strings.NewReplacer(
	"$__range", "7d", "$__rate_interval", "10m", "$registry", ".*", "$region", ".*", "$repository", ".*", "$severity", ".*", "$cluster", ".*",
)

var parse = parser.NewParser(parser.Options{})

// TestLint has the rules of Grafana's dashboard-linter, except for those that are waived,
// and that each panel has a text for no data and each graph a legend.
func TestLint(t *testing.T) {
	t.Parallel()
	uids := map[string]bool{}
	for file, d := range load(t) {
		if d.Uid == nil || uids[*d.Uid] || d.Title == nil || *d.Title == "" || d.Description == nil {
			t.Errorf("%s: the title, description or UID is missing or not unique", file)
			continue
		}
		uids[*d.Uid] = true
		if d.Editable == nil || *d.Editable {
			t.Errorf("%s: uneditable-dashboard: changes in Grafana would be lost with the next import", file)
		}
		lintVariables(t, file, &d)
		titles := map[string]bool{}
		for _, p := range d.Panels {
			if p.Panel == nil || p.Panel.Title == nil || titles[*p.Panel.Title] {
				t.Errorf("%s: a panel without a title, or with that of another", file)
				continue
			}
			titles[*p.Panel.Title] = true
			lintPanel(t, file+": "+*p.Panel.Title, p.Panel)
		}
		if len(titles) < 10 {
			t.Errorf("%s has %d panels", file, len(titles))
		}
	}
	for rule, why := range waived {
		if why == "" {
			t.Errorf("%s is waived for no reason", rule)
		}
	}
}

// lintVariables has template-datasource-rule, template-label-promql-rule and
// template-on-time-change-reload-rule.
func lintVariables(t *testing.T, file string, d *v1) {
	t.Helper()
	text, err := json.Marshal(d.Panels)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for i, v := range d.Templating.List {
		names = append(names, v.Name)
		switch v.Type {
		case dashboard.VariableTypeDatasource:
			if i != 0 || v.Name != "datasource" || *v.Label != "Data source" || *v.Query.String != "prometheus" {
				t.Errorf("%s: template-datasource-rule: %+v", file, v)
			}
			continue
		case dashboard.VariableTypeQuery:
			match := regexp.MustCompile(`^label_values\((.+), ([a-z_]+)\)$`).FindStringSubmatch(*v.Query.String)
			if match == nil {
				t.Errorf("%s: template-label-promql-rule: %s", file, *v.Query.String)
			} else if _, err := parse.ParseExpr(grafana.Replace(match[1])); err != nil {
				t.Errorf("%s: template-label-promql-rule: %v", file, err)
			}
			if v.Refresh == nil || *v.Refresh != dashboard.VariableRefreshOnTimeRangeChanged {
				t.Errorf("%s: template-on-time-change-reload-rule: %s", file, v.Name)
			}
		}
		if v.Multi == nil || !*v.Multi || v.IncludeAll == nil || !*v.IncludeAll || *v.AllValue != ".*" {
			t.Errorf("%s: %s does not have several values and All", file, v.Name)
		}
		if !strings.Contains(string(text), "$"+v.Name) {
			t.Errorf("%s: no panel reads the variable %s", file, v.Name)
		}
	}
	for _, match := range regexp.MustCompile(`\$([a-z]+)`).FindAllStringSubmatch(string(text), -1) {
		if !slices.Contains(names, match[1]) {
			t.Errorf("%s: there is no variable %s", file, match[1])
		}
	}
}

// lintPanel has panel-datasource-rule, panel-title-description-rule, panel-units-rule,
// panel-no-targets-rule, target-promql-rule and target-rate-interval-rule.
func lintPanel(t *testing.T, name string, p *dashboard.Panel) {
	t.Helper()
	if p.Datasource == nil || *p.Datasource.Uid != "${datasource}" {
		t.Errorf("%s: panel-datasource-rule", name)
	}
	if p.Description == nil || len(*p.Description) < 30 || !strings.HasSuffix(*p.Description, ".") {
		t.Errorf("%s: panel-title-description-rule", name)
	}
	if p.FieldConfig == nil || p.FieldConfig.Defaults.Unit == nil || *p.FieldConfig.Defaults.Unit == "" {
		t.Errorf("%s: panel-units-rule", name)
	}
	if p.FieldConfig == nil || p.FieldConfig.Defaults.NoValue == nil || len(*p.FieldConfig.Defaults.NoValue) < 15 {
		t.Errorf("%s has no text for no data", name)
	}
	if len(p.Targets) == 0 {
		t.Errorf("%s: panel-no-targets-rule", name)
	}
	for _, target := range p.Targets {
		q, ok := target.(prometheus.Dataquery)
		if !ok {
			pointer, isPointer := target.(*prometheus.Dataquery)
			if !isPointer {
				t.Fatalf("%s: a query is a %T", name, target)
			}
			q = *pointer
		}
		expr, err := parse.ParseExpr(grafana.Replace(q.Expr))
		if err != nil {
			t.Errorf("%s: target-promql-rule: %v\n%s", name, err, q.Expr)
			continue
		}
		ranged := q.Range != nil && *q.Range
		if ranged && strings.Contains(q.Expr, "$__range") {
			t.Errorf("%s reads the whole range at each step", name)
		}
		if p.Type != "table" && (q.LegendFormat == nil || *q.LegendFormat == "") {
			t.Errorf("%s has no legend", name)
		}
		lintExpr(t, name, expr, ranged, q.Expr)
	}
}

// lintExpr finds rankings at each step, and rates over anything but $__rate_interval.
func lintExpr(t *testing.T, name string, expr parser.Expr, ranged bool, text string) {
	t.Helper()
	parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
		switch n := node.(type) {
		case *parser.AggregateExpr:
			if ranged && (n.Op == parser.TOPK || n.Op == parser.BOTTOMK) {
				t.Errorf("%s ranks at each step", name)
			}
		case *parser.Call:
			if (n.Func.Name == "rate" || n.Func.Name == "increase") && !strings.Contains(text, "$__rate_interval") {
				t.Errorf("%s: target-rate-interval-rule", name)
			}
		}
		return nil
	})
}

// TestVariables checks that each selector of a family is limited by the variables whose
// labels the family has.
func TestVariables(t *testing.T) {
	t.Parallel()
	for _, d := range source.Dashboards() {
		for _, p := range d.Panels {
			for _, q := range p.Queries {
				expr, err := parse.ParseExpr(strings.NewReplacer("$__range", "7d").Replace(q.Expr))
				if err != nil {
					t.Errorf("%s: %s: %v", d.File, p.Title, err)
					continue
				}
				parser.Inspect(expr, func(node parser.Node, _ []parser.Node) error {
					if selector, ok := node.(*parser.VectorSelector); ok {
						checkSelector(t, d.File+": "+p.Title, selector)
					}
					return nil
				})
			}
		}
	}
}

// unlimited are the right sides of unless, for which more series do no harm.
var unlimited = map[string]bool{
	"aws_ecr_image_scan_status": true,
	"aws_ecr_image_scan_completed_at_timestamp_seconds|aws_ecr_(untagged_)?image_scan_severity_count": true,
	"aws_ecr_exporter_state_available": true, // has no registry_id
	"aws_ecr_exporter_targets":         true, // nor have these
	"aws_ecr_exporter_targets_waiting": true,
}

func checkSelector(t *testing.T, name string, s *parser.VectorSelector) {
	t.Helper()
	family, values := "", map[string]string{}
	for _, m := range s.LabelMatchers {
		if m.Name == model.MetricNameLabel {
			family = m.Value
		} else {
			values[m.Name] = m.Value
		}
	}
	var want map[string]string
	switch {
	case unlimited[family]:
	case strings.HasPrefix(family, "kube_"), strings.HasPrefix(family, "ecr:"):
		want = map[string]string{"cluster": "$cluster"}
	case strings.HasPrefix(family, "aws_ecr_image_"), strings.HasPrefix(family, "aws_ecr_repository_") && family != "aws_ecr_repository_count":
		want = map[string]string{"registry_id": "$registry", "region": "$region", "name": "$repository"}
	default:
		want = map[string]string{"registry_id": "$registry", "region": "$region"}
	}
	for label, variable := range want {
		if values[label] != variable {
			t.Errorf("%s: the selector of %s has no %s=~%q", name, family, label, variable)
		}
	}
}
