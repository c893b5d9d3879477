package ecrtest

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// scanShares describes the scans of a generated repository. They are not stored, but
// computed from the image's digest and push, so that the scans of a million images take no
// memory.
type scanShares struct {
	scanned, rescanned float64
}

// The shares of results among images that a scanner supports. One in five of the others is
// clean.
const (
	shareUnsupported = 0.04
	shareFailed      = 0.01
	shareExpired     = 0.03 // with enhanced scanning only, of old images
	shareClean       = 0.2
	shareUntriaged   = 0.05
	shareInUse       = 0.2
)

// eligibility is the age from which scans may have expired.
const eligibility = 180 * day

// scanLife is the course of an image's scan, which follows from the digest.
type scanLife struct {
	rng       *rand.Rand // for the results
	never     bool
	rescanned bool
	usedAfter time.Duration // from the push to the last use, 0 for never
	used      int64
	draw      float64       // 0 to 1, compared with the shares
	started   time.Duration // from the push
	completed time.Duration
	counted   time.Duration
}

// lifeOf returns the course of an image's scan.
func (p *scanShares) lifeOf(rec *record) scanLife {
	rng := rand.New(rand.NewPCG(binary.BigEndian.Uint64(rec.digest[16:]), binary.BigEndian.Uint64(rec.digest[24:])))
	life := scanLife{rng: rng}
	life.never = rng.Float64() >= p.scanned
	life.rescanned = rng.Float64() < p.rescanned
	if rng.Float64() < shareInUse {
		life.usedAfter, life.used = within(rng, 30*day), 1+rng.Int64N(20)
	}
	life.draw = rng.Float64()
	life.started = 2*time.Second + within(rng, 5*time.Second)
	life.completed = life.started + 5*time.Second + within(rng, time.Minute)
	life.counted = life.completed + time.Second + within(rng, 8*time.Second)
	return life
}

// within is a random duration shorter than d, in whole milliseconds.
func within(rng *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rng.Int64N(d.Milliseconds())) * time.Millisecond
}

// stateOf is the state of an image's scan at a time. Indexes, attestations, charts,
// signatures and SBOMs are unsupported. A scan is pending, then in progress, then complete
// without counts for some seconds. An image that is rescanned has another result each day,
// at the time of day of the first.
func (p *scanShares) stateOf(rec *record, scanType string, at time.Time) (ScanState, bool) {
	life := p.lifeOf(rec)
	pushed := fromMillis(rec.pushed)
	age := at.Sub(pushed)
	if life.never || age < 0 || rec.pushed == 0 {
		return ScanState{}, false
	}
	began := func(after time.Duration, state ScanState) (ScanState, bool) {
		state.At = pushed.Add(after)
		return state, true
	}
	switch {
	case age < life.started:
		return began(0, ScanState{Status: scanPending})
	case !rec.scannable():
		state := ScanState{Status: scanUnsupported}
		if !rec.index() {
			state.Reason = "UNSUPPORTED_MEDIA_TYPE"
		}
		return began(life.started, state)
	case age < life.completed:
		return began(life.started, ScanState{Status: scanInProgress})
	case life.draw < shareUnsupported:
		return began(life.completed, ScanState{Status: scanUnsupported})
	case life.draw < shareUnsupported+shareFailed:
		return began(life.completed, ScanState{Status: scanFailed})
	case scanType == enhanced && life.draw < shareUnsupported+shareFailed+shareExpired && age >= eligibility:
		return began(eligibility, ScanState{Status: scanExpired})
	case age < life.counted:
		return began(life.completed, ScanState{CompletedAt: pushed.Add(life.completed)})
	}
	if !life.rescanned {
		return began(life.counted, life.result(scanType, pushed.Add(life.completed)))
	}
	return life.rescan(scanType, pushed, age)
}

// rescan is the state of an image that is scanned once a day, after its first result.
func (l *scanLife) rescan(scanType string, pushed time.Time, age time.Duration) (ScanState, bool) {
	later := (age - l.completed).Truncate(day) // than the first
	completed := pushed.Add(l.completed + later)
	waits := l.counted - l.completed
	if later > 0 {
		if scanType == basic && age-l.completed-later < waits {
			return ScanState{At: completed, CompletedAt: completed}, true
		}
		l.rng = rand.New(rand.NewPCG(l.rng.Uint64(), uint64(later)))
	}
	state := l.result(scanType, completed)
	state.At = completed
	if later == 0 || scanType == basic {
		state.At = completed.Add(waits)
	}
	return state, true
}

// result generates the findings of a scan.
func (l *scanLife) result(scanType string, completed time.Time) ScanState {
	state := ScanState{
		CompletedAt:     completed,
		SourceUpdatedAt: completed.Add(-within(l.rng, day)),
		Counts:          map[string]int32{},
	}
	if l.rng.Float64() < shareClean {
		return state
	}
	for _, severity := range severities {
		if severity.name == "UNDEFINED" && scanType == enhanced {
			continue // only basic scanning has it
		}
		if n := l.rng.IntN(severity.most + 1); n > 0 {
			state.Counts[severity.name] = int32(n)
		}
	}
	if scanType == enhanced && l.rng.Float64() < shareUntriaged {
		state.Counts["UNTRIAGED"] = 1 + l.rng.Int32N(5)
	}
	return state
}

// index reports whether an image is an index.
func (rec *record) index() bool {
	switch rec.manifestType.Value() {
	case typeOCIIndex, typeDockerList:
		return true
	}
	return false
}

// scannable reports whether scanners support an image.
func (rec *record) scannable() bool {
	switch rec.artifactType.Value() {
	case "", typeDockerImage, typeOCIImage:
		return !rec.index() && !rec.attestation
	}
	return false
}
