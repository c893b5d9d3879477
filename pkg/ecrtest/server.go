package ecrtest

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Server shows registries to clients as the ECR API. It is an [http.Handler];
// [Start] and [StartPipe] also serve it. Settings may be changed at any time and
// hold for the requests that come after.
type Server struct {
	registry *Registry
	routes   map[string]*operation
	tokens   tokenBox

	trouble  trouble
	observed observed
	link     link

	mu        sync.Mutex
	others    map[string]*Registry
	policy    *Policy
	accessKey string
	clock     func() time.Time
}

// New returns a server of a registry, answering at once and without a fault.
func New(reg *Registry) *Server {
	s := &Server{
		registry: reg,
		routes:   make(map[string]*operation, len(operations)),
		tokens:   newTokenBox(),
		others:   make(map[string]*Registry),
	}
	for i := range operations {
		s.routes[operations[i].route] = &operations[i]
	}
	return s
}

// AddRegistry makes another account's registry visible to calls that give its
// registryId, as if that account's policies allowed it. A registryId of any other
// account is answered with AccessDeniedException.
func (s *Server) AddRegistry(reg *Registry) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.others[reg.id] = reg
}

func (s *Server) registryOf(id string) *Registry {
	if id == s.registry.id {
		return s.registry
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.others[id]
}

// SetPolicy makes the server enforce an IAM policy on every call that follows;
// nil allows everything, which is the default.
func (s *Server) SetPolicy(p *Policy) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.policy = p
}

func (s *Server) currentPolicy() *Policy {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.policy
}

// user is the caller as messages name it.
func (s *Server) user() string {
	return "arn:" + s.registry.partition() + ":sts::" + s.registry.id + ":assumed-role/ecr-remote-write/ecr-remote-write"
}

// maxBody bounds a request's body. The largest that the API knows names 100
// images.
const maxBody = 1 << 20

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.link.enter() {
		breakConnection(w)
		return
	}
	defer s.link.leave()
	// Read to its end before anything else: net/http watches for a client that
	// goes away only from there on, and latency has to end with it.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	id := s.trouble.requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	op := s.routes[routeOf(r)]
	seen := Request{ID: id, Operation: routeOf(r)}
	if op != nil {
		seen = newRequest(id, op, body)
	}
	seen.At = s.now()
	rec := s.observed.begin(seen)
	var out outcome
	defer func() { s.observed.end(rec, out) }()
	switch {
	case err != nil:
		out = protocolOf(op).writeError(w, newError("SerializationException", ""))
	case op == nil:
		out = protocolOf(op).writeError(w, newError("UnknownOperationException", ""))
	default:
		out = s.serve(w, r, op, rec, body)
	}
}

// serve answers a request of a known operation and reports what it answered.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, op *operation, rec *Request, body []byte) outcome {
	if err := s.trouble.delay(r.Context(), op.name); err != nil {
		// Nobody may take the empty answer of a handler that just returns for one.
		breakConnection(w)
		return cancelled
	}
	if err := s.authenticate(r, op.service); err != nil {
		return op.protocol.writeError(w, err)
	}
	s.trouble.runHooks(rec)
	fault := s.trouble.next(rec)
	if fault != nil && !fault.answers() {
		return op.protocol.writeFault(w, fault)
	}
	if !s.trouble.admit(op.name) {
		return op.protocol.writeError(w, newError("ThrottlingException", "Rate exceeded"))
	}
	answer, err := op.answer(&call{server: s, op: op}, body)
	if err != nil {
		return op.protocol.writeError(w, op.protocol.asAPIError(err))
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return op.protocol.writeError(w, op.protocol.asAPIError(err))
	}
	if fault != nil {
		return op.protocol.writeDamaged(r.Context(), w, text, fault)
	}
	return op.protocol.write(w, http.StatusOK, text)
}

// asAPIError turns an error that is not the API's own into the one that AWS
// shows for a fault of its own.
func (p protocol) asAPIError(err error) *apiError {
	if modelled, ok := errors.AsType[*apiError](err); ok {
		return modelled
	}
	return &apiError{status: http.StatusInternalServerError, code: p.fault(), message: err.Error()}
}

// outcome is what became of a request.
type outcome struct {
	status int    // 0 if no answer was sent
	code   string // the error's type, or what went wrong below the API
}

// cancelled is the outcome of a request whose client, or whose server, did not
// wait for the answer.
var cancelled = outcome{code: "cancelled"}
