package remotewrite

import (
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestQuotedResponses: the HTTP client's errors quote a response that is not HTTP. The
// request's secrets in it are redacted, and the rest stays.
func TestQuotedResponses(t *testing.T) {
	t.Parallel()
	const token = `planted-secret-"token"`
	for name, tt := range map[string]struct{ answer, want string }{
		"no status line": {"said:%s:now\r\n\r\n", "said:REDACTED:now"},
		"a status":       {"HTTP/1.1 %s\r\n\r\n", "status code"},
		"no header":      {"HTTP/1.1 200 OK\r\nno colon %s\r\n\r\n", "no colon REDACTED"},
		"no encoding":    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: %s\r\n\r\n", `unsupported transfer encoding: "REDACTED"`},
		"no length":      {"HTTP/1.1 200 OK\r\nContent-Length: %s\r\n\r\n", `bad Content-Length "REDACTED"`},
		"nothing of it":  {"nothing\r\n\r\n%.0s", `"nothing"`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				// Else the error may be about sending the rest.
				_, _ = io.Copy(io.Discard, r.Body)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					t.Error(err)
					return
				}
				defer conn.Close()
				fmt.Fprintf(conn, tt.answer, token)
				_ = conn.(*net.TCPConn).CloseWrite()
			}))
			defer server.Close()
			u, err := url.Parse(server.URL)
			if err != nil {
				t.Fatal(err)
			}
			transport := NewTransport(1)
			defer transport.CloseIdleConnections()
			var log logs
			s, err := New(Options{URL: u, Logger: log.logger(t), RetryFor: time.Nanosecond, Client: &http.Client{
				// On a clone, as authentication does.
				Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					req = req.Clone(req.Context())
					req.Header.Set("Authorization", "Bearer "+token)
					return transport.RoundTrip(req)
				}),
			}})
			if err != nil {
				t.Fatal(err)
			}
			_, err = s.Push(t.Context(), at, images(3), nil)
			if err == nil || strings.Contains(err.Error(), "planted-secret") || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), u.Host) {
				t.Errorf("%v, want %s", err, tt.want)
			}
			if strings.Contains(log.String(), "planted-secret") {
				t.Errorf("logged: %s", &log.buf)
			}
		})
	}
}

// TestAddressStays: the address in an error is not redacted.
func TestAddressStays(t *testing.T) {
	t.Parallel()
	var sent sentHeaders
	note := sent.trace().WroteHeaderField
	for name, value := range map[string]string{
		"Host": "receiver.test:9009", ":authority": "receiver.test:9009", ":method": "POST", ":path": "/push?key=planted", ":scheme": "https",
		"authorization": "Bearer planted-secret",
	} {
		note(name, []string{value})
	}
	req := &http.Request{URL: &url.URL{RawQuery: "key=planted"}}
	got := sent.redact(req, errors.New("POST https://receiver.test:9009/push?key=planted: planted-secret")).Error()
	if want := "POST https://receiver.test:9009/push?REDACTED: REDACTED"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSecretForms: secrets are redacted however a receiver repeats them.
func TestSecretForms(t *testing.T) {
	t.Parallel()
	const user, password, token = "planted-user", `pl?nted>"secret"ÿ`, "planted/token+with=signs"
	req := &http.Request{Header: http.Header{}, URL: &url.URL{Scheme: "https", Host: "receiver.test", User: url.UserPassword(user, password)}}
	req.Header.Set("Authorization", "Bearer "+token)
	secrets := secretsOf(req)
	encodings := map[string]*base64.Encoding{
		"base64": base64.StdEncoding, "base64 for URLs": base64.URLEncoding,
		"base64, not padded": base64.RawStdEncoding, "base64 for URLs, not padded": base64.RawURLEncoding,
	}
	for _, secret := range []string{password, token} {
		// Each form, and the number of bytes that may be left of what is around the secret.
		type form struct {
			name, text string
			around     int
		}
		forms := []form{{"plain", secret, 0}, {"quoted", strconv.Quote(secret), 2}}
		for name, encoding := range encodings {
			forms = append(forms, form{name, encoding.EncodeToString([]byte(secret)), 0})
			for _, other := range []string{user + ":", "x:", "xy:", ":"} {
				forms = append(forms,
					form{name + " after " + other, encoding.EncodeToString([]byte(other + secret)), len(other)},
					form{name + " between " + other, encoding.EncodeToString([]byte(other + secret + other)), 2 * len(other)})
			}
		}
		for _, f := range forms {
			got := redactBody("before "+f.text+" after", false, secrets)
			rest := strings.ReplaceAll(strings.TrimSuffix(strings.TrimPrefix(got, "before "), " after"), redacted, "")
			// A character at each end also depends on what is around; and there is padding.
			if !strings.Contains(got, redacted) || len(rest) > f.around*4/3+5 || f.around == 0 && len(rest) > 3 {
				t.Errorf("%s of %s: %s", f.name, secret, got)
			}
			var sent sentHeaders
			sent.trace().WroteHeaderField("authorization", []string{"Bearer " + token})
			if err := sent.redact(req, errors.New("said: "+f.text)); !strings.Contains(err.Error(), redacted) || strings.Contains(err.Error(), f.text) {
				t.Errorf("%s of %s: %v", f.name, secret, err)
			}
		}
	}
	if got := redactBody("nothing of it in cGxlbnR5IG9mIHRleHQ=", false, secrets); got != "nothing of it in cGxlbnR5IG9mIHRleHQ=" {
		t.Error(got)
	}
}
