package metrics

import (
	"math"
	"strings"
)

const (
	nameLabel  = "__name__"
	registryID = "registry_id"
)

// Label is one name and value of a series.
type Label struct {
	Name, Value string
}

// Series is one series of a run and its value. All series of a run have one timestamp,
// so none is kept here.
//
// Series come out of an iterator that builds them in place: Labels and the values in it
// are valid until the next one is requested. Use Clone to keep one.
type Series struct {
	// Family is the series' row in the family table, which does not change.
	Family *Family
	// Labels are sorted by name and include __name__. A value may be empty: the text
	// form shows it, remote write leaves it out.
	Labels []Label
	Value  float64
}

// IsMarker reports whether the series is a staleness marker.
func (s Series) IsMarker() bool { return math.Float64bits(s.Value) == staleMarker }

// Clone returns a copy of the series that stays valid.
func (s Series) Clone() Series {
	labels := make([]Label, len(s.Labels))
	for i, label := range s.Labels {
		labels[i] = Label{Name: label.Name, Value: strings.Clone(label.Value)}
	}
	s.Labels = labels
	return s
}
