package targets

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"math"
	"time"
)

// Source and DetailType are those of the event that is the message of a Work.
const (
	Source     = "ecr-remote-write"
	DetailType = "Registry Due"
)

// Due reports whether the registry is due in the minute of a moment: when the minutes since the
// epoch have the remainder of a hash, modulo the interval. So registries are spread over the
// interval, each keeps its distance, and nobody has to remember when it was read last.
func (t *Target) Due(at time.Time) bool {
	hash := fnv.New64a()
	_, _ = hash.Write([]byte(t.String())) // never fails
	minutes := max(1, int64(t.Interval/time.Minute))
	return (at.Unix()/60)%minutes == int64(hash.Sum64()>>1)%minutes //nolint:gosec // without its top bit it fits
}

// message is a Work as an event like EventBridge's.
type message struct {
	Source     string    `json:"source"`
	DetailType string    `json:"detail-type"`
	Account    string    `json:"account"`
	Region     string    `json:"region"`
	Time       time.Time `json:"time"`
	Detail     *Work     `json:"detail"`
}

// Message returns the message, its group, which is the registry, so that it has one run at a
// time, and its deduplication id, which is the registry and the slot, so that planning a slot
// twice makes no second run.
func (w *Work) Message() (body, group, deduplicationID string) {
	text, err := json.Marshal(message{Source, DetailType, w.Target.Account, w.Target.Region, w.Slot, w})
	if err != nil {
		panic(err) // only a rate that is no number cannot be encoded
	}
	group = w.Target.String()
	return string(text), group, fmt.Sprintf("%s/%d", group, w.Slot.Unix())
}

// ReadWork reads the detail of a message. The error names what is wrong with it.
func ReadWork(detail json.RawMessage) (Work, error) {
	var w Work
	if err := json.Unmarshal(detail, &w); err != nil {
		return Work{}, err
	}
	t := &w.Target
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(!accountPattern.MatchString(t.Account), "account %.20q is no AWS account", t.Account)
	wrong(!regionPattern.MatchString(t.Region), "region %.40q is no AWS Region", t.Region)
	wrong(t.Role != "" && !rolePattern.MatchString(t.Role), "role %.100q is no role", t.Role)
	wrong(t.ExternalID != "" && !externalIDPattern.MatchString(t.ExternalID), "external_id has other characters than letters, digits and _+=,.@:/-")
	wrong(t.Interval < time.Minute || t.Interval > 24*time.Hour, "interval %s is not between 1m and 24h", t.Interval)
	wrong(w.Slot.IsZero() || w.Slot.Year() < 2000 || w.Slot.Year() > 9999, "slot %s is out of range", w.Slot.Format(time.RFC3339))
	wrong(w.Rate < 0 || math.IsInf(w.Rate, 0), "rate %v is negative", w.Rate)
	return w, errors.Join(errs...)
}

// How registries begin where a store's limits grow with its use: so many at once, and as many
// again as have begun so long ago. See
// https://docs.aws.amazon.com/prometheus/latest/userguide/AMP_quotas.html
const (
	firstTargets = 100
	settled      = 30 * time.Minute
)

// Starting returns the targets that are read now, given when each began, by ACCOUNT/REGION, and
// the number of those that begin later.
func Starting(begun map[string]time.Time, all []Target, now time.Time) (active []Target, starting int) {
	old := 0
	known := 0
	for i := range all {
		if at, ok := begun[all[i].String()]; ok {
			known++
			if now.Sub(at) >= settled {
				old++
			}
		}
	}
	room := max(firstTargets, 2*old) - known
	active = make([]Target, 0, len(all))
	for i := range all {
		if _, ok := begun[all[i].String()]; !ok {
			if room <= 0 {
				starting++
				continue
			}
			room--
		}
		active = append(active, all[i])
	}
	return active, starting
}
