package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
)

// TLSOptions are the certificates of a connection, in PEM form. What is nil is left out.
type TLSOptions struct {
	// CA holds certificates of authorities, in place of the system's, as with curl's
	// --cacert and Prometheus's ca_file.
	CA Secret
	// Certificate is the client's, followed by the intermediate ones, and Key its
	// private key, not encrypted. They go together, and may be one text.
	Certificate, Key Secret
}

type tlsTransport struct {
	opaque
	*http.Transport
	options TLSOptions

	mu    sync.Mutex
	ready bool // the certificates are in the transport
}

// NewTLS adds certificates to a transport that has not been used yet. They are read with
// the first request, so that a start makes no call and survives a failure, and then kept
// for the life of the process: a new certificate takes a new process. The result demands
// TLS 1.2.
func NewTLS(transport *http.Transport, o TLSOptions) (http.RoundTripper, error) {
	if (o.Certificate == nil) != (o.Key == nil) {
		return nil, errors.New("setting up TLS: a client certificate and its private key go together")
	}
	return &tlsTransport{Transport: transport, options: o}, nil
}

// RoundTrip implements http.RoundTripper.
func (t *tlsTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if err := t.prepare(req.Context()); err != nil {
		return nil, notSent(req, err)
	}
	return t.Transport.RoundTrip(req)
}

func (t *tlsTransport) prepare(ctx context.Context) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.ready {
		return nil
	}
	cfg := &tls.Config{MinVersion: tls.VersionTLS12}
	if t.options.CA != nil {
		ca, err := t.options.CA.Value(ctx)
		if err != nil {
			return fmt.Errorf("the certificate authority (CA): %w", err)
		}
		if cfg.RootCAs, err = ParseCA(ca); err != nil {
			t.options.CA.Refused(ca) // so that a correction is seen
			return permanentError{err}
		}
	}
	if t.options.Certificate != nil {
		certificate, err := t.options.Certificate.Value(ctx)
		if err != nil {
			return fmt.Errorf("the client certificate: %w", err)
		}
		key, err := t.options.Key.Value(ctx)
		if err != nil {
			return fmt.Errorf("the client certificate's private key: %w", err)
		}
		pair, err := ParseKeyPair(certificate, key)
		if err != nil {
			t.options.Certificate.Refused(certificate)
			t.options.Key.Refused(key)
			return permanentError{err}
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	t.TLSClientConfig, t.ready = cfg, true
	return nil
}

// ParseCA reads certificates of authorities.
func ParseCA(text string) (*x509.CertPool, error) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(text)) {
		return nil, errors.New("the certificate authority (CA) has no certificate in PEM form")
	}
	return pool, nil
}

// ParseKeyPair reads a certificate and its private key. The error shows nothing of them.
func ParseKeyPair(certificate, key string) (tls.Certificate, error) {
	if strings.Contains(key, "-----BEGIN ENCRYPTED PRIVATE KEY-----") || strings.Contains(key, "Proc-Type: 4,ENCRYPTED") {
		return tls.Certificate{}, errors.New("the client certificate's private key is encrypted, want it without a password")
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("the client certificate and its private key: %w", err)
	}
	return pair, nil
}
