package e2e

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
)

// proxy forwards requests to a server and lets a test observe or refuse them.
type proxy struct {
	url string

	mu sync.Mutex
	// before and after are called before and after each forwarded request, the latter
	// before the response is sent. They may be nil.
	before, after func(*http.Request)
	// refusing counts down to the request that gets status as its response.
	refusing, status int
	// serial forwards one request at a time: unlike S3, Moto does not check the
	// condition of a write atomically with the write.
	serial *sync.Mutex
}

// startProxy starts a proxy to the server at a URL. Paths are kept.
func startProxy(t testing.TB, target string) *proxy {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	reverse := &httputil.ReverseProxy{
		Rewrite:   func(r *httputil.ProxyRequest) { r.Out.URL.Scheme, r.Out.URL.Host = to.Scheme, to.Host },
		Transport: transport,
		// Clients are killed on purpose.
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	p := &proxy{}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { p.pass(reverse, w, r) }))
	p.url = server.URL + to.Path
	t.Cleanup(func() {
		server.Close()
		transport.CloseIdleConnections()
	})
	return p
}

func (p *proxy) pass(next http.Handler, w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	before, after := p.before, p.after
	p.refusing--
	refused, status := p.refusing == 0, p.status
	p.mu.Unlock()
	if before != nil {
		before(r)
	}
	if refused {
		w.WriteHeader(status)
		return
	}
	if r.Context().Err() != nil {
		return // the client is gone, and its request is dropped
	}
	if p.serial != nil {
		p.serial.Lock()
		defer p.serial.Unlock()
	}
	if after == nil {
		next.ServeHTTP(w, r)
		return
	}
	recorder := httptest.NewRecorder()
	next.ServeHTTP(recorder, r)
	after(r)
	for name, values := range recorder.Header() {
		w.Header()[name] = values
	}
	w.WriteHeader(recorder.Code)
	_, _ = w.Write(recorder.Body.Bytes()) // to a client that may be gone
}

// watch sets what is called around each request; nil for nothing.
func (p *proxy) watch(before, after func(*http.Request)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.before, p.after = before, after
}

// refuse responds to the n-th request from now with a status.
func (p *proxy) refuse(n, status int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.refusing, p.status = n, status
}

// moto is Moto's server for the tests that keep states in S3.
type moto struct {
	url    string
	serial sync.Mutex
}

// bucket makes a bucket and returns a proxy to it.
func (m *moto) bucket(t testing.TB, name string) *proxy {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, m.url+"/"+name, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("make the bucket %s: %s", name, response.Status)
	}
	p := startProxy(t, m.url)
	p.serial = &m.serial
	return p
}
