package awsapi

import (
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"
)

// Invalid counts the values in responses that cannot be true and are left out. The zero
// value is ready for use.
type Invalid struct {
	mu    sync.Mutex
	n     int
	first []string
}

// maxExamples is how many values an Invalid keeps.
const maxExamples = 3

// Add counts a value. The text says which it is, and of what.
func (i *Invalid) Add(format string, values ...any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.n++; len(i.first) < maxExamples {
		i.first = append(i.first, Printable(fmt.Sprintf(format, values...), maxErrorText))
	}
}

// Take returns how many values were counted since it was last called, and the first few.
func (i *Invalid) Take() (n int, first []string) {
	i.mu.Lock()
	defer i.mu.Unlock()
	n, first = i.n, i.first
	i.n, i.first = 0, nil
	return n, first
}

// The times that a registry can have: ECR began in 2015, and no clock is decades ahead. A
// time in milliseconds instead of seconds is far outside.
var (
	earliest = time.Unix(0, 0)
	latest   = time.Date(2200, time.January, 1, 0, 0, 0, 0, time.UTC)
)

// ValidTime reports whether a time can be that of something in a registry.
func ValidTime(t time.Time) bool { return t.After(earliest) && t.Before(latest) }

// The longest texts that are accepted, in bytes. ARNs have up to 2,048. A word is a status
// or a severity, which becomes the value of a label.
const (
	maxText = 2048
	maxWord = 64
)

// Text returns a text from outside with any invalid UTF-8 replaced, which could not be
// stored. It is false for one that is too long.
func Text(s string) (string, bool) { return strings.ToValidUTF8(s, "\uFFFD"), len(s) <= maxText }

// ValidWord reports whether s can be a status or a severity.
func ValidWord(s string) bool { return s != "" && len(s) <= maxWord && utf8.ValidString(s) }

// Printable escapes what is not printable in a text from outside, such as the control
// characters that a terminal obeys, and cuts it off after a number of bytes.
func Printable(text string, limit int) string {
	var b strings.Builder
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRuneInString(text[i:])
		switch {
		case b.Len() >= limit:
			fmt.Fprintf(&b, "… (%d bytes)", len(text))
			return b.String()
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[i])
		case unicode.IsPrint(r):
			b.WriteRune(r)
		default:
			quoted := strconv.QuoteRune(r)
			b.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return b.String()
}
