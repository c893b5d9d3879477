package wire

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
)

// symbols is the symbol table of a 2.0 message in its encoded form: each text is
// there once, and is referred to by its position. The first is the empty text, as
// the specification requires
// (https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#symbols).
//
// A map from text to position would need a string for each key. So texts are looked
// up in the encoded bytes, which allocates nothing.
type symbols struct {
	// buf holds the records of the field Request.symbols, one a text.
	buf []byte
	// texts are the places of the texts in buf.
	texts []extent
	// slots is a hash table with open addressing. Its size is a power of two, and at
	// most half of it is used.
	slots []slot
	seed  maphash.Seed
}

// extent is a part of a buffer.
type extent struct{ start, end int }

// slot is one place of the hash table.
type slot struct {
	hash uint32
	ref  uint32 // 0 if free: the empty text has no slot
}

const (
	keySymbol = 4<<3 | wireBytes

	minSlots = 1 << 10
)

// reset leaves only the empty text.
func (t *symbols) reset() {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
		t.slots = make([]slot, minSlots)
	}
	clear(t.slots)
	t.buf = append(t.buf[:0], keySymbol, 0)
	t.texts = append(t.texts[:0], extent{2, 2})
}

func (t *symbols) text(ref uint32) []byte {
	e := t.texts[ref]
	return t.buf[e.start:e.end]
}

// reserve makes room for n further texts, so that ref can be undone.
func (t *symbols) reserve(n int) {
	if 2*(len(t.texts)+n) <= len(t.slots) {
		return
	}
	size := 2 * len(t.slots)
	for 2*(len(t.texts)+n) > size {
		size *= 2
	}
	old := t.slots
	t.slots = make([]slot, size)
	for _, s := range old {
		if s.ref != 0 {
			*t.find(s.hash, nil) = s
		}
	}
}

// find returns the slot of a text with this hash, or the free one where it belongs.
// A nil text is in no slot.
func (t *symbols) find(hash uint32, text []byte) *slot {
	mask := uint32(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if s := &t.slots[i]; s.ref == 0 || s.hash == hash && bytes.Equal(t.text(s.ref), text) {
			return s
		}
	}
}

// ref returns the reference of a text and adds it if it is new. There must be room.
func (t *symbols) ref(text []byte) uint32 {
	if len(text) == 0 {
		return 0
	}
	hash := uint32(maphash.Bytes(t.seed, text))
	s := t.find(hash, text)
	if s.ref == 0 {
		t.buf = binary.AppendUvarint(append(t.buf, keySymbol), uint64(len(text)))
		start := len(t.buf)
		t.buf = append(t.buf, text...)
		*s = slot{hash, uint32(len(t.texts))}
		t.texts = append(t.texts, extent{start, len(t.buf)})
	}
	return s.ref
}

// undo removes the texts added since there were n texts in size bytes. There must
// have been no reserve in between.
func (t *symbols) undo(n, size int) {
	// The last first: then a freed slot is the end of its chain.
	for ref := len(t.texts) - 1; ref >= n; ref-- {
		text := t.text(uint32(ref))
		*t.find(uint32(maphash.Bytes(t.seed, text)), text) = slot{}
	}
	t.texts, t.buf = t.texts[:n], t.buf[:size]
}
