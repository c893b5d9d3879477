//go:build unix

package lambdatest

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// MaxResponseBytes is the maximum size of a function's response.
const MaxResponseBytes = 6<<20 + 100

// apiPath is the path of the Runtime API; the date is its version.
const apiPath = "/2018-06-01/runtime/"

// api serves the Runtime API. It only passes requests on; Environment decides what they
// mean for the invocation.
type api struct {
	arn    string
	sample func()          // called after the process has done its work
	exited <-chan struct{} // closed when the process has ended

	requests   chan *nextRequest   // requests for an event
	initErrors chan *FunctionError // the first failed initialisation

	mu      sync.Mutex
	current *invocation // the last one that was sent
	done    bool        // current has a response, or is nil
}

// nextRequest is an open request for the next event.
type nextRequest struct {
	at    time.Time // of its arrival
	event chan *invocation
}

// invocation is an event that is sent to the function.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	response chan response
}

// response is what the function posted for an invocation.
type response struct {
	payload []byte
	err     *FunctionError
}

func newAPI(arn string, sample func(), exited <-chan struct{}) *api {
	return &api{
		arn:        arn,
		sample:     sample,
		exited:     exited,
		requests:   make(chan *nextRequest),
		initErrors: make(chan *FunctionError, 1),
		done:       true,
	}
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+apiPath+"invocation/next", a.next)
	mux.HandleFunc("POST "+apiPath+"invocation/{id}/response", a.postResponse)
	mux.HandleFunc("POST "+apiPath+"invocation/{id}/error", a.postError)
	mux.HandleFunc("POST "+apiPath+"init/error", a.initError)
	return mux
}

// next keeps the request open until there is an event.
func (a *api) next(w http.ResponseWriter, r *http.Request) {
	request := &nextRequest{at: time.Now(), event: make(chan *invocation, 1)}
	a.sample()
	if !a.idle() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the last invocation has no response")
		return
	}
	select {
	case a.requests <- request:
	case <-r.Context().Done():
		return
	case <-a.exited:
		return
	}
	select {
	case inv := <-request.event:
		a.send(w, inv)
	case <-r.Context().Done():
	case <-a.exited:
	}
}

// send sends an event to the function.
func (a *api) send(w http.ResponseWriter, inv *invocation) {
	a.mu.Lock()
	a.current, a.done = inv, false
	a.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", a.arn)
	h.Set("Lambda-Runtime-Trace-Id", traceID(time.Now()))
	_, _ = w.Write(inv.payload) // the end of the process is handled elsewhere
}

func (a *api) postResponse(w http.ResponseWriter, r *http.Request) {
	body, err := read(w, r)
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		a.respond(w, r, http.StatusRequestEntityTooLarge, response{err: &FunctionError{
			Type:    TypeTooLarge,
			Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", tooLarge.Limit),
		}})
	case err == nil:
		a.respond(w, r, http.StatusAccepted, response{payload: body})
	}
}

func (a *api) postError(w http.ResponseWriter, r *http.Request) {
	a.sample() // after a panic the process ends without another request
	if body, err := read(w, r); err == nil {
		a.respond(w, r, http.StatusAccepted, response{payload: body, err: functionError(body, r.Header)})
	}
}

func (a *api) initError(w http.ResponseWriter, r *http.Request) {
	body, err := read(w, r)
	if err != nil {
		return
	}
	select {
	case a.initErrors <- functionError(body, r.Header):
	default: // only the first one is used
	}
	accept(w, http.StatusAccepted)
}

// respond passes on what was posted, once an invocation.
func (a *api) respond(w http.ResponseWriter, r *http.Request, status int, posted response) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.current == nil || r.PathValue("id") != a.current.id:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "not the current invocation")
	case a.done:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation has a response already")
	default:
		a.done = true
		a.current.response <- posted
		accept(w, status)
	}
}

// idle reports whether no response is due.
func (a *api) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done
}

// read returns the complete body. An incomplete body is ignored: the process is ending.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, MaxResponseBytes))
}

// functionError decodes a posted error. A runtime may post anything: a body that cannot be
// decoded is the message.
func functionError(body []byte, h http.Header) *FunctionError {
	var e FunctionError
	if err := json.Unmarshal(body, &e); err != nil {
		e = FunctionError{Message: string(body)}
	}
	if e.Type == "" {
		e.Type = h.Get("Lambda-Runtime-Function-Error-Type")
	}
	return &e
}

func accept(w http.ResponseWriter, status int) {
	w.WriteHeader(status)
	_, _ = io.WriteString(w, `{"status":"OK"}`)
}

// refuse responds as the Runtime API does to an invalid request.
func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(FunctionError{Type: errorType, Message: message})
}
