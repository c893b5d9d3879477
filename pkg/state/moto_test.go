package state_test

import (
	"context"
	"encoding/xml"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/s3"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.Cleanup(func(code int) {
			moto.stop()
			os.Exit(code)
		}),
		// Idle connections.
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"),
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"))
}

// moto is Moto's server, an independent fake of AWS. The first test that needs it starts
// it.
var moto motoServer

type motoServer struct {
	once    sync.Once
	command *exec.Cmd
	url     string
	missing string // why there is none
}

// motoAddress is the line of its output that has the address.
var motoAddress = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

func (m *motoServer) start() {
	path, err := exec.LookPath("moto_server")
	if err != nil {
		// Where the CI script installs it.
		path, err = exec.LookPath(filepath.Join("..", "..", ".build", "venv", "bin", "moto_server"))
	}
	if err != nil {
		m.missing = "no moto_server in PATH or .build/venv/bin: pip install 'moto[server]'"
		return
	}
	m.missing = "moto_server did not start"
	out, err := os.CreateTemp("", "moto-*.log")
	if err != nil {
		return
	}
	defer func() { _ = os.Remove(out.Name()) }()
	defer out.Close()
	command := exec.Command(path, "-H", "127.0.0.1", "-p", "0")
	command.Stdout, command.Stderr = out, out
	// The command may be a wrapper script. In a process group of their own, it and the
	// server can both be killed.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if command.Start() != nil {
		return
	}
	m.command = command
	for range 600 {
		text, err := os.ReadFile(out.Name())
		if match := motoAddress.FindSubmatch(text); err == nil && match != nil {
			m.url, m.missing = string(match[1]), ""
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func (m *motoServer) stop() {
	if m.command != nil {
		_ = syscall.Kill(-m.command.Process.Pid, syscall.SIGKILL)
		_ = m.command.Wait() // the error is that it was killed
	}
}

// bucket is a bucket in Moto behind a proxy that can respond in Moto's place.
type bucket struct {
	name, url string
	client    *s3.Client
	proxy     *httputil.ReverseProxy
	serial    sync.Mutex

	mu sync.Mutex
	// respond, if set, gets each request first, and returns true if it responded.
	respond func(http.ResponseWriter, *http.Request) bool
	// requests are the method and key of each request.
	requests []string
}

var notInName = regexp.MustCompile(`[^a-z0-9]+`)

var buckets atomic.Int64

// newBucket makes a bucket for a test. Without Moto the test is skipped; in CI it fails.
func newBucket(tb testing.TB) *bucket {
	tb.Helper()
	moto.once.Do(moto.start)
	if moto.missing != "" {
		if os.Getenv("CI") != "" {
			tb.Fatal(moto.missing)
		}
		tb.Skip(moto.missing)
	}
	target, err := url.Parse(moto.url)
	if err != nil {
		tb.Fatal(err)
	}
	name := strings.Trim(notInName.ReplaceAllString(strings.ToLower(tb.Name()), "-"), "-")
	// Numbered, as a test can run more than once (-count).
	b := &bucket{name: fmt.Sprintf("%s-%d", name[max(0, len(name)-50):], buckets.Add(1)), proxy: &httputil.ReverseProxy{
		Rewrite:      func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}}
	b.name = strings.TrimLeft(b.name, "-")
	server := httptest.NewServer(b)
	tb.Cleanup(server.Close)
	b.url = server.URL
	b.client = s3.NewFromConfig(config(b.url), func(o *s3.Options) { o.UsePathStyle = true })
	if _, err := b.client.CreateBucket(tb.Context(), &s3.CreateBucketInput{Bucket: &b.name}); err != nil {
		tb.Fatal(err)
	}
	b.requests = nil
	return b
}

// config is an AWS configuration for an endpoint.
func config(endpoint string) aws.Config {
	return aws.Config{
		Region: "us-east-1", BaseEndpoint: aws.String(endpoint),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}
}

func (b *bucket) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	respond := b.respond
	b.requests = append(b.requests, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/"+b.name+"/"))
	b.mu.Unlock()
	if respond != nil && respond(w, r) {
		return
	}
	// Moto checks the condition and writes in two steps; in S3 that is atomic.
	b.serial.Lock()
	defer b.serial.Unlock()
	b.proxy.ServeHTTP(w, r)
}

// intercept sets or, with nil, removes the function that gets each request before Moto.
func (b *bucket) intercept(respond func(http.ResponseWriter, *http.Request) bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.respond, b.requests = respond, nil
}

// takeRequests returns the requests since the last call of it or of intercept.
func (b *bucket) takeRequests() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	requests := b.requests
	b.requests = nil
	return requests
}

// put writes an object without a Store.
func (b *bucket) put(t *testing.T, key string, content []byte) {
	t.Helper()
	if _, err := b.client.PutObject(t.Context(), &s3.PutObjectInput{Bucket: &b.name, Key: &key, Body: strings.NewReader(string(content))}); err != nil {
		t.Fatal(err)
	}
	b.takeRequests()
}

// remove deletes an object without a Store.
func (b *bucket) remove(ctx context.Context, key string) error {
	_, err := b.client.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: &b.name, Key: &key})
	return err
}

// refuse responds as S3 does to a request that it refuses.
func refuse(w http.ResponseWriter, status int, code string) {
	w.Header().Set("Content-Type", "application/xml")
	w.WriteHeader(status)
	type problem struct {
		XMLName       xml.Name `xml:"Error"`
		Code, Message string
	}
	_ = xml.NewEncoder(w).Encode(problem{Code: code, Message: "planted"}) // if it fails, so does the test
}
