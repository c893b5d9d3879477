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

// Fault is a way in which what stands between a sender and a receiver goes
// wrong: see Proxy.
type Fault string

// The faults. Those of which Delivers is true happen after the receiver has taken
// the request.
const (
	// ResetInBody resets the connection in the middle of the request's body.
	ResetInBody Fault = "reset in the request body"
	// AnswerLost resets the connection when the receiver has answered.
	AnswerLost Fault = "answer lost"
	// SlowHeaders sends a good status line, and then a header that does not end, a
	// byte now and then.
	SlowHeaders Fault = "slow headers"
	// SlowBody sends status and headers of success, and then a body that does not
	// end, a byte now and then.
	SlowBody Fault = "slow body"
	// SlowError is SlowBody with status 503, and the receiver gets nothing.
	SlowError Fault = "slow body of an error"
	// Silence takes the request and never answers: a connection half open.
	Silence Fault = "silence"
	// WriteSideClosed takes the request and closes its own side of the connection.
	WriteSideClosed Fault = "write side closed"
	// Garbage answers with bytes that are not HTTP.
	Garbage Fault = "garbage"
	// GarbageHeaders answers with bytes that are not headers after a good status
	// line.
	GarbageHeaders Fault = "garbage after the status line"
	// GarbageBody passes on the receiver's status and headers, with a body that is
	// not in the form they tell.
	GarbageBody Fault = "garbage after the headers"
	// LargeError answers 500 with a body of 1 MB.
	LargeError Fault = "error of 1 MB"
	// EndlessError answers 400 with a body that does not end.
	EndlessError Fault = "endless error"
	// GzipBomb answers 500 with a gzip body of 1 MB that holds 1 GB.
	GzipBomb Fault = "gzip bomb"
	// Redirect301, Redirect307 and Redirect308 send the sender elsewhere: to a
	// server of another host and port, see Proxy.Elsewhere.
	Redirect301 Fault = "301 elsewhere"
	Redirect307 Fault = "307 elsewhere"
	Redirect308 Fault = "308 elsewhere"
	// InformationalStorm answers with 100 and 103 without end, at once, and
	// InformationalDrizzle one now and then.
	InformationalStorm   Fault = "1xx storm"
	InformationalDrizzle Fault = "1xx drizzle"
	// HugeHeaders answers 200 with a header that does not end.
	HugeHeaders Fault = "huge headers"
	// TLSAlert answers as a TLS server does to plain HTTP.
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

// Status is the HTTP status that the sender can read, 0 if there is none. If it
// is 2xx the receiver's own answer is behind it.
func (f Fault) Status() int { return f.play().status }

func (f Fault) play() play {
	i := slices.IndexFunc(plays, func(p play) bool { return p.fault == f })
	if i < 0 {
		panic("remotewritetest: no fault " + string(f))
	}
	return plays[i]
}

// play is how a fault is played.
type play struct {
	fault    Fault
	delivers bool
	status   int
	// act gets the exchange when the request has been read and, if it is to be,
	// delivered; the connection is closed after it.
	act func(*exchange)
}

// dripInterval is what "now and then" means: often enough that no timeout for
// silence on a connection would notice, so seldom that nothing comes to its end.
const dripInterval = 50 * time.Millisecond

// ResetInBody has no act: the request is never read to its end.
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
		x.write("HTTP/1.1 400 Bad Request\r\n\r\n") // so the body lasts as long as the connection
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

// BombSize is how many bytes the body of GzipBomb holds.
const BombSize = 1 << 30

// gzipBomb is a gzip body of 1 MB. Members may follow each other (RFC 1952,
// section 2.2), so a small one is repeated.
var gzipBomb = sync.OnceValue(func() string {
	const member = 32 << 20
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err != nil {
		panic(err) // the level is a constant of the package
	}
	_, _ = io.CopyN(z, zeros{}, member) // a buffer takes everything
	_ = z.Close()
	return strings.Repeat(packed.String(), BombSize/member)
})

// zeros reads as bytes of 0 without end.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
