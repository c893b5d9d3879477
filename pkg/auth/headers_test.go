package auth_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
)

func TestReservedHeader(t *testing.T) {
	t.Parallel()
	for _, name := range []string{
		"Host", "host", "Content-Type", "CONTENT-LENGTH", "Content-Encoding", "Content-Anything", "User-Agent", "Accept-Encoding",
		"X-Prometheus-Remote-Write-Version", "x-prometheus-remote-write-samples-written", "X-Amz-Date", "X-Amz-Security-Token", "X-Amzn-Trace-Id",
		"Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "Proxy-Authorization", "Proxy-Connection", "Expect", "HTTP2-Settings", "Date",
	} {
		if !auth.ReservedHeader(name) {
			t.Errorf("%s is not reserved", name)
		}
	}
	for _, name := range []string{"X-Scope-OrgID", "THANOS-TENANT", "Authorization", "Cookie", "Accept", "Api-Key", "X-Amazing", "Contents", "Hostname"} {
		if auth.ReservedHeader(name) {
			t.Errorf("%s is reserved", name)
		}
	}
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	s := newSecret(t, "planted-secret")
	header := func(names ...string) func(http.RoundTripper) error {
		return func(next http.RoundTripper) error {
			var all []auth.Header
			for _, name := range names {
				all = append(all, auth.Header{Name: name, Value: s})
			}
			_, err := auth.NewHeaders(all, next)
			return err
		}
	}
	basic := func(user string, s auth.Secret) func(http.RoundTripper) error {
		return func(next http.RoundTripper) error { _, err := auth.NewBasic(user, s, next); return err }
	}
	bearer := must(t)(auth.NewBearer(s, nil))
	for _, tt := range []struct {
		name string
		make func(http.RoundTripper) error
		next http.RoundTripper
		want string
	}{
		{"no password", basic("me", nil), nil, "setting up basic authentication: no password"},
		{"colon", basic("me:you", s), nil, "setting up basic authentication: a user name cannot have a colon in it"},
		{"line break", basic("me\n", s), nil, "setting up basic authentication: the user name has characters"},
		{"no user", basic("", s), nil, ""},
		{"no token", func(http.RoundTripper) error { _, err := auth.NewBearer(nil, nil); return err }, nil, "setting up bearer authentication: no token"},
		{"good headers", header("X-Scope-OrgID", "Cookie", "!#$%&'*+-.^_`|~"), nil, ""},
		{"no headers", header(), nil, ""},
		{"empty name", header(""), nil, `setting up headers: "" is no name of a header`},
		{"bad names", header("a b", "a:", "ü", ":path"), nil, "setting up headers: \"a b\" is no name of a header\n\"a:\" is no name of a header\n\"ü\" is no name of a header\n\":path\" is no"},
		{"reserved", header("x-amz-date"), nil, "setting up headers: header X-Amz-Date is reserved"},
		{"twice", header("x-a", "X-A"), nil, "setting up headers: header X-A is there twice"},
		{"no value", func(http.RoundTripper) error { _, err := auth.NewHeaders([]auth.Header{{Name: "a"}}, nil); return err }, nil, "setting up headers: header A has no value"},
		{"an unknown scheme", header("Authorization"), nil, ""},
		{"above a method", header("authorization"), bearer, "setting up headers: header Authorization is set by the method of authentication"},
		{"above a signer", header("Authorization"), newSigV4(t, example(), nil), "setting up headers: header Authorization is set by"},
		{"certificate without key", func(http.RoundTripper) error { _, err := auth.NewTLS(nil, auth.TLSOptions{Certificate: s}); return err }, nil, "setting up TLS: a client certificate and its private key go together"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			err := tt.make(tt.next)
			if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.HasPrefix(err.Error(), tt.want)) {
				t.Errorf("error %v, want %s", err, tt.want)
			}
		})
	}
}

// TestHeadersSigned: headers that are set above the signer are signed. The receiver
// demands that all are.
func TestHeadersSigned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := example()
		c.SessionToken = "planted-secret-session"
		to := receiver(t, c.Credentials)
		rt := must(t)(auth.NewHeaders([]auth.Header{
			{Name: "x-scope-orgid", Value: newSecret(t, "team-a")},
			{Name: "Cookie", Value: newSecret(t, "a=planted-secret")},
		}, newSigV4(t, c, to.Transport)))
		if status, text := send(t, rt, newRequest(t, to.URL, bytes.NewReader(newBody(t)))); status != 204 {
			t.Errorf("HTTP %d %s", status, text)
		}
		got := to.Requests()[0].Header
		if got.Get("X-Scope-OrgID") != "team-a" || !strings.Contains(got.Get("Authorization"), ";x-scope-orgid,") ||
			!strings.Contains(got.Get("Authorization"), "cookie;") {
			t.Errorf("it got %q", got["X-Scope-Orgid"])
		}
	})
}
