package inventory

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/fxamacker/cbor/v2"
)

// Word is one of the few words that many records have, such as a media type, a status or a
// severity: 2 bytes in place of the 16 of a string. The zero Word is the empty one. Words are
// numbered as they come, so their numbers mean nothing outside of a process; stored and
// printed they are text. Words are ordered by Compare.
type Word uint16

// maxWords is how many different words there can be. ECR and Inspector have some fifty.
// Those that come after so many are all Other.
const maxWords = 10_000

// Other stands for each word beyond the ten thousand different ones that a process tells apart.
const Other Word = 1

// vocabulary is what is known of words by number. It is replaced as a whole.
type vocabulary struct {
	text   []string
	stored [][]byte // as CBOR
}

var (
	words = func() *atomic.Pointer[vocabulary] {
		var known atomic.Pointer[vocabulary]
		known.Store(&vocabulary{[]string{"", "OTHER"}, [][]byte{{0x60}, append([]byte{0x65}, "OTHER"...)}})
		return &known
	}()
	// numbers are the words by text, but the first two.
	numbers   = map[string]Word{}
	numbersMu sync.RWMutex
)

// WordOf returns the word with a text. The text is copied.
func WordOf(text string) Word {
	switch text {
	case "":
		return 0
	case Other.String():
		return Other
	}
	numbersMu.RLock()
	number, ok := numbers[text]
	numbersMu.RUnlock()
	if ok {
		return number
	}
	numbersMu.Lock()
	defer numbersMu.Unlock()
	if number, ok := numbers[text]; ok {
		return number
	}
	known := words.Load()
	if len(known.text) > maxWords {
		return Other
	}
	text = strings.Clone(text)
	stored, err := cbor.Marshal(text)
	if err != nil { // which a string has not
		return Other
	}
	number = Word(len(known.text))
	words.Store(&vocabulary{append(known.text, text), append(known.stored, stored)})
	numbers[text] = number
	return number
}

// String returns the text.
func (w Word) String() string {
	if known := words.Load(); int(w) < len(known.text) {
		return known.text[w]
	}
	return ""
}

// Compare orders words by their text.
func (w Word) Compare(other Word) int { return strings.Compare(w.String(), other.String()) }

// MarshalText writes the text, for JSON.
func (w Word) MarshalText() ([]byte, error) { return []byte(w.String()), nil }

// MarshalCBOR writes the text.
func (w Word) MarshalCBOR() ([]byte, error) {
	if known := words.Load(); int(w) < len(known.stored) {
		return known.stored[w], nil
	}
	return []byte{0x60}, nil
}

// UnmarshalCBOR reads the text.
func (w *Word) UnmarshalCBOR(data []byte) error {
	var text string
	if err := decoding.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("word: %w", err)
	}
	*w = WordOf(text)
	return nil
}
