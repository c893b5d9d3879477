package inventory_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/fxamacker/cbor/v2"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// A word is its text, wherever it is written.
func TestWord(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "OTHER", "CRITICAL", "ünïcode", "not UTF-8 \xff", strings.Repeat("long", 100)} {
		word := inventory.WordOf(text)
		if word.String() != text || word != inventory.WordOf(strings.Clone(text)) {
			t.Errorf("%.20q: %q, and %d and %d", text, word, word, inventory.WordOf(text))
		}
		stored, err := cbor.Marshal(word)
		if err != nil {
			t.Fatal(err)
		}
		var read inventory.Word
		if err := read.UnmarshalCBOR(stored); err != nil || read != word {
			t.Errorf("%.20q: read %q, error %v", text, read, err)
		}
		if printed, err := json.Marshal(word); err != nil || !json.Valid(printed) {
			t.Errorf("%.20q: JSON %s, error %v", text, printed, err)
		}
	}
	if word := inventory.WordOf(""); word != 0 {
		t.Errorf("the empty word is %d", word)
	}
	if a, b := inventory.WordOf("zz-first"), inventory.WordOf("aa-second"); a.Compare(b) <= 0 || b.Compare(a) >= 0 || a.Compare(inventory.WordOf("zz-first")) != 0 {
		t.Error("words are not ordered by their text")
	}
	if err := new(inventory.Word).UnmarshalCBOR([]byte{0x01}); err == nil {
		t.Error("a number was read as a word")
	}
}

// Severities are words before any record is read, so that no other words can take their room.
func TestSeveritiesAreKnown(t *testing.T) {
	t.Parallel()
	const fromTheStart = 64
	for i := range fromTheStart {
		inventory.WordOf(fmt.Sprint("another word ", i))
	}
	for _, severity := range []string{"CRITICAL", "HIGH", "MEDIUM", "LOW", "INFORMATIONAL", "UNDEFINED", "UNTRIAGED"} {
		if word := inventory.WordOf(severity); word >= fromTheStart {
			t.Errorf("%s is word %d, and so was not known from the start", severity, word)
		}
	}
}
