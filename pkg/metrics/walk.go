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

// Options shape what All and ByRepository yield.
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
	// Tag reports whether an image is shown under that tag; nil shows all tags.
	Tag func(tag string) bool
	// Entering, if set, is called by ByRepository before the series of each
	// repository.
	Entering func(*inventory.Repository)
}

// All yields every series of a registry, family by family in the table's order,
// and within a family by repository, digest and tag. That is the order of the text
// form. It allocates nothing for a series: what it yields is built in place (see
// Series). What is hidden in the registry, and tags that the options leave out,
// have no series.
//
// The registry must not change while the iterator is in use.
func All(registry *inventory.Registry, families []*Family, options Options) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		options.Entering = nil
		for _, family := range options.of(families) {
			w := newWalker(registry, []*Family{family}, &options, yield)
			if !w.above() || !w.repositories(everyRepository) {
				return
			}
		}
	}
}

// ByRepository yields the same series as All in the order for a push: first those
// that are not about a repository, then repository by repository, image by image
// and tag by tag, with all series of a tag in a row. What such series have in
// common is then near, for compression and for whoever encodes them.
//
// Repositories that the last push did not come to (see inventory.Repository.Unsent)
// are the first.
func ByRepository(registry *inventory.Registry, families []*Family, options Options) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		w := newWalker(registry, options.of(families), &options, yield)
		_ = w.above() &&
			w.repositories(func(r *inventory.Repository) bool { return r.Unsent }) &&
			w.repositories(func(r *inventory.Repository) bool { return !r.Unsent })
	}
}

func everyRepository(*inventory.Repository) bool { return true }

// of returns the families that the options leave in.
func (o *Options) of(families []*Family) []*Family {
	if !o.RepositoriesOnly {
		return families
	}
	return slices.DeleteFunc(slices.Clone(families), func(f *Family) bool { return f.per < perRepository })
}

// walker goes through a registry once, for a selection of the families.
type walker struct {
	subject subject
	yield   func(Series) bool
	// exporter, registry, repository and tag are the families by what their series
	// are about; those a severity are with the tag's.
	exporter, registry, repository, tag []form
}

// form is a series in the making: the labels of a family are laid out once, so
// that a series only fills in what varies.
type form struct {
	Series
	// values has, for each label, the function that gives its value; nil for a
	// label whose value is the same in all series of the family.
	values []func(*subject) string
}

func newWalker(registry *inventory.Registry, families []*Family, options *Options, yield func(Series) bool) *walker {
	w := &walker{
		subject: subject{options: options, registry: registry},
		yield:   yield,
	}
	for _, family := range families {
		forms := &w.tag
		switch family.per {
		case perExporter:
			forms = &w.exporter
		case perRegistry:
			forms = &w.registry
		case perRepository:
			forms = &w.repository
		}
		*forms = append(*forms, newForm(family, options.External))
	}
	return w
}

func newForm(family *Family, external []Label) form {
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
	f := form{
		Series: Series{Family: family, Labels: make([]Label, len(columns))},
		values: make([]func(*subject) string, len(columns)),
	}
	for i, c := range columns {
		f.Labels[i], f.values[i] = c.Label, c.value
	}
	return f
}

// above walks through what is not about a repository. Like the methods below it
// returns false when the consumer has had enough.
func (w *walker) above() bool {
	w.subject.repository = nil
	// A registry that was never listed has no count; that is not 0.
	if !w.subject.registry.ListedAt.IsZero() && !w.emit(w.registry) {
		return false
	}
	return w.emit(w.exporter)
}

// repositories walks through the repositories that are chosen and not hidden.
func (w *walker) repositories(chosen func(*inventory.Repository) bool) bool {
	s := &w.subject
	if len(w.tag)+len(w.repository) == 0 {
		return true
	}
	for _, s.repository = range s.registry.Repositories {
		if s.repository.Hidden || !chosen(s.repository) {
			continue
		}
		if s.options.Entering != nil {
			s.options.Entering(s.repository)
		}
		if !w.emit(w.repository) || !w.images() {
			return false
		}
	}
	return true
}

// images walks through the repository's images.
func (w *walker) images() bool {
	s := &w.subject
	if len(w.tag) == 0 {
		return true
	}
	for i := range s.repository.Images {
		s.image = &s.repository.Images[i]
		if !s.image.Hidden && s.image.Active() && !w.tags() {
			return false
		}
	}
	return true
}

// tags walks through the image's tags.
func (w *walker) tags() bool {
	s := &w.subject
	for _, s.tag = range s.image.Tags {
		if s.options.Tag != nil && !s.options.Tag(s.tag) {
			continue
		}
		s.describe()
		if !w.emit(w.tag) {
			return false
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

// emit yields the series of the forms that the subject has.
func (w *walker) emit(forms []form) bool {
	s := &w.subject
	for i := range forms {
		f := &forms[i]
		if f.Family.per != perSeverity {
			if !w.fill(f) {
				return false
			}
			continue
		}
		if s.image.Scan == nil {
			continue
		}
		for _, s.severity = range s.image.Scan.Severities {
			if !w.fill(f) {
				return false
			}
		}
	}
	return true
}

func (w *walker) fill(f *form) bool {
	value, ok := f.Family.value(&w.subject)
	if !ok {
		return true
	}
	for i, of := range f.values {
		if of != nil {
			f.Labels[i].Value = of(&w.subject)
		}
	}
	f.Value = value
	return w.yield(f.Series)
}
