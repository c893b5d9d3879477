package remotewrite

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite/internal/wire"
)

const (
	// maxErrorBody is how many bytes of a response's body are kept: as many as
	// Prometheus shows.
	maxErrorBody = 1024
	// maxBodyRead is how many are read, so that a connection whose response was short
	// can be reused. It also leaves room for a secret that spans the cut at
	// maxErrorBody.
	maxBodyRead = 16 << 10
	// bodyTimeout is how long reading them may take. The status is known by then, so
	// a body that does not end costs only the connection.
	bodyTimeout = time.Second
)

// client makes single attempts to one endpoint.
type client struct {
	url       *url.URL
	logURL    string // without query and user info
	http      *http.Client
	timeout   time.Duration // of one attempt
	userAgent string
}

// response is what is kept of an HTTP response.
type response struct {
	status     int
	retryAfter time.Duration
	body       string // of an error
	written    written
}

// post makes one attempt. An error means that there was no response. It also reports
// whether the request went out: something of it was written to a connection, so that
// the receiver may have all of it.
func (c *client) post(ctx context.Context, p Protocol, body []byte) (_ *response, out bool, _ error) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()

	guard := &bodyGuard{data: body}
	defer guard.end()
	var sent sentHeaders
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, sent.trace()), http.MethodPost, c.url.String(), guard.reader())
	if err != nil {
		return nil, false, err
	}
	req.ContentLength = int64(len(body))
	req.GetBody = guard.getBody
	h := req.Header
	h.Set("Content-Type", wire.Protocol(p).ContentType())
	h.Set("Content-Encoding", "snappy")
	h.Set("X-Prometheus-Remote-Write-Version", wire.Protocol(p).Version())
	h.Set("User-Agent", c.userAgent)
	// Else a transport may ask for gzip after the request has been signed, and
	// decompress without a limit.
	h.Set("Accept-Encoding", "identity")

	resp, err := c.http.Do(req)
	if err != nil {
		// A transport that is not net/http's need not report what it writes.
		return nil, sent.any() || guard.wasRead(), sent.redact(req, noResponse(parent, ctx, c.timeout, err))
	}
	r := &response{
		status:     resp.StatusCode,
		retryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		written:    parseWritten(resp.Header),
	}
	timer := time.AfterFunc(bodyTimeout, cancel)
	defer timer.Stop()
	// An error is ignored: the status says enough.
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBodyRead))
	_ = resp.Body.Close()
	if judge(r.status) != accepted {
		if resp.Request != nil {
			req = resp.Request // as it was sent: authenticated
		}
		r.body = redactBody(string(text), len(text) == maxBodyRead, secretsOf(req))
	}
	return r, true, nil
}

// noResponse says why there was no response. The client's own error is not used as
// it is: it holds the whole URL, and for a timeout says no more than "context
// deadline exceeded".
func noResponse(parent, ctx context.Context, timeout time.Duration, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	switch {
	case errors.Is(parent.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no response before the deadline of the push: %w", err)
	case parent.Err() != nil:
		return fmt.Errorf("no response before the push was canceled: %w", err)
	case ctx.Err() != nil:
		return fmt.Errorf("no response within %s: %w", timeout, err)
	}
	return err
}

// bodyGuard gives the transport the bytes of one attempt until its end.
//
// A transport may read a request's body after Do has returned, for instance if the
// response came before the body was sent, and the bytes belong to a batch that is
// soon filled again. So every read copies under a lock, and none succeeds after the
// end.
type bodyGuard struct {
	mu    sync.Mutex
	data  []byte
	ended bool
	read  bool // something of the request's own copy; the signer hashes another
}

var errAttemptEnded = errors.New("the attempt that this body belongs to has ended")

// reader returns the request's own copy.
func (g *bodyGuard) reader() io.ReadCloser { return &guardedReader{guard: g, own: true} }

func (g *bodyGuard) wasRead() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.read
}

// getBody is the request's GetBody: the signer hashes one copy, and the transport
// needs one if a kept connection turns out to be closed.
func (g *bodyGuard) getBody() (io.ReadCloser, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.ended {
		return nil, errAttemptEnded
	}
	return &guardedReader{guard: g}, nil
}

// end waits for a read in progress and makes later ones fail.
func (g *bodyGuard) end() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.ended = true
	g.data = nil
}

type guardedReader struct {
	guard *bodyGuard
	own   bool // see bodyGuard.read
	at    int
	whole bool // all of it has been read
}

// Read implements io.Reader.
func (r *guardedReader) Read(p []byte) (int, error) {
	r.guard.mu.Lock()
	defer r.guard.mu.Unlock()
	switch {
	case r.whole:
		// Also after the end, so that the transport's check for bytes beyond
		// Content-Length does not cost a good connection.
		return 0, io.EOF
	case r.guard.ended:
		return 0, errAttemptEnded
	}
	n := copy(p, r.guard.data[r.at:])
	r.at += n
	r.guard.read = r.guard.read || r.own
	r.whole = r.at == len(r.guard.data)
	return n, nil
}

// Close implements io.Closer.
func (r *guardedReader) Close() error { return nil }
