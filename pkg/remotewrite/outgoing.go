package remotewrite

import (
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"sync"
)

// outgoing notes the headers of an attempt as they are written, authentication
// included. An answer names the request that it is for, but an error does not, and
// the HTTP client's errors quote an answer that it cannot read: one that repeats
// the request shows what is secret in it.
type outgoing struct {
	mu     sync.Mutex
	header http.Header
}

// trace notes what is written, from the transport's goroutine.
func (o *outgoing) trace() *httptrace.ClientTrace {
	return &httptrace.ClientTrace{WroteHeaderField: func(name string, values []string) {
		// Where the request goes is no secret but for the query, which is in the URL.
		if name == "Host" || strings.HasPrefix(name, ":") {
			return
		}
		o.mu.Lock()
		defer o.mu.Unlock()
		if o.header == nil {
			o.header = make(http.Header)
		}
		for _, v := range values {
			o.header.Add(name, v) // in canonical form, which HTTP/2 does not write
		}
	}}
}

// blank returns the error without the secrets of the request in its text.
func (o *outgoing) blank(req *http.Request, err error) error {
	o.mu.Lock()
	sent := &http.Request{Header: o.header.Clone(), URL: req.URL}
	o.mu.Unlock()
	text := err.Error()
	for _, secret := range secretsOf(sent, &http.Response{}) {
		if len(secret) < 4 {
			continue
		}
		text = strings.ReplaceAll(text, secret, "REDACTED")
		quoted := strconv.Quote(secret)
		text = strings.ReplaceAll(text, quoted[1:len(quoted)-1], "REDACTED")
	}
	if text == err.Error() {
		return err
	}
	return &blankedError{text, err}
}

// blankedError is an error with another text.
type blankedError struct {
	text string
	err  error
}

func (e *blankedError) Error() string { return e.text }
func (e *blankedError) Unwrap() error { return e.err }
