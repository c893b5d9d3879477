package inventory

import (
	"fmt"
	"math"
	"time"

	"github.com/fxamacker/cbor/v2"
)

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

// Second is a moment in whole Unix seconds, of half the size, that ends in 2106; zero means
// unknown. It is stored and printed as a Time.
type Second uint32

// SecondOf returns the second of a moment; one out of range is the nearest.
func SecondOf(t Time) Second {
	return Second(min(max(int64(t)/1000, 0), math.MaxUint32))
}

// Time returns the moment.
func (s Second) Time() Time { return Time(s) * 1000 }

// IsZero reports whether the moment is unknown.
func (s Second) IsZero() bool { return s == 0 }

// MarshalJSON writes the moment as RFC 3339 in UTC.
func (s Second) MarshalJSON() ([]byte, error) { return s.Time().MarshalJSON() }

// MarshalCBOR writes the moment as a Time.
func (s Second) MarshalCBOR() ([]byte, error) { return cbor.Marshal(s.Time()) }

// UnmarshalCBOR reads a Time.
func (s *Second) UnmarshalCBOR(data []byte) error {
	var t Time
	if err := decoding.Unmarshal(data, &t); err != nil {
		return fmt.Errorf("time: %w", err)
	}
	*s = SecondOf(t)
	return nil
}

// MarshalJSON writes the moment as RFC 3339 in UTC.
func (t Time) MarshalJSON() ([]byte, error) { return t.Time().UTC().MarshalJSON() }
