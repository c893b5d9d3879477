package metrics

import (
	"iter"
	"math"
	"slices"
	"unsafe"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// StaleMarker is the value that ends a series: a NaN with bits of its own
// (https://prometheus.io/docs/specs/prw/remote_write_spec/#stale-markers).
var StaleMarker = math.Float64frombits(staleMarker)

const staleMarker = 0x7ff0000000000002

// Stale yields, each once and with the value StaleMarker, the series that were pushed
// and are not among those that the table now makes of the registry. They are the
// difference between the series of each unit as it was last pushed and as it is now: of
// previous versions of records, of records that are excluded now, and, where the table's
// shape is another than the one they were pushed under, of all records.
//
// The labels of a unit's series name the unit, so no series of another unit is among
// them. Units are compared one at a time.
func (t *Table) Stale(registry *inventory.Registry, options Options) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		d := t.differ(registry, &options)
		d.yield = yield
		if options.Only == nil && !d.registry() {
			return
		}
		previous := registry.Previous
		for _, now := range registry.Repositories {
			// Versions of repositories before this one in the order have no record now.
			for len(previous) > 0 && previous[0].Name < now.Name {
				n := versionsOf(previous)
				if !d.repository(previous[:n], nil) {
					return
				}
				previous = previous[n:]
			}
			n := 0
			if len(previous) > 0 && previous[0].Name == now.Name {
				n = versionsOf(previous)
			}
			if !d.repository(previous[:n], now) {
				return
			}
			previous = previous[n:]
		}
		for len(previous) > 0 {
			n := versionsOf(previous)
			if !d.repository(previous[:n], nil) {
				return
			}
			previous = previous[n:]
		}
	}
}

// versionsOf returns how many records at the start of a list have the same name.
func versionsOf(list []*inventory.Repository) int {
	n := 1
	for n < len(list) && list[n].Name == list[0].Name {
		n++
	}
	return n
}

// Ends returns inventory.Registry.Ends for a registry. What it returns is not safe for
// concurrent use.
func (t *Table) Ends(registry *inventory.Registry) func(pushed, now inventory.Unit) bool {
	d := t.differ(registry, &Options{})
	d.yield = func(Series) bool { return false }
	lacks := func(now, pushed inventory.Unit, w *walker) bool {
		d.known.reset()
		w.unit(now, d.add)
		return !w.unit(pushed, d.mark)
	}
	return func(pushed, now inventory.Unit) bool {
		for _, w := range d.walkersOf(pushed) {
			// If the shape changed, too, the next push ends all series of the record under
			// the old one: those that it did not have when it was pushed must not be
			// among them.
			reshaped := w != d.present && now != (inventory.Unit{})
			if lacks(now, pushed, w) || reshaped && lacks(pushed, now, w) {
				return true
			}
		}
		return false
	}
}

// differ compares units as they were pushed with units as they are now.
type differ struct {
	table   *Table
	source  *inventory.Registry
	options *Options
	// present makes the series of one unit under the table's shape, walkers under the
	// shapes that records were pushed under.
	present *walker
	walkers map[inventory.ShapeID]*walker
	some    []*walker // returned by walkersOf, reused
	known   seriesSet
	pushed  []inventory.Unit // of one unit, reused
	yield   func(Series) bool
	// add and mark are methods as values, made once.
	add, mark func(Series) bool
}

func (t *Table) differ(registry *inventory.Registry, options *Options) *differ {
	d := &differ{
		table: t, source: registry, options: options,
		present: t.walker(registry, options, t.families),
		walkers: map[inventory.ShapeID]*walker{},
	}
	d.add, d.mark = d.known.add, d.marker
	return d
}

// walker returns the walker for records that were pushed under a shape. One that is not
// known, or damaged, counts as the present one.
func (d *differ) walker(id inventory.ShapeID) *walker {
	if w := d.walkers[id]; w != nil {
		return w
	}
	w := d.present
	if shape, known := d.source.Shapes[id]; known && !shape.Equal(d.table.shape) {
		if table, err := New(shape); err == nil {
			w = table.walker(d.source, d.options, table.families)
		}
	}
	d.walkers[id] = w
	return w
}

// walkersOf returns the walkers for the shapes that a unit was pushed under.
func (d *differ) walkersOf(unit inventory.Unit) []*walker {
	d.some = d.some[:0]
	switch {
	case unit.Registry != nil:
		d.some = append(d.some, d.walker(unit.Registry.Shape))
	case len(unit.Repository.Shapes) == 0:
		d.some = append(d.some, d.present)
	default:
		for _, id := range unit.Repository.Shapes {
			d.some = append(d.some, d.walker(id))
		}
	}
	return d.some
}

// registry yields the markers of the registry's own series.
func (d *differ) registry() bool {
	for _, sent := range d.source.Sent {
		d.pushed = append(d.pushed, inventory.Unit{Registry: sent})
	}
	return d.unit(d.pushed, inventory.Unit{Registry: d.source})
}

// marker yields a series that is not known yet as a staleness marker.
func (d *differ) marker(s Series) bool {
	if !d.known.add(s) {
		return true
	}
	s.Value = StaleMarker
	return d.yield(s)
}

// repository yields the markers of a repository, given its previous versions and its
// record, nil if there is none.
func (d *differ) repository(previous []*inventory.Repository, now *inventory.Repository) bool {
	one := now
	if one == nil {
		one = previous[0]
	}
	if !d.options.includes(one.Name) {
		return true
	}
	reshaped := now != nil && slices.ContainsFunc(d.walkersOf(inventory.Unit{Repository: now}), func(w *walker) bool { return w != d.present })

	d.pushed = d.pushed[:0]
	for _, version := range previous {
		if version.Shown {
			d.pushed = append(d.pushed, inventory.Unit{Repository: version})
		}
	}
	present := inventory.Unit{}
	if now != nil {
		if !now.Excluded {
			present.Repository = now
		}
		if now.Shown && !now.Pending && (now.Excluded || reshaped) {
			d.pushed = append(d.pushed, inventory.Unit{Repository: now})
		}
	}
	if !d.unit(d.pushed, present) {
		return false
	}

	versions := imageVersions(previous)
	if now != nil {
		for i := range now.Images {
			image := &now.Images[i]
			if !image.Shown || image.Pending || !now.Excluded && image.HasSeries() && !reshaped {
				continue
			}
			// With other versions of the image it is compared below.
			if _, found := slices.BinarySearchFunc(versions, image, compareVersion); found {
				continue
			}
			d.pushed = append(d.pushed[:0], inventory.Unit{Repository: now, Image: image})
			if !d.unit(d.pushed, presentImage(now, image)) {
				return false
			}
		}
	}
	for len(versions) > 0 {
		digest := versions[0].Image.Digest
		d.pushed = d.pushed[:0]
		for len(versions) > 0 && versions[0].Image.Digest == digest {
			d.pushed, versions = append(d.pushed, versions[0]), versions[1:]
		}
		present = inventory.Unit{}
		if now != nil {
			if image := now.FindImage(digest); image != nil {
				present = presentImage(now, image)
				if image.Shown && !image.Pending {
					d.pushed = append(d.pushed, inventory.Unit{Repository: now, Image: image})
				}
			}
		}
		if !d.unit(d.pushed, present) {
			return false
		}
	}
	return true
}

// presentImage is the unit of an image that is there; none if it is excluded.
func presentImage(repository *inventory.Repository, image *inventory.Image) inventory.Unit {
	if repository.Excluded || !image.HasSeries() {
		return inventory.Unit{}
	}
	return inventory.Unit{Repository: repository, Image: image}
}

// imageVersions returns the images of previous versions, sorted by digest.
func imageVersions(previous []*inventory.Repository) []inventory.Unit {
	var units []inventory.Unit
	for _, version := range previous {
		for i := range version.Images {
			units = append(units, inventory.Unit{Repository: version, Image: &version.Images[i]})
		}
	}
	slices.SortStableFunc(units, func(a, b inventory.Unit) int { return compareVersion(a, b.Image) })
	return units
}

func compareVersion(unit inventory.Unit, image *inventory.Image) int {
	return unit.Image.Digest.Compare(image.Digest)
}

// unit yields the markers of one unit: its series as it was pushed, in one version or in
// several, less those that it has now.
func (d *differ) unit(pushed []inventory.Unit, now inventory.Unit) bool {
	if len(pushed) == 0 {
		return true
	}
	d.known.reset()
	d.present.unit(now, d.add)
	for _, version := range pushed {
		for _, w := range d.walkersOf(version) {
			if !w.unit(version, d.mark) {
				return false
			}
		}
	}
	return true
}

// unit walks through the series of a unit.
func (w *walker) unit(unit inventory.Unit, yield func(Series) bool) bool {
	switch w.yield = yield; {
	case unit.Registry != nil:
		w.subject.registry = unit.Registry
		return w.above()
	case unit.Repository == nil:
		return true
	case unit.Image == nil:
		return w.own(unit.Repository)
	default:
		return w.imageOf(unit.Repository, unit.Image)
	}
}

// seriesSet is a set of series, told apart by their labels. It is reused for unit after
// unit, so that comparing many units allocates little.
type seriesSet struct {
	keys map[string]struct{}
	text []byte // of the keys
}

func (s *seriesSet) reset() {
	if s.keys == nil {
		s.keys = map[string]struct{}{}
	}
	clear(s.keys)
	s.text = s.text[:0]
}

// add adds a series, and reports whether it was not in the set.
func (s *seriesSet) add(series Series) bool {
	from := len(s.text)
	for _, label := range series.Labels {
		if label.Value == "" {
			continue // the same as no label
		}
		s.text = append(s.text, label.Name...)
		s.text = append(s.text, 0xff) // in no UTF-8 text
		s.text = append(s.text, label.Value...)
		s.text = append(s.text, 0xff)
	}
	// The key shares the text, which is not written again before the set is emptied:
	// where it grows, it moves, and the key keeps the memory it lies in.
	key := unsafe.String(unsafe.SliceData(s.text[from:]), len(s.text)-from)
	if _, found := s.keys[key]; found {
		s.text = s.text[:from]
		return false
	}
	s.keys[key] = struct{}{}
	return true
}
