package inventory

import "time"

// Time is a moment in Unix milliseconds; zero means unknown. ECR sends epoch
// seconds, so milliseconds lose nothing, and eight bytes are a third of a time.Time.
type Time int64

// TimeOf converts t; the zero time.Time gives the zero Time.
func TimeOf(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMilli())
}

// IsZero reports whether the moment is unknown.
func (t Time) IsZero() bool { return t == 0 }

// Time converts back; the zero Time gives the zero time.Time.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(t))
}

// Seconds returns whole Unix seconds, the unit of every timestamp family.
func (t Time) Seconds() int64 { return t.Time().Unix() }

// MarshalJSON writes the moment as RFC 3339 in UTC.
func (t Time) MarshalJSON() ([]byte, error) { return t.Time().UTC().MarshalJSON() }
