package auth_test

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
)

func TestCheckHeaderNames(t *testing.T) {
	t.Parallel()
	for want, names := range map[string]string{
		"Host cannot be set":   "Host host",
		"Content-* cannot be":  "Content-Type CONTENT-LENGTH content-anything",
		"Proxy-* cannot be":    "Proxy-Authorization proxy-connection",
		"X-Amz-* cannot be":    "X-Amz-Date x-amz-security-token",
		"X-Amzn-* cannot be":   "X-Amzn-Trace-Id",
		"X-Prometheus-Remote-": "X-Prometheus-Remote-Write-Version x-prometheus-remote-write-samples-written",
		"cannot be set": "User-Agent Accept-Encoding Connection Keep-Alive TE Trailer Transfer-Encoding Upgrade Expect HTTP2-Settings Date " +
			"Authorization authorization Cookie",
		"a name is not":         "a: \u00fc :path a@b",
		"a name is given twice": "X-A,x-a",
		"":                      "X-Scope-OrgID THANOS-TENANT Accept Api-Key X-Amazing X-Amz Contents Hostname Dated !#$%&'*+-.^_`|~ X-A,X-B",
	} {
		for name := range strings.FieldsSeq(names) {
			err := auth.CheckHeaderNames(strings.Split(name, ",")...)
			if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
				t.Errorf("%s: error %v, want %q", name, err, want)
			}
		}
	}
	if auth.CheckHeaderNames("") == nil || auth.CheckHeaderNames("a b") == nil {
		t.Error("an empty name, or one with a space, is accepted")
	}
}

func TestCheckValues(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		check     func(string) error
		good, bad []string
	}{
		"user":     {auth.CheckUser, []string{"", "me", "m\u00e9 too"}, []string{"me:you", "me\n", "\x7f", "\xff"}},
		"password": {auth.CheckPassword, []string{"", " a:b\u00e9 "}, []string{"a\n", "a\tb", "\x00", "\xff"}},
		"token":    {auth.CheckToken, []string{"abc.d-e=="}, []string{"", "a b", " a", "a\n", "\u00e9", "\xff"}},
		"header":   {auth.CheckHeaderValue, []string{"a b", "\u00e9"}, []string{"", " a", "a ", "a\n", "a\r\nb", "\xff"}},
	} {
		for _, text := range tt.good {
			if err := tt.check(text); err != nil {
				t.Errorf("%s %q: %v", name, text, err)
			}
		}
		for _, text := range tt.bad {
			if tt.check(text) == nil {
				t.Errorf("%s %q is accepted", name, text)
			}
		}
	}
}

func TestNewErrors(t *testing.T) {
	t.Parallel()
	s := newSecret(t, "planted-secret")
	_, colon := auth.NewBasic("me:you", s, nil)
	_, noToken := auth.NewBearer(nil, nil)
	_, reserved := auth.NewHeaders([]auth.Header{{Name: "authorization", Value: s}}, nil)
	_, noKey := auth.NewTLS(&http.Transport{}, auth.TLSOptions{Certificate: s})
	_, noRegion := auth.NewSigV4("", example(), nil)
	_, noCredentials := auth.NewSigV4("eu-west-1", nil, nil)
	for _, tt := range []struct {
		err  error
		want string
	}{
		{colon, "setting up basic authentication: the user name: it has a colon"},
		{noToken, "setting up bearer authentication: no token"},
		{reserved, "setting up headers: Authorization cannot be set"},
		{noKey, "setting up TLS: a client certificate and its private key go together"},
		{noRegion, "setting up SigV4: no region to sign for, or no credentials"},
		{noCredentials, "setting up SigV4: no region to sign for, or no credentials"},
	} {
		if tt.err == nil || tt.err.Error() != tt.want {
			t.Errorf("error %v, want %s", tt.err, tt.want)
		}
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
			{Name: "Api-Key", Value: newSecret(t, "planted-secret")},
		}, newSigV4(t, c, to.Transport)))
		if status, text := send(t, rt, newRequest(t, to.URL, bytes.NewReader(newBody(t)))); status != 204 {
			t.Errorf("HTTP %d %s", status, text)
		}
		got := to.Requests()[0].Header
		if got.Get("X-Scope-OrgID") != "team-a" || !strings.Contains(got.Get("Authorization"), ";x-scope-orgid,") ||
			!strings.Contains(got.Get("Authorization"), "api-key;") {
			t.Errorf("it got %q", got["X-Scope-Orgid"])
		}
	})
}
