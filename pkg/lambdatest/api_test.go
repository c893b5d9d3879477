//go:build unix

package lambdatest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// Invalid requests get the status codes of the Runtime API.
func TestAPIRules(t *testing.T) {
	t.Parallel()
	exited := make(chan struct{})
	a := newAPI("arn", func() {}, exited)
	server := httptest.NewServer(a.handler())
	t.Cleanup(server.Close)
	t.Cleanup(func() { close(exited) })

	do := func(method, path, body string) (status int, text string) {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, string(b)
	}
	expect := func(method, path, body string, status int, contains string) {
		t.Helper()
		if got, text := do(method, path, body); got != status || !strings.Contains(text, contains) {
			t.Errorf("%s %s: %d %s, want %d %s", method, path, got, text, status, contains)
		}
	}
	const (
		next    = "/2018-06-01/runtime/invocation/next"
		respond = "/2018-06-01/runtime/invocation/one/response"
		failure = "/2018-06-01/runtime/invocation/one/error"
	)
	expect("POST", respond, `1`, http.StatusBadRequest, "InvalidRequestID") // none was given
	expect("POST", next, ``, http.StatusMethodNotAllowed, "")
	expect("GET", "/2018-06-02/runtime/invocation/next", ``, http.StatusNotFound, "")

	one := &invocation{id: "one", payload: []byte(`{"event":1}`), response: make(chan response, 1)}
	go func() { (<-a.requests).event <- one }()
	expect("GET", next, ``, http.StatusOK, `{"event":1}`)
	expect("GET", next, ``, http.StatusForbidden, "InvalidStateTransition")
	expect("POST", "/2018-06-01/runtime/invocation/two/response", `1`, http.StatusBadRequest, "InvalidRequestID")
	expect("POST", respond, `"first"`, http.StatusAccepted, "OK")
	expect("POST", respond, `"second"`, http.StatusForbidden, "InvalidStateTransition")
	expect("POST", failure, `{}`, http.StatusForbidden, "InvalidStateTransition")
	if got := <-one.response; string(got.payload) != `"first"` || got.err != nil {
		t.Errorf("the response was %s, %v", got.payload, got.err)
	}
}

func TestFunctionError(t *testing.T) {
	t.Parallel()
	header := http.Header{"Lambda-Runtime-Function-Error-Type": {"Runtime.Unknown"}}
	for _, tc := range []struct {
		body string
		want string
	}{
		{`{"errorType":"T","errorMessage":"m","stackTrace":[{"path":"p"}]}`, "T: m"},
		{`{"errorMessage":"m"}`, "Runtime.Unknown: m"},
		{`no JSON`, "Runtime.Unknown: no JSON"},
		{`["m"]`, `Runtime.Unknown: ["m"]`},
		{``, "Runtime.Unknown: "},
	} {
		if got := functionError([]byte(tc.body), header); got.Error() != tc.want {
			t.Errorf("%q is read as %q, want %q", tc.body, got, tc.want)
		}
	}
}
