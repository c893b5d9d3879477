package remotewrite

import (
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

const (
	nameLabel = "__name__"

	// Cortex's defaults for max_length_label_name and max_length_label_value.
	maxLabelName  = 1024
	maxLabelValue = 2048
)

// rules holds labels against what every receiver demands. Prometheus skips a
// series with invalid labels and still answers 2xx, Cortex refuses the batch
// it is in: so nothing that breaks a rule is sent.
//
// Series come in runs of the same shape, so the label names and the metric name
// that were found good last are remembered, as copies: the iterator may reuse
// the memory of its strings.
type rules struct {
	shape   []string // the last good series' label names, as they came
	metric  string   // the last good metric name
	scratch []metrics.Label
}

// fault says which label broke which rule.
type fault struct {
	reason Reason
	// label is the name of the label, length the length in bytes of the name or
	// value that is at fault.
	label  string
	length int
}

// begin starts a push.
func (r *rules) begin() {}

// check returns the labels to send: sorted, none empty, none repeated, all
// valid. They are the series' own slice or memory of r, valid until the next
// call. If a rule is broken it returns which.
func (r *rules) check(s metrics.Series) ([]metrics.Label, fault) {
	labels := s.Labels
	if !r.sameShape(labels) {
		sorted, f := r.names(labels)
		if f.reason != "" {
			return nil, f
		}
		labels = sorted
	}
	named, empty := false, false
	for i := range labels {
		l := &labels[i]
		switch {
		case l.Value == "":
			empty = true
		case l.Name == nameLabel:
			named = true
			if f := r.metricName(l.Value); f.reason != "" {
				return nil, f
			}
		case len(l.Value) > maxLabelValue:
			return nil, fault{LabelValueTooLong, l.Name, len(l.Value)}
		case !utf8.ValidString(l.Value):
			return nil, fault{InvalidUTF8, l.Name, len(l.Value)}
		}
	}
	if !named {
		return nil, fault{NoMetricName, nameLabel, 0}
	}
	if empty {
		return r.withoutEmpty(labels), fault{}
	}
	return labels, fault{}
}

// sameShape reports whether the names are those that were found good last.
func (r *rules) sameShape(labels []metrics.Label) bool {
	if len(labels) != len(r.shape) {
		return false
	}
	for i := range labels {
		if labels[i].Name != r.shape[i] {
			return false
		}
	}
	return true
}

// names checks the label names. It returns the labels in order, copied if
// they were not, and remembers a shape that needs no second look.
//
// A label with an empty value is the same as no label, so its name does not
// matter. Such a series is not remembered: the next one of the same shape may
// have a value there.
func (r *rules) names(labels []metrics.Label) ([]metrics.Label, fault) {
	r.shape = r.shape[:0]
	whole := !slices.ContainsFunc(labels, func(l metrics.Label) bool { return l.Value == "" })
	if !whole {
		labels = r.withoutEmpty(labels)
	}
	if !slices.IsSortedFunc(labels, byName) {
		whole = false
		r.scratch = append(r.scratch[:0], labels...)
		slices.SortFunc(r.scratch, byName)
		labels = r.scratch
	}
	for i, l := range labels {
		switch {
		case len(l.Name) > maxLabelName:
			return nil, fault{LabelNameTooLong, l.Name, len(l.Name)}
		case !validLabelName(l.Name):
			return nil, fault{InvalidLabelName, l.Name, len(l.Name)}
		case i > 0 && l.Name == labels[i-1].Name:
			return nil, fault{DuplicateLabel, l.Name, len(l.Name)}
		}
	}
	if whole {
		for _, l := range labels {
			r.shape = append(r.shape, strings.Clone(l.Name))
		}
	}
	return labels, fault{}
}

func (r *rules) metricName(name string) fault {
	switch {
	case name == r.metric:
		return fault{}
	case len(name) > maxLabelValue:
		return fault{LabelValueTooLong, nameLabel, len(name)}
	case !validMetricName(name):
		return fault{InvalidMetricName, nameLabel, len(name)}
	}
	r.metric = strings.Clone(name)
	return fault{}
}

// withoutEmpty copies the labels that have a value into r's scratch memory,
// which labels may already be.
func (r *rules) withoutEmpty(labels []metrics.Label) []metrics.Label {
	out := r.scratch[:0]
	for _, l := range labels {
		if l.Value != "" {
			out = append(out, l)
		}
	}
	r.scratch = out
	return out
}

func byName(a, b metrics.Label) int { return strings.Compare(a.Name, b.Name) }

// validLabelName reports whether s matches [a-zA-Z_][a-zA-Z0-9_]*, the only
// form that 1.0 knows. Prometheus 3 takes any UTF-8, Cortex does not.
func validLabelName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !letter(c) && (i == 0 || !digit(c)) {
			return false
		}
	}
	return s != ""
}

// validMetricName reports whether s matches [a-zA-Z_:][a-zA-Z0-9_:]*.
func validMetricName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !letter(c) && c != ':' && (i == 0 || !digit(c)) {
			return false
		}
	}
	return s != ""
}

func letter(c byte) bool { return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_' }

func digit(c byte) bool { return '0' <= c && c <= '9' }
