package state_test

import (
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

const key = "a folder/state+1"

func (b *bucket) store(log io.Writer) *state.Store {
	return state.NewS3(config(b.url), b.name, key, slog.New(slog.NewTextHandler(log, nil)))
}

// stored returns the repositories that a cold start finds.
func (b *bucket) stored(t *testing.T) []string {
	t.Helper()
	return names(load(t, b.store(io.Discard)))
}

// A run makes one request to load each object and one to save, also after the state was damaged.
func TestS3Requests(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	requests := func(what string, want ...string) {
		t.Helper()
		if diff := cmp.Diff(want, b.takeRequests()); diff != "" {
			t.Errorf("%s: requests (-want +got):\n%s", what, diff)
		}
	}
	var log strings.Builder
	store := b.store(&log)
	load(t, store)
	requests("loading nothing", "GET "+key)
	save(t, store, with("app"))
	requests("first save", "PUT "+key)
	load(t, store)
	requests("loading the unchanged state", "GET "+key, "GET "+key+".changes")
	save(t, store, with("app"))
	requests("second save", "PUT "+key)

	b.put(t, key, []byte("foreign"))
	b.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		copying := r.Header.Get("X-Amz-Copy-Source") != ""
		if copying {
			refuse(w, http.StatusForbidden, "AccessDenied")
		}
		return copying
	})
	load(t, store)
	requests("loading a damaged state", "GET "+key, "GET "+key+".changes", "PUT "+key+".damaged")
	if text := log.String(); !strings.Contains(text, "could not be set aside") || !strings.Contains(text, "needs s3:PutObject on KEY.damaged") {
		t.Errorf("logged\n%s", text)
	}
	load(t, store)
	requests("loading it again", "GET "+key, "GET "+key+".changes")
	save(t, store, with("rebuilt"))
	requests("replacing it", "PUT "+key)
	b.intercept(nil)
	if diff := cmp.Diff([]string{"rebuilt"}, b.stored(t)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// The state of another registry that cannot be set aside is not replaced.
func TestS3OtherNotSetAside(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	foreign := with("theirs")
	foreign.ID = "210987654321"
	save(t, b.store(io.Discard), foreign)
	b.intercept(func(w http.ResponseWriter, r *http.Request) bool {
		copying := r.Header.Get("X-Amz-Copy-Source") != ""
		if copying {
			refuse(w, http.StatusForbidden, "AccessDenied")
		}
		return copying
	})
	store := b.store(io.Discard)
	store.Of("123456789012", "")
	const want = "needs s3:PutObject on KEY.other"
	if got, err := store.Load(t.Context()); got != nil || err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("loaded %v, error %v", got, err)
	}
	if err := store.Save(t.Context(), with("ours"), true); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("saving: error %v", err)
	}
	if diff := cmp.Diff([]string{"theirs"}, b.stored(t)); diff != "" {
		t.Errorf("stored (-want +got):\n%s", diff)
	}
}

// A save leaves no temporary files, whether it succeeds or not.
func TestS3TemporaryFiles(t *testing.T) {
	b := newBucket(t)
	folder := t.TempDir()
	t.Setenv("TMPDIR", folder)
	save(t, b.store(io.Discard), with("app"))
	if err := state.NewS3(config(b.url), "no-such-bucket", key, nil).Save(t.Context(), with("app"), true); err == nil {
		t.Error("saved in a missing bucket")
	}
	save(t, b.store(io.Discard), with("web")) // with a retry
	if entries, err := os.ReadDir(folder); err != nil || len(entries) > 0 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
	t.Setenv("TMPDIR", folder+"/none")
	if err := b.store(io.Discard).Save(t.Context(), with("web"), true); err == nil || !strings.Contains(err.Error(), "saving the state s3://") {
		t.Errorf("without a folder for temporary files: error %v", err)
	}
}
