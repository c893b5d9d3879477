package remotewrite

import (
	"hash/maphash"
	"math/bits"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

const nameLabel = "__name__"

// TooManyLabels is that a series has more labels than Limits.Labels.
const TooManyLabels Reason = "too_many_labels"

// Limits are what a receiver takes of a series' labels. A series beyond them is
// not sent. A zero field takes its default.
type Limits struct {
	// Labels is the number of labels of a series, __name__ and external labels
	// included. The default is the quota of Amazon Managed Service for Prometheus
	// (https://docs.aws.amazon.com/prometheus/latest/userguide/AMP_quotas.html).
	// Cortex and Mimir have 30 unless they are configured otherwise
	// (max_label_names_per_series), VictoriaMetrics 40 (-maxLabelsPerTimeseries);
	// this project's own families have 8 at most.
	Labels int
	// NameBytes is the length of a label's name. The default is that of Cortex's
	// max_length_label_name.
	NameBytes int
	// ValueBytes is the length of a label's value, of the metric name too. The
	// default is that of Cortex's max_length_label_value.
	ValueBytes int
}

// Defaults of Limits.
const (
	DefaultMaxLabels     = 70
	DefaultMaxLabelName  = 1024
	DefaultMaxLabelValue = 2048
)

// rules holds labels against what every receiver demands. Prometheus skips a
// series with invalid labels and still answers 2xx, Cortex refuses the batch
// it is in: so nothing that breaks a rule is sent.
//
// Series come in runs that have most in common, so what was found good is
// remembered: by where it lies if the iterator tells (see memo), else the label
// names and the metric name of the last series, as copies.
type rules struct {
	// limits are the sender's. Zero fields take their defaults when a push begins.
	limits Limits

	begun   bool
	seen    seen
	memo    memo[checkedNames, checkedLabel]
	shape   []string // the last good series' label names, as they came
	metric  string   // the last good metric name
	scratch []metrics.Label
}

// checkedNames is what is known of the label names of a family.
type checkedNames struct {
	looked bool   // at the names
	good   bool   // valid, sorted, distinct, and __name__ is one of them
	metric int    // the place of __name__
	hash   uint64 // of the label __name__ with the family's name, 0 while not known
}

// checkedLabel is what is known of a label: the hash of its name, 0 while not known,
// and of the whole.
type checkedLabel struct{ name, hash uint64 }

// fault says which label broke which rule.
type fault struct {
	reason Reason
	// label is the name of the label, length the length in bytes of the name or
	// value that is at fault.
	label  string
	length int
}

// begin starts a push: no series has been seen in it, and what was remembered by
// where it lies is forgotten.
func (r *rules) begin() {
	orDefault(&r.limits.Labels, DefaultMaxLabels)
	orDefault(&r.limits.NameBytes, DefaultMaxLabelName)
	orDefault(&r.limits.ValueBytes, DefaultMaxLabelValue)
	r.seen.begin()
	r.memo.forget() // hashes have another seed
	r.begun = true
}

// check returns the labels to send: sorted, none empty, none repeated, all
// valid, and of a series that has not been in this push. They are the series' own
// slice or memory of r, valid until the next call. If a rule is broken it returns
// which.
func (r *rules) check(s metrics.Series) ([]metrics.Label, fault) {
	if !r.begun {
		r.begin()
	}
	labels := s.Labels
	var (
		hash uint64
		n    int
		f    fault
	)
	if l := r.memo.of(&s); l != nil && r.goodNames(l, labels) {
		hash, n, f = r.remembered(l, &s)
	} else {
		if !r.sameShape(labels) {
			if labels, f = r.names(labels); f.reason != "" {
				return nil, f
			}
		}
		hash, n, f = r.values(labels)
	}
	switch {
	case f.reason != "":
		return nil, f
	case n > r.limits.Labels:
		return nil, fault{TooManyLabels, "", n}
	case !r.seen.add(hash):
		return nil, fault{DuplicateSeries, "", 0}
	case n < len(labels):
		return r.withoutEmpty(labels), fault{}
	}
	return labels, fault{}
}

// goodNames reports whether the label names of a layout need no look, which it
// finds out at the first series.
func (r *rules) goodNames(l *layout[checkedNames], labels []metrics.Label) bool {
	if m := &l.made; !m.looked {
		m.looked = true
		m.metric = slices.IndexFunc(labels, func(l metrics.Label) bool { return l.Name == nameLabel })
		m.good = m.metric >= 0 && slices.IsSortedFunc(labels, byName) && r.invalidName(labels).reason == ""
	}
	return l.made.good
}

// remembered does the same as values, for a series with good names.
func (r *rules) remembered(l *layout[checkedNames], s *metrics.Series) (hash uint64, n int, f fault) {
	labels, columns := s.Labels, r.memo.columns
	n = len(labels)
	for i, k := range l.columns {
		switch c, value := &columns[k], labels[i].Value; {
		case c.has(s.Subject, value):
			hash += c.made.hash
		case i == l.made.metric && l.made.hash != 0 && same(value, s.Family.Name):
			hash += l.made.hash
		case value == "" && i != l.made.metric:
			n--
		default:
			if f = r.value(&labels[i]); f.reason != "" {
				return 0, 0, f
			}
			hash += r.keep(l, c, i, s)
		}
	}
	return hash, n, fault{}
}

// keep remembers a label whose value has been found good. It returns its hash.
func (r *rules) keep(l *layout[checkedNames], c *column[checkedLabel], i int, s *metrics.Series) uint64 {
	value := s.Labels[i].Value
	if c.made.name == 0 {
		c.made.name = r.hash(c.name)
	}
	hash := mix(c.made.name, r.hash(value))
	if i != l.made.metric {
		c.subject, c.value, c.made.hash = s.Subject, value, hash
	} else if same(value, s.Family.Name) {
		l.made.hash = hash
	}
	return hash
}

// values checks the values of labels whose names are good. It returns the series'
// hash and the number of labels that are not empty.
func (r *rules) values(labels []metrics.Label) (hash uint64, n int, f fault) {
	named := false
	for i := range labels {
		l := &labels[i]
		if l.Value == "" {
			continue
		}
		isMetric := l.Name == nameLabel
		named = named || isMetric
		if !isMetric || l.Value != r.metric {
			if f = r.value(l); f.reason != "" {
				return 0, 0, f
			}
			if isMetric {
				r.metric = strings.Clone(l.Value)
			}
		}
		// A sum, since labels are sorted and no two have the same name.
		hash += mix(r.hash(l.Name), r.hash(l.Value))
		n++
	}
	if !named {
		return 0, 0, fault{NoMetricName, nameLabel, 0}
	}
	return hash, n, fault{}
}

// value checks the value of a label.
func (r *rules) value(l *metrics.Label) fault {
	switch {
	case l.Name == nameLabel:
		return r.metricName(l.Value)
	case len(l.Value) > r.limits.ValueBytes:
		return fault{LabelValueTooLong, l.Name, len(l.Value)}
	case !utf8.ValidString(l.Value):
		return fault{InvalidUTF8, l.Name, len(l.Value)}
	}
	return fault{}
}

func (r *rules) hash(text string) uint64 { return maphash.String(r.seen.seed, text) }

// mix makes one hash of those of a name and a value. Unlike a sum, it does not give
// the same for two labels that have exchanged their values: they are multiplied to
// 128 bits, whose halves are folded.
func mix(name, value uint64) uint64 {
	high, low := bits.Mul64(name^0x9e3779b97f4a7c15, value^0xbf58476d1ce4e5b9)
	return high ^ low
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
	if f := r.invalidName(labels); f.reason != "" {
		return nil, f
	}
	if whole {
		for _, l := range labels {
			r.shape = append(r.shape, strings.Clone(l.Name))
		}
	}
	return labels, fault{}
}

// invalidName returns what is wrong with the names of sorted labels.
func (r *rules) invalidName(labels []metrics.Label) fault {
	for i, l := range labels {
		switch {
		case len(l.Name) > r.limits.NameBytes:
			return fault{LabelNameTooLong, l.Name, len(l.Name)}
		case !validLabelName(l.Name):
			return fault{InvalidLabelName, l.Name, len(l.Name)}
		case i > 0 && l.Name == labels[i-1].Name:
			return fault{DuplicateLabel, l.Name, len(l.Name)}
		}
	}
	return fault{}
}

// metricName checks the value of __name__.
func (r *rules) metricName(name string) fault {
	switch {
	case name == "":
		return fault{NoMetricName, nameLabel, 0}
	case len(name) > r.limits.ValueBytes:
		return fault{LabelValueTooLong, nameLabel, len(name)}
	case !validMetricName(name):
		return fault{InvalidMetricName, nameLabel, len(name)}
	}
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
