package metrics

import (
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Table is the family table under one shape, which is all its configuration.
type Table struct {
	shape                inventory.Shape
	families, run, fleet []*Family
	tag                  func(string) bool // nil shows all tags
}

// New returns the table under a shape. The error says which regular expression of the
// shape is invalid.
func New(shape inventory.Shape) (*Table, error) {
	family, err := shape.Families.Compile()
	if err != nil {
		return nil, fmt.Errorf("metric families: %w", err)
	}
	tag, err := shape.Tags.Compile()
	if err != nil {
		return nil, fmt.Errorf("tags: %w", err)
	}
	hidden := func(f *Family) bool {
		return family != nil && !family(f.Name) || f.OptIn && shape.Families.Include == "" || f.untagged() && shape.UntaggedImages == 0 ||
			f.asked != nil && !f.asked(&shape)
	}
	return &Table{
		shape: shape, tag: tag,
		families: slices.DeleteFunc(Families(), hidden),
		run:      slices.DeleteFunc(RunFamilies(), hidden),
		fleet:    slices.DeleteFunc(append(pointers([]Family{exporterUp}), FleetFamilies()...), hidden),
	}, nil
}

// Families returns the rows of Families that the shape shows.
func (t *Table) Families() []*Family { return t.families }

// RunFamilies returns the rows of RunFamilies that the shape shows.
func (t *Table) RunFamilies() []*Family { return t.run }

// FleetFamilies returns what OfFleet has series of: the rows of FleetFamilies, and the family of
// the contract without labels, that the shape shows.
func (t *Table) FleetFamilies() []*Family { return t.fleet }

// ShowsPlatforms reports whether a family about the platforms of indexes is shown.
func (t *Table) ShowsPlatforms() bool {
	return slices.ContainsFunc(t.families, func(f *Family) bool { return f.per == perPlatform })
}

// ShowsUntagged reports whether a family about untagged images is shown.
func (t *Table) ShowsUntagged() bool { return slices.ContainsFunc(t.families, (*Family).untagged) }

func (f *Family) untagged() bool { return f.per == perUntagged || f.per == perUntaggedSeverity }

// Shape returns the shape.
func (t *Table) Shape() inventory.Shape { return t.shape }

// Local returns the table without the labels that tell senders to one workspace apart:
// external labels and the Region.
func (t *Table) Local() *Table {
	local := *t
	local.shape.External, local.shape.Region = nil, ""
	return &local
}

// Options are what the series of one push depend on besides the registry and the shape.
// They change values, or leave out whole units, but never labels.
type Options struct {
	// At is the moment for which ages are computed.
	At time.Time
	// StateAvailable says whether the durable state, if there is one, is available.
	StateAvailable bool
	// Only, if not nil, are the names of the repositories that are walked. Series
	// that are not about a repository are left out then.
	Only []string
}

func (o *Options) includes(repository string) bool {
	return o.Only == nil || slices.Contains(o.Only, repository)
}

// All yields every series of a registry, family by family in the table's order, and
// within a family by repository, digest and tag: the order of the text form. Excluded
// records have no series. It allocates nothing for a series: each is built in place (see
// Series).
//
// The registry must not change while the iterator is in use.
func (t *Table) All(registry *inventory.Registry, options Options) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		for _, family := range t.families {
			w := t.walker(registry, &options, []*Family{family})
			w.yield = yield
			if !w.above() || !w.repositories(registry.Repositories) {
				return
			}
		}
	}
}

// ByRepository yields the same series as All in the order for a push: first those that
// are not about a repository, then repository by repository, image by image and tag by
// tag, with all series of a tag in a row. What such series have in common is then close
// together, which helps compression.
//
// Each push begins at another repository, so that a push that is too long for its time
// does not leave out the same ones each time.
func (t *Table) ByRepository(registry *inventory.Registry, options Options) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		w := t.walker(registry, &options, t.families)
		w.yield = yield
		first := firstOf(len(registry.Repositories), options.At)
		_ = w.above() && w.repositories(registry.Repositories[first:]) && w.repositories(registry.Repositories[:first])
	}
}

// firstOf spreads the first of n over the moments of pushes (Fibonacci hashing).
func firstOf(n int, at time.Time) int {
	if n == 0 {
		return 0
	}
	return int(uint64(at.UnixMilli()) * 0x9e3779b97f4a7c15 >> 32 % uint64(n))
}

// Counter returns a function that counts the series of an image.
func (t *Table) Counter() func(*inventory.Repository, *inventory.Image) int {
	n := 0
	w := t.walker(&inventory.Registry{}, &Options{}, t.families)
	w.yield = func(Series) bool { n++; return true }
	return func(repository *inventory.Repository, image *inventory.Image) int {
		n = 0
		w.imageOf(repository, image)
		return n
	}
}

// walker goes through a registry, or a part of it, for a selection of the families.
type walker struct {
	subject subject
	tag     func(string) bool
	yield   func(Series) bool
	// exporter, registry, repository and image are the families by what their series
	// are about; those a severity or a platform are with the image's.
	exporter, registry, repository, image, untagged []form
}

// form is a series in the making: the labels of a family are laid out once, so that a
// series only fills in what varies.
type form struct {
	Series
	// values has, for each label, the function that gives its value; nil for a label
	// whose value is the same in all series of the family.
	values []func(*subject) string
}

func (t *Table) walker(registry *inventory.Registry, options *Options, families []*Family) *walker {
	w := &walker{subject: subject{options: options, shape: &t.shape, registry: registry}, tag: t.tag}
	for _, family := range families {
		forms := &w.image
		switch family.per {
		case perExporter:
			forms = &w.exporter
		case perRegistry:
			forms = &w.registry
		case perRepository:
			forms = &w.repository
		case perUntagged, perUntaggedSeverity:
			forms = &w.untagged
		}
		*forms = append(*forms, t.form(family))
	}
	return w
}

func (t *Table) form(family *Family) form {
	type column struct {
		Label
		value func(*subject) string
	}
	columns := []column{{Label: Label{nameLabel, family.Name}}}
	labels := family.labels
	if family.more != nil {
		labels = with(labels, family.more(&t.shape)...)
	}
	for _, label := range labels {
		columns = append(columns, column{Label{Name: label.name}, label.value})
	}
	for _, name := range slices.Sorted(maps.Keys(t.shape.External)) {
		// A family's own label of the same name wins, as with Prometheus's external_labels.
		if !slices.ContainsFunc(columns, func(c column) bool { return c.Name == name }) {
			columns = append(columns, column{Label: Label{name, t.shape.External[name]}})
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

// above walks through what is not about a repository. Like the methods below it returns
// false when the consumer has had enough.
func (w *walker) above() bool {
	if w.subject.options.Only != nil {
		return true
	}
	// A registry that was never listed has no count; that is not 0.
	if !w.subject.registry.ListedAt.IsZero() && !w.emit(w.registry) {
		return false
	}
	return w.emit(w.exporter)
}

// repositories walks through repositories that are not excluded.
func (w *walker) repositories(list []*inventory.Repository) bool {
	if len(w.image)+len(w.untagged)+len(w.repository) == 0 {
		return true
	}
	for _, repository := range list {
		if repository.Excluded || !w.subject.options.includes(repository.Name) {
			continue
		}
		if !w.own(repository) {
			return false
		}
		if len(w.image)+len(w.untagged) == 0 {
			continue
		}
		for i := range repository.Images {
			if image := &repository.Images[i]; image.HasSeries() && !w.imageOf(repository, image) {
				return false
			}
		}
	}
	return true
}

// own walks through a repository's own series.
func (w *walker) own(repository *inventory.Repository) bool {
	w.subject.repository = repository
	return w.emit(w.repository)
}

// imageOf walks through an image's series.
func (w *walker) imageOf(repository *inventory.Repository, image *inventory.Image) bool {
	s := &w.subject
	if !image.Active() {
		return true
	}
	s.repository, s.image = repository, image
	if len(image.Tags) == 0 && len(w.untagged) > 0 {
		s.tag = ""
		s.describe()
		return w.emit(w.untagged)
	}
	for _, s.tag = range image.Tags {
		if w.tag != nil && !w.tag(s.tag) {
			continue
		}
		s.describe()
		if !w.emit(w.image) {
			return false
		}
	}
	return true
}

// emit yields the series that the subject has in each form.
func (w *walker) emit(forms []form) bool {
	s := &w.subject
	for i := range forms {
		switch f := &forms[i]; f.Family.per {
		case perSeverity, perUntaggedSeverity:
			if s.image.Scan != nil && !w.severities(f, s.image.Scan.Severities.All()) {
				return false
			}
		case perPlatform:
			if !w.platforms(f, s.image.Index) {
				return false
			}
		default:
			n := 1
			if f.Family.many != nil {
				n = f.Family.many(s)
			}
			for s.i = range n {
				if !w.fill(f) {
					return false
				}
			}
		}
	}
	return true
}

func (w *walker) severities(f *form, list iter.Seq[inventory.SeverityCount]) bool {
	for w.subject.severity = range list {
		if !w.fill(f) {
			return false
		}
	}
	return true
}

func (w *walker) platforms(f *form, index *inventory.Index) bool {
	if index == nil {
		return true
	}
	for i := range index.Platforms {
		w.subject.platform = index.Platforms[i].Platform
		if !w.severities(f, slices.Values(index.Platforms[i].Severities)) {
			return false
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
