package ecrtest

import (
	"encoding/binary"
	"math/rand/v2"
	"time"
)

// scanShares says what the scans of a generated repository are like. They are not
// stored: each is made up anew from the image's digest and push, the same every time,
// so that the scans of a million images take no memory.
type scanShares struct {
	scanned, rescanned float64
}

// What becomes of images, in shares of those that a scanner looks at. Of the rest, one in
// five is clean.
const (
	shareUnsupported = 0.04
	shareFailed      = 0.01
	shareExpired     = 0.03 // enhanced scanning only, of old images
	shareClean       = 0.2
	shareUntriaged   = 0.05
	shareInUse       = 0.2
)

// eligibility is the age from which the scan of an image may have expired.
const eligibility = 180 * day

// madeUpLife is the life of an image's scan as the digest decides it.
type madeUpLife struct {
	rng       *rand.Rand // for what comes after the fields here
	never     bool
	rescanned bool
	usedAfter time.Duration // from the push to the last use, 0 for never
	used      int64
	fate      float64       // 0 to 1, to be held against the shares
	started   time.Duration // from the push
	completed time.Duration
	counted   time.Duration
}

// madeUp decides the life of an image's scan.
func (p *scanShares) madeUp(rec *record) madeUpLife {
	rng := rand.New(rand.NewPCG(binary.BigEndian.Uint64(rec.digest[16:]), binary.BigEndian.Uint64(rec.digest[24:])))
	life := madeUpLife{rng: rng}
	life.never = rng.Float64() >= p.scanned
	life.rescanned = rng.Float64() < p.rescanned
	if rng.Float64() < shareInUse {
		life.usedAfter, life.used = within(rng, 30*day), 1+rng.Int64N(20)
	}
	life.fate = rng.Float64()
	life.started = 2*time.Second + within(rng, 5*time.Second)
	life.completed = life.started + 5*time.Second + within(rng, time.Minute)
	life.counted = life.completed + time.Second + within(rng, 8*time.Second)
	return life
}

// within is a random time shorter than d, in milliseconds.
func within(rng *rand.Rand, d time.Duration) time.Duration {
	return time.Duration(rng.Int64N(d.Milliseconds())) * time.Millisecond
}

// madeUpState is the state at a time of the made-up scan of an image. What there is
// nothing of to scan, an index or a chart or a signature, is unsupported. A scan is pending,
// then in progress, then done without counts for some seconds. An image that is
// rescanned has another result each day, at the time of day of the first.
func (p *scanShares) madeUpState(rec *record, scanType string, at time.Time) (ScanState, bool) {
	life := p.madeUp(rec)
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
	case life.fate < shareUnsupported:
		return began(life.completed, ScanState{Status: scanUnsupported})
	case life.fate < shareUnsupported+shareFailed:
		return began(life.completed, ScanState{Status: scanFailed})
	case scanType == enhanced && life.fate < shareUnsupported+shareFailed+shareExpired && age >= eligibility:
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
func (l *madeUpLife) rescan(scanType string, pushed time.Time, age time.Duration) (ScanState, bool) {
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

// result makes up what a scan found.
func (l *madeUpLife) result(scanType string, completed time.Time) ScanState {
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
			continue // a word of basic scanning only
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

// index reports whether an image is an index of others.
func (rec *record) index() bool {
	switch rec.manifestType.Value() {
	case typeOCIIndex, typeDockerList:
		return true
	}
	return false
}

// scannable reports whether there is something for a scanner in an image.
func (rec *record) scannable() bool {
	switch rec.artifactType.Value() {
	case "", typeDockerImage, typeOCIImage:
		return !rec.index()
	}
	return false
}
