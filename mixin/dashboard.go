package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/bargauge"
	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/cog/variants"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/stat"
	"github.com/grafana/grafana-foundation-sdk/go/table"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"

	"github.com/aws-exporters/ecr-remote-write/mixin/source"
)

// tag is what all dashboards have, by which they link to one another.
const tag = "ecr-remote-write"

// gridWidth is the number of columns of Grafana's grid.
const gridWidth = 24

// dataSource is the variable of the data source.
var dataSource = common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("${datasource}")}

func addDashboards(files map[string]string) error {
	for _, d := range source.Dashboards() {
		built, err := build(d)
		if err != nil {
			return fmt.Errorf("build the dashboard %s: %w", d.File, err)
		}
		text, err := json.MarshalIndent(built, "", "  ")
		if err != nil {
			return fmt.Errorf("write the dashboard %s: %w", d.File, err)
		}
		files["mixin/dashboards/"+d.File+".json"] = string(text) + "\n"
	}
	return nil
}

// v1 is a dashboard of Grafana's schema v1.
type v1 = dashboard.Dashboard //nolint:staticcheck // schema v2 is not loaded by Grafana 9 to 12

func build(d source.Dashboard) (v1, error) {
	//nolint:staticcheck // as v1
	b := dashboard.NewDashboardBuilder(d.Title).Uid("ecr-"+d.File).Description(d.About).Tags([]string{tag}).
		Readonly().Time("now-7d", "now").Refresh("5m").Timezone("browser").Tooltip(dashboard.DashboardCursorSyncCrosshair).
		Link(dashboard.NewDashboardLinkBuilder("ECR").Type(dashboard.DashboardLinkTypeDashboards).
			Tags([]string{tag}).AsDropdown(true).IncludeVars(true).KeepTime(true)).
		Variables(variables(d))
	at := dashboard.GridPos{}
	below := uint32(0)
	for i, p := range d.Panels {
		at.W, at.H = sizeOf(p.Kind)
		if at.X+at.W > gridWidth {
			at.X, at.Y, below = 0, below, 0
		}
		b.WithPanel(panel(p, uint32(i+1), at))
		at.X += at.W
		below = max(below, at.Y+at.H)
	}
	return b.Build()
}

// sizeOf is the width and height of a kind of panel.
func sizeOf(kind source.Kind) (width, height uint32) {
	if kind == source.Stat {
		return gridWidth / 4, 4
	}
	return gridWidth / 2, 9
}

// variables are those that some query of the dashboard has, after the data source.
func variables(d source.Dashboard) []cog.Builder[dashboard.VariableModel] {
	all := []cog.Builder[dashboard.VariableModel]{
		dashboard.NewDatasourceVariableBuilder("datasource").Label("Data source").Type("prometheus"),
	}
	var queries strings.Builder
	for _, p := range d.Panels {
		for _, q := range p.Queries {
			queries.WriteString(q.Expr)
		}
	}
	for _, v := range []struct{ name, label, query string }{
		{"registry", "Registry", "label_values(aws_ecr_repository_count, registry_id)"},
		{"region", "Region", "label_values(aws_ecr_exporter_last_success_timestamp_seconds, region)"},
		{"cluster", "Cluster", "label_values(kube_pod_container_info, cluster)"},
		{"repository", "Repository", `label_values(aws_ecr_repository_info{registry_id=~"$registry"}, name)`},
	} {
		if !strings.Contains(queries.String(), "$"+v.name) {
			continue
		}
		all = append(all, dashboard.NewQueryVariableBuilder(v.name).Label(v.label).Datasource(dataSource).
			Query(dashboard.StringOrMap{String: cog.ToPtr(v.query)}).Definition(v.query).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged).Sort(dashboard.VariableSortAlphabeticalAsc).
			Multi(true).IncludeAll(true).AllValue(".*").Current(option("All", "$__all")))
	}
	if strings.Contains(queries.String(), "$severity") {
		options := []dashboard.VariableOption{option("All", "$__all")}
		for _, severity := range source.Severities {
			options = append(options, option(severity, severity))
		}
		all = append(all, dashboard.NewCustomVariableBuilder("severity").Label("Severity").
			Values(dashboard.StringOrMap{String: cog.ToPtr(strings.Join(source.Severities, ","))}).Options(options).
			Multi(true).IncludeAll(true).AllValue(".*").Current(option("All", "$__all")))
	}
	return all
}

func option(text, value string) dashboard.VariableOption {
	return dashboard.VariableOption{
		Selected: cog.ToPtr(text == "All"),
		Text:     dashboard.StringOrArrayOfString{String: &text}, Value: dashboard.StringOrArrayOfString{String: &value},
	}
}

// panel builds a panel at a place.
func panel(p source.Panel, id uint32, at dashboard.GridPos) cog.Builder[dashboard.Panel] {
	last := common.NewReduceDataOptionsBuilder().Calcs([]string{"lastNotNull"})
	targets := targets(p)
	// Without steps Grafana shows its own: red above 80.
	plain := dashboard.NewThresholdsConfigBuilder().Mode(dashboard.ThresholdsModeAbsolute).
		Steps([]dashboard.Threshold{{Value: nil, Color: "blue"}})
	switch p.Kind {
	case source.Graph:
		return timeseries.NewPanelBuilder().Id(id).GridPos(at).Title(p.Title).Description(p.About).NoValue(p.None).
			Unit(p.Unit).Datasource(dataSource).Targets(targets).FillOpacity(10).Min(0).
			Legend(common.NewVizLegendOptionsBuilder().ShowLegend(true).DisplayMode(common.LegendDisplayModeList).Placement(common.LegendPlacementBottom))
	case source.Stat:
		return stat.NewPanelBuilder().Id(id).GridPos(at).Title(p.Title).Description(p.About).NoValue(p.None).
			Unit(p.Unit).Datasource(dataSource).Targets(targets).ReduceOptions(last).Thresholds(plain).
			Orientation(common.VizOrientationAuto).GraphMode(common.BigValueGraphModeNone).ColorMode(common.BigValueColorModeValue)
	case source.Rank:
		return bargauge.NewPanelBuilder().Id(id).GridPos(at).Title(p.Title).Description(p.About).NoValue(p.None).
			Unit(p.Unit).Datasource(dataSource).Targets(targets).ReduceOptions(last).Thresholds(plain).Min(0).
			Orientation(common.VizOrientationHorizontal).DisplayMode(common.BarGaugeDisplayModeBasic)
	case source.Table:
		hidden, names := map[string]bool{"Time": true}, map[string]string{}
		for _, label := range p.Hide {
			hidden[label] = true
		}
		if p.Value != "" {
			names["Value"] = p.Value
		}
		return table.NewPanelBuilder().Id(id).GridPos(at).Title(p.Title).Description(p.About).NoValue(p.None).
			Unit(p.Unit).Datasource(dataSource).Targets(targets).ShowHeader(true).
			Footer(common.NewTableFooterOptionsBuilder().Reducer([]string{"sum"})). // the schema demands one; it is not shown
			WithTransformation(dashboard.DataTransformerConfig{
				Id: "organize", Options: map[string]any{"excludeByName": hidden, "renameByName": names},
			})
	}
	panic("no kind of panel: " + p.Kind)
}

// targets are the queries of a panel: of a graph at each step, of others at the end of the
// range.
func targets(p source.Panel) []cog.Builder[variants.Dataquery] {
	var all []cog.Builder[variants.Dataquery]
	for i, q := range p.Queries {
		b := prometheus.NewDataqueryBuilder().RefId(string(rune('A' + i))).Datasource(dataSource).Expr(q.Expr)
		switch p.Kind {
		case source.Graph:
			b.Range().LegendFormat(q.Legend)
		case source.Table:
			b.Instant().Format(prometheus.PromQueryFormatTable)
		default:
			b.Instant().LegendFormat(q.Legend)
		}
		all = append(all, b)
	}
	return all
}
