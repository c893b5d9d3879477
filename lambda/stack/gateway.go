//go:build unix

package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// ampHost is the host of the AMP workspaces of the Region.
const ampHost = "aps-workspaces." + localtest.Region + ".amazonaws.com"

// workspace is the AMP workspace that the gateway stands in for.
const workspace = "ws-00000000-0000-0000-0000-000000000000"

// The credentials of the endpoint with a password. The gateway's path for it is passwordPath.
const (
	username     = "exporter"
	passwordPath = "/with-password"
)

// gateway is an HTTPS server in front of MiniStack and the stores:
//   - of MiniStack, because the template's policies deny requests without TLS;
//   - of an endpoint with a user name and a password;
//   - of an AMP workspace, as the function's proxy. It connects to no other host, so nothing
//     leaves the machine.
type gateway struct {
	url         string
	certificate string // PEM file
	pool        *x509.CertPool
	listener    net.Listener
	server      *http.Server
	folder      string

	mu       sync.Mutex
	password string
	refused  []string
}

// listenGateway makes a gateway that does not serve yet.
func listenGateway(ctx context.Context) (*gateway, error) {
	g := &gateway{pool: x509.NewCertPool(), password: "first"}
	var err error
	if g.folder, err = os.MkdirTemp("", "ecr-remote-write-"); err != nil {
		return nil, fmt.Errorf("make a folder for the certificate: %w", err)
	}
	certificate, err := g.newCertificate()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make a certificate: %w", err), os.RemoveAll(g.folder))
	}
	var config net.ListenConfig
	if g.listener, err = config.Listen(ctx, "tcp", "127.0.0.1:0"); err != nil {
		return nil, errors.Join(fmt.Errorf("listen: %w", err), os.RemoveAll(g.folder))
	}
	g.url = "https://" + g.listener.Addr().String()
	g.server = &http.Server{
		TLSConfig:         &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12},
		TLSNextProto:      map[string]func(*http.Server, *tls.Conn, http.Handler){}, // HTTP/1 for CONNECT
		ReadHeaderTimeout: time.Minute,
	}
	return g, nil
}

// newCertificate makes a certificate for all names of the gateway and writes it to a file.
func (g *gateway) newCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		DNSNames: []string{ampHost}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return tls.Certificate{}, err
	}
	text := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	g.pool.AppendCertsFromPEM(text)
	g.certificate = filepath.Join(g.folder, "certificate.pem")
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, os.WriteFile(g.certificate, text, 0o600)
}

// client returns an HTTP client that trusts the gateway.
func (g *gateway) client() *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.pool, MinVersion: tls.VersionTLS12}}}
}

// serve starts serving, with these back ends.
func (g *gateway) serve(emulator, withPassword, amp string) error {
	var proxies [3]http.Handler
	for i, target := range []string{emulator, withPassword, amp} {
		to, err := url.Parse(target)
		if err != nil {
			return fmt.Errorf("parse the address of a back end: %w", err)
		}
		proxies[i] = &httputil.ReverseProxy{Rewrite: func(r *httputil.ProxyRequest) {
			r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host
			r.Out.Header.Set("X-Forwarded-Proto", "https") // MiniStack's aws:SecureTransport
		}}
	}
	g.server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method == http.MethodConnect:
			g.connect(w, r)
		case r.Host == ampHost:
			g.receiveSigned(w, r, proxies[2])
		case strings.HasPrefix(r.URL.Path, passwordPath):
			g.receiveWithPassword(w, r, proxies[1])
		default:
			proxies[0].ServeHTTP(w, r)
		}
	})
	go g.server.ServeTLS(g.listener, "", "") //nolint:errcheck // the error is that it was closed
	return nil
}

// connect connects a client of the proxy with the gateway itself if it wants AMP.
func (g *gateway) connect(w http.ResponseWriter, r *http.Request) {
	if r.Host != ampHost+":443" {
		g.mu.Lock()
		g.refused = append(g.refused, r.Host)
		g.mu.Unlock()
		http.Error(w, "nothing may leave this machine", http.StatusForbidden)
		return
	}
	var dialer net.Dialer
	to, err := dialer.DialContext(r.Context(), "tcp", g.listener.Addr().String())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	from, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		_ = to.Close() // the server closes the other one
		return
	}
	// Each copy ends with either connection, and its error is of no interest.
	_, _ = io.WriteString(from, "HTTP/1.1 200 Connection established\r\n\r\n")
	go func() {
		_, _ = io.Copy(to, buffered)
		_ = to.Close()
	}()
	_, _ = io.Copy(from, to)
	_ = from.Close()
}

// receiveSigned is the workspace: it checks who signs, for what, and passes the request on.
func (g *gateway) receiveSigned(w http.ResponseWriter, r *http.Request, store http.Handler) {
	scope := "/" + localtest.Region + "/aps/aws4_request,"
	switch authorization := r.Header.Get("Authorization"); {
	case r.URL.Path != "/workspaces/"+workspace+"/api/v1/remote_write":
		http.Error(w, "no such workspace", http.StatusNotFound)
	case !strings.HasPrefix(authorization, "AWS4-HMAC-SHA256 Credential=ASIA") || !strings.Contains(authorization, scope) ||
		r.Header.Get("X-Amz-Security-Token") == "":
		http.Error(w, "not signed with the role's credentials", http.StatusForbidden)
	default:
		r.URL.Path = localtest.RemoteWritePath
		store.ServeHTTP(w, r)
	}
}

// receiveWithPassword is an endpoint with basic authentication.
func (g *gateway) receiveWithPassword(w http.ResponseWriter, r *http.Request, store http.Handler) {
	g.mu.Lock()
	password := g.password
	g.mu.Unlock()
	if name, got, ok := r.BasicAuth(); !ok || name != username || got != password {
		http.Error(w, "wrong user name or password", http.StatusUnauthorized)
		return
	}
	r.URL.Path = strings.TrimPrefix(r.URL.Path, passwordPath)
	r.Header.Del("Authorization")
	store.ServeHTTP(w, r)
}

// setPassword changes the password of the endpoint with one.
func (g *gateway) setPassword(password string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.password = password
}

// check returns an error if a connection was refused.
func (g *gateway) check() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.refused) > 0 {
		return fmt.Errorf("refused connections to %s", strings.Join(g.refused, ", "))
	}
	return nil
}

// stop stops the gateway.
func (g *gateway) stop() error {
	_ = g.listener.Close() // closed already if it served
	return errors.Join(g.server.Close(), os.RemoveAll(g.folder))
}
