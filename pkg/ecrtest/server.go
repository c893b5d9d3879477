package ecrtest

import (
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// Server is the ECR API of registries. It is an [http.Handler]; [Start] and [StartPipe] also
// serve it. Settings may be changed at any time and apply to later requests.
type Server struct {
	registry *Registry
	routes   map[string]*operation
	tokens   tokenBox

	injected injected
	observed observed
	link     link

	mu        sync.Mutex
	others    map[string]*Registry
	policy    *Policy
	accessKey string
	caller    string
	// organisation is set if the server is of one, whose keys its callers have.
	organisation *Organisation

	noLowCounts bool
	clock       func() time.Time
}

// New returns a server of a registry without faults and latency.
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

// AddRegistry adds the registry of another account, as if that account's policies allowed
// access. Calls with any other registryId get AccessDeniedException.
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

// SetPolicy makes the server enforce an IAM policy on later calls. nil, the default, allows
// everything.
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

// user is the ARN of the caller, see SetCaller.
func (s *Server) user() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.caller != "" {
		return s.caller
	}
	return "arn:" + s.registry.partition() + ":sts::" + s.registry.id + ":assumed-role/ecr-remote-write/ecr-remote-write"
}

// maxBody bounds a request's body in bytes. The largest in the API has 100 images.
const maxBody = 1 << 20

// ServeHTTP handles one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !s.link.enter() {
		breakConnection(w)
		return
	}
	defer s.link.leave()
	// Read the whole body first: only then does net/http notice that a client is gone,
	// which has to end the latency.
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	id := s.injected.requestID()
	w.Header().Set("X-Amzn-Requestid", id)
	route := routeOf(r, body)
	op := s.routes[route]
	seen := Request{ID: id, Operation: route}
	if op != nil {
		seen = newRequest(id, op, body)
	}
	seen.At, seen.Account, seen.Region = s.now(), s.registry.id, s.registry.region
	seen.AccessKey = readCredential(r).accessKey
	rec := s.observed.begin(seen)
	var out response
	defer func() { s.observed.end(rec, out, s.now()) }()
	switch {
	case err != nil:
		out = protocolOf(op).writeError(w, newError("SerializationException", ""))
	case op == nil:
		out = protocolOf(op).writeError(w, newError("UnknownOperationException", ""))
	default:
		out = s.serve(w, r, op, rec, body)
	}
}

// serve handles a request of a known operation and returns the response.
func (s *Server) serve(w http.ResponseWriter, r *http.Request, op *operation, rec *Request, body []byte) response {
	if err := s.injected.delay(r.Context(), op.name); err != nil {
		// If the handler just returned, the client would get an empty response.
		breakConnection(w)
		return cancelled
	}
	who, err := s.authenticate(r, op.service)
	if err != nil {
		return op.protocol.writeError(w, op.protocol.named(err))
	}
	s.injected.runHooks(rec)
	fault := s.injected.next(rec)
	if fault != nil && !fault.runs() {
		return op.protocol.writeFault(w, fault)
	}
	if !s.injected.admit(op.name) {
		return op.protocol.writeError(w, op.protocol.named(newError("ThrottlingException", "Rate exceeded")))
	}
	out, failure := op.handle(&call{server: s, op: op, caller: who}, body)
	if failure != nil {
		return op.protocol.writeError(w, op.protocol.named(op.protocol.asAPIError(failure)))
	}
	text, failure := op.protocol.encode(out)
	if failure != nil {
		return op.protocol.writeError(w, op.protocol.asAPIError(failure))
	}
	if fault != nil {
		return op.protocol.writeWithFault(r.Context(), w, text, fault)
	}
	// A client can have read a large response before write returns.
	s.observed.end(rec, response{status: http.StatusOK}, s.now())
	return op.protocol.write(w, http.StatusOK, text)
}

// asAPIError converts any other error into the API's error for internal failures.
func (p protocol) asAPIError(err error) *apiError {
	if modelled, ok := errors.AsType[*apiError](err); ok {
		return modelled
	}
	return &apiError{status: http.StatusInternalServerError, code: p.fault(), message: err.Error()}
}

// response is the result of a request.
type response struct {
	status int    // 0 if no response was sent
	code   string // the type of the error, see [Request.Code]
}

// cancelled is the result if the client or the server did not wait for the response.
var cancelled = response{code: "cancelled"}
