package ecrtest

import "time"

// SetClock gives the server its own notion of now: the time at which scans are looked
// at, and that of [Request.At]. Latency, rates and pauses stay in the time that really
// passes. Nil, the default, is [time.Now], which is virtual in a testing/synctest
// bubble. The function may be called by several requests at once.
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
