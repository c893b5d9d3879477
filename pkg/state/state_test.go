package state_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

func registry(id string) *inventory.Registry {
	return &inventory.Registry{ID: id, ListedAt: 1, Repositories: []*inventory.Repository{{
		Name: "app", Images: []inventory.Image{{Tags: []string{"v1"}}},
	}}}
}

func load(t *testing.T, file *state.File) *inventory.Registry {
	t.Helper()
	got, err := file.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func save(t *testing.T, file *state.File, registry *inventory.Registry) {
	t.Helper()
	if err := file.Save(t.Context(), registry); err != nil {
		t.Fatal(err)
	}
}

func TestMemory(t *testing.T) {
	t.Parallel()
	memory := &state.Memory{}
	if got, err := memory.Load(t.Context()); got != nil || err != nil {
		t.Errorf("before anything was saved: %v, %v", got, err)
	}
	want := registry("1")
	if err := memory.Save(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if got, err := memory.Load(t.Context()); got != want || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a", "folder", "state")
	file := state.NewFile(path, nil)
	if got := load(t, file); got != nil {
		t.Errorf("before anything was saved: %v", got)
	}
	want := registry("1")
	save(t, file, want)
	if got := load(t, file); got != want {
		t.Error("an unchanged file was read again")
	}
	// A cold start reads what was saved.
	if diff := cmp.Diff(want, load(t, state.NewFile(path, nil))); diff != "" {
		t.Errorf("after a cold start (-want +got):\n%s", diff)
	}
	// What another process wrote is merged into what is in memory, which may have
	// something that was not saved.
	want.Repositories = append(want.Repositories, &inventory.Repository{Name: "unsaved", ImagesReadAt: 9})
	other := registry("1")
	other.ListedAt, other.Repositories[0].ImagesReadAt, other.Repositories[0].Images[0].Tags[0] = 2, 2, "v2"
	save(t, state.NewFile(path, nil), other)
	if got := load(t, file); got != want || got.Repositories[0].Images[0].Tags[0] != "v2" || got.Find("unsaved") == nil {
		t.Errorf("after another process saved: %s", cmp.Diff(other, got))
	}
	// So it is when saving.
	other.ListedAt, other.Repositories[0].ImagesReadAt, other.Repositories[0].Images[0].Tags[0] = 3, 3, "v3"
	save(t, state.NewFile(path, nil), other)
	save(t, file, want)
	for name, got := range map[string]*inventory.Registry{"in memory": load(t, file), "in the file": load(t, state.NewFile(path, nil))} {
		if got.Repositories[0].Images[0].Tags[0] != "v3" || got.Find("unsaved") == nil {
			t.Errorf("%s after both saved: %s", name, cmp.Diff(other, got))
		}
	}
	// Without the file, memory is left.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if got := load(t, file); got != want {
		t.Errorf("after the file was removed: %v", got)
	}
	save(t, file, want)
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the folder: %v, %v", entries, err)
	}
}

// A file that is not ours, or not whole, is kept aside, and the run goes on.
func TestFileSetAside(t *testing.T) {
	t.Parallel()
	var whole bytes.Buffer
	if err := inventory.Encode(&whole, registry("1")); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{
		"empty":     {},
		"foreign":   []byte(`{"some":"json"}`),
		"truncated": whole.Bytes()[:whole.Len()-3],
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "state")
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			file := state.NewFile(path, slog.New(slog.NewTextHandler(&log, nil)))
			if got := load(t, file); got != nil {
				t.Errorf("got %v, want nothing", got)
			}
			if kept, err := os.ReadFile(path + ".damaged"); err != nil || !bytes.Equal(kept, content) {
				t.Errorf("set aside: %q, %v", kept, err)
			}
			if !strings.Contains(log.String(), path) {
				t.Errorf("the log does not name the file:\n%s", &log)
			}
			save(t, file, registry("2"))
			if got := load(t, state.NewFile(path, nil)); got == nil || got.ID != "2" {
				t.Errorf("after a save: %v", got)
			}
		})
	}
}

func TestFileFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	blocked := filepath.Join(dir, "file")
	if err := os.WriteFile(blocked, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := state.NewFile(filepath.Join(blocked, "state"), nil)
	if _, err := file.Load(t.Context()); err == nil || !strings.Contains(err.Error(), "loading the state") {
		t.Errorf("Load below a file: error %v", err)
	}
	if err := file.Save(t.Context(), registry("1")); err == nil || !strings.Contains(err.Error(), "saving the state") {
		t.Errorf("Save below a file: error %v", err)
	}
	folder := filepath.Join(dir, "folder")
	if err := os.MkdirAll(filepath.Join(folder, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := state.NewFile(folder, nil).Save(t.Context(), registry("1")); err == nil {
		t.Error("Save over a folder: no error")
	}
	entries, _ := filepath.Glob(filepath.Join(dir, "*.tmp"))
	if len(entries) != 0 {
		t.Errorf("left behind: %v", entries)
	}
}
