package remotewritetest

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// Fault is something that goes wrong between a sender and a receiver: see Proxy.
type Fault string

// The faults. Those for which Delivers is true happen after the receiver has accepted
// the request.
const (
	// ResetInBody resets the connection in the middle of the request's body.
	ResetInBody Fault = "reset in the request body"
	// AnswerLost resets the connection after the receiver has responded.
	AnswerLost Fault = "answer lost"
	// SlowHeaders sends a good status line and then an endless header, one byte from time
	// to time.
	SlowHeaders Fault = "slow headers"
	// SlowBody sends status and headers of success and then an endless body, one byte
	// from time to time.
	SlowBody Fault = "slow body"
	// SlowError is SlowBody with status 503, and the receiver gets nothing.
	SlowError Fault = "slow body of an error"
	// Silence reads the request and never responds: a half-open connection.
	Silence Fault = "silence"
	// WriteSideClosed reads the request and closes its own side of the connection.
	WriteSideClosed Fault = "write side closed"
	// Garbage responds with bytes that are not HTTP.
	Garbage Fault = "garbage"
	// GarbageHeaders responds with bytes that are not headers after a good status line.
	GarbageHeaders Fault = "garbage after the status line"
	// GarbageBody passes on the receiver's status and headers, with a body in another
	// form.
	GarbageBody Fault = "garbage after the headers"
	// LargeError responds with 500 and a body of 1 MB.
	LargeError Fault = "error of 1 MB"
	// EndlessError responds with 400 and an endless body.
	EndlessError Fault = "endless error"
	// GzipBomb responds with 500 and a gzip body of 1 MB that expands to 1 GB.
	GzipBomb Fault = "gzip bomb"
	// Redirect301, Redirect307 and Redirect308 redirect to a server with another host
	// and port, see Proxy.Elsewhere.
	Redirect301 Fault = "301 elsewhere"
	Redirect307 Fault = "307 elsewhere"
	Redirect308 Fault = "308 elsewhere"
	// InformationalStorm responds with an endless sequence of 100 and 103 at once, and
	// InformationalDrizzle with one from time to time.
	InformationalStorm   Fault = "1xx storm"
	InformationalDrizzle Fault = "1xx drizzle"
	// HugeHeaders responds with 200 and an endless header.
	HugeHeaders Fault = "huge headers"
	// TLSAlert responds as a TLS server does to plain HTTP.
	TLSAlert Fault = "TLS alert"
)

// Faults yields all faults.
func Faults() iter.Seq[Fault] {
	return func(yield func(Fault) bool) {
		for i := range plays {
			if !yield(plays[i].fault) {
				return
			}
		}
	}
}

// Delivers reports whether the receiver gets the request.
func (f Fault) Delivers() bool { return f.play().delivers }

// Status is the HTTP status that the sender can read, 0 if there is none. A 2xx is the
// receiver's own.
func (f Fault) Status() int { return f.play().status }

func (f Fault) play() play {
	i := slices.IndexFunc(plays, func(p play) bool { return p.fault == f })
	if i < 0 {
		panic("remotewritetest: no fault " + string(f))
	}
	return plays[i]
}

// play is the implementation of a fault.
type play struct {
	fault    Fault
	delivers bool
	status   int
	// act is called when the request has been read and, if delivers is set, delivered.
	// The connection is closed after it.
	act func(*exchange)
}

// dripInterval is short enough that no idle timeout ends the connection, and so long
// that nothing completes.
const dripInterval = 50 * time.Millisecond

// The request of ResetInBody is never read to its end.
var plays = []play{
	{ResetInBody, false, 0, (*exchange).reset},
	{AnswerLost, true, 0, (*exchange).reset},
	{SlowHeaders, true, 0, func(x *exchange) {
		x.write("HTTP/1.1 200 OK\r\nX-Slow: ")
		x.drip("x")
	}},
	{SlowBody, true, http.StatusOK, func(x *exchange) {
		x.writeHead(http.StatusOK, "Content-Length: 1000000")
		x.drip("x")
	}},
	{SlowError, false, http.StatusServiceUnavailable, func(x *exchange) {
		x.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 1000000\r\n\r\n")
		x.drip("x")
	}},
	{Silence, false, 0, (*exchange).untilGone},
	{WriteSideClosed, false, 0, func(x *exchange) {
		_ = x.conn.CloseWrite()
		x.untilGone()
	}},
	{Garbage, false, 0, func(x *exchange) { x.write("\x00\xff\x1b[31m" + strings.Repeat("SSH-2.0-garbage\x00", 100)) }},
	{GarbageHeaders, false, 0, func(x *exchange) { x.write("HTTP/1.1 200 OK\r\n\x00\xff no colon\r\n\x01\r\n\r\n") }},
	{GarbageBody, true, http.StatusOK, func(x *exchange) {
		x.writeHead(http.StatusOK, "Transfer-Encoding: chunked")
		x.write("not a chunk's size\r\n\x00\xff")
	}},
	{LargeError, false, http.StatusInternalServerError, func(x *exchange) {
		x.write("HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Length: 1000000\r\n\r\n")
		x.write(strings.Repeat("0123456789", 100_000))
		x.untilGone()
	}},
	{EndlessError, false, http.StatusBadRequest, func(x *exchange) {
		x.write("HTTP/1.1 400 Bad Request\r\n\r\n") // without a length, so the body ends with the connection
		x.flood("endless ")
	}},
	{GzipBomb, false, http.StatusInternalServerError, func(x *exchange) {
		bomb := gzipBomb()
		x.write(fmt.Sprintf("HTTP/1.1 500 Internal Server Error\r\nConnection: close\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n", len(bomb)))
		x.write(bomb)
		x.untilGone()
	}},
	redirect(Redirect301, http.StatusMovedPermanently),
	redirect(Redirect307, http.StatusTemporaryRedirect),
	redirect(Redirect308, http.StatusPermanentRedirect),
	{InformationalStorm, false, 0, func(x *exchange) { x.flood(informational) }},
	{InformationalDrizzle, false, 0, func(x *exchange) { x.drip(informational) }},
	{HugeHeaders, false, 0, func(x *exchange) {
		x.write("HTTP/1.1 200 OK\r\n")
		x.flood("X-Huge: " + strings.Repeat("x", 1000) + "\r\n")
	}},
	// Alert protocol_version of RFC 8446, section 6, in a record of TLS 1.0.
	{TLSAlert, false, 0, func(x *exchange) { x.write("\x15\x03\x01\x00\x02\x02\x46") }},
}

const informational = "HTTP/1.1 103 Early Hints\r\nLink: </>; rel=preload\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n"

func redirect(fault Fault, status int) play {
	return play{fault, false, status, func(x *exchange) {
		x.write(fmt.Sprintf("HTTP/1.1 %d %s\r\nLocation: %s\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
			status, http.StatusText(status), x.proxy.elsewhereURL(x.request)))
		x.untilGone()
	}}
}

// BombSize is the decompressed size of the body of GzipBomb in bytes.
const BombSize = 1 << 30

// gzipBomb is a gzip body of 1 MB: one member, repeated (RFC 1952, section 2.2).
var gzipBomb = sync.OnceValue(func() string {
	const member = 1 << 20
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant of the package
	}
	_, _ = io.CopyN(z, zeros{}, member) // a buffer accepts everything
	_ = z.Close()
	return strings.Repeat(packed.String(), BombSize/member)
})

// zeros reads as endless bytes of 0.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
