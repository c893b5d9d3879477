// Package source has, as data, the queries of the dashboards, of the rules, and of README
// and docs. All else in mixin is written from it, see package main.
package source

// Kind is how a panel shows its queries.
type Kind string

// The kinds of panels. A graph asks at each step of the range. All others ask once, at the
// end of the range: a ranking over the whole range is a query over $__range.
const (
	Graph Kind = "graph"
	Stat  Kind = "stat"
	Rank  Kind = "rank" // bars, the longest first
	Table Kind = "table"
)

// Dashboard is one file of mixin/dashboards.
type Dashboard struct {
	File, Title, About string
	Panels             []Panel
}

// Panel is one panel of a dashboard.
type Panel struct {
	Title string
	Kind  Kind
	// Unit is Grafana's word for the unit of the value, such as bytes.
	Unit string
	// About says what is seen and what to do about it.
	About string
	// None is what is shown, and what it means, if the queries return nothing.
	None string
	// Queries have all the same unit.
	Queries []Query
	// Value is the header of a table's column of values; Hide are labels without a column.
	Value string
	Hide  []string
}

// Query is a query of a panel, in which the variables of the dashboards stand as $registry.
type Query struct{ Expr, Legend string }

// Dashboards are all dashboards.
func Dashboards() []Dashboard {
	return []Dashboard{overview(), vulnerabilities(), waste(), exporter()}
}

// Severities are the words for the severity of a finding, the gravest first.
var Severities = []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNTRIAGED", "UNDEFINED"}

// The matchers of the variables. An image and a repository have the label region only with
// REGION_LABEL=true; All matches those without.
const (
	ofRegistry   = `registry_id=~"$registry", region=~"$region"`
	ofRepository = ofRegistry + `, name=~"$repository"`
	ofSeverity   = ofRepository + `, severity=~"$severity"`
	ofCluster    = `, cluster=~"$cluster"`
)

// one is a panel's single query.
func one(expr, legend string) []Query { return []Query{{expr, legend}} }
