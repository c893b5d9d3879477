package ecrtest

import (
	"fmt"
	"slices"
	"time"
)

// The duration of a scan that Mutate starts, and the time until its counts exist.
const (
	mutateScan   = 20 * time.Second
	mutateCounts = 5 * time.Second
)

// rescan gives an image that has a scan result another one. ECR scans an image again once
// a day at most, Inspector at any time.
func (m *mutation) rescan(repo *repository) string {
	rec := repo.images.one(m.rng.IntN, (*record).live)
	if rec == nil {
		return ""
	}
	now := fromMillis(m.now)
	state, ok := m.reg.scanAt(repo, rec, now)
	if !ok || state.Counts == nil {
		return ""
	}
	h := repo.images.scans[rec.digest]
	if n := len(h.States); n > 0 && !now.After(h.States[n-1].At) {
		return "" // another scan is in progress
	}
	life := scanLife{rng: m.rng}
	var result ScanState
	if m.reg.scanning.Type == enhanced {
		result = life.result(enhanced, now)
		result.At = now
		h.States = slices.Concat(h.States, []ScanState{result})
	} else {
		if now.Sub(state.CompletedAt) < day {
			return ""
		}
		done := now.Add(mutateScan)
		result = life.result(basic, done)
		result.At = done.Add(mutateCounts)
		h.States = slices.Concat(h.States, []ScanState{{At: now, Status: scanInProgress}, {At: done, CompletedAt: done}, result})
	}
	repo.images.setHistory(rec.digest, h)
	return fmt.Sprintf("rescanned %s, %d findings", reference(repo.Name, rec), result.total())
}

// one returns a chosen one of the matching records, or nil.
func (s *imageSet) one(choose func(n int) int, match func(*record) bool) *record {
	n := s.count(match)
	if n == 0 {
		return nil
	}
	skip := choose(n)
	for i := range s.records {
		if !match(&s.records[i]) {
			continue
		}
		if skip == 0 {
			return &s.records[i]
		}
		skip--
	}
	return nil
}
