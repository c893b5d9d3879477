package targets

import (
	"hash/fnv"
	"time"
)

// Slot returns the last minute, at or before a time, in which the target is due: one for which
// the minutes since 1970 are congruent to the target's hash, modulo the interval in minutes.
// The hash is of ACCOUNT/REGION alone, and so the same in every version and planner.
func (t *Target) Slot(at time.Time) time.Time {
	interval := max(1, int64(t.Interval/time.Minute))
	// FNV-1a; its upper half is mixed better than the lowest bits, which an interval of two
	// minutes would depend on.
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(t.String())) // never fails
	phase := int64(hash.Sum64()>>32) % interval
	minute := at.Unix() / 60
	return time.Unix((minute-(minute-phase+interval)%interval)*60, 0).UTC()
}

// Due reports whether a run of the target begins in the minute of a time.
func (t *Target) Due(at time.Time) bool {
	return t.Slot(at).Equal(at.Truncate(time.Minute))
}

// A first deployment begins with few registries, since a workspace of AMP takes only a limited
// number of new series at once, and doubles from there.
const (
	// firstTargets may begin at once, whatever runs already.
	firstTargets = 100
	// settled is the age after which a registry that began makes room for another one.
	settled = 30 * time.Minute
)

// Starting returns the targets to run, in the order of all: those that have begun, and as many
// others as may begin now. Within half an hour at most 100 begin, or as many as began
// earlier. begun has the time for the targets that have begun, by ACCOUNT/REGION; the caller
// adds the new ones. The number is that of the targets that wait.
func Starting(begun map[string]time.Time, all []Target, now time.Time) (active []Target, starting int) {
	old, recent := 0, 0
	for i := range all {
		if at, ok := begun[all[i].String()]; ok && now.Sub(at) > settled {
			old++
		} else if ok {
			recent++
		}
	}
	room := max(firstTargets, old) - recent
	for i := range all {
		_, ok := begun[all[i].String()]
		if !ok && room > 0 {
			room--
			ok = true
		} else if !ok {
			starting++
		}
		if ok {
			active = append(active, all[i])
		}
	}
	return active, starting
}
