package auth_test

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
)

// newClient is a client with the parts of TLS in files.
func newClient(t *testing.T, ca, certificate, key auth.Secret) http.RoundTripper {
	t.Helper()
	transport := &http.Transport{ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return must(t)(auth.NewTLS(transport, auth.TLSOptions{CA: ca, Certificate: certificate, Key: key}))
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

// TestTLS: the server sees the certificate, which is kept when the secret changes.
func TestTLS(t *testing.T) {
	each(t, func(t *testing.T, s *tlsServer, proto string) {
		one, oneKey := s.clients.issue(t, "one", nil)
		certificate, key := keep(t, one), keep(t, oneKey)
		c := newClient(t, keep(t, s.ca.pem), certificate, key)
		for _, body := range []string{"a", "b"} {
			if status, text := send(t, c, s.request(t, body)); status != 200 || text != "one "+proto+" "+body {
				t.Errorf("HTTP %d %s", status, text)
			}
			two, twoKey := s.clients.issue(t, "two", nil)
			certificate.set(t, two)
			key.set(t, twoKey)
		}
	})
}

// TestTLSRefused: the error says that the server refused the certificate.
func TestTLSRefused(t *testing.T) {
	each(t, func(t *testing.T, s *tlsServer, _ string) {
		certificate, key := newAuthority(t, "strangers").issue(t, "one", nil)
		resp, err := newClient(t, newSecret(t, s.ca.pem), newSecret(t, certificate), newSecret(t, key)).RoundTrip(s.request(t, "a"))
		if err == nil {
			resp.Body.Close()
			t.Fatal("no error")
		}
		// In 1.3 the end of the connection may overtake the alert.
		if s.TLS.MaxVersion == tls.VersionTLS12 && !strings.Contains(err.Error(), "remote error: tls: ") || permanent(err) {
			t.Errorf("error %v", err)
		}
	})
}

// TestTLSCorrected: certificates that cannot be read or used fail the request and not the
// process: a later request reads them again.
func TestTLSCorrected(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, true, nil)
	certificate, key := s.clients.issue(t, "one", nil)
	late := lateSecret{texts: []string{"", "planted-secret", certificate}}
	c := newClient(t, newSecret(t, s.ca.pem), &late, newSecret(t, key))
	for range 2 {
		if resp, err := c.RoundTrip(s.request(t, "a")); err == nil {
			resp.Body.Close()
			t.Error("no error")
		}
	}
	if status, text := send(t, c, s.request(t, "a")); status != 200 || text != "one HTTP/2.0 a" {
		t.Errorf("HTTP %d %s", status, text)
	}
	if late.refused != "planted-secret" {
		t.Errorf("refused %q", late.refused)
	}
}

// lateSecret has one text after the other, and fails for an empty one.
type lateSecret struct {
	texts   []string
	refused string
}

func (s *lateSecret) Value(context.Context) (string, error) {
	text := s.texts[0]
	s.texts = s.texts[1:]
	if text == "" {
		return "", errors.New("throttled")
	}
	return text, nil
}

func (s *lateSecret) Refused(value string) { s.refused = value }

// TestTLSAuthority: only a server with a certificate of the authority is sent anything.
func TestTLSAuthority(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, true, func(c *tls.Config) { c.ClientAuth = tls.NoClientCert })
	wrong := newAuthority(t, "others").pem
	for _, tt := range []struct {
		name, ca string
		good     bool
	}{
		{"right", s.ca.pem, true}, {"a bundle", wrong + s.ca.pem, true}, {"wrong", wrong, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			resp, err := newClient(t, newSecret(t, tt.ca), nil, nil).RoundTrip(s.request(t, "a"))
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

// TestTLSOld: a server with no more than TLS 1.1 is sent nothing.
func TestTLSOld(t *testing.T) {
	t.Parallel()
	s := newTLSServer(t, false, func(c *tls.Config) {
		c.MinVersion, c.MaxVersion, c.ClientAuth = tls.VersionTLS10, tls.VersionTLS11, tls.NoClientCert
	})
	resp, err := newClient(t, newSecret(t, s.ca.pem), nil, nil).RoundTrip(s.request(t, "a"))
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
		{"no certificate", ca.pem, "planted-secret", key, "the client certificate and its private key: tls: failed to find any PEM data in certificate input"},
		{"key and certificate exchanged", ca.pem, key, certificate, `the client certificate and its private key: tls: failed to find certificate PEM data in certificate input, but did find a private key; PEM inputs may have been switched`},
		{"damaged certificate", ca.pem, damaged, key, "the client certificate and its private key: x509: malformed certificate"},
		{"no key", ca.pem, certificate, "planted-secret", "the client certificate and its private key: tls: failed to find any PEM data in key input"},
		{"a certificate as key", ca.pem, certificate, certificate, "the client certificate and its private key: tls: found a certificate rather than a key in the PEM for the private key"},
		{"encrypted", ca.pem, certificate, strings.ReplaceAll(key, "PRIVATE", "ENCRYPTED PRIVATE"), "the client certificate's private key is encrypted, want it without a password"},
		{"another's key", ca.pem, certificate, otherKey, "the client certificate and its private key: tls: private key does not match public key"},
		{"damaged key", ca.pem, certificate, damagedKey, "the client certificate and its private key: tls: failed to parse private key"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			req, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, "https://receiver.test/", strings.NewReader("a"))
			_, err := newClient(t, newSecret(t, tt.ca), newSecret(t, tt.certificate), newSecret(t, tt.key)).RoundTrip(req)
			if want := "authenticating a request to receiver.test: " + tt.want; err == nil || err.Error() != want || !permanent(err) {
				t.Error(cmp.Diff(want, fmt.Sprint(err)))
			}
		})
	}
	// Certificate and key may be one text.
	s := newTLSServer(t, true, nil)
	certificate, key = s.clients.issue(t, "one", nil)
	both := newSecret(t, key+certificate)
	if status, text := send(t, newClient(t, newSecret(t, s.ca.pem), both, both), s.request(t, "a")); status != 200 || text != "one HTTP/2.0 a" {
		t.Errorf("HTTP %d %s", status, text)
	}
}
