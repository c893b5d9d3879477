package metrics

import (
	"iter"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

const nameLabel = "__name__"

// Options shape what All yields.
type Options struct {
	// External are put on every series. A family's own label of the same name
	// wins, as with Prometheus's external_labels.
	External []Label
	// At is the moment that ages are told for.
	At time.Time
	// StateAvailable says whether the durable state is; nil where there is none.
	StateAvailable *bool
	// RepositoriesOnly leaves out the families that are not about a repository.
	RepositoriesOnly bool
}

// All yields every series of a registry, family by family in the table's order,
// and within a family by repository, digest and tag. It allocates nothing for a
// series: what it yields is built in place (see Series).
//
// The registry must not change while the iterator is in use.
func All(registry *inventory.Registry, families []*Family, options Options) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		w := walker{subject: subject{options: &options, registry: registry}, yield: yield}
		for _, family := range families {
			if options.RepositoriesOnly && family.per < perRepository {
				continue
			}
			w.begin(family, options.External)
			if !w.family() {
				return
			}
		}
	}
}

// walker goes through a registry for one family after the other.
type walker struct {
	subject subject
	yield   func(Series) bool
	series  Series
	// values has, for each label of the family, the function that gives its
	// value; nil for a label whose value is the same in all its series.
	values []func(*subject) string
}

// begin lays out the labels of a family once, so that a series only fills in
// what varies.
func (w *walker) begin(family *Family, external []Label) {
	type column struct {
		Label
		value func(*subject) string
	}
	columns := []column{{Label: Label{nameLabel, family.Name}}}
	for _, name := range family.Labels {
		columns = append(columns, column{Label{Name: name}, labelValues[name]})
	}
	for _, label := range external {
		if !slices.Contains(family.Labels, label.Name) {
			columns = append(columns, column{Label: label})
		}
	}
	slices.SortFunc(columns, func(a, b column) int { return strings.Compare(a.Name, b.Name) })
	w.series = Series{Family: family, Labels: make([]Label, len(columns))}
	w.values = make([]func(*subject) string, len(columns))
	for i, c := range columns {
		w.series.Labels[i], w.values[i] = c.Label, c.value
	}
}

// family walks down to the family's level. Like the methods below it returns
// false when the consumer has had enough.
func (w *walker) family() bool {
	s := &w.subject
	s.repository, s.image = nil, nil
	switch per := w.series.Family.per; per {
	case perExporter:
		return w.emit()
	case perRegistry:
		// A registry that was never listed has no count; that is not 0.
		return s.registry.ListedAt.IsZero() || w.emit()
	case perRepository:
		for _, s.repository = range s.registry.Repositories {
			if !w.emit() {
				return false
			}
		}
		return true
	default:
		for _, s.repository = range s.registry.Repositories {
			for i := range s.repository.Images {
				s.image = &s.repository.Images[i]
				if s.image.Active() && len(s.image.Tags) > 0 && !w.tags(per) {
					return false
				}
			}
		}
		return true
	}
}

func (w *walker) tags(per level) bool {
	s := &w.subject
	if per == perSeverity && s.image.Scan == nil {
		return true
	}
	for _, s.tag = range s.image.Tags {
		s.describe()
		if per == perTag {
			if !w.emit() {
				return false
			}
			continue
		}
		for _, s.severity = range s.image.Scan.Severities {
			if !w.emit() {
				return false
			}
		}
	}
	return true
}

// describe builds the texts of the image's digest and reference in the scratch
// buffer, which the next subject overwrites.
func (s *subject) describe() {
	b := s.image.Digest.Append(s.scratch[:0])
	b = append(b, s.repository.URI...)
	b = append(b, ':')
	b = append(b, s.tag...)
	s.scratch = b
	// The strings share the buffer instead of copying it: Series documents
	// that they are valid for one step of the iterator only.
	text := unsafe.String(unsafe.SliceData(b), len(b))
	s.digest, s.reference = text[:inventory.DigestLen], text[inventory.DigestLen:]
}

func (w *walker) emit() bool {
	value, ok := w.series.Family.value(&w.subject)
	if !ok {
		return true
	}
	for i, of := range w.values {
		if of != nil {
			w.series.Labels[i].Value = of(&w.subject)
		}
	}
	w.series.Value = value
	return w.yield(w.series)
}
