package remotewrite

import "hash/maphash"

// DuplicateSeries is that a series with the same labels has been in the same push. Two
// samples of one series with one timestamp are refused by every receiver if their
// values differ, and the specification has a series in a request once.
const DuplicateSeries Reason = "duplicate_series"

// seen is the set of the series of a push, by a hash of 64 bits in place of their
// labels: 16 MiB for 1,000,000 series, kept from one push to the next.
//
// Two series of the same hash are taken for one. Among n series that has a
// probability of n²/2⁶⁵: for 1,000,000 it is one push in 37 million, in which one
// series would lack a sample. Each push has a seed of its own, so that it would
// not be lacking in the next one too.
type seen struct {
	seed maphash.Seed
	// slots is a hash table of open addressing, its size a power of two, at most
	// three quarters of it used. 0 is a free slot.
	slots []uint64
	used  int
}

const minSeen = 1 << 10

// begin empties the set.
func (s *seen) begin() {
	s.seed = maphash.MakeSeed()
	if s.slots == nil {
		s.slots = make([]uint64, minSeen)
	}
	clear(s.slots)
	s.used = 0
}

// add reports whether the series was not there yet.
func (s *seen) add(hash uint64) bool {
	if hash == 0 {
		hash = 1
	}
	i := s.find(hash)
	if s.slots[i] == hash {
		return false
	}
	s.slots[i] = hash
	if s.used++; s.used > len(s.slots)/4*3 {
		s.grow()
	}
	return true
}

// find is the slot that has the hash or would get it.
func (s *seen) find(hash uint64) uint64 {
	mask := uint64(len(s.slots) - 1)
	i := hash & mask
	for s.slots[i] != 0 && s.slots[i] != hash {
		i = (i + 1) & mask
	}
	return i
}

func (s *seen) grow() {
	old := s.slots
	s.slots = make([]uint64, 2*len(old))
	for _, hash := range old {
		if hash != 0 {
			s.slots[s.find(hash)] = hash
		}
	}
}
