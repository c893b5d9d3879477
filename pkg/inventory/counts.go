package inventory

import (
	"encoding/binary"
	"fmt"
	"iter"

	"github.com/fxamacker/cbor/v2"
)

// Counts are the findings of a scan by severity, sorted by name, each once: two or three bytes
// for each in place of the eight of a SeverityCount, since every scan has them. They can be
// compared. Their bytes mean nothing outside of a process; stored and printed they are Severities.
type Counts string

// CountsOf returns the same counts as a sorted list. The list is copied.
func CountsOf(list Severities) Counts {
	var room [64]byte // of the list that nearly every scan has
	packed := room[:0]
	for _, severity := range list {
		packed = binary.AppendUvarint(packed, uint64(severity.Severity))
		packed = binary.AppendUvarint(packed, uint64(uint32(severity.Count)))
	}
	return Counts(packed)
}

// All yields the counts in order.
func (c Counts) All() iter.Seq[SeverityCount] {
	return func(yield func(SeverityCount) bool) {
		for c != "" {
			var severity, count uint64
			severity, c = c.number()
			count, c = c.number()
			if !yield(SeverityCount{Word(severity), int32(uint32(count))}) {
				return
			}
		}
	}
}

// number returns the first number, as binary.Uvarint does, and what follows it.
func (c Counts) number() (n uint64, rest Counts) {
	for i, shift := 0, 0; i < len(c); i, shift = i+1, shift+7 {
		n |= uint64(c[i]&0x7f) << shift
		if c[i] < 0x80 {
			return n, c[i+1:]
		}
	}
	return n, ""
}

// List returns the counts as a list; nil if there are none.
func (c Counts) List() Severities {
	if c == "" {
		return nil
	}
	return c.AppendTo(make(Severities, 0, len(c)/2))
}

// AppendTo appends the counts to a list.
func (c Counts) AppendTo(list Severities) Severities {
	for severity := range c.All() {
		list = append(list, severity)
	}
	return list
}

// sorted reports whether they are sorted, each once.
func (c Counts) sorted() bool {
	var room [8]SeverityCount
	return c.AppendTo(room[:0]).sorted()
}

// String returns the list, for messages.
func (c Counts) String() string { return fmt.Sprint(c.List()) }

// MarshalJSON writes the counts as Severities do.
func (c Counts) MarshalJSON() ([]byte, error) { return c.List().MarshalJSON() }

// MarshalCBOR writes the counts as Severities.
func (c Counts) MarshalCBOR() ([]byte, error) {
	var room [8]SeverityCount
	return cbor.Marshal(c.AppendTo(room[:0]))
}

// UnmarshalCBOR reads Severities. Their order is not checked.
func (c *Counts) UnmarshalCBOR(data []byte) error {
	var list Severities
	if err := decoding.Unmarshal(data, &list); err != nil {
		return fmt.Errorf("severities: %w", err)
	}
	*c = CountsOf(list)
	return nil
}
