package state_test

import (
	"context"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// Every error names the object, and the copy in memory stays usable.
func TestS3Faults(t *testing.T) {
	t.Parallel()
	always := func(status int, code string) func(http.ResponseWriter, *http.Request) bool {
		return func(w http.ResponseWriter, _ *http.Request) bool {
			refuse(w, status, code)
			return true
		}
	}
	closed, _ := remotewritetest.NewRefused(t, &url.URL{Scheme: "http"})
	for _, c := range []struct {
		name     string
		endpoint string
		bucket   string
		respond  func(http.ResponseWriter, *http.Request) bool
		patience time.Duration
		load     string
		save     string
	}{
		{name: "missing bucket", bucket: "no-such-bucket", load: "NoSuchBucket", save: "NoSuchBucket"},
		{name: "denied", respond: always(http.StatusForbidden, "AccessDenied"), load: "needs s3:GetObject and s3:ListBucket", save: "needs s3:PutObject"},
		{name: "closed port", endpoint: closed.String(), load: "connection refused", save: "connection refused"},
		{name: "overload", respond: always(http.StatusServiceUnavailable, "SlowDown"), load: "SlowDown", save: "SlowDown"},
		{name: "no response", respond: func(_ http.ResponseWriter, r *http.Request) bool {
			_, _ = io.Copy(io.Discard, r.Body) // the server notices only then that the client is gone
			<-r.Context().Done()
			return true
		}, patience: 300 * time.Millisecond, load: "deadline exceeded", save: "deadline exceeded"},
		{name: "always another version", respond: func(w http.ResponseWriter, r *http.Request) bool {
			if r.Method == http.MethodPut {
				refuse(w, http.StatusPreconditionFailed, "PreconditionFailed")
			}
			return r.Method == http.MethodPut
		}, patience: 5 * time.Second, save: "PreconditionFailed"}, // the first attempt may take long
		{name: "downloads that break off", respond: func(w http.ResponseWriter, r *http.Request) bool {
			w.Header().Set("Content-Length", "1000")
			w.Header().Set("ETag", `"x"`)
			_, _ = io.WriteString(w, "\x1f\x8b\x08")
			_ = http.NewResponseController(w).Flush() // the test fails if it does not
			panic(http.ErrAbortHandler)
		}, load: "unexpected EOF"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // most of the time they wait to try again
			b := newBucket(t)
			b.intercept(c.respond)
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
					t.Errorf("nothing stored or in memory, but got %v", got)
				}
				return err
			}), c.load)
			if c.save == "" {
				return
			}
			want := with("app")
			check("saving", within(func(ctx context.Context) error { return store.Save(ctx, want, true) }), c.save)
			_ = within(func(ctx context.Context) error {
				got, err := store.Load(ctx)
				if got != want {
					t.Errorf("Load after a failed save returns %v, want the copy in memory", got)
				}
				return err
			})
			// The next save succeeds.
			if c.endpoint == "" && c.bucket == "" {
				b.intercept(nil)
				if err := store.Save(t.Context(), want, true); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff([]string{"app"}, b.stored(t)); diff != "" {
					t.Errorf("stored (-want +got):\n%s", diff)
				}
			}
		})
	}
}

// Faults that pass are retried.
func TestS3PassingFaults(t *testing.T) {
	t.Parallel()
	b := newBucket(t)
	if err := b.store(io.Discard).Save(t.Context(), with("base"), true); err != nil {
		t.Fatal(err)
	}
	once := func(method string, respond func(http.ResponseWriter)) func(http.ResponseWriter, *http.Request) bool {
		done := false
		return func(w http.ResponseWriter, r *http.Request) bool {
			if done || r.Method != method {
				return false
			}
			done = true
			respond(w)
			return true
		}
	}
	for _, c := range []struct {
		name, method string
		respond      func(http.ResponseWriter)
		want         []string
	}{
		{"load: 500", http.MethodGet, func(w http.ResponseWriter) { refuse(w, http.StatusInternalServerError, "InternalError") }, []string{"GET", "GET", "GET", "PUT"}},
		{"load: download breaks off", http.MethodGet, func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, "\x1f\x8b\x08")
			_ = http.NewResponseController(w).Flush() // the test fails if it does not
			panic(http.ErrAbortHandler)
		}, []string{"GET", "GET", "GET", "PUT"}},
		{"save: 503", http.MethodPut, func(w http.ResponseWriter) { refuse(w, http.StatusServiceUnavailable, "SlowDown") }, []string{"GET", "GET", "PUT", "PUT"}},
		{"save: another write in progress", http.MethodPut, func(w http.ResponseWriter) { refuse(w, http.StatusConflict, "ConditionalRequestConflict") }, []string{"GET", "GET", "PUT", "GET", "GET", "PUT"}},
	} {
		b.intercept(once(c.method, c.respond))
		store := b.store(io.Discard)
		registry, err := store.Load(t.Context())
		if err != nil || registry == nil {
			t.Errorf("%s: Load returns %v, %v", c.name, registry, err)
			continue
		}
		registry.SetRepository(&inventory.Repository{Name: c.name, CreatedAt: 1})
		if err := store.Save(t.Context(), registry, true); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		var methods []string
		for _, request := range b.takeRequests() {
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

// A write whose response is lost is retried, and then conflicts with itself.
func TestS3ResponseLost(t *testing.T) {
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
	if err := b.store(io.Discard).Save(t.Context(), with("app"), true); err != nil || !lost {
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
