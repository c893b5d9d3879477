// Package metrics turns an inventory into series. The families are rows of one
// table (see Families); a further family is a further row.
package metrics

// Family is one metric family of the table.
type Family struct {
	// Name is the metric name.
	Name string
	// Help is its HELP text, at most 1024 bytes (the limit of Amazon Managed
	// Service for Prometheus).
	Help string
	// Type is the exposition format's word, "gauge" for every family so far.
	Type string
}
