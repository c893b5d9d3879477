package contracttest

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Last is the last sample that a receiver has of a series.
type Last struct {
	At    int64 // in milliseconds since 1970
	Value float64
}

// staleMarker are the bits of a staleness marker.
const staleMarker = 0x7ff0000000000002

// Ended reports whether the sample is a staleness marker.
func (l Last) Ended() bool { return math.Float64bits(l.Value) == staleMarker }

// Fault is what is wrong with a series, in a few words.
type Fault string

const (
	// Missing is a series of the registry that the last push did not send, or with another
	// value.
	Missing Fault = "live series"
	// Unknown is a series of the last push that the registry does not have.
	Unknown Fault = "series without a cause"
	// NotEnded is a series that the last push did not send and that has no marker.
	NotEnded Fault = "no marker"
)

// Difference is a series that is not as it should be.
type Difference struct {
	Key   string
	Fault Fault
	Text  string
}

// Check compares the series of a receiver with those that it must have after the last push,
// all by key. The last push is that of the latest sample. Series of other families may be
// sent, but have to end too. The result is sorted by fault and key.
func Check(want map[string]float64, have map[string]Last) []Difference {
	var at int64
	for _, last := range have {
		at = max(at, last.At)
	}
	var missing, rest []Difference
	for _, key := range slices.Sorted(maps.Keys(want)) {
		var text string
		switch last, there := have[key]; {
		case !there:
			text = "was never stored"
		case last.Ended():
			text = "has ended"
		case last.At != at:
			text = "was not sent"
		case last.Value != want[key]:
			text = fmt.Sprintf("is %v, want %v", last.Value, want[key])
		default:
			continue
		}
		missing = append(missing, Difference{key, Missing, text})
	}
	for _, key := range slices.Sorted(maps.Keys(have)) {
		last := have[key]
		family, _, _ := strings.Cut(key, "{")
		switch _, wanted := want[key]; {
		case wanted, last.Ended():
		case last.At < at:
			rest = append(rest, Difference{key, NotEnded, "has not ended"})
		case slices.Contains(Families, family):
			rest = append(rest, Difference{key, Unknown, "is sent and is not of the registry"})
		}
	}
	return append(missing, rest...)
}
