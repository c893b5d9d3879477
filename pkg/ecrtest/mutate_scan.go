package ecrtest

import (
	"fmt"
	"slices"
	"time"
)

// How long a scan takes that Mutate starts, and how long its counts take to show.
const (
	mutateScan   = 20 * time.Second
	mutateCounts = 5 * time.Second
)

// rescan scans an image again that has a result, for another one. ECR does so at most
// once a day, Inspector whenever it learns of something.
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
		return "" // another scan is still to come
	}
	life := madeUpLife{rng: m.rng}
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
	repo.images.tell(rec.digest, h)
	return fmt.Sprintf("rescanned %s, %d findings", reference(repo.Name, rec), result.total())
}

// one returns one of the records that match, or nil.
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
