package remotewritetest

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Which selects the requests that a fault hits.
type Which struct {
	from, to int // the first request and the one after the last
	oneBody  bool
}

// Always is every request.
var Always = After(0)

// First is the first n requests from now on.
func First(n int) Which { return Which{to: n} }

// After is every request but the first n from now on.
func After(n int) Which { return Which{from: n, to: math.MaxInt} }

// OneBody is the first request from now on and every one with the same body: one
// batch, with all its retries.
var OneBody = Which{to: math.MaxInt, oneBody: true}

// Proxy is a proxy between a sender and a receiver that breaks selected requests. It
// works on raw TCP, since no HTTP server can respond like that. Other requests are
// passed on unchanged.
type Proxy struct {
	// URL is the endpoint to write to.
	URL *url.URL

	to        *url.URL
	listener  net.Listener
	elsewhere net.Listener
	transport *http.Transport
	running   sync.WaitGroup
	closed    chan struct{}

	contacted atomic.Int64 // connections to elsewhere
	written   atomic.Int64 // bytes sent by faults

	mu     sync.Mutex
	change sync.Cond // of conns
	conns  map[net.Conn]bool
	fault  Fault // "" for none
	which  Which
	victim *[sha256.Size]byte
	seen   int // requests since Break
	broken int
}

// NewProxy starts a proxy in front of a receiver's endpoint, on a free port of
// 127.0.0.1. It breaks nothing until Break is called. It is closed, with all its
// connections, when the test ends, and the test fails if a redirect was
// followed.
func NewProxy(tb testing.TB, to *url.URL) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("start the proxy: %v", err)
	}
	return startProxy(tb, to, listener)
}

func startProxy(tb testing.TB, to *url.URL, listener net.Listener) *Proxy {
	tb.Helper()
	elsewhere, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		_ = listener.Close()
		tb.Fatalf("start the proxy: %v", err)
	}
	at := *to
	at.Host = listener.Addr().String()
	p := &Proxy{
		URL: &at, to: to, listener: listener, elsewhere: elsewhere,
		transport: &http.Transport{DisableCompression: true},
		closed:    make(chan struct{}),
		conns:     map[net.Conn]bool{},
	}
	p.change.L = &p.mu
	p.running.Go(func() { p.accept(listener, p.serve) })
	p.running.Go(func() { p.accept(elsewhere, func(net.Conn) { p.contacted.Add(1) }) })
	tb.Cleanup(func() {
		p.close()
		if n := p.Elsewhere(); n > 0 {
			tb.Errorf("%d connections were made to where the redirects lead", n)
		}
	})
	return p
}

// Break makes a fault hit requests from now on and replaces an earlier one.
func (p *Proxy) Break(fault Fault, which Which) {
	fault.play() // panics if it does not exist
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fault, p.which, p.victim, p.seen, p.broken = fault, which, nil, 0, 0
}

// Mend ends the faults of further requests. It closes all connections and waits until
// nothing of them is on its way to the receiver, so that no request that the sender has
// given up arrives after a later one. It must not be called while the sender has a request
// under way.
func (p *Proxy) Mend() {
	p.mu.Lock()
	p.fault = ""
	p.mu.Unlock()
	// Connections are accepted in order: when this one is, all earlier ones are.
	last, err := net.Dial("tcp", p.listener.Addr().String())
	if err != nil {
		return // the proxy is closed, and so are its connections
	}
	defer func() { _ = last.Close() }()
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.conns != nil && !p.accepted(last.LocalAddr().String()) {
		p.change.Wait()
	}
	earlier := maps.Clone(p.conns)
	for conn := range earlier {
		_ = conn.Close()
	}
	for conn := range earlier {
		for p.conns[conn] {
			p.change.Wait()
		}
	}
}

// accepted reports whether a connection from an address is open. p.mu is held.
func (p *Proxy) accepted(from string) bool {
	for conn := range p.conns {
		if conn.RemoteAddr().String() == from {
			return true
		}
	}
	return false
}

// Broken is the number of requests that were broken since Break.
func (p *Proxy) Broken() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}

// Elsewhere is the number of connections to the target of the redirects.
func (p *Proxy) Elsewhere() int { return int(p.contacted.Load()) }

// Written is the number of bytes that the faults could send: what a sender read, and
// what the system buffered.
func (p *Proxy) Written() int64 { return p.written.Load() }

// elsewhereURL is the target of redirects, which has another host name, too.
func (p *Proxy) elsewhereURL(r *http.Request) string {
	_, port, _ := net.SplitHostPort(p.elsewhere.Addr().String())
	return "http://localhost:" + port + r.URL.RequestURI()
}

// take decides which fault hits a request.
func (p *Proxy) take(key [sha256.Size]byte) (Fault, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	place := p.seen
	p.seen++
	if p.fault == "" || place < p.which.from || place >= p.which.to {
		return "", false
	}
	if p.which.oneBody {
		if p.victim == nil {
			p.victim = &key
		}
		if *p.victim != key {
			return "", false
		}
	}
	p.broken++
	return p.fault, true
}

func (p *Proxy) accept(listener net.Listener, serve func(net.Conn)) {
	for {
		conn, err := listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		}
		if err != nil {
			continue // the peer has gone already
		}
		if !p.keep(conn) {
			return
		}
		p.running.Go(func() {
			defer p.drop(conn)
			serve(conn)
		})
	}
}

// keep registers a connection for close. After close it closes the connection.
func (p *Proxy) keep(conn net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.conns == nil {
		_ = conn.Close()
		return false
	}
	p.conns[conn] = true
	p.change.Broadcast()
	return true
}

func (p *Proxy) drop(conn net.Conn) {
	_ = conn.Close()
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.conns, conn)
	p.change.Broadcast()
}

// close closes everything and waits.
func (p *Proxy) close() {
	close(p.closed)
	_ = p.listener.Close()
	_ = p.elsewhere.Close()
	p.mu.Lock()
	conns := p.conns
	p.conns = nil
	p.change.Broadcast()
	for conn := range conns {
		_ = conn.Close()
	}
	p.mu.Unlock()
	p.running.Wait()
	p.transport.CloseIdleConnections()
}

// serve handles the requests of one connection until it is broken or closed.
func (p *Proxy) serve(conn net.Conn) {
	tcp, ok := conn.(*net.TCPConn)
	if !ok {
		return
	}
	// Small, so that a fault happens while the peer still sends, and unread bytes are
	// soon noticed.
	_ = tcp.SetReadBuffer(16 << 10)
	_ = tcp.SetWriteBuffer(16 << 10)
	in := bufio.NewReader(conn)
	for {
		first, err := in.Peek(1)
		if err != nil {
			return
		}
		x := &exchange{proxy: p, conn: tcp}
		if first[0] == tlsHandshake {
			x.write("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\nnot an HTTP request")
			_ = tcp.CloseWrite()
			x.untilGone()
			return
		}
		if x.request, err = http.ReadRequest(in); err != nil || !x.pass() {
			return
		}
	}
}

// tlsHandshake is the first byte of a client that speaks TLS (RFC 8446, section 5.1).
const tlsHandshake = 0x16

// exchange is one request and its response.
type exchange struct {
	proxy   *Proxy
	conn    *net.TCPConn
	request *http.Request
	body    []byte
	answer  *http.Response // the receiver's, if the request was delivered
}

// pass passes the request on or breaks it. It reports whether the connection can be
// used for another one.
func (x *exchange) pass() bool {
	// Half of the body identifies a batch, since the first series differ.
	half := make([]byte, max(0, x.request.ContentLength)/2)
	if _, err := io.ReadFull(x.request.Body, half); err != nil {
		return false
	}
	fault, broken := x.proxy.take(sha256.Sum256(half))
	if fault == ResetInBody {
		x.reset()
		return false
	}
	rest, err := io.ReadAll(x.request.Body)
	if err != nil {
		return false
	}
	x.body = slices.Concat(half, rest)
	switch {
	case !broken:
		return x.deliver() == nil && x.answer.Write(x.conn) == nil && !x.request.Close
	case fault.Delivers():
		if x.deliver() != nil {
			return false
		}
	}
	fault.play().act(x)
	return false
}

// deliver sends the request to the receiver and reads the response.
func (x *exchange) deliver() error {
	out := x.request.Clone(x.request.Context())
	out.RequestURI = ""
	out.URL.Scheme, out.URL.Host = x.proxy.to.Scheme, x.proxy.to.Host
	out.Body = io.NopCloser(bytes.NewReader(x.body))
	answer, err := x.proxy.transport.RoundTrip(out)
	if err != nil {
		return fmt.Errorf("pass on the request: %w", err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		return fmt.Errorf("read the receiver's answer: %w", err)
	}
	answer.Body = io.NopCloser(bytes.NewReader(text))
	x.answer = answer
	return nil
}

// write sends raw bytes. It reports whether the peer still accepts any.
func (x *exchange) write(text string) bool {
	n, err := io.WriteString(x.conn, text)
	x.proxy.written.Add(int64(n))
	return err == nil
}

// writeHead sends a status line and the receiver's headers, with a header for the
// body in place of the receiver's.
func (x *exchange) writeHead(status int, body string) {
	x.answer.Header.Del("Content-Length")
	var head bytes.Buffer
	fmt.Fprintf(&head, "HTTP/1.1 %d %s\r\n", status, http.StatusText(status))
	_ = x.answer.Header.Write(&head) // a buffer accepts everything
	x.write(head.String() + body + "\r\n\r\n")
}

// flood sends a text again and again, as fast as the peer reads.
func (x *exchange) flood(text string) {
	text = strings.Repeat(text, 1+4096/len(text))
	for x.write(text) {
	}
}

// drip sends a text every dripInterval until the peer or the proxy closes.
func (x *exchange) drip(text string) {
	tick := time.NewTicker(dripInterval)
	defer tick.Stop()
	for x.write(text) {
		select {
		case <-tick.C:
		case <-x.proxy.closed:
			return
		}
	}
}

// untilGone waits until the peer, or the proxy, closes the connection.
func (x *exchange) untilGone() { _, _ = io.Copy(io.Discard, x.conn) }

// reset ends the connection with a TCP reset.
func (x *exchange) reset() { _ = x.conn.SetLinger(0) }
