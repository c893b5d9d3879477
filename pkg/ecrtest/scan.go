package ecrtest

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Scan is the history of the scans of one image in one repository.
type Scan struct {
	// States follow one another in time. None at all is an image that was never
	// scanned: ScanNotFoundException.
	States []ScanState
	// LastInUseAt and InUseCount are what Inspector knows of the tasks and pods that
	// run the image. The zero time leaves both out.
	LastInUseAt time.Time
	InUseCount  int64
}

// ScanState is what the API tells of the scan of an image from a time on. Whatever
// is zero or nil, the answer leaves out.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html
type ScanState struct {
	// At is when the API begins to answer so. Times are cut to the millisecond.
	At time.Time
	// Status is a word of the API, such as PENDING or COMPLETE. Empty stands for a
	// scan that is done, which is ACTIVE where the registry scans continuously and
	// COMPLETE elsewhere.
	Status string
	// Description is said with the status; empty for what AWS says.
	Description string
	// CompletedAt is imageScanCompletedAt, and lastScannedAt in Inspector.
	CompletedAt     time.Time
	SourceUpdatedAt time.Time
	// Counts are findings by severity; a severity without findings is not there. Empty
	// but not nil is a clean scan; nil leaves the counts out, as AWS does in the first
	// seconds after a scan is COMPLETE.
	Counts map[string]int32
	// Reason is Inspector's reason for the status; empty for the one that goes with it,
	// such as SUCCESSFUL with ACTIVE.
	// See https://docs.aws.amazon.com/inspector/v2/APIReference/API_ScanStatus.html
	Reason string
}

// The scan statuses that the simulator itself has to tell apart.
const (
	scanInProgress  = "IN_PROGRESS"
	scanComplete    = "COMPLETE"
	scanFailed      = "FAILED"
	scanUnsupported = "UNSUPPORTED_IMAGE"
	scanActive      = "ACTIVE"
	scanPending     = "PENDING"
	scanExpired     = "SCAN_ELIGIBILITY_EXPIRED"
	scanArchived    = "IMAGE_ARCHIVED"
)

// scanWords are the values of ScanStatus in the service model with what AWS says of
// them, as far as that is known.
var scanWords = map[string]string{
	scanInProgress:         "",
	scanComplete:           "The scan was completed successfully.",
	scanFailed:             "The scan failed.",
	scanUnsupported:        "UnsupportedImageError: The operating system and/or package manager are not supported.",
	scanActive:             "Continuous scan is selected for image.",
	scanPending:            "",
	scanExpired:            "The scan eligibility of the image has expired.",
	"FINDINGS_UNAVAILABLE": "There are no scan findings available for the image.",
	"LIMIT_EXCEEDED":       "The image exceeds a limit of the scanner.",
	scanArchived:           "The image is archived.",
}

// total is the number of findings of all severities.
func (s *ScanState) total() int {
	n := 0
	for _, count := range s.Counts {
		n += int(count)
	}
	return n
}

// history is what a registry was told of the scans of an image.
type history struct {
	Scan
	// alone makes the history the whole truth. Otherwise what was made up for the image
	// holds until the first state begins.
	alone bool
}

func (s Scan) clone() Scan {
	s.LastInUseAt = fromMillis(toMillis(s.LastInUseAt))
	s.States = cloneStates(s.States)
	return s
}

func cloneStates(states []ScanState) []ScanState {
	states = slices.Clone(states)
	for i := range states {
		s := &states[i]
		s.At, s.CompletedAt = fromMillis(toMillis(s.At)), fromMillis(toMillis(s.CompletedAt))
		s.SourceUpdatedAt = fromMillis(toMillis(s.SourceUpdatedAt))
		s.Counts = maps.Clone(s.Counts)
	}
	return states
}

func checkStates(states []ScanState) error {
	for i := range states {
		s := &states[i]
		if _, ok := scanWords[s.Status]; !ok && s.Status != "" {
			return fmt.Errorf("scan state %d: unknown status %q", i+1, s.Status)
		}
		if i > 0 && !s.At.After(states[i-1].At) {
			return fmt.Errorf("scan state %d: begins at %v, not after the one before", i+1, s.At)
		}
		for severity, n := range s.Counts {
			if severity == "" || n < 0 {
				return fmt.Errorf("scan state %d: %d findings of severity %q", i+1, n, severity)
			}
		}
	}
	return nil
}

// SetScan tells what the API answers, at each time, about the scan of an image, in
// place of all that was told or made up before. It is kept until the image is
// deleted. States have to be in the order of their times.
func (r *Registry) SetScan(repository, digest string, scan Scan) error {
	return r.editScan(repository, digest, func(h *history) { *h = history{Scan: scan.clone(), alone: true} })
}

// Rescan adds states to the history of an image's scans; they have to be later than
// those that SetScan and Rescan gave it before. Before the first of them, an image of a
// generated repository still has the scan that was made up for it.
func (r *Registry) Rescan(repository, digest string, states ...ScanState) error {
	return r.editScan(repository, digest, func(h *history) { h.States = slices.Concat(h.States, cloneStates(states)) })
}

func (r *Registry) editScan(repository, dig string, change func(*history)) error {
	return r.edit(repository, func(s *imageSet) error {
		i, err := s.mustFind(dig)
		if err != nil {
			return err
		}
		d := s.records[i].digest
		h := s.scans[d]
		change(&h)
		if err := checkStates(h.States); err != nil {
			return fmt.Errorf("image %s: %w", dig, err)
		}
		s.tell(d, h)
		return nil
	})
}

// tell stores the history of an image's scans.
func (s *imageSet) tell(d digest, h history) {
	if s.scans == nil {
		s.scans = make(map[digest]history)
	}
	s.scans[d] = h
}

// Scan returns what the API answers at a time about the scan of the image that has a
// digest, or a tag, with its status and description filled in. It is false where the
// API answers that there is no such repository, image or scan.
func (r *Registry) Scan(repository, reference string, at time.Time) (ScanState, bool) {
	r.mu.Lock() // the tag index may have to be built
	defer r.mu.Unlock()
	repo, ok := r.repositories[repository]
	if !ok {
		return ScanState{}, false
	}
	id := wireImageID{Tag: &reference}
	if _, ok := parseDigest(reference); ok {
		id = wireImageID{Digest: &reference}
	}
	rec := repo.images.lookup(&id)
	if rec == nil {
		return ScanState{}, false
	}
	state, ok := r.scanAt(repo, rec, at)
	state.Counts = maps.Clone(state.Counts)
	return state, ok
}

// scanAt is Scan for one who holds the lock. The result shares its counts with the
// registry, which never changes them.
func (r *Registry) scanAt(repo *repository, rec *record, at time.Time) (ScanState, bool) {
	h, known := repo.images.scans[rec.digest]
	state, ok := h.stateAt(at)
	if !ok && !(known && h.alone) && repo.scans != nil {
		state, ok = repo.scans.madeUpState(rec, r.scanning.Type, at)
	}
	if !ok {
		return ScanState{}, false
	}
	if !rec.status.active() {
		state = ScanState{Status: scanArchived}
		if rec.extra != nil {
			state.At = fromMillis(rec.extra.archived)
		}
	}
	if state.Status == "" {
		state.Status = r.scanning.done(repo.Name)
	}
	state.Description = cmp.Or(state.Description, scanWords[state.Status])
	return state, true
}

// stateAt returns the state in which a history is at a time.
func (h *history) stateAt(at time.Time) (ScanState, bool) {
	for _, state := range slices.Backward(h.States) {
		if !state.At.After(at) {
			return state, true
		}
	}
	return ScanState{}, false
}
