package remotewrite

import (
	"errors"
	"io"
	"sync"
)

// lease lends the bytes of one attempt to the transport, until its end.
//
// A transport may read a request's body after Do has returned: for instance
// when the answer came before the body was sent. The bytes are those of a batch
// that is soon filled anew. So every read copies under a lock, and after the end
// there are no more.
type lease struct {
	mu    sync.Mutex
	data  []byte
	ended bool
}

var errLeaseEnded = errors.New("the attempt that this body belongs to is over")

// body returns a reader from the start.
func (l *lease) body() io.ReadCloser { return &leasedBody{lease: l} }

// again is the request's GetBody: the signer hashes one copy, and the transport
// takes one if a kept connection turns out to be closed.
func (l *lease) again() (io.ReadCloser, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended {
		return nil, errLeaseEnded
	}
	return l.body(), nil
}

// end waits for a read that is under way and lets no other begin.
func (l *lease) end() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ended = true
	l.data = nil
}

type leasedBody struct {
	lease *lease
	at    int
	whole bool // all of it has been read
}

// Read implements io.Reader.
func (b *leasedBody) Read(p []byte) (int, error) {
	b.lease.mu.Lock()
	defer b.lease.mu.Unlock()
	switch {
	case b.whole:
		// Also after the end, so that the transport's look for bytes beyond
		// Content-Length does not cost a good connection.
		return 0, io.EOF
	case b.lease.ended:
		return 0, errLeaseEnded
	}
	n := copy(p, b.lease.data[b.at:])
	b.at += n
	b.whole = b.at == len(b.lease.data)
	return n, nil
}

// Close implements io.Closer.
func (b *leasedBody) Close() error { return nil }
