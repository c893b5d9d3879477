package remotewrite

import (
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// maxStanding is how many kinds of trouble are kept in mind, and maxWordings in
	// how many wordings each is logged until it is over.
	maxStanding = 16
	maxWordings = 4
	// cleanPushes is the number of pushes in a row without a trouble after which it
	// is over. A run makes two pushes, one with the metrics of the run itself:
	// that it goes well says nothing of the other.
	cleanPushes = 2
)

// standing is the trouble that lasts from push to push. What repeats in every run
// is said once when it begins and once when it is over, and not each time.
type standing struct {
	mu    sync.Mutex
	kinds map[string]*trouble
}

// trouble is one kind of failure that has been logged and is not over.
type trouble struct {
	wordings []string
	about    []slog.Attr // of the first
	since    time.Time
	pushes   int  // in which it occurred
	clean    int  // in a row since
	seen     bool // in this push
}

// raise records that a kind of trouble has occurred, such as a status, in some
// wording, such as the body of the answer. It reports whether that is news: the
// same wording is not, until the trouble is over, nor is one beyond the limits,
// so that a receiver that never uses the same words twice is not a flood either.
// about says what the trouble is, for the line that says that it is over.
func (s *standing) raise(kind, wording string, about ...slog.Attr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := s.kinds[kind]
	if t == nil {
		if len(s.kinds) == maxStanding {
			return false
		}
		if s.kinds == nil {
			s.kinds = make(map[string]*trouble)
		}
		t = &trouble{about: about, since: time.Now()}
		s.kinds[kind] = t
	}
	t.seen = true
	if len(t.wordings) == maxWordings || slices.Contains(t.wordings, wording) {
		return false
	}
	t.wordings = append(t.wordings, wording)
	return true
}

// pushed ends a push and returns what is over by now, oldest first. A push that is
// not telling is one that nothing got far enough in to have the trouble: it says
// nothing about it.
func (s *standing) pushed(telling bool) (over []*trouble) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind, t := range s.kinds {
		switch {
		case t.seen:
			t.seen, t.clean = false, 0
			t.pushes++
		case telling:
			if t.clean++; t.clean == cleanPushes {
				delete(s.kinds, kind)
				over = append(over, t)
			}
		}
	}
	slices.SortFunc(over, func(a, b *trouble) int { return a.since.Compare(b.since) })
	return over
}

// likeness returns what is alike in texts that differ in their particulars: in
// numbers, times, digests, and in what is quoted or braced, as the series are
// that a receiver names. It is for telling whether to log, and for nothing else:
// what a text means is the reader's affair. The start of it is enough, since the
// end of a long one depends on where it was cut off.
func likeness(text string) string {
	const most = 200
	var b strings.Builder
	for i := 0; i < len(text) && b.Len() < most; {
		c := text[i]
		switch c {
		case '"', '`', '{':
			end := byte('}')
			if c != '{' {
				end = c
			}
			b.WriteByte('#')
			// One that does not end was cut off.
			k := strings.IndexByte(text[i+1:], end)
			if k < 0 {
				return b.String()
			}
			i += k + 2
			continue
		}
		if !wordByte(c) {
			b.WriteByte(c)
			i++
			continue
		}
		start, digits := i, false
		for ; i < len(text) && wordByte(text[i]); i++ {
			digits = digits || digit(text[i])
		}
		if digits {
			b.WriteByte('#')
		} else {
			b.WriteString(text[start:i])
		}
	}
	return b.String()
}

// wordByte reports whether c is part of a word, such as a time or an address.
func wordByte(c byte) bool {
	return letter(c) || digit(c) || strings.IndexByte("-.:+/", c) >= 0 || c >= 0x80
}
