package inventory

import (
	"maps"
	"strings"
	"time"
)

// Running is what the store was last seen to know of what runs (see pkg/running).
type Running struct {
	// AnsweredAt is when the store last answered in full; zero means never.
	AnsweredAt Time `cbor:"1,keyasint,omitempty" json:"answered_at,omitzero"`
	// Seen has the digests, as "sha256:…", and the references that were running, as
	// "host/repository:tag", with the end of the hour in which each was last seen. By the
	// hour, so that the state need not be saved in each run.
	Seen map[string]Time `cbor:"2,keyasint,omitempty" json:"seen,omitempty"`
}

// RunningKept is how long what was seen running counts as running, and how long an answer of
// the store says what else is idle: a cluster's metrics may be missing for a night.
const RunningKept = 24 * time.Hour

// MaxRunning bounds Running.Seen. An entry has about 100 bytes.
const MaxRunning = 100_000

// maxReference is the length of the longest reference, in bytes: ECR's have less than 500.
const maxReference = 1024

// Known reports whether the store answered recently enough to say what does not run.
func (r *Running) Known(at Time) bool {
	return !r.AnsweredAt.IsZero() && r.AnsweredAt >= TimeOf(at.Time().Add(-RunningKept))
}

// Has reports whether a digest or reference was seen running.
func (r *Running) Has(text []byte) bool {
	_, seen := r.Seen[string(text)]
	return seen
}

// SawRunning notes that a container's image was seen running, under any name that a cluster
// gives it: with a digest that counts, else the tag. It is false if there is no room for it;
// then nothing counts as known until the next whole answer.
func (r *Registry) SawRunning(image string, at Time) bool {
	name, digest, found := strings.Cut(image, "@")
	switch last := name[strings.LastIndexByte(name, '/')+1:]; {
	case found:
		if _, err := ParseDigest(digest); err != nil {
			return true // of no image in ECR
		}
		name = strings.ToLower(digest)
	case last == name || last == "" || len(name) > maxReference:
		return true // no image in ECR is named like this: a bare digest is a configuration's
	case !strings.Contains(last, ":"):
		name += ":latest"
	}
	until := endOfHour(at)
	known, seen := r.Running.Seen[name]
	if !seen && len(r.Running.Seen) >= MaxRunning {
		r.Running.AnsweredAt = 0 // what else is idle is not known
		return false
	}
	if known < until {
		if r.Running.Seen == nil {
			r.Running.Seen = map[string]Time{}
		}
		// The text may be a part of a larger one.
		r.Running.Seen[strings.Clone(name)], r.Unsaved.Any = until, true
	}
	return true
}

// RunningAnswered notes that the store has answered in full.
func (r *Registry) RunningAnswered(at Time) {
	r.Unsaved.Any = r.Unsaved.Any || endOfHour(r.Running.AnsweredAt) < endOfHour(at)
	r.Running.AnsweredAt = max(r.Running.AnsweredAt, at)
}

// ForgetRunning forgets what was not seen running for RunningKept.
func (r *Registry) ForgetRunning(at Time) {
	before := len(r.Running.Seen)
	maps.DeleteFunc(r.Running.Seen, func(_ string, until Time) bool { return until < TimeOf(at.Time().Add(-RunningKept)) })
	r.Unsaved.Any = r.Unsaved.Any || len(r.Running.Seen) < before
}

func endOfHour(at Time) Time { return TimeOf(at.Time().Truncate(time.Hour).Add(time.Hour)) }

// merge adds what another copy saw.
func (r *Running) merge(other Running) {
	r.AnsweredAt = max(r.AnsweredAt, other.AnsweredAt)
	if r.Seen == nil {
		r.Seen = other.Seen
		return
	}
	for text, until := range other.Seen {
		if known, seen := r.Seen[text]; seen || len(r.Seen) < MaxRunning {
			r.Seen[text] = max(known, until)
		}
	}
}
