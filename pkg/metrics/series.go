package metrics

// Label is one name and value of a series.
type Label struct {
	Name, Value string
}

// Series is one series of a run and its value. The run has one timestamp for
// all of them, so none is kept here.
//
// Series come out of an iterator that builds them in place: Labels and the
// values in it are valid until the next one is asked for. Use Clone to keep one.
type Series struct {
	// Family is the series' row in the family table.
	Family *Family
	// Labels are sorted by name and include __name__. A value may be empty:
	// the text form shows it, remote write leaves it out.
	Labels []Label
	Value  float64
}
