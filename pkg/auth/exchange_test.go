package auth_test

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	awscredentials "github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// kept is a secret in a file, which a test can rotate.
type kept struct {
	*secret.Secret
	path string
}

func keep(t *testing.T, value string) kept {
	t.Helper()
	k := kept{path: filepath.Join(t.TempDir(), "planted")}
	k.set(t, value)
	k.Secret = newSecret(t, "file:"+k.path)
	return k
}

func (k kept) set(t *testing.T, value string) {
	t.Helper()
	if err := os.WriteFile(k.path, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
}

func newSecret(t *testing.T, text string) *secret.Secret {
	t.Helper()
	log := slog.New(slog.NewJSONHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	s, err := secret.NewResolver(aws.Config{}, log).Secret(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// methods are those that authenticate with a secret text, and what arrives of it.
var methods = []struct {
	name   string
	make   func(*testing.T, auth.Secret, http.RoundTripper) http.RoundTripper
	header string
	sent   func(value string) string
}{
	{"basic", func(t *testing.T, s auth.Secret, next http.RoundTripper) http.RoundTripper {
		return must(t)(auth.NewBasic("me", s, next))
	}, "Authorization", func(value string) string {
		return "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"+value))
	}},
	{"bearer", func(t *testing.T, s auth.Secret, next http.RoundTripper) http.RoundTripper {
		return must(t)(auth.NewBearer(s, next))
	}, "Authorization", func(value string) string { return "Bearer " + value }},
	{"header", func(t *testing.T, s auth.Secret, next http.RoundTripper) http.RoundTripper {
		return must(t)(auth.NewHeaders([]auth.Header{{Name: "api-key", Value: s}}, next))
	}, "Api-Key", func(value string) string { return value }},
}

// must unpacks what a constructor returned.
func must(t *testing.T) func(http.RoundTripper, error) http.RoundTripper {
	return func(rt http.RoundTripper, err error) http.RoundTripper {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}
}

// guard is a server that demands a header, and keeps what it got.
type guard struct {
	*httptest.Server
	transport *http.Transport

	mu     sync.Mutex
	header string
	want   string // empty to refuse whatever comes
	status int    // of a refusal
	got    []string
}

func newGuard(t *testing.T, header, want string, status int) *guard {
	t.Helper()
	g := &guard{header: header, want: want, status: status, transport: &http.Transport{}}
	g.Server = httptest.NewServer(g)
	t.Cleanup(func() {
		g.transport.CloseIdleConnections()
		g.CloseClientConnections()
		g.Close()
	})
	return g
}

func (g *guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	got := r.Header.Get(g.header)
	g.mu.Lock()
	defer g.mu.Unlock()
	g.got = append(g.got, got+" "+string(body))
	if got == g.want {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	w.WriteHeader(g.status)
	fmt.Fprintf(w, "refused %s", body)
}

func (g *guard) demand(want string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.want = want
}

func (g *guard) took() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	got := g.got
	g.got = nil
	return got
}

func (g *guard) request(t *testing.T, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// TestRotation: a secret that is rotated in mid-run loses no request. The same body
// is sent once more, with the new secret, and from then on only that is.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		for _, status := range []int{401, 403} {
			t.Run(fmt.Sprint(m.name, status), func(t *testing.T) {
				t.Parallel()
				one, two := m.sent("planted-secret-1"), m.sent("planted-secret-2")
				g := newGuard(t, m.header, one, status)
				k := keep(t, "planted-secret-1")
				rt := m.make(t, k, g.transport)
				var want []string
				step := func(got string) { want = append(want, got) }
				post := func(body string) {
					t.Helper()
					req := g.request(t, body)
					before := req.Header.Clone()
					if status, text := send(t, rt, req); status != 204 {
						t.Errorf("HTTP %d %s", status, text)
					}
					if diff := cmp.Diff(before, req.Header); diff != "" {
						t.Errorf("the request was changed: %s", diff)
					}
				}
				post("a")
				step(one + " a")
				k.set(t, "planted-secret-2")
				post("b")
				step(one + " b")
				g.demand(two)
				post("c")
				step(one + " c")
				step(two + " c")
				post("d")
				step(two + " d")
				if diff := cmp.Diff(want, g.took()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

// TestRotationAtOnce: requests under way at the time all arrive, and none is sent
// more than twice.
func TestRotationAtOnce(t *testing.T) {
	t.Parallel()
	g := newGuard(t, "Authorization", "Bearer planted-secret-2", 401)
	k := keep(t, "planted-secret-1")
	rt := must(t)(auth.NewBearer(k, g.transport))
	if _, err := k.Value(t.Context()); err != nil {
		t.Fatal(err)
	}
	k.set(t, "planted-secret-2")
	var all sync.WaitGroup
	for i := range 20 {
		req := g.request(t, fmt.Sprint(i))
		all.Go(func() {
			if status, text := send(t, rt, req); status != 204 {
				t.Errorf("HTTP %d %s", status, text)
			}
		})
	}
	all.Wait()
	sent := map[string]int{}
	for _, got := range g.took() {
		sent[got]++
	}
	for got, n := range sent {
		if n != 1 {
			t.Errorf("%s was sent %d times", got, n)
		}
	}
}

// TestAlwaysRefused: without another secret the answer is returned as it came, and
// the request is not repeated.
func TestAlwaysRefused(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, m.header, "", 403)
			rt := m.make(t, keep(t, "planted-secret"), g.transport)
			for i := range 3 {
				body := fmt.Sprint("body", i)
				if status, text := send(t, rt, g.request(t, body)); status != 403 || text != "refused "+body {
					t.Errorf("HTTP %d %s", status, text)
				}
			}
			if got := g.took(); len(got) != 3 {
				t.Errorf("%d requests: %q", len(got), got)
			}
		})
	}
}

// TestNoSecondRequest: when there is none, although there is a new secret.
func TestNoSecondRequest(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name   string
		status int
		change func(*http.Request)
		want   int
	}{
		{"the new one is refused too", 401, func(*http.Request) {}, 2},
		{"the body cannot be had again", 401, func(r *http.Request) { r.GetBody = nil }, 1},
		{"getting the body fails", 401, func(r *http.Request) {
			r.GetBody = func() (io.ReadCloser, error) { return nil, errors.New("gone") }
		}, 1},
		{"no body", 403, func(r *http.Request) { r.Body, r.GetBody, r.ContentLength = nil, nil, 0 }, 2},
		{"bad request", 400, func(*http.Request) {}, 1},
		{"a proxy's refusal", 407, func(*http.Request) {}, 1},
		{"conflict", 409, func(*http.Request) {}, 1},
		{"too many", 429, func(*http.Request) {}, 1},
		{"unavailable", 503, func(*http.Request) {}, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			g := newGuard(t, "Authorization", "", tt.status)
			k := keep(t, "planted-secret-1")
			rt := must(t)(auth.NewBearer(k, g.transport))
			if _, err := k.Value(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.set(t, "planted-secret-2")
			req := g.request(t, "body")
			tt.change(req)
			if status, text := send(t, rt, req); status != tt.status || !strings.HasPrefix(text, "refused") {
				t.Errorf("HTTP %d %s", status, text)
			}
			if got := g.took(); len(got) != tt.want {
				t.Errorf("%d requests, want %d: %q", len(got), tt.want, got)
			}
		})
	}
}

// TestRedirect: nothing that authenticates goes where a redirect leads, whatever the
// client does.
func TestRedirect(t *testing.T) {
	t.Parallel()
	signed := func(_ *testing.T, _ auth.Secret, next http.RoundTripper) http.RoundTripper {
		return newSigV4(t, example(), next)
	}
	type method struct {
		name string
		make func(*testing.T, auth.Secret, http.RoundTripper) http.RoundTripper
	}
	all := []method{{"sigv4", signed}}
	for _, m := range methods {
		all = append(all, method{m.name, m.make})
	}
	for _, m := range all {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			elsewhere := newGuard(t, "Authorization", "", 403)
			here := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
			defer here.Close()
			client := &http.Client{Transport: m.make(t, keep(t, "planted-secret"), elsewhere.transport)}
			defer client.CloseIdleConnections()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, here.URL, strings.NewReader("body"))
			resp, err := client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "it follows a redirect") {
				t.Errorf("error %v", err)
			}
			if got := elsewhere.took(); len(got) > 0 {
				t.Errorf("it got %q", got)
			}
		})
	}
}

// TestSecretMissing: the request does not leave, and the error says why, and whether
// it is of use to try again.
func TestSecretMissing(t *testing.T) {
	t.Parallel()
	never := roundTripper(func(*http.Request) (*http.Response, error) { return nil, errors.New("sent") })
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for _, m := range methods {
		for _, tt := range []struct {
			name, text, want string
			ctx              context.Context
			permanent        bool
		}{
			{"missing", "file:/no/such/file", "reading the secret file:/no/such/file: ", t.Context(), true},
			{"out of time", "file:/no/such/file", "context canceled", ended, false},
			{"line break", "planted-secret\n", "it has a line break at its end", t.Context(), true},
			{"two lines", "planted-\r\nsecret", "it has characters that no header can have", t.Context(), true},
			{"spaces", " planted-secret", "it has spaces at its ends", t.Context(), true},
		} {
			t.Run(m.name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				body := &closeCounter{Reader: strings.NewReader("body")}
				req, _ := http.NewRequestWithContext(tt.ctx, http.MethodPost, "http://receiver.test/", body)
				_, err := m.make(t, newSecret(t, tt.text), never).RoundTrip(req)
				var e *auth.CredentialError
				if !errors.As(err, &e) || e.Permanent() != tt.permanent {
					t.Fatalf("error %#v", err)
				}
				if text := err.Error(); !strings.HasPrefix(text, "authenticating a request to receiver.test: the ") ||
					!strings.Contains(text, tt.want) || strings.Contains(text, "planted") {
					t.Errorf("error %q, want %q in it", text, tt.want)
				}
				if body.closed != 1 {
					t.Errorf("the body was closed %d times", body.closed)
				}
			})
		}
	}
}

// TestHidden: no way of printing a method shows its secret.
func TestHidden(t *testing.T) {
	t.Parallel()
	var all []any
	for _, m := range methods {
		all = append(all, m.make(t, newSecret(t, "planted-secret"), nil))
	}
	static := awscredentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret", "")
	all = append(all, newSigV4(t, static, nil), auth.Header{Name: "a", Value: newSecret(t, "planted-secret")},
		must(t)(auth.NewTLS(nil, auth.TLSOptions{CA: newSecret(t, "planted-secret")})))
	for _, v := range all {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "planted-secret") || strings.Contains(text, "706c616e746564") {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
}
