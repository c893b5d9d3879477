package state_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// with makes an inventory of repositories, each with one image.
func with(names ...string) *inventory.Registry {
	r := &inventory.Registry{ID: "123456789012", ListedAt: 1}
	for _, name := range names {
		r.SetRepository(&inventory.Repository{Name: name, CreatedAt: 1, ImagesReadAt: 2, Images: []inventory.Image{{Tags: []string{"v1"}}}})
	}
	return r
}

func names(r *inventory.Registry) []string {
	list := []string{}
	if r != nil {
		for _, repository := range r.Repositories {
			list = append(list, repository.Name)
		}
	}
	return list
}

// place is where a Store keeps its state.
type place struct {
	open func(log io.Writer) *state.Store
	url  string
	// put, get and remove change the file or object directly, or the one set aside.
	put    func(t *testing.T, suffix string, content []byte)
	get    func(t *testing.T, suffix string) []byte
	exists func(t *testing.T, suffix string) bool
	remove func(t *testing.T, suffix string)
}

// stored returns the repositories that a cold start finds.
func (p place) stored(t *testing.T) []string {
	t.Helper()
	return names(load(t, p.open(io.Discard)))
}

func load(t *testing.T, store *state.Store) *inventory.Registry {
	t.Helper()
	got, err := store.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func save(t *testing.T, store *state.Store, registry *inventory.Registry) {
	t.Helper()
	if err := store.Save(t.Context(), registry, true); err != nil {
		t.Fatal(err)
	}
}

// everyPlace runs a test with a file and with an S3 object.
func everyPlace(t *testing.T, test func(t *testing.T, p place)) {
	t.Run("file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "a", "folder", "state")
		test(t, place{
			open: func(log io.Writer) *state.Store {
				return state.NewFile(path, slog.New(slog.NewTextHandler(log, nil)))
			},
			url: "file://" + path,
			put: func(t *testing.T, suffix string, content []byte) {
				if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path+suffix, content, 0o600)); err != nil {
					t.Fatal(err)
				}
			},
			get: func(t *testing.T, suffix string) []byte {
				content, err := os.ReadFile(path + suffix)
				if err != nil {
					t.Fatal(err)
				}
				return content
			},
			exists: func(_ *testing.T, suffix string) bool {
				_, err := os.Stat(path + suffix)
				return err == nil
			},
			remove: func(t *testing.T, suffix string) {
				if err := os.Remove(path + suffix); err != nil {
					t.Fatal(err)
				}
			},
		})
		if left, err := filepath.Glob(filepath.Dir(path) + "/*.tmp"); err != nil || len(left) > 0 {
			t.Errorf("left in the folder: %v, %v", left, err)
		}
	})
	t.Run("s3", func(t *testing.T) {
		t.Parallel()
		b := newBucket(t)
		test(t, place{
			open: b.store,
			url:  "s3://" + b.name + "/" + key,
			put:  func(t *testing.T, suffix string, content []byte) { b.put(t, key+suffix, content) },
			get: func(t *testing.T, suffix string) []byte {
				name := key + suffix
				out, err := b.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.name, Key: &name})
				if err != nil {
					t.Fatal(err)
				}
				defer out.Body.Close()
				content, err := io.ReadAll(out.Body)
				if err != nil {
					t.Fatal(err)
				}
				return content
			},
			exists: func(t *testing.T, suffix string) bool {
				name := key + suffix
				_, err := b.client.HeadObject(t.Context(), &s3.HeadObjectInput{Bucket: &b.name, Key: &name})
				return err == nil
			},
			remove: func(t *testing.T, suffix string) {
				if err := b.remove(t.Context(), key+suffix); err != nil {
					t.Fatal(err)
				}
			},
		})
	})
}

func TestMemory(t *testing.T) {
	t.Parallel()
	memory := &state.Memory{}
	if got, err := memory.Load(t.Context()); got != nil || err != nil {
		t.Errorf("before the first save: %v, %v", got, err)
	}
	want := with("app")
	if err := memory.Save(t.Context(), want, true); err != nil {
		t.Fatal(err)
	}
	if got, err := memory.Load(t.Context()); got != want || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestStore(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		store := p.open(io.Discard)
		if got := load(t, store); got != nil {
			t.Errorf("before the first save: %v", got)
		}
		want := with("app", "web")
		save(t, store, want)
		if got := load(t, store); got != want {
			t.Errorf("Load returns %p, want the copy in memory %p", got, want)
		}
		cold := p.open(io.Discard)
		got := load(t, cold)
		want.Found = nil // not stored
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("after a cold start (-want +got):\n%s", diff)
		}
		got.SetRepository(&inventory.Repository{Name: "unsaved", CreatedAt: 1})
		if load(t, cold) != got {
			t.Error("an unchanged state was read again")
		}
		// Both loading and saving merge what another environment saved.
		want.SetRepository(&inventory.Repository{Name: "another", CreatedAt: 1})
		save(t, store, want)
		if diff := cmp.Diff([]string{"another", "app", "unsaved", "web"}, names(load(t, cold))); diff != "" {
			t.Errorf("loaded after another environment saved (-want +got):\n%s", diff)
		}
		want.SetRepository(&inventory.Repository{Name: "a third", CreatedAt: 1})
		save(t, store, want)
		save(t, cold, got)
		for _, list := range [][]string{names(got), p.stored(t)} {
			if diff := cmp.Diff([]string{"a third", "another", "app", "unsaved", "web"}, list); diff != "" {
				t.Errorf("saved after another environment saved (-want +got):\n%s", diff)
			}
		}
		// If the state is deleted, the copy in memory is used and saved again.
		p.remove(t, "")
		if load(t, cold) != got {
			t.Error("after the state was deleted, the copy in memory is gone")
		}
		save(t, cold, got)
		if diff := cmp.Diff(names(got), p.stored(t)); diff != "" {
			t.Errorf("saved again (-want +got):\n%s", diff)
		}
	})
}

func TestRead(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		if got, err := p.open(io.Discard).Read(t.Context()); got != nil || err != nil {
			t.Errorf("no state: %v, %v", got, err)
		}
		p.put(t, "", []byte("foreign"))
		if got, err := p.open(io.Discard).Read(t.Context()); got != nil || !errors.Is(err, inventory.ErrFormat) || !strings.Contains(err.Error(), p.url) {
			t.Errorf("foreign content: %v, %v", got, err)
		}
		if got := p.get(t, ""); string(got) != "foreign" {
			t.Errorf("Read changed the content to %q", got)
		}
		save(t, p.open(io.Discard), with("app"))
		if got, err := p.open(io.Discard).Read(t.Context()); len(names(got)) != 1 || err != nil {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// damaged returns contents that cannot be used.
func damaged(t *testing.T) map[string][]byte {
	t.Helper()
	var whole bytes.Buffer
	if err := inventory.Encode(&whole, with("app")); err != nil {
		t.Fatal(err)
	}
	return map[string][]byte{"empty": {}, "foreign": []byte(`{"some": "json"}`), "truncated": whole.Bytes()[:whole.Len()-5]}
}

// A state that cannot be used is kept for inspection and replaced by the next save.
func TestSetAside(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		for name, content := range damaged(t) {
			for _, inMemory := range []*inventory.Registry{nil, with("app")} {
				var log strings.Builder
				store := p.open(&log)
				if inMemory != nil {
					save(t, store, inMemory)
				}
				p.put(t, "", content)
				for range 2 { // it is read once
					if got := load(t, store); got != inMemory {
						t.Errorf("%s: Load returns %v, want the copy in memory", name, got)
					}
				}
				if got := p.get(t, ".damaged"); !bytes.Equal(got, content) {
					t.Errorf("%s: set aside %q", name, got)
				}
				if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, p.url+".damaged") {
					t.Errorf("%s: logged\n%s", name, text)
				}
				save(t, store, with("rebuilt"))
				if diff := cmp.Diff([]string{"rebuilt"}, p.stored(t)); diff != "" {
					t.Errorf("%s: stored (-want +got):\n%s", name, diff)
				}
			}
		}
	})
}

// The state of another registry or Region is set aside with its changes, and can be used
// under its new name.
func TestAnotherRegistry(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		for what, begin := range map[string]func(store *state.Store){
			"another account, configured": func(store *state.Store) { store.Of("123456789012", "eu-west-1") },
			"another Region":              func(store *state.Store) { store.Of("", "eu-central-1") },
			"another account, known from the listing": func(store *state.Store) {
				store.Of("", "eu-west-1")
				if got := names(load(t, store)); len(got) != 2 {
					t.Errorf("loaded %v", got)
				}
				store.Of("123456789012", "")
			},
			"another account, known when saving": func(store *state.Store) {
				save(t, store, with("ours"))
			},
		} {
			if p.exists(t, "") {
				p.remove(t, "")
			}
			foreign := with("theirs")
			foreign.ID, foreign.Region = "210987654321", "eu-west-1"
			theirs := p.open(io.Discard)
			save(t, theirs, foreign)
			add(foreign, "theirs, too")
			saveChanges(t, theirs, foreign)
			whole, changes := p.get(t, ""), p.get(t, ".changes")
			var log strings.Builder
			store := p.open(&log)
			begin(store)
			for range 2 {
				if got := names(load(t, store)); slices.Contains(got, "theirs") {
					t.Errorf("%s: loaded %v", what, got)
				}
			}
			if !bytes.Equal(p.get(t, ".other"), whole) || !bytes.Equal(p.get(t, ".other.changes"), changes) {
				t.Errorf("%s: the state was not set aside as it was", what)
			}
			if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, foreign.ID) || !strings.Contains(text, p.url+".other") {
				t.Errorf("%s: logged\n%s", what, text)
			}
			ours := with("ours")
			save(t, store, ours)
			add(ours, "ours, too")
			saveChanges(t, store, ours)
			if diff := cmp.Diff([]string{"ours", "ours, too"}, p.stored(t)); diff != "" {
				t.Errorf("%s: stored (-want +got):\n%s", what, diff)
			}
		}
	})
}

// A store that only reads leaves a state that it cannot use where it is.
func TestReadOnly(t *testing.T) {
	t.Parallel()
	everyPlace(t, func(t *testing.T, p place) {
		foreign := with("theirs")
		foreign.ID = "210987654321"
		var whole bytes.Buffer
		if err := inventory.Encode(&whole, foreign); err != nil {
			t.Fatal(err)
		}
		for content, want := range map[string]string{"": "", "damaged": "not a usable inventory", whole.String(): "of another registry"} {
			if content != "" {
				p.put(t, "", []byte(content))
			}
			store := state.ReadOnly{Store: p.open(io.Discard)}
			store.Of("123456789012", "")
			got, err := store.Load(t.Context())
			if got != nil || (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("loaded %v, error %v, want %q", got, err, want)
			}
			if err := store.Save(t.Context(), with("ours"), true); err != nil {
				t.Error(err)
			}
			if content != "" && string(p.get(t, "")) != content || content == "" && p.exists(t, "") {
				t.Error("the state was changed")
			}
			if content != "" {
				p.remove(t, "")
			}
			if p.exists(t, ".damaged") || p.exists(t, ".other") {
				t.Error("the state was set aside")
			}
		}
	})
}

// What a killed save left in the folder is removed by a later one, and nothing else is.
func TestTemporaryFiles(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	b := newBucket(t)
	for name, store := range map[string]*state.Store{"file": state.NewFile(filepath.Join(folder, "state"), nil), "S3": b.store(io.Discard)} {
		old := time.Now().Add(-2 * time.Hour)
		for _, c := range []struct {
			name string
			at   time.Time
		}{{"ecr-remote-write-state-1.tmp", old}, {"ecr-remote-write-state-2.tmp", time.Now()}, {"another.tmp", old}} {
			path := filepath.Join(folder, c.name)
			if err := errors.Join(os.WriteFile(path, nil, 0o600), os.Chtimes(path, c.at, c.at)); err != nil {
				t.Fatal(err)
			}
		}
		save(t, store, with("app"))
		left, err := filepath.Glob(filepath.Join(folder, "*.tmp"))
		want := []string{filepath.Join(folder, "another.tmp"), filepath.Join(folder, "ecr-remote-write-state-2.tmp")}
		if diff := cmp.Diff(want, left); diff != "" || err != nil {
			t.Errorf("%s: left (-want +got):\n%s%v", name, diff, err)
		}
	}
}

func TestFileFaults(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for _, c := range []struct{ name, path, want string }{
		{"below a file", filepath.Join(dir, "file", "state"), "not a directory"},
		{"a folder", filepath.Join(dir, "folder"), "is a directory"},
	} {
		if err := errors.Join(os.WriteFile(filepath.Join(dir, "file"), nil, 0o600), os.MkdirAll(filepath.Join(dir, "folder"), 0o700)); err != nil {
			t.Fatal(err)
		}
		store, registry := state.NewFile(c.path, nil), with("app")
		for what, err := range map[string]error{
			"loading": func() error { _, err := store.Load(t.Context()); return err }(),
			"saving":  store.Save(t.Context(), registry, true),
		} {
			if err == nil || !strings.Contains(err.Error(), what+" the state file://"+c.path) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("%s: %s: error %v, want %q", c.name, what, err, c.want)
			}
		}
		if got, err := store.Load(t.Context()); got != registry || err == nil {
			t.Errorf("%s: Load returns %v, %v, want the copy in memory and an error", c.name, got, err)
		}
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*.tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}
