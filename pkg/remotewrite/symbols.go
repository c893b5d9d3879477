package remotewrite

import "hash/maphash"

// symbols is the symbol table of a 2.0 message in its encoded form: each text is
// there once, and is known by its place, from 0. The first is the empty text, as
// the specification demands
// (https://prometheus.io/docs/specs/prw/remote_write_spec_2_0/#symbols).
//
// A map from text to place would need strings of its own as keys, which are those
// allocations that this package is without. So the texts are looked up in the
// encoded bytes.
type symbols struct {
	// buf holds the records of the field Request.symbols, one a text.
	buf []byte
	// texts says where in buf each text lies.
	texts []extent
	// slots is a hash table of open addressing, its size a power of two. At most
	// half of it is used.
	slots []slot
	seed  maphash.Seed
}

// slot is one place of the hash table.
type slot struct {
	hash uint32
	ref  uint32 // 0: free. The empty text needs no slot.
}

const (
	keySymbol = 4<<3 | wireBytes

	minSlots = 1 << 10
)

// reset leaves the empty text only.
func (t *symbols) reset() {
	if t.slots == nil {
		t.seed = maphash.MakeSeed()
		t.slots = make([]slot, minSlots)
	}
	clear(t.slots)
	t.buf = append(t.buf[:0], keySymbol, 0)
	t.texts = append(t.texts[:0], extent{2, 2})
}

// text is the text of a reference that ref returned.
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
			*t.free(s.hash) = s
		}
	}
}

// free is the slot that a new text with this hash goes into.
func (t *symbols) free(hash uint32) *slot {
	mask := uint32(len(t.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		if t.slots[i].ref == 0 {
			return &t.slots[i]
		}
	}
}

// ref returns the reference of a text, which is added if it is new. There must be
// room for it.
func (t *symbols) ref(text string) uint32 {
	if text == "" {
		return 0
	}
	hash := uint32(maphash.String(t.seed, text))
	mask := uint32(len(t.slots) - 1)
	i := hash & mask
	for ; t.slots[i].ref != 0; i = (i + 1) & mask {
		if s := t.slots[i]; s.hash == hash && string(t.text(s.ref)) == text {
			return s.ref
		}
	}
	t.buf = append(t.buf, keySymbol)
	t.buf = appendLength(t.buf, len(text))
	start := len(t.buf)
	t.buf = append(t.buf, text...)
	ref := uint32(len(t.texts))
	t.texts = append(t.texts, extent{start, len(t.buf)})
	t.slots[i] = slot{hash, ref}
	return ref
}

// undo takes back the texts that were added since there were n texts in size
// bytes. There was no reserve in between.
func (t *symbols) undo(n, size int) {
	// The last first: then a freed slot is the end of its chain.
	for ref := uint32(len(t.texts)) - 1; ref >= uint32(n); ref-- {
		hash := uint32(maphash.Bytes(t.seed, t.text(ref)))
		mask := uint32(len(t.slots) - 1)
		i := hash & mask
		for t.slots[i].ref != ref {
			i = (i + 1) & mask
		}
		t.slots[i] = slot{}
	}
	t.texts, t.buf = t.texts[:n], t.buf[:size]
}
