package remotewritetest

import (
	"context"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
)

// Server is a Receiver with an address.
type Server struct {
	*Receiver
	// URL is the endpoint to write to.
	URL *url.URL
	// Transport connects to it. For NewServer any other does, too; for NewPipe no other.
	Transport *http.Transport
}

// NewServer starts a Receiver on a free port of 127.0.0.1 and closes it when the
// test ends. The test fails if there were violations.
func NewServer(tb testing.TB, opts Options) *Server {
	tb.Helper()
	r := New(opts)
	server := httptest.NewUnstartedServer(r)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.Start()
	transport := new(http.Transport) // without a proxy
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		server.CloseClientConnections()
		server.Close()
		r.report(tb)
	})
	return &Server{Receiver: r, URL: endpoint(tb, server.Listener.Addr().String()), Transport: transport}
}

// NewPipe starts a Receiver in memory, on net.Pipe. Unlike real sockets it works with
// testing/synctest. It is closed when the test ends, and the test fails if there were
// violations.
func NewPipe(tb testing.TB, opts Options) *Server {
	tb.Helper()
	r := New(opts)
	listener := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	server := &http.Server{Handler: r, ErrorLog: log.New(io.Discard, "", 0)}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	transport := &http.Transport{DialContext: listener.dial, MaxIdleConnsPerHost: 100, DisableCompression: true}
	tb.Cleanup(func() {
		transport.CloseIdleConnections()
		_ = server.Close()
		serving.Wait()
		r.report(tb)
	})
	return &Server{Receiver: r, URL: endpoint(tb, "receiver.test"), Transport: transport}
}

func endpoint(tb testing.TB, host string) *url.URL {
	tb.Helper()
	u, err := url.Parse("http://" + host + "/api/v1/write")
	if err != nil {
		tb.Fatalf("the receiver's address: %v", err)
	}
	return u
}

func (r *Receiver) report(tb testing.TB) {
	tb.Helper()
	if r.opts.ExpectViolations {
		return
	}
	for _, v := range r.Violations() {
		tb.Errorf("remote write receiver: %s", v)
	}
}

// pipeListener accepts the far end of each pipe.
type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case l.conns <- far:
		return near, nil
	case <-l.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
