package ecrtest

import "time"

// SetClock sets the clock for the states of scans and for [Request.At], but not for latency,
// rates and pauses. Nil, the default, is [time.Now], which is virtual in a testing/synctest
// bubble. The function may be called concurrently.
func (s *Server) SetClock(now func() time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.clock = now
}

func (s *Server) now() time.Time {
	s.mu.Lock()
	clock := s.clock
	s.mu.Unlock()
	if clock == nil {
		return time.Now()
	}
	return clock()
}
