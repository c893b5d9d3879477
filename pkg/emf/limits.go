package emf

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// The limits of the specification and, where those of the CloudWatch API are
// narrower, of the API. With all of them a line has less than 256 KB, the least
// that CloudWatch Logs has ever taken for one event.
const (
	maxMetrics        = 100 // of one document
	maxDimensions     = 30  // of one metric
	maxNamespace      = 255
	maxMetricName     = 255
	maxDimensionName  = 250
	maxDimensionValue = 1024
)

var maxValue = math.Ldexp(1, 360)

// checkNamespace holds a namespace against
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html.
func checkNamespace(namespace string) error {
	if !validName(namespace, maxNamespace) || strings.HasPrefix(namespace, "AWS/") {
		return fmt.Errorf("the CloudWatch namespace %q does not have 1 to %d printable ASCII characters, or begins with : or AWS/", namespace, maxNamespace)
	}
	return nil
}

// validName reports whether CloudWatch takes a name. Names are not changed: one that
// was would not be found by who looks for it.
func validName(name string, most int) bool {
	return len(name) <= most && strings.TrimSpace(name) != "" && name[0] != ':' &&
		!strings.ContainsFunc(name, func(r rune) bool { return !printable(r) })
}

func printable(r rune) bool { return ' ' <= r && r <= '~' }

// publishable returns the metrics that CloudWatch takes. One with the name of a
// dimension has no place: both would be the same member of the document.
func (d *document) publishable() []metric {
	return slices.DeleteFunc(slices.Clone(d.metrics), func(m metric) bool {
		return !(math.Abs(m.value) <= maxValue) || // NaN too
			slices.ContainsFunc(d.dimensions, func(l metrics.Label) bool { return l.Name == m.name })
	})
}

// shape returns labels as dimensions that CloudWatch takes, sorted by name. Of
// labels with the same name the first counts.
func shape(labels []metrics.Label) []metrics.Label {
	var dimensions []metrics.Label
	for _, label := range labels {
		label.Value = shapeValue(label.Value)
		if len(dimensions) == maxDimensions {
			break
		}
		if label.Value == "" || strings.EqualFold(label.Name, metadataMember) || !validName(label.Name, maxDimensionName) ||
			slices.ContainsFunc(dimensions, func(d metrics.Label) bool { return d.Name == label.Name }) {
			continue
		}
		dimensions = append(dimensions, label)
	}
	slices.SortFunc(dimensions, func(a, b metrics.Label) int { return strings.Compare(a.Name, b.Name) })
	return dimensions
}

// shapeValue returns a dimension's value as CloudWatch takes it; empty where
// nothing but white space is left.
func shapeValue(value string) string {
	value = strings.Map(func(r rune) rune {
		if printable(r) {
			return r
		}
		return '?'
	}, value)
	value = value[:min(len(value), maxDimensionValue)]
	if strings.TrimSpace(value) == "" {
		return ""
	}
	return value
}

// unit is that of a metric, told by its name as Prometheus's conventions have it
// (https://prometheus.io/docs/practices/naming/). A timestamp has none: added up or
// shown in minutes it makes no sense.
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
