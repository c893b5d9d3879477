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

// MaxResponseBytes is the most that a function may answer: 6 MB and a little.
const MaxResponseBytes = 6<<20 + 100

// apiPath is where the Runtime API begins; the date is its version.
const apiPath = "/2018-06-01/runtime/"

// api serves the Runtime API. It only passes on: what a request means for the
// invocation that runs is decided by Environment.
type api struct {
	arn    string
	sample func()          // called when the process is known to have done its work
	exited <-chan struct{} // closed when the process has ended

	asks       chan *ask           // a request for an event, taken by who can give one
	initErrors chan *FunctionError // the first failed initialisation

	mu      sync.Mutex
	current *invocation // the one handed over last
	done    bool        // current was answered, or there is none
}

// ask is an open request for the next event.
type ask struct {
	at    time.Time // when it arrived
	given chan *invocation
}

// invocation is one event on its way.
type invocation struct {
	id       string
	payload  []byte
	deadline time.Time
	answer   chan answer
}

// answer is what the function posted for an invocation.
type answer struct {
	payload []byte
	err     *FunctionError
}

func newAPI(arn string, sample func(), exited <-chan struct{}) *api {
	return &api{
		arn:        arn,
		sample:     sample,
		exited:     exited,
		asks:       make(chan *ask),
		initErrors: make(chan *FunctionError, 1),
		done:       true,
	}
}

func (a *api) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+apiPath+"invocation/next", a.next)
	mux.HandleFunc("POST "+apiPath+"invocation/{id}/response", a.response)
	mux.HandleFunc("POST "+apiPath+"invocation/{id}/error", a.failure)
	mux.HandleFunc("POST "+apiPath+"init/error", a.initError)
	return mux
}

// next holds the request open until there is an event.
func (a *api) next(w http.ResponseWriter, r *http.Request) {
	request := &ask{at: time.Now(), given: make(chan *invocation, 1)}
	a.sample()
	if !a.idle() {
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the last invocation was not answered")
		return
	}
	select {
	case a.asks <- request:
	case <-r.Context().Done():
		return
	case <-a.exited:
		return
	}
	select {
	case inv := <-request.given:
		a.hand(w, inv)
	case <-r.Context().Done():
	case <-a.exited:
	}
}

// hand gives an event to the function.
func (a *api) hand(w http.ResponseWriter, inv *invocation) {
	a.mu.Lock()
	a.current, a.done = inv, false
	a.mu.Unlock()
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Lambda-Runtime-Aws-Request-Id", inv.id)
	h.Set("Lambda-Runtime-Deadline-Ms", strconv.FormatInt(inv.deadline.UnixMilli(), 10))
	h.Set("Lambda-Runtime-Invoked-Function-Arn", a.arn)
	h.Set("Lambda-Runtime-Trace-Id", traceID(time.Now()))
	_, _ = w.Write(inv.payload) // a process that has gone is noticed by its end
}

func (a *api) response(w http.ResponseWriter, r *http.Request) {
	body, err := read(w, r)
	tooLarge := (*http.MaxBytesError)(nil)
	switch {
	case errors.As(err, &tooLarge):
		a.answer(w, r, http.StatusRequestEntityTooLarge, answer{err: &FunctionError{
			Type:    TypeTooLarge,
			Message: fmt.Sprintf("Response payload size exceeded maximum allowed payload size (%d bytes).", tooLarge.Limit),
		}})
	case err == nil:
		a.answer(w, r, http.StatusAccepted, answer{payload: body})
	}
}

func (a *api) failure(w http.ResponseWriter, r *http.Request) {
	a.sample() // after a panic the process ends without asking for an event
	if body, err := read(w, r); err == nil {
		a.answer(w, r, http.StatusAccepted, answer{payload: body, err: functionError(body, r.Header)})
	}
}

func (a *api) initError(w http.ResponseWriter, r *http.Request) {
	body, err := read(w, r)
	if err != nil {
		return
	}
	select {
	case a.initErrors <- functionError(body, r.Header):
	default: // the first one counts
	}
	accept(w, http.StatusAccepted)
}

// answer passes on what was posted, once an invocation.
func (a *api) answer(w http.ResponseWriter, r *http.Request, status int, ans answer) {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.current == nil || r.PathValue("id") != a.current.id:
		refuse(w, http.StatusBadRequest, "InvalidRequestID", "not the invocation that runs")
	case a.done:
		refuse(w, http.StatusForbidden, "InvalidStateTransition", "the invocation was answered already")
	default:
		a.done = true
		a.current.answer <- ans
		accept(w, status)
	}
}

// idle tells whether the function owes no answer.
func (a *api) idle() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.done
}

// read gives the whole body. A body that breaks off is no answer: the process that
// was posting it is ending.
func read(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	return io.ReadAll(http.MaxBytesReader(w, r.Body, MaxResponseBytes))
}

// functionError reads the error that was posted. A runtime may post anything, so
// what cannot be read is the message itself.
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

// refuse answers as the Runtime API does to a runtime that breaks its rules.
func refuse(w http.ResponseWriter, status int, errorType, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(FunctionError{Type: errorType, Message: message})
}
