//go:build unix

package main

import (
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// Requests reach the back end that they are for, with the path that it knows, or are refused.
func TestGateway(t *testing.T) {
	t.Parallel()
	g, err := listenGateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := g.stop(); err != nil {
			t.Error(err)
		}
	}()
	var urls [3]string
	for i, name := range []string{"emulator", "password", "amp"} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, name+" "+r.Header.Get("X-Forwarded-Proto")+" "+r.URL.Path) // the client reads it
		}))
		t.Cleanup(server.Close)
		urls[i] = server.URL
	}
	if err := g.serve(urls[0], urls[1], urls[2]); err != nil {
		t.Fatal(err)
	}
	proxy, err := url.Parse(g.url)
	if err != nil {
		t.Fatal(err)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: g.pool, MinVersion: tls.VersionTLS12}, Proxy: func(r *http.Request) (*url.URL, error) {
		if r.URL.Hostname() == "127.0.0.1" {
			return nil, nil //nolint:nilnil // no proxy
		}
		return proxy, nil
	}}
	defer transport.CloseIdleConnections()
	signed := http.Header{
		"Authorization":        {"AWS4-HMAC-SHA256 Credential=ASIAX/20261124/eu-central-1/aps/aws4_request, SignedHeaders=host, Signature=0"},
		"X-Amz-Security-Token": {"token"},
	}
	basic := func(password string) http.Header {
		r := http.Request{Header: http.Header{}}
		r.SetBasicAuth(username, password)
		return r.Header
	}
	amp := "https://" + ampHost + "/workspaces/" + workspace + "/api/v1/remote_write"
	for _, c := range []struct {
		name, url string
		header    http.Header
		status    int
		want      string
	}{
		{"the emulator", g.url + "/bucket/key", nil, 200, "emulator https /bucket/key"},
		{"the right password", g.url + "/with-password/api/v1/write", basic("first"), 200, "password https /api/v1/write"},
		{"a wrong password", g.url + "/with-password/api/v1/write", basic("second"), 401, "wrong user name"},
		{"a workspace", amp, signed, 200, "amp https /api/v1/write"},
		{"a workspace, not signed", amp, basic("first"), 403, "not signed"},
		{"another workspace", strings.Replace(amp, "ws-0", "ws-1", 1), signed, 404, "no such workspace"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, c.url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		maps.Copy(request.Header, c.header)
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		body, err := io.ReadAll(response.Body)
		response.Body.Close()
		if err != nil || response.StatusCode != c.status || !strings.HasPrefix(string(body), c.want) {
			t.Errorf("%s: %s, %q, error %v, want %d and %q", c.name, response.Status, body, err, c.status, c.want)
		}
	}
	if err := g.check(); err != nil {
		t.Error(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://prometheus.invalid/", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	if response, err := transport.RoundTrip(request); err == nil {
		response.Body.Close()
		t.Error("a connection to another host was not refused")
	}
	if err := g.check(); err == nil || !strings.Contains(err.Error(), "prometheus.invalid:443") {
		t.Errorf("error %v, want the refused host", err)
	}
}
