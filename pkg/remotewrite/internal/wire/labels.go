package wire

import (
	"cmp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

const nameLabel = "__name__"

// Limits are the largest labels that are sent. A zero field takes its default.
type Limits struct {
	// Labels is the number of labels of a series, __name__ and external labels
	// included. The default is the quota of Amazon Managed Service for Prometheus
	// (https://docs.aws.amazon.com/prometheus/latest/userguide/AMP_quotas.html).
	// Cortex and Mimir default to 30 (max_label_names_per_series), VictoriaMetrics
	// to 40 (-maxLabelsPerTimeseries); this project's families have at most 8.
	Labels int
	// NameBytes is the length of a label name. The default is that of Cortex's
	// max_length_label_name.
	NameBytes int
	// ValueBytes is the length of a label value, the metric name included. The
	// default is metrics.MaxLabelValue.
	ValueBytes int
}

// Defaults of Limits.
const (
	DefaultMaxLabels    = 70
	DefaultMaxLabelName = 1024
)

// Reason is why a series was dropped before sending. It is a label value of the
// exporter's own metrics, so the words are fixed.
type Reason string

// The reasons, after the rules of the Remote-Write 1.0 specification
// (https://prometheus.io/docs/specs/prw/remote_write_spec/#labels). 2.0 has them, too,
// but allows any UTF-8 in names. Lengths and counts are those of Limits.
const (
	// NoMetricName: the label __name__ is missing or empty.
	NoMetricName Reason = "no_metric_name"
	// InvalidMetricName: __name__ does not match [a-zA-Z_:][a-zA-Z0-9_:]*.
	InvalidMetricName Reason = "invalid_metric_name"
	// InvalidLabelName: a name does not match [a-zA-Z_][a-zA-Z0-9_]*.
	InvalidLabelName Reason = "invalid_label_name"
	// DuplicateLabel: a label name occurs twice in the series.
	DuplicateLabel Reason = "duplicate_label_name"
	// LabelNameTooLong: a name is longer than Limits.NameBytes.
	LabelNameTooLong Reason = "label_name_too_long"
	// LabelValueTooLong: a value is longer than Limits.ValueBytes.
	LabelValueTooLong Reason = "label_value_too_long"
	// InvalidUTF8: a value is not UTF-8, which protobuf requires of a string.
	InvalidUTF8 Reason = "label_value_not_utf8"
	// TooManyLabels: the series has more labels than Limits.Labels.
	TooManyLabels Reason = "too_many_labels"
	// SeriesTooLarge: the series alone exceeds the size limit of a batch.
	SeriesTooLarge Reason = "series_too_large"
)

// Reasons are all of them.
var Reasons = []Reason{
	NoMetricName, InvalidMetricName, InvalidLabelName, DuplicateLabel, LabelNameTooLong,
	LabelValueTooLong, InvalidUTF8, TooManyLabels, SeriesTooLarge,
}

// Fault is the rule that a series breaks. It is zero for a valid series.
type Fault struct {
	Reason Reason
	// Label is the name of the label at fault; empty if it is the series as a whole.
	Label string
	// Size is the length in bytes of the name or value at fault, or the number of
	// labels.
	Size int
}

// Label is a validated label with a value of its own memory.
type Label struct {
	name []byte
	// encoded is the label as a message of 1.0, valueAt where in it the value starts.
	encoded []byte
	valueAt int
	// index is the label's place in Validator.known, version the state of the value:
	// no two values of any label have the same.
	index   int
	version uint64
}

func (l *Label) value() []byte { return l.encoded[l.valueAt:] }

// Validator checks labels against Limits and the rules behind the reasons.
// Prometheus skips a series with invalid labels and still answers 2xx, Cortex
// refuses the whole batch: so nothing invalid is sent.
//
// It keeps, for every label name, the last valid value in encoded form.
// Consecutive series have most labels in common, and a value equal to the previous
// one is neither validated nor encoded again.
type Validator struct {
	limits  Limits
	known   []*Label // sorted by name
	version uint64   // of the latest value

	labels []*Label        // the result of Check
	sorted []metrics.Label // scratch
}

// maxKnown is the number of label names above which the known ones are forgotten.
// The families of a registry have about twenty.
const maxKnown = 256

// NewValidator returns a Validator with these limits.
func NewValidator(limits Limits) *Validator {
	return &Validator{limits: Limits{
		Labels:     cmp.Or(limits.Labels, DefaultMaxLabels),
		NameBytes:  cmp.Or(limits.NameBytes, DefaultMaxLabelName),
		ValueBytes: cmp.Or(limits.ValueBytes, metrics.MaxLabelValue),
	}}
}

// Check returns the labels to send, sorted by name and without those whose value
// is empty, or the rule that is broken. The labels are valid until the next call.
func (v *Validator) Check(labels []metrics.Label) ([]*Label, Fault) {
	if !v.match(labels) {
		var f Fault
		if labels, f = v.learn(labels); f.Reason != "" {
			return nil, f
		}
		v.match(labels)
	}
	if n := len(v.labels); n > v.limits.Labels {
		return nil, Fault{TooManyLabels, "", n}
	}
	named, next := false, 0
	for i := range labels {
		text := labels[i].Value
		if text == "" {
			continue
		}
		l := v.labels[next]
		next++
		named = named || string(l.name) == nameLabel
		if string(l.value()) == text {
			continue
		}
		if f := v.checkValue(labels[i].Name, text); f.Reason != "" {
			return nil, f
		}
		v.version++
		l.encoded = appendLabel(l.encoded[:0], labels[i].Name, text)
		l.valueAt, l.version = len(l.encoded)-len(text), v.version
	}
	if !named {
		return nil, Fault{NoMetricName, nameLabel, 0}
	}
	return v.labels, Fault{}
}

// match finds the known label of every name with a value. It returns false if one
// is not known, or if the names are not in order.
func (v *Validator) match(labels []metrics.Label) bool {
	v.labels = v.labels[:0]
	k := 0
	for i := range labels {
		if labels[i].Value == "" {
			continue
		}
		name := labels[i].Name
		for k < len(v.known) && string(v.known[k].name) != name {
			k++
		}
		if k == len(v.known) {
			return false
		}
		v.labels = append(v.labels, v.known[k])
		k++
	}
	return true
}

// learn adds the names of the labels to the known ones if all are valid. It
// returns the labels in order, without empty values: a label without a value is no
// label, so its name does not matter.
func (v *Validator) learn(labels []metrics.Label) ([]metrics.Label, Fault) {
	v.sorted = v.sorted[:0]
	for _, l := range labels {
		if l.Value != "" {
			v.sorted = append(v.sorted, l)
		}
	}
	labels = v.sorted
	if len(labels) > v.limits.Labels {
		return nil, Fault{TooManyLabels, "", len(labels)}
	}
	slices.SortFunc(labels, func(a, b metrics.Label) int { return strings.Compare(a.Name, b.Name) })
	for i, l := range labels {
		switch {
		case len(l.Name) > v.limits.NameBytes:
			return nil, Fault{LabelNameTooLong, l.Name, len(l.Name)}
		case !metrics.ValidLabelName(l.Name):
			return nil, Fault{InvalidLabelName, l.Name, len(l.Name)}
		case i > 0 && l.Name == labels[i-1].Name:
			return nil, Fault{DuplicateLabel, l.Name, len(l.Name)}
		}
	}
	if len(v.known)+len(labels) > maxKnown {
		v.known = nil
	}
	for _, l := range labels {
		at, found := slices.BinarySearchFunc(v.known, l.Name, func(k *Label, name string) int { return strings.Compare(string(k.name), name) })
		if !found {
			v.known = slices.Insert(v.known, at, &Label{name: []byte(l.Name), index: len(v.known)})
		}
	}
	return labels, Fault{}
}

// checkValue checks a value that is not empty.
func (v *Validator) checkValue(name, value string) Fault {
	switch {
	case len(value) > v.limits.ValueBytes:
		return Fault{LabelValueTooLong, name, len(value)}
	case name == nameLabel:
		// A metric name may have colons, too.
		if !metrics.ValidLabelName(strings.ReplaceAll(value, ":", "_")) {
			return Fault{InvalidMetricName, name, len(value)}
		}
	case !utf8.ValidString(value):
		return Fault{InvalidUTF8, name, len(value)}
	}
	return Fault{}
}
