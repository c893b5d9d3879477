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
	"testing"
	"testing/synctest"
	"time"

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
	parsed, err := secret.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.NewJSONHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	return secret.NewResolver(aws.Config{}, log).Secret(parsed)
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

// endpoint demands a header and keeps what it got, in memory, so that it works in
// virtual time.
type endpoint struct {
	header string
	want   string // empty to refuse whatever comes
	status int    // of a refusal
	got    []string
}

func (e *endpoint) RoundTrip(r *http.Request) (*http.Response, error) {
	body, _ := io.ReadAll(r.Body)
	_ = r.Body.Close()
	got := r.Header.Get(e.header)
	e.got = append(e.got, got+" "+string(body))
	status := http.StatusNoContent
	if got != e.want {
		status = e.status
	}
	return &http.Response{StatusCode: status, Body: io.NopCloser(strings.NewReader("seen " + string(body))), Request: r}, nil
}

func post(t *testing.T, to http.RoundTripper, body string, wantStatus int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://receiver.test/", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	before := req.Header.Clone()
	if status, text := send(t, to, req); status != wantStatus || text != "seen "+body {
		t.Errorf("HTTP %d %s, want %d", status, text, wantStatus)
	}
	if diff := cmp.Diff(before, req.Header); diff != "" {
		t.Errorf("the request was changed: %s", diff)
	}
}

// TestRotation: after a refusal the next request uses the new secret. No request is made
// twice.
func TestRotation(t *testing.T) {
	t.Parallel()
	for _, m := range methods {
		for _, status := range []int{401, 403} {
			t.Run(fmt.Sprint(m.name, status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					one, two := m.sent("planted-secret-1"), m.sent("planted-secret-2")
					to := &endpoint{header: m.header, want: one, status: status}
					k := keep(t, "planted-secret-1")
					rt := m.make(t, k, to)
					post(t, rt, "a", 204)
					k.set(t, "planted-secret-2")
					time.Sleep(2 * time.Minute) // the next run
					post(t, rt, "b", 204)
					to.want = two
					post(t, rt, "c", status)
					post(t, rt, "d", 204)
					if diff := cmp.Diff([]string{one + " a", one + " b", one + " c", two + " d"}, to.got); diff != "" {
						t.Error(diff)
					}
				})
			})
		}
	}
}

// TestNotRefused: other refusals than 401 and 403 say nothing of the secret, which is not
// read again.
func TestNotRefused(t *testing.T) {
	t.Parallel()
	for _, status := range []int{400, 407, 409, 429, 503} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := &endpoint{header: "Authorization", status: status}
				k := keep(t, "planted-secret-1")
				rt := must(t)(auth.NewBearer(k, to))
				post(t, rt, "a", status)
				k.set(t, "planted-secret-2")
				time.Sleep(time.Hour)
				post(t, rt, "b", status)
				if diff := cmp.Diff([]string{"Bearer planted-secret-1 a", "Bearer planted-secret-1 b"}, to.got); diff != "" {
					t.Error(diff)
				}
			})
		})
	}
}

// TestNoPassword: Basic without one.
func TestNoPassword(t *testing.T) {
	t.Parallel()
	to := &endpoint{header: "Authorization", want: "Basic " + base64.StdEncoding.EncodeToString([]byte("me:"))}
	post(t, must(t)(auth.NewBasic("me", nil, to)), "a", 204)
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
			elsewhere := 0
			transport := &http.Transport{}
			defer transport.CloseIdleConnections()
			there := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
			defer there.Close()
			here := httptest.NewServer(http.RedirectHandler(there.URL, http.StatusTemporaryRedirect))
			defer here.Close()
			client := &http.Client{Transport: m.make(t, keep(t, "planted-secret"), transport)}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, here.URL, strings.NewReader("body"))
			resp, err := client.Do(req)
			if err == nil {
				resp.Body.Close()
			}
			if err == nil || !strings.Contains(err.Error(), "it follows a redirect") {
				t.Errorf("error %v", err)
			}
			if elsewhere > 0 {
				t.Errorf("%d requests", elsewhere)
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
			{"two lines", "planted-\r\nsecret", "it has c", t.Context(), true}, // control characters, characters other than visible ASCII
		} {
			t.Run(m.name+" "+tt.name, func(t *testing.T) {
				t.Parallel()
				body := &closeCounter{Reader: strings.NewReader("body")}
				req, _ := http.NewRequestWithContext(tt.ctx, http.MethodPost, "http://receiver.test/", body)
				_, err := m.make(t, newSecret(t, tt.text), never).RoundTrip(req)
				if permanent(err) != tt.permanent {
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

// permanent is what pkg/remotewrite makes of an error.
func permanent(err error) bool {
	var p interface{ Permanent() bool }
	return errors.As(err, &p) && p.Permanent()
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
		must(t)(auth.NewTLS(&http.Transport{}, auth.TLSOptions{CA: newSecret(t, "planted-secret")})))
	for _, v := range all {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if text := fmt.Sprintf(verb, v); strings.Contains(text, "planted-secret") || strings.Contains(text, "706c616e746564") {
				t.Errorf("%s of %T: %s", verb, v, text)
			}
		}
	}
}
