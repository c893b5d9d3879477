package running_test

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/running"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const row = `{"metric":{"image_id":"h/a@sha256:1"},"value":[1,"1"]}`

func answer(rows string) string {
	return `{"status":"success","data":{"resultType":"vector","result":[` + rows + `]}}`
}

// hijack writes a response as it is, and closes the connection.
func hijack(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err == nil {
			_, _ = io.WriteString(conn, text)
			_ = conn.Close()
		}
	}
}

func TestImages(t *testing.T) {
	t.Parallel()
	text := func(text string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, text) }
	}
	hang := func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).Flush()
		_, _ = io.Copy(io.Discard, r.Body)
		<-r.Context().Done()
	}
	for _, c := range []struct {
		name    string
		handler http.HandlerFunc
		images  int
		err     string // part of it; empty for none
	}{
		{"two", text(answer(row + "," + row)), 2, ""},
		{"none", text(answer("")), 0, ""},
		{"denied", func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "SECRET", http.StatusForbidden) }, 0, "the answer is 403 Forbidden"},
		{"another path", http.NotFound, 0, "the answer is 404 Not Found"},
		{"a redirect", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/SECRET", http.StatusFound) }, 0, "the answer is 302 Found"},
		{"hangs", func(_ http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		}, 0, "no answer within 5s"},
		{"hangs within the answer", func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.WriteString(w, strings.TrimSuffix(answer(row), "]}}")+strings.Repeat(" ", 2000))
			hang(w, r)
		}, 1, "no whole answer within 5s"},
		{"truncates", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "1000")
			_, _ = io.WriteString(w, answer(row))
		}, 1, "broke off"},
		{"truncates what has no length", text(strings.TrimSuffix(answer(row), "}")), 1, "unexpected EOF"},
		{"garbage", text("<html>SECRET</html>"), 0, "no successful result"},
		{"no HTTP", hijack("SECRET\r\n\r\n"), 0, "no HTTP response"},
		{"a garbled end", hijack("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nSECRET\r\n"), 0, "broke off"},
		{"closes", hijack(""), 0, "EOF"},
		{"too large", func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, strings.TrimSuffix(answer(row), "]}}"))
			many := strings.Repeat(","+`{"metric":{"x":"`+strings.Repeat("x", 1000)+`"},"value":[1,"1"]}`, 1<<10)
			for range 17 {
				_, _ = io.WriteString(w, many)
			}
			_, _ = io.WriteString(w, "]}}")
		}, 1, "larger than 16 MiB"},
		{"compressed, though nobody asked", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = io.WriteString(w, "\x1f\x8b\x08")
		}, 0, "no successful result"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			requests := make(chan http.Request, 1)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				_ = r.ParseForm()
				requests <- http.Request{Method: r.Method, Header: r.Header.Clone(), Form: r.PostForm, URL: r.URL}
				c.handler(w, r)
			}))
			transport := &http.Transport{}
			defer server.Close()
			defer transport.CloseIdleConnections()
			at, err := url.Parse(server.URL + "/q/api/v1/query?dedup=SECRET")
			if err != nil {
				t.Fatal(err)
			}
			timeout := 10 * time.Minute
			if strings.Contains(c.name, "hangs") {
				timeout = 5 * time.Second // the answer has to begin by then, however busy the machine is
			}
			client := running.New(running.Options{URL: at, Query: running.DefaultQuery, Transport: transport, Timeout: timeout, Version: "v1"})
			images := 0
			err = client.Images(t.Context(), func(string) bool { images++; return true })
			if images != c.images || fmt.Sprint(err) != "<nil>" && c.err == "" || c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)) {
				t.Errorf("%d images, error %v; want %d, %q", images, err, c.images, c.err)
			}
			if err != nil && (strings.Contains(err.Error(), "SECRET") || !strings.HasPrefix(err.Error(), "asking 127.0.0.1:")) {
				t.Errorf("error %v", err)
			}
			if request := <-requests; request.Method != http.MethodPost || request.URL.String() != "/q/api/v1/query?dedup=SECRET" || request.Form.Get("query") != running.DefaultQuery ||
				request.Header.Get("Accept-Encoding") != "identity" || request.Header.Get("User-Agent") != "ecr-remote-write/v1" {
				t.Errorf("request %+v", request)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	t.Parallel()
	at, _ := remotewritetest.NewRefused(t, &url.URL{Scheme: "http", Path: "/", RawQuery: "x=SECRET"})
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	err := running.New(running.Options{URL: at, Transport: transport, Timeout: time.Minute}).Images(t.Context(), func(string) bool { return true })
	if err == nil || !strings.Contains(err.Error(), "refused") || strings.Contains(err.Error(), "SECRET") {
		t.Errorf("error %v", err)
	}
}
