package inventory

import "time"

// Peaks are the most series of a push in each of three times of PeakTime that follow each other.
type Peaks struct {
	Since Time `cbor:"1,keyasint,omitempty" json:"since"` // when the present one began
	// Series are those of the present one, the one before, and the one before that.
	Series [3]int `cbor:"2,keyasint,omitempty" json:"series"`
}

// PeakTime is within which AMP wants the series not to double.
const PeakTime = 30 * time.Minute

// At returns the peaks at a moment that is not before Since.
func (p Peaks) At(at Time) Peaks {
	const length = Time(PeakTime / time.Millisecond)
	if at-p.Since >= 3*length {
		return Peaks{Since: at}
	}
	for ; at-p.Since >= length; p.Since += length {
		p.Series = [3]int{0, p.Series[0], p.Series[1]}
	}
	return p
}

// NotePeak notes how many series a push had.
func (r *Registry) NotePeak(at Time, series int) {
	peaks := r.Peaks.At(at)
	peaks.Series[0] = max(peaks.Series[0], series)
	r.Unsaved.Any = r.Unsaved.Any || peaks != r.Peaks
	r.Peaks = peaks
}
