package auth

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// TLSOptions are the parts of a TLS connection that can be configured, all as texts
// in PEM form. What is nil is left out.
type TLSOptions struct {
	// CA is one certificate of an authority, or several. Servers must have one from
	// these authorities then, and the system's do not count, as with curl's
	// --cacert and Prometheus' ca_file: whoever names a private authority does not
	// want that a certificate from any public one will do.
	CA Secret
	// Certificate is shown to the server, with the intermediate ones behind it, and
	// Key is its private key, not encrypted. They go together. Both may be one text.
	Certificate, Key Secret
}

// TLS is a transport with a client certificate, a private authority, or both. It
// demands TLS 1.2 and takes HTTP/2 if the server has it.
//
// If the server refuses the certificate, by an alert or with 401 or 403, if the
// certificate has expired, or if the server's own cannot be verified, what the
// secrets are now is used. Requests under way are finished on their old connections.
type TLS struct {
	opaque
	base     *http.Transport
	http2    bool // as base has it
	secrets  []named
	exchange exchange[[]string]

	mu    sync.Mutex
	built *built // nil before the first request
}

// NewTLS returns a RoundTripper for the options on a clone of base, nil for a clone
// of http.DefaultTransport. It reads and dials nothing: the secrets are asked for
// with the first request.
func NewTLS(base *http.Transport, o TLSOptions) (*TLS, error) {
	if (o.Certificate == nil) != (o.Key == nil) {
		return nil, errors.New("setting up TLS: a client certificate and its private key go together")
	}
	if base == nil {
		base, _ = http.DefaultTransport.(*http.Transport)
	}
	if base == nil {
		base = &http.Transport{Proxy: http.ProxyFromEnvironment}
	}
	// A TLS configuration of one's own switches HTTP/2 off, unless one insists. What
	// base is told must be looked at before Clone, which fills it in.
	t := &TLS{base: base, http2: base.ForceAttemptHTTP2 || base.TLSNextProto["h2"] != nil ||
		base.TLSNextProto == nil && base.TLSClientConfig == nil && base.DialTLSContext == nil && base.DialContext == nil}
	for _, s := range []named{{partCA, o.CA}, {partCertificate, o.Certificate}, {partKey, o.Key}} {
		if s.Secret != nil {
			t.secrets = append(t.secrets, s)
		}
	}
	t.exchange = exchange[[]string]{
		current: func(ctx context.Context) ([]string, error) { return values(ctx, t.secrets) },
		same:    slices.Equal[[]string],
		send:    t.send,
		refused: t.refused,
	}
	return t, nil
}

// What the parts are called in errors.
const (
	partCA          = "certificate authority (CA)"
	partCertificate = "client certificate"
	partKey         = "client certificate's private key"
)

// RoundTrip implements http.RoundTripper. An error of its own is a *CredentialError.
func (t *TLS) RoundTrip(req *http.Request) (*http.Response, error) { return t.exchange.do(req) }

// CloseIdleConnections closes the connections that no request uses.
func (t *TLS) CloseIdleConnections() {
	t.mu.Lock()
	b := t.built
	t.mu.Unlock()
	if b != nil {
		b.transport.CloseIdleConnections()
	}
}

// built is a transport made from some texts.
type built struct {
	texts     []string
	transport *http.Transport
	expires   time.Time // the client certificate; zero if there is none
}

func (t *TLS) send(req *http.Request, texts []string) (*http.Response, error) {
	b, err := t.transport(texts)
	if err == nil && !b.expires.IsZero() && !time.Now().Before(b.expires) {
		err = &valueError{fmt.Sprintf("the %s has expired on %s", partCertificate, b.expires.UTC().Format(time.DateTime+" MST"))}
	}
	if err != nil {
		closeBody(req)
		return nil, &CredentialError{req.URL.Host, err}
	}
	resp, err := b.transport.RoundTrip(req)
	if err != nil {
		t.closeRetired(b)
		return nil, err
	}
	resp.Body = &watched{ReadCloser: resp.Body, closed: func() { t.closeRetired(b) }}
	return resp, nil
}

// transport returns a transport with these texts. The one before is not used again.
func (t *TLS) transport(texts []string) (*built, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := t.built
	if old != nil && slices.Equal(old.texts, texts) {
		return old, nil
	}
	b, err := t.build(texts)
	if err != nil {
		return nil, err
	}
	t.built = b
	if old != nil {
		old.transport.CloseIdleConnections()
	}
	return b, nil
}

// closeRetired closes what a request left idle on a transport that has been
// replaced in the meantime.
func (t *TLS) closeRetired(b *built) {
	t.mu.Lock()
	retired := t.built != b
	t.mu.Unlock()
	if retired {
		b.transport.CloseIdleConnections()
	}
}

// build makes a transport.
func (t *TLS) build(texts []string) (*built, error) {
	b := &built{texts: texts, transport: t.base.Clone()}
	b.transport.ForceAttemptHTTP2 = t.http2
	cfg := b.transport.TLSClientConfig
	if cfg == nil {
		cfg = &tls.Config{MinVersion: tls.VersionTLS12}
		b.transport.TLSClientConfig = cfg
	}
	cfg.MinVersion = max(cfg.MinVersion, tls.VersionTLS12)
	var certificate, key string
	for i, s := range t.secrets {
		switch s.what {
		case partCA:
			cfg.RootCAs = x509.NewCertPool()
			if !cfg.RootCAs.AppendCertsFromPEM([]byte(texts[i])) {
				return nil, &valueError{"the " + partCA + " has no certificate in PEM form"}
			}
		case partCertificate:
			certificate = texts[i]
		case partKey:
			key = texts[i]
		}
	}
	if certificate == "" {
		return b, nil
	}
	pair, err := keyPair(certificate, key)
	if err != nil {
		return nil, err
	}
	cfg.Certificates = []tls.Certificate{pair}
	b.expires = pair.Leaf.NotAfter
	return b, nil
}

// keyPair reads a certificate and its key. It says which of them is wrong.
func keyPair(certificate, key string) (tls.Certificate, error) {
	switch {
	case !strings.Contains(certificate, "-----BEGIN CERTIFICATE-----"):
		return tls.Certificate{}, &valueError{"the " + partCertificate + " has no certificate in PEM form"}
	case strings.Contains(key, "-----BEGIN ENCRYPTED PRIVATE KEY-----"), strings.Contains(key, "Proc-Type: 4,ENCRYPTED"):
		return tls.Certificate{}, &valueError{"the " + partKey + " is encrypted, want it without a password"}
	case !strings.Contains(key, "PRIVATE KEY-----"):
		return tls.Certificate{}, &valueError{"the " + partKey + " has no private key in PEM form"}
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		// It names formats and kinds of keys, and shows nothing of them.
		return tls.Certificate{}, &valueError{"the " + partCertificate + " and its private key: " + err.Error()}
	}
	return pair, nil
}

// refused tells the secrets that were refused. A server that does not take the
// certificate sends an alert, or takes the connection and answers 401 or 403. In TLS
// 1.3 the client has connected by then: the alert is the answer to the request, and
// the end of the connection may overtake it, in HTTP/2 under several names. So any
// connection that breaks counts, which costs one read of the secrets a minute at most.
func (t *TLS) refused(texts []string, resp *http.Response, err error) bool {
	var (
		unusable   *valueError
		unverified *tls.CertificateVerificationError
		network    *net.OpError
	)
	ca, own := false, false
	switch {
	case errors.As(err, &unusable):
		ca, own = true, true // whichever it was
	case errors.As(err, &unverified):
		ca = true
	case errors.As(err, &network) && (network.Op == "dial" || network.Timeout()),
		errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
	default:
		own = err != nil || unauthorized(resp)
	}
	told := false
	for i, s := range t.secrets {
		if s.what == partCA && ca || s.what != partCA && own {
			s.Refused(texts[i])
			told = true
		}
	}
	return told
}

// watched is a body that tells when it is closed.
type watched struct {
	io.ReadCloser
	closed func()
}

func (w *watched) Close() error {
	err := w.ReadCloser.Close()
	w.closed()
	return err
}
