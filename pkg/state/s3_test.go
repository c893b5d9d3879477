package state_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

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

// At every step of a save another environment saves, or somebody deletes the object:
// nothing that either knows is lost.
func TestS3Races(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	for _, begin := range []string{"no object", "an object both know", "an object neither knows"} {
		for _, meanwhile := range []string{"save", "delete", "delete and save"} {
			for step := range 4 {
				name := fmt.Sprintf("%s, %s before request %d", begin, meanwhile, step+1)
				if err := b.remove(t.Context(), key); err != nil {
					t.Fatal(err)
				}
				ours, theirs := b.store(nil), b.store(nil)
				if begin != "no object" {
					if err := b.store(nil).Save(t.Context(), knows("base")); err != nil {
						t.Fatal(err)
					}
				}
				known := func() *inventory.Registry { return knows() }
				if begin == "an object both know" {
					known = func() *inventory.Registry { return knows("base") }
					for _, store := range []*state.S3{ours, theirs} {
						if _, err := store.Load(t.Context()); err != nil {
							t.Fatal(err)
						}
					}
				}
				happened := false
				n := 0
				b.intercept(func(http.ResponseWriter, *http.Request) bool {
					if n++; n != step+1 || happened {
						return false
					}
					happened = true
					err := error(nil)
					if meanwhile != "save" {
						err = b.remove(t.Context(), key)
					}
					if meanwhile != "delete" {
						registry := known()
						registry.SetRepository(&inventory.Repository{Name: "theirs", CreatedAt: 1})
						err = errors.Join(err, theirs.Save(t.Context(), registry))
					}
					if err != nil {
						t.Errorf("%s: %v", name, err)
					}
					return false
				})
				registry := known()
				registry.SetRepository(&inventory.Repository{Name: "ours", CreatedAt: 1})
				if err := ours.Save(t.Context(), registry); err != nil {
					t.Errorf("%s: %v", name, err)
				}
				b.intercept(nil)
				want := []string{"ours"}
				if happened && meanwhile != "delete" {
					want = append(want, "theirs")
				}
				// What was deleted before anybody read it is nobody's knowledge.
				deleted := happened && meanwhile != "save"
				if begin == "an object both know" || begin == "an object neither knows" && !deleted {
					want = append(want, "base")
				}
				got := b.stored(t)
				for _, repository := range want {
					if !slices.Contains(got, repository) {
						t.Errorf("%s: stored are %v, want %v", name, got, want)
					}
				}
				if diff := cmp.Diff(got, names(registry)); diff != "" {
					t.Errorf("%s: what was saved is not what is in memory (-stored +memory):\n%s", name, diff)
				}
			}
		}
	}
}

// Many environments save at once, each several times: all they know survives.
func TestS3Crowd(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	const environments, rounds = 8, 3
	var wait sync.WaitGroup
	var want []string
	for e := range environments {
		for round := range rounds {
			want = append(want, fmt.Sprintf("repo-%d-%d", e, round))
		}
		wait.Go(func() {
			store := b.store(nil)
			registry := knows()
			for round := range rounds {
				registry.SetRepository(&inventory.Repository{Name: fmt.Sprintf("repo-%d-%d", e, round), CreatedAt: 1, ImagesReadAt: 2})
				if err := store.Save(t.Context(), registry); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wait.Wait()
	if diff := cmp.Diff(want, b.stored(t)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
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

// Whatever stands in the way: the error names the object, and what is in memory is
// there to go on with.
func TestS3Faults(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	always := func(status int, code string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, status, code)
			return true
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed := "http://" + listener.Addr().String()
	listener.Close()
	for _, c := range []struct {
		name     string
		endpoint string
		bucket   string
		answer   func(http.ResponseWriter, *http.Request) bool
		patience time.Duration
		load     string
		save     string
	}{
		{name: "missing bucket", bucket: "no-such-bucket", load: "NoSuchBucket", save: "NoSuchBucket"},
		{name: "denied", answer: always(http.StatusForbidden, "AccessDenied"), load: "where s3:ListBucket is not permitted", save: "AccessDenied"},
		{name: "closed port", endpoint: closed, patience: 300 * time.Millisecond, load: "connection refused", save: "connection refused"},
		{name: "overload", answer: always(http.StatusServiceUnavailable, "SlowDown"), patience: 300 * time.Millisecond, load: "SlowDown", save: "SlowDown"},
		{name: "no answer", answer: func(_ http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body) // only then the server sees the client go
			<-r.Context().Done()
			return true
		}, patience: 300 * time.Millisecond, load: "deadline exceeded", save: "deadline exceeded"},
		{name: "always another version", answer: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
			}
			return r.Method == http.MethodPut
		}, patience: 300 * time.Millisecond, save: "PreconditionFailed"},
		{name: "answers that break off", answer: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("ETag", `"x"`)
			_, _ = io.WriteString(w, "\x1f\x8b\x08")
			_ = http.NewResponseController(w).Flush() // the test fails if it does not
			panic(http.ErrAbortHandler)
		}, load: "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if err := b.remove(t.Context(), key); err != nil {
				t.Fatal(err)
			}
			b.intercept(c.answer)
			defer b.intercept(nil)
			endpoint, name := b.url, b.name
			if c.endpoint != "" {
				endpoint = c.endpoint
			}
			if c.bucket != "" {
				name = c.bucket
			}
			store := state.NewS3(config(endpoint), name, key, nil)
			within := func(do func(ctx context.Context) error) error {
				ctx := t.Context()
				if c.patience > 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, c.patience)
					defer cancel()
				}
				return do(ctx)
			}
			check := func(what string, err error, want string) {
				t.Helper()
				if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), what+" the state s3://"+name+"/"+key)) {
					t.Errorf("%s: error %v, want %q", what, err, want)
				}
			}
			check("loading", within(func(ctx context.Context) error {
				got, err := store.Load(ctx)
				if got != nil {
					t.Errorf("before anything is known: %v", got)
				}
				return err
			}), c.load)
			if c.save == "" {
				return
			}
			want := knows("app")
			check("saving", within(func(ctx context.Context) error { return store.Save(ctx, want) }), c.save)
			_ = within(func(ctx context.Context) error {
				got, err := store.Load(ctx)
				if got != want {
					t.Errorf("what could not be saved is not in memory: %v", got)
				}
				return err
			})
			// As soon as it can be, it is stored.
			if c.endpoint == "" && c.bucket == "" {
				b.intercept(nil)
				if err := store.Save(t.Context(), want); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff([]string{"app"}, b.stored(t)); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// A fault that passes is waited out.
func TestS3PassingFaults(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	if err := b.store(nil).Save(t.Context(), knows("base")); err != nil {
		t.Fatal(err)
	}
	once := func(method string, answer func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		done := false
		return func(w http.ResponseWriter, r *http.Request) bool {
			if done || r.Method != method {
				return false
			}
			done = true
			answer(w)
			return true
		}
	}
	for _, c := range []struct {
		name, method string
		answer       func(http.ResponseWriter)
		want         []string
	}{
		{"load: 500", http.MethodGet, func(w http.ResponseWriter) { refuse(w, http.StatusInternalServerError, "InternalError") }, []string{"GET", "GET", "PUT"}},
		{"load: broken off", http.MethodGet, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "\x1f\x8b\x08")
			_ = http.NewResponseController(w).Flush() // the test fails if it does not
			panic(http.ErrAbortHandler)
		}, []string{"GET", "GET", "PUT"}},
		{"save: 503", http.MethodPut, func(w http.ResponseWriter) { refuse(w, http.StatusServiceUnavailable, "SlowDown") }, []string{"GET", "PUT", "PUT"}},
		{"save: a write under way", http.MethodPut, func(w http.ResponseWriter) { refuse(w, http.StatusConflict, "ConditionalRequestConflict") }, []string{"GET", "PUT", "GET", "PUT"}},
	} {
		b.intercept(once(c.method, c.answer))
		store := b.store(nil)
		registry, err := store.Load(t.Context())
		if err != nil || registry == nil {
			t.Errorf("%s: Load returns %v, %v", c.name, registry, err)
			continue
		}
		registry.SetRepository(&inventory.Repository{Name: c.name, CreatedAt: 1})
		if err := store.Save(t.Context(), registry); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var methods []string
		for _, request := range b.took() {
			methods = append(methods, strings.Fields(request)[0])
		}
		if diff := cmp.Diff(c.want, methods); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", c.name, diff)
		}
		b.intercept(nil)
		if got := b.stored(t); !slices.Contains(got, c.name) {
			t.Errorf("%s: stored %v", c.name, got)
		}
	}
}

// A write whose answer is lost is found to be our own when it is made again.
func TestS3AnswerLost(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	lost := false
	b.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		if lost || r.Method != http.MethodPut {
			return false
		}
		lost = true
		b.proxy.ServeHTTP(discard{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	})
	if err := b.store(nil).Save(t.Context(), knows("app")); err != nil || !lost {
		t.Errorf("error %v, lost %v", err, lost)
	}
	if diff := cmp.Diff([]string{"app"}, b.stored(t)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

type discard struct{ header http.Header }

func (d discard) Header() http.Header         { return d.header }
func (d discard) Write(p []byte) (int, error) { return len(p), nil }
func (d discard) WriteHeader(int)             {}

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
