package remotewritetest

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Answer is one scripted response. The zero value is the response that the request
// gets without a script.
//
// The request is checked in any case, unless its body is not read. It is stored only if
// the response is 2xx, or in part, see Refuse, or whatever the response, see Store.
type Answer struct {
	// Status is the response's. 0 is that of an unscripted response, after Delay.
	Status int
	// Header are the response's headers. The Written headers are added to the response
	// to a 2.0 request if it is a 2xx, or unscripted, or determined by Refuse, unless
	// Header has one of them.
	Header http.Header
	// NoWritten omits the Written headers, as 1.0 receivers do.
	NoWritten bool
	// Refuse, if set, is called for each series. Those for which it returns a text are
	// not stored and the others are, whatever the status. Without a Status the response
	// is 400 with the first text, or the unscripted one if there is none.
	Refuse func(Series) string
	// Store stores the request, or what Refuse leaves of it, whatever the response, also
	// if there is none. Only a 2xx has Written headers then.
	Store bool
	// Body is the response's body. BodySize, if larger, repeats it up to that number
	// of bytes.
	Body     string
	BodySize int64
	// Delay is the wait before the response. It ends early if the client goes away.
	Delay time.Duration
	// Wait, if set, is called before the response.
	Wait func()
	// Unread responds without reading the body; ReadOnly, if not 0, after reading that
	// many bytes of it.
	Unread   bool
	ReadOnly int64
	// Close closes the connection without a response.
	Close bool
	// Stall sends the headers and the body, and does not end it until the client goes
	// away.
	Stall bool
	// Do, if set, responds instead of all this. It may hijack the connection.
	Do http.HandlerFunc
}

// unread reports whether the request's body is not read to its end.
func (a *Answer) unread() bool { return a != nil && (a.Unread || a.ReadOnly > 0 || a.Do != nil) }

// stores reports whether the content of the request is stored.
func (a *Answer) stores() bool {
	return a == nil || !a.unread() && (a.Store || a.Refuse != nil || !a.Close && (a.Status == 0 || a.Status/100 == 2))
}

// confirms reports whether a 2.0 response has Written headers.
func (a *Answer) confirms() bool {
	return a == nil || !a.NoWritten && a.Do == nil && (a.Refuse != nil || a.Status == 0 || a.Status/100 == 2)
}

// aborts reports whether the status is unknown: there is none, or Do sets it.
func (a *Answer) aborts() bool { return a.Close || a.Do != nil }

// answer responds as scripted. It returns false if the unscripted response has to
// follow. The headers have been set.
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

// repeated reads a text again and again.
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
