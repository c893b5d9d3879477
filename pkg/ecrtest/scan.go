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
	// States are in the order of time. Without any, the image was never scanned:
	// ScanNotFoundException.
	States []ScanState
	// LastInUseAt and InUseCount are Inspector's data about tasks and pods that run the
	// image. Both are absent if LastInUseAt is zero.
	LastInUseAt time.Time
	InUseCount  int64
}

// ScanState is what the API returns of the scan of an image from a time on. Fields that
// are zero or nil are absent in responses.
// See https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_DescribeImageScanFindings.html
type ScanState struct {
	// At is the beginning of the state. Times are truncated to milliseconds.
	At time.Time
	// Status is that of the API, such as PENDING or COMPLETE. Empty means that the scan is
	// complete: ACTIVE if the registry scans continuously, else COMPLETE.
	Status string
	// Description is that of the status; by default the text of AWS.
	Description string
	// CompletedAt is imageScanCompletedAt, and lastScannedAt in Inspector.
	CompletedAt     time.Time
	SourceUpdatedAt time.Time
	// Counts are findings by severity, without severities that have none. Empty is a clean
	// scan; nil is a scan without counts, as in the first seconds after it is COMPLETE.
	Counts map[string]int32
	// Reason is Inspector's reason for the status; by default the usual one, such as
	// SUCCESSFUL for ACTIVE.
	// See https://docs.aws.amazon.com/inspector/v2/APIReference/API_ScanStatus.html
	Reason string
}

// The scan statuses that the simulator distinguishes.
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

// scanDescriptions are the values of ScanStatus in the service model, with the
// descriptions of AWS as far as they are known.
var scanDescriptions = map[string]string{
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

// history are the states of an image's scan that were set.
type history struct {
	Scan
	// complete is set if there are no others. Otherwise the generated scan of the image is
	// valid until the first state begins.
	complete bool
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
		if _, ok := scanDescriptions[s.Status]; !ok && s.Status != "" {
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

// SetScan sets the states of an image's scan, in the order of their times, and replaces all
// earlier ones, set or generated. They are kept until the image is deleted.
func (r *Registry) SetScan(repository, digest string, scan Scan) error {
	return r.editScan(repository, digest, func(h *history) { *h = history{Scan: scan.clone(), complete: true} })
}

// Rescan adds states to those of an image's scan; they have to be later than those of
// SetScan and Rescan. Until the first of them, an image of a generated repository keeps its
// generated scan.
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
		s.setHistory(d, h)
		return nil
	})
}

// setHistory stores the history of an image's scan.
func (s *imageSet) setHistory(d digest, h history) {
	if s.scans == nil {
		s.scans = make(map[digest]history)
	}
	s.scans[d] = h
}

// Scan returns the state, at a time, of the scan of the image with a digest or tag,
// including status and description. It is false if the repository, the image or the scan
// does not exist.
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

// scanAt is Scan for a caller that holds the lock. The result shares its counts with the
// registry, which never changes them.
func (r *Registry) scanAt(repo *repository, rec *record, at time.Time) (ScanState, bool) {
	h, known := repo.images.scans[rec.digest]
	state, ok := h.stateAt(at)
	if !ok && !(known && h.complete) && repo.scans != nil {
		state, ok = repo.scans.stateOf(rec, r.scanning.Type, at)
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
	state.Description = cmp.Or(state.Description, scanDescriptions[state.Status])
	return state, true
}

// stateAt returns the state at a time.
func (h *history) stateAt(at time.Time) (ScanState, bool) {
	for _, state := range slices.Backward(h.States) {
		if !state.At.After(at) {
			return state, true
		}
	}
	return ScanState{}, false
}
