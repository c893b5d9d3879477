package state_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// add adds a repository, so that the registry changes.
func add(r *inventory.Registry, name string) {
	r.SetRepository(&inventory.Repository{Name: name, CreatedAt: 1, ImagesReadAt: 2})
}

func saveChanges(t *testing.T, store *state.Store, registry *inventory.Registry) {
	t.Helper()
	if err := store.Save(t.Context(), registry, false); err != nil {
		t.Fatal(err)
	}
}

// Changes are saved without the whole, and a cold start has both.
func TestChanges(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		store := p.open(io.Discard)
		registry := with("app")
		saveChanges(t, store, registry) // there is no whole yet
		whole := p.get(t, "")
		for i := range 3 {
			add(registry, fmt.Sprint("new", i))
			saveChanges(t, store, registry)
			if registry.Unsaved.Any {
				t.Error("saved, and still unsaved")
			}
			if got := load(t, store); got != registry {
				t.Error("what was saved is read again")
			}
			want := names(registry)
			if diff := cmp.Diff(want, p.stored(t)); diff != "" || !bytes.Equal(whole, p.get(t, "")) {
				t.Errorf("stored (-want +got), or the whole was replaced:\n%s", diff)
			}
			if i == 1 { // a cold start goes on with the same whole
				store = p.open(io.Discard)
				registry = load(t, store)
			}
		}
		save(t, store, registry)
		emptied := p.get(t, ".changes")
		if diff := cmp.Diff(names(registry), p.stored(t)); diff != "" || bytes.Equal(whole, p.get(t, "")) {
			t.Errorf("stored (-want +got), or the whole was not replaced:\n%s", diff)
		}
		registry.Remove("app")
		saveChanges(t, store, registry)
		if stored := p.stored(t); slices.Contains(stored, "app") || len(p.get(t, ".changes")) <= len(emptied) {
			t.Errorf("stored %v after a removal", stored)
		}
	})
}

// Two environments that save changes to one state lose nothing of each other's.
func TestChangesOfTwo(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		a, b := p.open(io.Discard), p.open(io.Discard)
		save(t, a, with("app"))
		ours, theirs := load(t, a), load(t, b)
		want := []string{"app"}
		for i := range 4 {
			name := fmt.Sprint("new", i)
			want = append(want, name)
			if i%2 == 0 {
				add(ours, name)
				saveChanges(t, a, ours)
			} else {
				add(theirs, name)
				saveChanges(t, b, theirs)
			}
		}
		if diff := cmp.Diff(want, p.stored(t)); diff != "" {
			t.Errorf("stored (-want +got):\n%s", diff)
		}
	})
}

// Damaged changes are set aside, and the whole is used without them. Changes that a crash
// left behind the whole that has them do nothing.
func TestChangesDamagedOrLeft(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		store := p.open(io.Discard)
		registry := with("app")
		save(t, store, registry)
		add(registry, "new")
		saveChanges(t, store, registry)
		left := p.get(t, ".changes")
		for name, content := range map[string][]byte{"empty": {}, "truncated": left[:len(left)-4], "a whole": p.get(t, "")} {
			p.put(t, ".changes", content)
			var log strings.Builder
			cold := p.open(&log)
			if got := names(load(t, cold)); !slices.Contains(got, "app") || slices.Contains(got, "new") {
				t.Errorf("%s: loaded %v", name, got)
			}
			if got := p.get(t, ".damaged.changes"); !bytes.Equal(got, content) || strings.Count(log.String(), "level=WARN") != 1 {
				t.Errorf("%s: set aside %q, logged\n%s", name, got, &log)
			}
			add(load(t, cold), "rebuilt")
			saveChanges(t, cold, load(t, cold))
			if diff := cmp.Diff([]string{"app", "rebuilt"}, p.stored(t)); diff != "" {
				t.Errorf("%s: stored after it (-want +got):\n%s", name, diff)
			}
		}
		store = p.open(io.Discard)
		registry = load(t, store)
		add(registry, "gone")
		saveChanges(t, store, registry)
		left = p.get(t, ".changes")
		registry.Remove("gone")
		save(t, store, registry)
		p.put(t, ".changes", left)
		if diff := cmp.Diff([]string{"app", "rebuilt"}, p.stored(t)); diff != "" {
			t.Errorf("with changes of an earlier whole (-want +got):\n%s", diff)
		}
	})
}

// Beyond their limit changes are saved as the whole.
func TestManyChanges(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		store := p.open(io.Discard)
		registry := with("app")
		save(t, store, registry)
		whole := p.get(t, "")
		for i := range 40_000 {
			registry.SetRepository(&inventory.Repository{Name: fmt.Sprintf("%x", sha256.Sum256([]byte(fmt.Sprint(i)))), CreatedAt: 1})
		}
		saveChanges(t, store, registry)
		if bytes.Equal(whole, p.get(t, "")) {
			t.Error("the whole was not replaced")
		}
		if stored := p.stored(t); len(stored) != 40_001 {
			t.Errorf("%d repositories are stored", len(stored))
		}
	})
}
