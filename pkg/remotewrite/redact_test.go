package remotewrite

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
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

// TestNestedRequest: reading a password from AWS is a request of its own, whose header is
// recorded before that of the attempt. The password is still redacted.
func TestNestedRequest(t *testing.T) {
	t.Parallel()
	req := &http.Request{Header: http.Header{}, URL: &url.URL{}}
	req.SetBasicAuth("user", "planted-secret")
	var sent sentHeaders
	wrote := sent.trace().WroteHeaderField
	wrote("Authorization", []string{"AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE"})
	wrote("Authorization", req.Header.Values("Authorization"))
	if got := sent.redact(req, errors.New("malformed: password=planted-secret")).Error(); got != "malformed: password=REDACTED" {
		t.Errorf("%q", got)
	}
}
