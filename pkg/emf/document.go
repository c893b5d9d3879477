package emf

import (
	"bytes"
	"encoding/json"
	"strings"
	"time"
)

// metadataMember is the root member by which CloudWatch Logs recognizes a document. Lambda
// logs a line of JSON as it is, so it stays a member of the root.
const metadataMember = "_aws"

// The members of the specification's metadata object.
type (
	metadata struct {
		Timestamp         int64 // milliseconds since 1970
		CloudWatchMetrics []directive
	}
	directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []definition
	}
	definition struct{ Name, Unit string }
)

// line returns a document with some of its metrics as one line.
func (d *document) line(namespace string, at time.Time, some []metric) ([]byte, error) {
	names := make([]string, len(d.dimensions))
	definitions := make([]definition, len(some))
	root := map[string]any{} // encoded in the order of its keys
	for i, dimension := range d.dimensions {
		names[i] = dimension.Name
		root[dimension.Name] = dimension.Value
	}
	for i, m := range some {
		definitions[i] = definition{m.name, unit(m.name)}
		root[m.name] = m.value
	}
	root[metadataMember] = metadata{at.UnixMilli(), []directive{{namespace, [][]string{names}, definitions}}}

	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(root)
	return b.Bytes(), err
}

// unit is a metric's unit, which Prometheus's conventions put into its name
// (https://prometheus.io/docs/practices/naming/). A timestamp has none, as its sum or
// minutes make no sense.
func unit(name string) string {
	switch {
	case strings.HasSuffix(name, "_timestamp_seconds"):
		return "None"
	case strings.HasSuffix(name, "_seconds"):
		return "Seconds"
	case strings.HasSuffix(name, "_bytes"):
		return "Bytes"
	default:
		return "Count"
	}
}
