package ecrtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"sync"
	"testing"
	"time"
)

// link is the listener of a Server and a client for it.
type link struct {
	mu       sync.Mutex
	closed   bool
	url      string
	client   *http.Client
	server   *http.Server
	stop     context.CancelFunc
	served   chan struct{} // closed when the accept loop has ended
	conns    sync.WaitGroup
	handlers sync.WaitGroup
}

// Start serves a registry on a free port of 127.0.0.1 until the test ends.
func Start(tb testing.TB, reg *Registry) *Server {
	tb.Helper()
	s := New(reg)
	if err := s.Listen(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// StartPipe serves a registry in memory until the test ends: only the client of
// [Server.Client] reaches it. Unlike sockets, pipes are durably blocking, so that time
// passes in a testing/synctest bubble. Call it, and make the client, inside the bubble.
func StartPipe(tb testing.TB, reg *Registry) *Server {
	tb.Helper()
	s := New(reg)
	if err := s.ListenPipe(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(s.Close)
	return s
}

// Listen starts to serve on a free port of 127.0.0.1, until Close. It may be called once.
func (s *Server) Listen() error { return s.ListenOn(0) }

// ListenOn is Listen on a port.
func (s *Server) ListenOn(port int) error { return s.link.listen(s, port) }

// ListenPipe starts to serve in memory, until Close. It may be called once.
func (s *Server) ListenPipe() error { return s.link.listenPipe(s) }

func (l *link) listen(handler http.Handler, port int) error {
	listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return fmt.Errorf("serve simulated ECR: %w", err)
	}
	dialer := &net.Dialer{}
	return l.serve(handler, listener, "http://"+listener.Addr().String(), dialer.DialContext)
}

func (l *link) listenPipe(handler http.Handler) error {
	pipe := &pipeListener{conns: make(chan net.Conn), closed: make(chan struct{})}
	return l.serve(handler, pipe, "http://ecr.invalid", pipe.dial)
}

type dialFunc = func(ctx context.Context, network, address string) (net.Conn, error)

// maxIdle is the number of connections that a client keeps: enough for tests with many
// goroutines.
const maxIdle = 256

func (l *link) serve(handler http.Handler, listener net.Listener, url string, dial dialFunc) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.server != nil || l.closed {
		_ = listener.Close()
		return errors.New("serve simulated ECR: it was started before")
	}
	ctx, stop := context.WithCancel(context.Background())
	l.url, l.stop, l.served = url, stop, make(chan struct{})
	l.client = &http.Client{Transport: bodyOwner{&http.Transport{
		DialContext:         dial,
		MaxIdleConnsPerHost: maxIdle,
		DisableCompression:  true,
	}}}
	l.server = &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: time.Minute,
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ConnState:         l.track,
		ErrorLog:          log.New(io.Discard, "", 0), // broken connections are expected
	}
	go func(server *http.Server, served chan<- struct{}) {
		defer close(served)
		_ = server.Serve(listener) // always ErrServerClosed, by Close
	}(l.server, l.served)
	return nil
}

// bodyOwner sends copies of request bodies. The SDK closes a request's body as soon as it
// has the head of the response. net/http may then still be reading the end of the body, and
// an error makes it drop the connection (safeWriteToReadCloser in smithy-go v1.28 returns
// io.EOF as an error). With the latency of AWS this does not happen; here it sometimes
// would.
type bodyOwner struct{ *http.Transport }

func (t bodyOwner) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body == nil || r.Body == http.NoBody {
		return t.Transport.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err = errors.Join(err, r.Body.Close()); err != nil {
		return nil, fmt.Errorf("read request body: %w", err)
	}
	own := r.Clone(r.Context())
	own.ContentLength = int64(len(body))
	own.Body = io.NopCloser(bytes.NewReader(body))
	return t.Transport.RoundTrip(own)
}

// track counts connections, because net/http's Close does not wait for them.
func (l *link) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		l.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		l.conns.Done()
	}
}

// URL is the endpoint for clients; empty before Listen.
func (s *Server) URL() string { return s.link.address() }

func (l *link) address() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.url
}

// Client returns an HTTP client that reaches the server and keeps its connections
// until Close; nil before Listen. With a socket, any other client works too.
func (s *Server) Client() *http.Client { return s.link.dialler() }

func (l *link) dialler() *http.Client {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.client
}

// Close stops the server: requests in flight lose their connection. It returns after all
// handlers and connections have ended. A second call does nothing.
func (s *Server) Close() { s.link.close() }

func (l *link) close() {
	l.mu.Lock()
	again := l.closed
	l.closed = true
	l.mu.Unlock()
	if again {
		return
	}
	if l.server != nil {
		l.stop()
		_ = l.server.Close() // an error of the listener is of no consequence
		<-l.served
		l.client.CloseIdleConnections()
		l.conns.Wait()
	}
	l.handlers.Wait()
}

// enter counts a request, unless the server is closed.
func (l *link) enter() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false
	}
	l.handlers.Add(1)
	return true
}

func (l *link) leave() { l.handlers.Done() }

// pipeListener accepts connections that are pipes in memory.
type pipeListener struct {
	conns  chan net.Conn
	closed chan struct{}
	once   sync.Once
}

// dial makes a connection to any address.
func (p *pipeListener) dial(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case p.conns <- far:
		return near, nil
	case <-p.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (p *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-p.conns:
		return conn, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipeListener) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipeListener) Addr() net.Addr { return pipeAddr{} }

type pipeAddr struct{}

func (pipeAddr) Network() string { return "pipe" }
func (pipeAddr) String() string  { return "pipe" }
