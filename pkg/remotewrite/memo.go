package remotewrite

import (
	"slices"
	"strings"
	"unsafe"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// memo remembers what was made of a family, F, and of the labels of one subject, L
// (see metrics.Series.Subject). The series of an image's tag come in a row and have
// nearly all labels in common, so most work on them is done once a tag.
//
// Values are told by where they lie, so what was made of them holds for their
// subject only.
type memo[F, L any] struct {
	layouts []layout[F]
	last    int // the one that was found last
	// columns are all label names there are.
	columns []column[L]
}

// layout is what the series of a family have in common during a walk.
type layout[F any] struct {
	family *metrics.Family
	walk   uint64
	// next is the layout that followed this one last time: families come in nearly
	// the same order for each subject.
	next int
	// columns has the column of each label.
	columns []int
	// made is for the memo's user; it is zero at first.
	made F
}

// column is a label name and the value that it had last.
type column[L any] struct {
	name    string
	subject uint64
	value   string
	made    L
}

// maxLayouts bounds the search. A registry has about ten families.
const maxLayouts = 64

// of returns the layout of a series, or nil if it is not to be remembered.
func (m *memo[F, L]) of(s *metrics.Series) *layout[F] {
	if s.Subject == 0 || s.Family == nil {
		return nil
	}
	l := m.find(s)
	if len(l.columns) != len(s.Labels) {
		return nil // not what was promised: then it is encoded without the promise
	}
	return l
}

func (m *memo[F, L]) find(s *metrics.Series) *layout[F] {
	if m.last < len(m.layouts) {
		l := &m.layouts[m.last]
		if l.of(s) {
			return l
		}
		if next := &m.layouts[l.next]; next.of(s) {
			m.last = l.next
			return next
		}
	}
	return m.search(s)
}

func (l *layout[F]) of(s *metrics.Series) bool {
	return l.family == s.Family && l.walk == s.Subject>>32
}

func (m *memo[F, L]) search(s *metrics.Series) *layout[F] {
	at := slices.IndexFunc(m.layouts, func(l layout[F]) bool { return l.family == s.Family })
	if at < 0 {
		if len(m.layouts) == maxLayouts {
			m.layouts, m.last = m.layouts[:0], 0
		}
		at = len(m.layouts)
		m.layouts = append(m.layouts, layout[F]{family: s.Family})
	}
	m.layouts[m.last].next = at
	m.last = at
	l := &m.layouts[at]
	if walk := s.Subject >> 32; l.walk != walk {
		*l = layout[F]{family: s.Family, walk: walk, columns: l.columns[:0]}
		for i := range s.Labels {
			l.columns = append(l.columns, m.column(s.Labels[i].Name))
		}
	}
	return l
}

func (m *memo[F, L]) column(name string) int {
	for i := range m.columns {
		if m.columns[i].name == name {
			return i
		}
	}
	m.columns = append(m.columns, column[L]{name: strings.Clone(name)})
	return len(m.columns) - 1
}

// has reports whether the column's value is this one of this subject.
func (c *column[L]) has(subject uint64, value string) bool {
	return c.subject == subject && same(c.value, value)
}

// same reports whether both are the same memory.
func same(a, b string) bool {
	return len(a) == len(b) && unsafe.StringData(a) == unsafe.StringData(b)
}

// forget forgets all that was made.
func (m *memo[F, L]) forget() {
	var none F
	for i := range m.layouts {
		m.layouts[i].made = none
	}
	for i := range m.columns {
		m.columns[i] = column[L]{name: m.columns[i].name}
	}
}
