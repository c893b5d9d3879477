package inventory

import (
	"slices"
	"time"
)

// Peak is the most series that a push had within peakSlot.
type Peak struct {
	At     Time `cbor:"1,keyasint,omitempty" json:"at"` // the end of that time
	Series int  `cbor:"2,keyasint,omitempty" json:"series"`
}

// Peaks are kept for peakKept, which is when a store has forgotten the series, by peakSlot, so
// that there are few.
const (
	peakSlot = 10 * time.Minute
	peakKept = 2 * time.Hour
)

// NotePeak notes how many series a push had.
func (r *Registry) NotePeak(at Time, series int) {
	end := TimeOf(at.Time().Truncate(peakSlot).Add(peakSlot))
	if last := len(r.Peaks) - 1; last >= 0 && r.Peaks[last].At >= end {
		r.Peaks[last].Series = max(r.Peaks[last].Series, series)
		return
	}
	since := TimeOf(at.Time().Add(-peakKept))
	kept := slices.DeleteFunc(slices.Clone(r.Peaks), func(p Peak) bool { return p.At < since })
	kept = append(kept, Peak{end, series})
	r.Peaks, r.Unsaved.Any = kept, true
}

// PeakBefore returns the most series of a push within the last hours, but so long ago at least.
// It is false if no push of these hours is known.
func (r *Registry) PeakBefore(at Time, ago time.Duration) (series int, known bool) {
	since, until := TimeOf(at.Time().Add(-peakKept)), TimeOf(at.Time().Add(-ago))
	for _, peak := range r.Peaks {
		if peak.At >= since {
			known = true
			if peak.At <= until {
				series = max(series, peak.Series)
			}
		}
	}
	return series, known
}
