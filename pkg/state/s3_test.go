package state_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

const key = "a folder/state+1"

func (b *bucket) store(log io.Writer) *state.S3 {
	if log == nil {
		log = io.Discard
	}
	return state.NewS3(config(b.url), b.name, key, slog.New(slog.NewTextHandler(log, nil)))
}

// knows makes an inventory that knows of some repositories, each read at a time.
func knows(names ...string) *inventory.Registry {
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

// stored is what a cold start finds.
func (b *bucket) stored(t *testing.T) []string {
	t.Helper()
	r, err := b.store(nil).Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return names(r)
}

func TestS3(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	store := b.store(nil)
	if got, err := store.Load(t.Context()); got != nil || err != nil {
		t.Fatalf("before anything was saved: %v, %v", got, err)
	}
	want := knows("app", "web")
	if err := store.Save(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	if got, err := store.Load(t.Context()); got != want || err != nil {
		t.Errorf("what is in memory: %p, %v, want %p", got, err, want)
	}
	// A cold start reads what was saved, and an unchanged object once.
	cold := b.store(nil)
	got, err := cold.Load(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("after a cold start (-want +got):\n%s", diff)
	}
	got.SetRepository(&inventory.Repository{Name: "unsaved", CreatedAt: 1})
	if again, err := cold.Load(t.Context()); again != got || err != nil {
		t.Errorf("what is in memory is not what was loaded: %v, %v", again, err)
	}
	// What another environment saved is merged into what is in memory.
	want.SetRepository(&inventory.Repository{Name: "another", CreatedAt: 1})
	if err := store.Save(t.Context(), want); err != nil {
		t.Fatal(err)
	}
	again, err := cold.Load(t.Context())
	if diff := cmp.Diff([]string{"another", "app", "unsaved", "web"}, names(again)); diff != "" || again != got || err != nil {
		t.Errorf("after another environment saved: %v (-want +got):\n%s", err, diff)
	}
	// Without the object, memory is left, and saved anew.
	if err := b.remove(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	if again, err = cold.Load(t.Context()); again != got || err != nil {
		t.Errorf("after the object was deleted: %v, %v", again, err)
	}
	b.took()
	if err := cold.Save(t.Context(), got); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{"PUT " + key}, b.took()); diff != "" {
		t.Errorf("requests of a save (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(names(got), b.stored(t)); diff != "" {
		t.Errorf("saved anew (-want +got):\n%s", diff)
	}
}

func TestS3Read(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	if got, err := b.store(nil).Read(t.Context()); got != nil || err != nil {
		t.Errorf("of nothing: %v, %v", got, err)
	}
	b.put(t, key, []byte("something else"))
	if got, err := b.store(nil).Read(t.Context()); got != nil || !errors.Is(err, inventory.ErrFormat) || !strings.Contains(err.Error(), b.name+"/"+key) {
		t.Errorf("of something else: %v, %v", got, err)
	}
	if diff := cmp.Diff([]string{"GET " + key}, b.took()); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	if err := b.store(nil).Save(t.Context(), knows("app")); err != nil {
		t.Fatal(err)
	}
	if got, err := b.store(nil).Read(t.Context()); len(names(got)) != 1 || err != nil {
		t.Errorf("%v, %v", got, err)
	}
}

// An object that is not ours, or not whole, is set aside; the next save replaces just
// that version.
func TestS3SetAside(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	var whole bytes.Buffer
	if err := inventory.Encode(&whole, knows("app")); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name    string
		content []byte
		deny    bool
	}{
		{"empty", nil, false},
		{"foreign", []byte(`{"some": "json"}`), false},
		{"truncated", whole.Bytes()[:whole.Len()-5], false},
		{"cannot be copied", []byte("foreign"), true},
	} {
		for _, known := range []*inventory.Registry{nil, knows("app")} {
			if err := errors.Join(b.remove(t.Context(), key), b.remove(t.Context(), key+".damaged")); err != nil {
				t.Fatal(err)
			}
			var log strings.Builder
			store := b.store(&log)
			if known != nil {
				if err := store.Save(t.Context(), known); err != nil {
					t.Fatal(err)
				}
			}
			b.put(t, key, c.content)
			b.intercept(func(w http.ResponseWriter, r *http.Request) bool {
				denied := c.deny && r.Header.Get("X-Amz-Copy-Source") != ""
				if denied {
					refuse(w, http.StatusForbidden, "AccessDenied")
				}
				return denied
			})
			for range 2 { // the second time it is known
				if got, err := store.Load(t.Context()); got != known || err != nil {
					t.Errorf("%s: Load returns %v, %v, want what is in memory", c.name, got, err)
				}
			}
			if diff := cmp.Diff([]string{"GET " + key, "PUT " + key + ".damaged", "GET " + key}, b.took()); diff != "" {
				t.Errorf("%s: requests (-want +got):\n%s", c.name, diff)
			}
			if text := log.String(); strings.Count(text, "level=WARN") != 1 || !strings.Contains(text, b.name+"/"+key) || strings.Contains(text, "AccessDenied") != c.deny {
				t.Errorf("%s: the log says\n%s", c.name, text)
			}
			if !c.deny {
				b.checkContent(t, key+".damaged", c.content)
			}
			if err := store.Save(t.Context(), knows("rebuilt")); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
			if diff := cmp.Diff([]string{"PUT " + key}, b.took()); diff != "" {
				t.Errorf("%s: requests of the save (-want +got):\n%s", c.name, diff)
			}
			b.intercept(nil)
			if diff := cmp.Diff([]string{"rebuilt"}, b.stored(t)); diff != "" {
				t.Errorf("%s: stored (-want +got):\n%s", c.name, diff)
			}
		}
	}
}

func (b *bucket) checkContent(t *testing.T, key string, want []byte) {
	t.Helper()
	out, err := b.client.GetObject(t.Context(), &s3.GetObjectInput{Bucket: &b.name, Key: &key})
	if err != nil {
		t.Error(err)
		return
	}
	defer out.Body.Close()
	if got, err := io.ReadAll(out.Body); err != nil || !bytes.Equal(got, want) {
		t.Errorf("%s: %q, %v, want %q", key, got, err, want)
	}
	b.took()
}

// The state of another registry is replaced, and the log says so.
func TestS3OfAnotherRegistry(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	foreign := knows("theirs")
	foreign.ID = "210987654321"
	if err := b.store(nil).Save(t.Context(), foreign); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	if err := b.store(&log).Save(t.Context(), knows("ours")); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"ours"}, b.stored(t)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
	if !strings.Contains(log.String(), "210987654321") {
		t.Errorf("the log says\n%s", &log)
	}
}

// Nothing is left among the temporary files, whatever becomes of a save.
func TestS3TemporaryFiles(t *testing.T) {
	b := newBucket(t)
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	if err := b.store(nil).Save(t.Context(), knows("app")); err != nil {
		t.Error(err)
	}
	if err := state.NewS3(config(b.url), "no-such-bucket", key, nil).Save(t.Context(), knows("app")); err == nil {
		t.Error("saved in a missing bucket")
	}
	if err := b.store(nil).Save(t.Context(), knows("web")); err != nil { // at the second try
		t.Error(err)
	}
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	t.Setenv("TMPDIR", folder+"/none")
	if err := b.store(nil).Save(t.Context(), knows("web")); err == nil || !strings.Contains(err.Error(), "saving the state s3://") {
		t.Errorf("without a folder for temporary files: error %v", err)
	}
}
