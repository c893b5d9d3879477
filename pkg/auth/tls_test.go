package auth_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
)

// client is a client with the parts of TLS in files.
type client struct {
	*auth.TLS
	ca, certificate, key kept
}

func newClient(t *testing.T, s *tlsServer, ca, certificate, key string) *client {
	t.Helper()
	c := &client{ca: keep(t, ca), certificate: keep(t, certificate), key: keep(t, key)}
	var err error
	c.TLS, err = auth.NewTLS(&http.Transport{}, auth.TLSOptions{CA: c.ca, Certificate: c.certificate, Key: c.key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.CloseIdleConnections)
	return c
}

// identify changes the client's certificate.
func (c *client) identify(t *testing.T, certificate, key string) {
	t.Helper()
	c.certificate.set(t, certificate)
	c.key.set(t, key)
}

func (s *tlsServer) request(t *testing.T, body string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// each runs a test by either protocol and either version of TLS: in 1.3 a
// certificate is refused after the handshake.
func each(t *testing.T, test func(t *testing.T, s *tlsServer, proto string)) {
	t.Parallel()
	for _, http2 := range []bool{false, true} {
		for version, name := range map[uint16]string{tls.VersionTLS12: "TLS 1.2", tls.VersionTLS13: "TLS 1.3"} {
			proto := "HTTP/1.1"
			if http2 {
				proto = "HTTP/2.0"
			}
			t.Run(proto+" "+name, func(t *testing.T) {
				t.Parallel()
				test(t, newTLSServer(t, http2, func(c *tls.Config) { c.MaxVersion = version }), proto)
			})
		}
	}
}

// TestTLS: the server sees the certificate. One that is rotated before the server
// stops to take the old one, or after, loses no request, and old connections are
// closed.
func TestTLS(t *testing.T) {
	each(t, func(t *testing.T, s *tlsServer, proto string) {
		certificate, key := s.clients.issue(t, "one", nil)
		c := newClient(t, s, s.ca.pem, certificate, key)
		for _, body := range []string{"a", "b"} {
			if status, text := send(t, c, s.request(t, body)); status != 200 || text != "one "+proto+" "+body {
				t.Errorf("HTTP %d %s", status, text)
			}
		}
		if s.conns != 1 {
			t.Errorf("%d connections", s.conns)
		}
		certificate, key = s.clients.issue(t, "two", nil)
		c.identify(t, certificate, key)
		if _, text := send(t, c, s.request(t, "c")); text != "one "+proto+" c" {
			t.Error(text)
		}
		// As after a refusal of any of the two.
		current, _ := c.certificate.Value(t.Context())
		c.certificate.Refused(current)
		current, _ = c.key.Value(t.Context())
		c.key.Refused(current)
		if _, text := send(t, c, s.request(t, "d")); text != "two "+proto+" d" {
			t.Error(text)
		}
		s.waitOpen(t, 1)
	})
}

// TestTLSRetired: a request that was under way when the certificate changed is
// finished, and its connection closed then.
func TestTLSRetired(t *testing.T) {
	each(t, func(t *testing.T, s *tlsServer, proto string) {
		certificate, key := s.clients.issue(t, "one", nil)
		c := newClient(t, s, s.ca.pem, certificate, key)
		resp, err := c.RoundTrip(s.request(t, strings.Repeat("x", 8<<20)))
		if err != nil {
			t.Fatal(err)
		}
		certificate, key = s.clients.issue(t, "two", nil)
		c.identify(t, certificate, key)
		for _, k := range []kept{c.certificate, c.key} {
			current, _ := k.Value(t.Context())
			k.Refused(current)
		}
		if _, text := send(t, c, s.request(t, "b")); text != "two "+proto+" b" {
			t.Error(text)
		}
		s.waitOpen(t, 2)
		if text, err := io.ReadAll(resp.Body); err != nil || len(text) != 8<<20+len("one ")+len(proto)+1 {
			t.Errorf("%d bytes, %v", len(text), err)
		}
		resp.Body.Close()
		s.waitOpen(t, 1)
	})
}

// TestTLSRefused: a certificate that the server refuses is read anew. The error
// says that it was refused, if there is no other.
func TestTLSRefused(t *testing.T) {
	each(t, func(t *testing.T, s *tlsServer, proto string) {
		stranger := newAuthority(t, "strangers")
		certificate, key := stranger.issue(t, "one", nil)
		c := newClient(t, s, s.ca.pem, certificate, key)
		if _, err := c.certificate.Value(t.Context()); err != nil {
			t.Fatal(err)
		}
		if _, err := c.key.Value(t.Context()); err != nil {
			t.Fatal(err)
		}
		certificate, key = s.clients.issue(t, "two", nil)
		c.identify(t, certificate, key)
		if status, text := send(t, c, s.request(t, "a")); status != 200 || text != "two "+proto+" a" {
			t.Errorf("HTTP %d %s", status, text)
		}

		certificate, key = stranger.issue(t, "three", nil)
		other := newClient(t, s, s.ca.pem, certificate, key)
		resp, err := other.RoundTrip(s.request(t, "a"))
		if err == nil {
			resp.Body.Close()
			t.Fatal("no error")
		}
		// In 1.3 the end of the connection may overtake the alert.
		if s.TLS.MaxVersion == tls.VersionTLS12 && !strings.Contains(err.Error(), "remote error: tls: ") {
			t.Errorf("error %v", err)
		}
	})
}

// TestTLSForbidden: a certificate that is taken, and answered 403.
func TestTLSForbidden(t *testing.T) {
	each(t, func(t *testing.T, s *tlsServer, proto string) {
		certificate, key := s.clients.issue(t, "barred", nil)
		c := newClient(t, s, s.ca.pem, certificate, key)
		if status, text := send(t, c, s.request(t, "a")); status != 403 || text != "barred "+proto+" a" {
			t.Errorf("HTTP %d %s", status, text)
		}
	})
}

// TestTLSExpired: a certificate that has expired is not shown. A new one is found
// with the first request that needs it.
func TestTLSExpired(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, true, nil)
	certificate, key := s.clients.issue(t, "one", func(c *x509.Certificate) {
		c.NotAfter = time.Date(2026, 2, 3, 4, 5, 6, 0, time.UTC)
		c.NotBefore = c.NotAfter.Add(-time.Hour)
	})
	c := newClient(t, s, s.ca.pem, certificate, key)
	_, err := c.RoundTrip(s.request(t, "a"))
	var e *auth.CredentialError
	if !errors.As(err, &e) || !strings.HasSuffix(err.Error(), ": the client certificate has expired on 2026-02-03 04:05:06 UTC") || !e.Permanent() {
		t.Fatalf("error %v", err)
	}

	c = newClient(t, s, s.ca.pem, certificate, key)
	for _, k := range []kept{c.certificate, c.key} {
		if _, err := k.Value(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	certificate, key = s.clients.issue(t, "two", nil)
	c.identify(t, certificate, key)
	if status, text := send(t, c, s.request(t, "a")); status != 200 || text != "two HTTP/2.0 a" {
		t.Errorf("HTTP %d %s", status, text)
	}
}

// TestTLSAuthority: only a server with a certificate of the authority is sent
// anything, and a new authority is found.
func TestTLSAuthority(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, true, func(c *tls.Config) { c.ClientAuth = tls.NoClientCert })
	wrong := newAuthority(t, "others").pem
	for _, tt := range []struct {
		name, at, later string
		good            bool
	}{
		{"right", s.ca.pem, s.ca.pem, true},
		{"a bundle", wrong + s.ca.pem, wrong + s.ca.pem, true},
		{"rotated", wrong, wrong + s.ca.pem, true},
		{"wrong", wrong, wrong, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			k := keep(t, tt.at)
			rt, err := auth.NewTLS(&http.Transport{}, auth.TLSOptions{CA: k})
			if err != nil {
				t.Fatal(err)
			}
			defer rt.CloseIdleConnections()
			if _, err := k.Value(t.Context()); err != nil {
				t.Fatal(err)
			}
			k.set(t, tt.later)
			resp, err := rt.RoundTrip(s.request(t, "a"))
			if err == nil {
				resp.Body.Close()
			}
			var unverified *tls.CertificateVerificationError
			if tt.good != (err == nil) || !tt.good && !errors.As(err, &unverified) {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestTLSOld: a server with no more than TLS 1.1 is not spoken to, even if the base
// would.
func TestTLSOld(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, false, func(c *tls.Config) {
		c.MinVersion, c.MaxVersion, c.ClientAuth = tls.VersionTLS10, tls.VersionTLS11, tls.NoClientCert
	})
	base := &http.Transport{TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS10}}
	rt, err := auth.NewTLS(base, auth.TLSOptions{CA: newSecret(t, s.ca.pem)})
	if err != nil {
		t.Fatal(err)
	}
	resp, err := rt.RoundTrip(s.request(t, "a"))
	if err == nil {
		resp.Body.Close()
		t.Error("no error")
	}
}

// TestTLSUnusable: the error says which part is wrong, and shows nothing of it.
func TestTLSUnusable(t *testing.T) {
	t.Parallel()
	ca := newAuthority(t, "planted-secret")
	certificate, key := ca.issue(t, "one", nil)
	_, otherKey := ca.issue(t, "two", nil)
	damaged := "-----BEGIN CERTIFICATE-----\ncGxhbnRlZC1zZWNyZXQ=\n-----END CERTIFICATE-----\n"
	damagedKey := "-----BEGIN PRIVATE KEY-----\ncGxhbnRlZC1zZWNyZXQ=\n-----END PRIVATE KEY-----\n"
	for _, tt := range []struct{ name, ca, certificate, key, want string }{
		{"no authority", "planted-secret", certificate, key, "the certificate authority (CA) has no certificate in PEM form"},
		{"damaged authority", damaged, certificate, key, "the certificate authority (CA) has no certificate in PEM form"},
		{"a key as authority", key, certificate, key, "the certificate authority (CA) has no certificate in PEM form"},
		{"no certificate", ca.pem, "planted-secret", key, "the client certificate has no certificate in PEM form"},
		{"key and certificate exchanged", ca.pem, key, certificate, "the client certificate has no certificate in PEM form"},
		{"damaged certificate", ca.pem, damaged, key, "the client certificate and its private key: x509: malformed certificate"},
		{"no key", ca.pem, certificate, "planted-secret", "the client certificate's private key has no private key in PEM form"},
		{"a certificate as key", ca.pem, certificate, certificate, "the client certificate's private key has no private key in PEM form"},
		{"encrypted", ca.pem, certificate, strings.ReplaceAll(key, "PRIVATE", "ENCRYPTED PRIVATE"), "the client certificate's private key is encrypted, want it without a password"},
		{"another's key", ca.pem, certificate, otherKey, "the client certificate and its private key: tls: private key does not match public key"},
		{"damaged key", ca.pem, certificate, damagedKey, "the client certificate and its private key: tls: failed to parse private key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			rt, err := auth.NewTLS(nil, auth.TLSOptions{CA: newSecret(t, tt.ca), Certificate: newSecret(t, tt.certificate), Key: newSecret(t, tt.key)})
			if err != nil {
				t.Fatal(err)
			}
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://receiver.test/", strings.NewReader("a"))
			_, err = rt.RoundTrip(req)
			if want := "authenticating a request to receiver.test: " + tt.want; err == nil || err.Error() != want {
				t.Error(cmp.Diff(want, fmt.Sprint(err)))
			}
		})
	}
	// Certificate and key may be one text.
	s := newTLSServer(t, true, nil)
	certificate, key = s.clients.issue(t, "one", nil)
	both := newSecret(t, key+certificate)
	rt, err := auth.NewTLS(&http.Transport{}, auth.TLSOptions{CA: newSecret(t, s.ca.pem), Certificate: both, Key: both})
	if err != nil {
		t.Fatal(err)
	}
	defer rt.CloseIdleConnections()
	if status, text := send(t, rt, s.request(t, "a")); status != 200 || text != "one HTTP/2.0 a" {
		t.Errorf("HTTP %d %s", status, text)
	}
}
