package remotewritetest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answer is one scripted answer. The zero value is the answer that the request
// deserves.
//
// The request is checked all the same, unless its body is not read; it is stored
// only if the answer is 2xx, or in part, see Refuse.
type Answer struct {
	// Status is the answer's. 0 is that which the request deserves, after Delay.
	Status int
	// Header are the answer's headers. A 2.0 request that is answered with 2xx, or
	// with a status that it deserves, or by way of Refuse, has the numbers of what
	// was written added, unless one of these headers is here: then that is all
	// that the sender is told.
	Header http.Header
	// NoWritten leaves those numbers out, as 1.0 receivers do.
	NoWritten bool
	// Refuse, if set, is asked about each series. Those that it returns a text for
	// are left out and the others stored, whatever the status. The request
	// deserves a 400 with the first text, or what it deserves in any case if there
	// is none.
	Refuse func(Series) string
	// Body is the answer's body. BodySize, if larger, repeats it up to that number
	// of bytes.
	Body     string
	BodySize int64
	// Delay is waited before the answer, or until the client goes away.
	Delay time.Duration
	// Wait, if set, is called before the answer.
	Wait func()
	// Unread answers without reading the body; ReadOnly, if not 0, after reading
	// that many bytes of it.
	Unread   bool
	ReadOnly int64
	// Close closes the connection without an answer.
	Close bool
	// Stall sends the headers and as much of the body as there is, and does not end
	// it until the client goes away.
	Stall bool
	// Do, if set, answers instead of all this. It may hijack the connection.
	Do http.HandlerFunc
}

// unread reports whether the request's body is left alone.
func (a *Answer) unread() bool { return a != nil && (a.Unread || a.ReadOnly > 0 || a.Do != nil) }

// stores reports whether what the request holds is to be stored.
func (a *Answer) stores() bool {
	return a == nil || !a.unread() && (a.Refuse != nil || !a.Close && (a.Status == 0 || a.Status/100 == 2))
}

// confirms reports whether a 2.0 answer has the numbers of what was written.
func (a *Answer) confirms() bool {
	return a == nil || !a.NoWritten && a.Do == nil && (a.Refuse != nil || a.Status == 0 || a.Status/100 == 2)
}

// aborts reports whether the status is not known here: there is none, or Do's.
func (a *Answer) aborts() bool { return a.Close || a.Do != nil }

// answer plays the script. It returns false if the answer that the request
// deserves is still to be given. The headers have been set.
func (a *Answer) answer(w http.ResponseWriter, req *http.Request) bool {
	if a.Delay > 0 {
		t := time.NewTimer(a.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-req.Context().Done():
		}
	}
	if a.Wait != nil {
		a.Wait()
	}
	if a.ReadOnly > 0 {
		_, _ = io.CopyN(io.Discard, req.Body, a.ReadOnly)
	}
	switch {
	case a.Do != nil:
		a.Do(w, req)
		return true
	case a.Close:
		panic(http.ErrAbortHandler)
	case a.Status == 0:
		return false
	}
	size := max(a.BodySize, int64(len(a.Body)))
	if !a.Stall && w.Header().Get("Content-Length") == "" {
		w.Header().Set("Content-Length", strconv.FormatInt(size, 10))
	}
	w.WriteHeader(a.Status)
	if size > 0 && req.Method != http.MethodHead {
		_, _ = io.CopyN(w, &repeated{text: orSpace(a.Body)}, size)
	}
	if a.Stall {
		_ = http.NewResponseController(w).Flush()
		<-req.Context().Done()
		panic(http.ErrAbortHandler)
	}
	return true
}

func orSpace(s string) string {
	if s == "" {
		return " "
	}
	return s
}

// repeated reads a text over and over.
type repeated struct {
	text string
	rest strings.Reader
}

func (r *repeated) Read(p []byte) (int, error) {
	if r.rest.Len() == 0 {
		r.rest.Reset(r.text)
	}
	return r.rest.Read(p)
}
