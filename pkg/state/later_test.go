package state_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// later is a stored form as a later program would write it: of the next version, of which
// this one knows only the header and where it says what wrote it.
func later(t *testing.T, stored []byte) []byte {
	t.Helper()
	zip, err := gzip.NewReader(bytes.NewReader(stored))
	if err != nil {
		t.Fatal(err)
	}
	items, err := io.ReadAll(zip)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	written := gzip.NewWriter(&out)
	for _, name := range []string{"inventory", "changes"} {
		items = bytes.Replace(items, []byte(name+"\x02\x02"), []byte(name+"\x02\x03"), 1)
	}
	if _, err := written.Write(items); err != nil || written.Close() != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// Of a state of a later format nothing is used, whichever part is of it. It is set aside as it
// was, both parts, and logged once with what wrote it.
func TestLaterFormat(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		theirs := with("app")
		theirs.WrittenBy = "v9.8.7"
		store := p.open(io.Discard)
		save(t, store, theirs)
		add(theirs, "new")
		saveChanges(t, store, theirs)
		whole, changes := p.get(t, ""), p.get(t, ".changes")
		for what, stored := range map[string][2][]byte{
			"both":                             {later(t, whole), later(t, changes)},
			"a later whole, known changes":     {later(t, whole), changes},
			"a later whole, damaged changes":   {later(t, whole), changes[:len(changes)-3]},
			"a later whole without changes":    {later(t, whole), nil},
			"a known whole with later changes": {whole, later(t, changes)},
		} {
			for _, inMemory := range []*inventory.Registry{nil, with("warm")} {
				for _, suffix := range []string{"", ".changes", ".damaged", ".damaged.changes"} {
					if p.exists(t, suffix) {
						p.remove(t, suffix)
					}
				}
				var log strings.Builder
				store := p.open(&log)
				if inMemory != nil {
					save(t, store, inMemory)
				}
				p.put(t, "", stored[0])
				if stored[1] != nil {
					p.put(t, ".changes", stored[1])
				}
				for range 2 {
					if got := load(t, store); got != inMemory {
						t.Errorf("%s: loaded %v, want the copy in memory", what, names(got))
					}
				}
				if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, `written by \"v9.8.7\"`) || !strings.Contains(text, p.url+".damaged") {
					t.Errorf("%s: logged\n%s", what, text)
				}
				if !bytes.Equal(p.get(t, ".damaged"), stored[0]) || stored[1] != nil && !bytes.Equal(p.get(t, ".damaged.changes"), stored[1]) {
					t.Errorf("%s: it was not set aside as it was", what)
				}
				// What is saved then is complete, and is all that a cold start reads.
				rebuilt := inMemory
				if rebuilt == nil {
					rebuilt = with()
				}
				for _, name := range []string{"rebuilt", "then"} {
					add(rebuilt, name)
					saveChanges(t, store, rebuilt)
					if diff := cmp.Diff(names(rebuilt), p.stored(t)); diff != "" {
						t.Errorf("%s: stored (-want +got):\n%s", what, diff)
					}
				}
			}
		}
	})
}

// A dry run says what wrote a state that it cannot read, and leaves it.
func TestLaterFormatReadOnly(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		ours := with("app")
		ours.WrittenBy = "v9.8.7"
		save(t, p.open(io.Discard), ours)
		whole := later(t, p.get(t, ""))
		p.put(t, "", whole)
		got, err := state.ReadOnly{Store: p.open(io.Discard)}.Load(t.Context())
		if got != nil || !errors.Is(err, inventory.ErrFormat) || !errors.Is(err, inventory.ErrLater) || !strings.Contains(err.Error(), `written by "v9.8.7"`) {
			t.Errorf("loaded %v, error %v", got, err)
		}
		if !bytes.Equal(p.get(t, ""), whole) || p.exists(t, ".damaged") {
			t.Error("the state was changed")
		}
	})
}
