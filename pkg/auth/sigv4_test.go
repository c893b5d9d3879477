package auth_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/golang/snappy"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/prometheus/prompb"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// credentials hands out what it is told to, and counts.
type credentials struct {
	aws.Credentials
	err   error
	calls int
}

func (c *credentials) Retrieve(ctx context.Context) (aws.Credentials, error) {
	c.calls++
	return c.Credentials, errors.Join(c.err, ctx.Err())
}

func example() *credentials {
	return &credentials{Credentials: aws.Credentials{
		AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
	}}
}

// receiver demands a signature by the credentials for AMP in eu-west-1.
func receiver(t *testing.T, c aws.Credentials) *remotewritetest.Server {
	return remotewritetest.NewPipe(t, remotewritetest.Options{SigV4: &remotewritetest.SigV4{
		AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, SessionToken: c.SessionToken,
		Region: "eu-west-1", Service: "aps",
	}})
}

func newSigV4(t *testing.T, c aws.CredentialsProvider, next http.RoundTripper) http.RoundTripper {
	t.Helper()
	s, err := auth.NewSigV4("eu-west-1", c, next)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// newRequest is a good remote-write request.
func newRequest(t *testing.T, u *url.URL, body io.Reader) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, u.String(), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	req.Header.Set("User-Agent", "test/1")
	return req
}

func newBody(t *testing.T) []byte {
	t.Helper()
	raw, err := (&prompb.WriteRequest{Timeseries: []prompb.TimeSeries{{
		Labels:  []prompb.Label{{Name: "__name__", Value: "up"}},
		Samples: []prompb.Sample{{Value: 1, Timestamp: 1}},
	}}}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	return snappy.Encode(nil, raw)
}

// send sends the request and returns status and body of the answer.
func send(t *testing.T, rt http.RoundTripper, req *http.Request) (int, string) {
	t.Helper()
	resp, err := rt.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// TestSigV4: the receiver computes the signature itself, from the secret.
func TestSigV4(t *testing.T) {
	t.Parallel()
	temporary := example()
	temporary.SessionToken = "session/token+with=signs"
	body := newBody(t)
	for _, tt := range []struct {
		name        string
		credentials *credentials
		change      func(*http.Request)
	}{
		{"plain", example(), nil},
		{"session token", temporary, nil},
		{"host with port", example(), func(r *http.Request) { r.URL.Host = "receiver.test:9090" }},
		{"host with the default port", example(), func(r *http.Request) { r.URL.Host = "receiver.test:80" }},
		{"query", example(), func(r *http.Request) { r.URL.RawQuery = "b=2&a=1&a=0&c=x+y%2Fz&d" }},
		{"path to be escaped", example(), func(r *http.Request) { r.URL.Path = "/workspaces/ws ü+:1/write" }},
		{"no path", example(), func(r *http.Request) { r.URL.Path = "" }},
		{"more headers", example(), func(r *http.Request) {
			r.Header.Set("X-Scope-OrgID", "  a   b  ")
			r.Header["X-Many"] = []string{"1", "2"}
		}},
		{"a trace header", example(), func(r *http.Request) { r.Header.Set("X-Amzn-Trace-Id", "Root=1") }},
		{"an Authorization to be replaced", example(), func(r *http.Request) { r.Header.Set("Authorization", "Basic eDp5") }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				to := receiver(t, tt.credentials.Credentials)
				req := newRequest(t, to.URL, bytes.NewReader(body))
				if tt.change != nil {
					tt.change(req)
				}
				before, urlBefore := req.Header.Clone(), req.URL.String()
				if status, text := send(t, newSigV4(t, tt.credentials, to.Transport), req); status != 204 {
					t.Errorf("HTTP %d %s", status, text)
				}
				if diff := cmp.Diff(before, req.Header); diff != "" || req.URL.String() != urlBefore {
					t.Errorf("the request was changed: %s %s", diff, req.URL)
				}
			})
		})
	}
}

// TestSigV4Refused: the receiver does see a wrong signature.
func TestSigV4Refused(t *testing.T) {
	t.Parallel()
	body := newBody(t)
	for _, tt := range []struct {
		name   string
		want   string
		change func(*http.Request) // after signing
	}{
		{"not signed", "0 Authorization headers", func(r *http.Request) { r.Header.Del("Authorization") }},
		{"header changed", "does not match", func(r *http.Request) { r.Header.Set("X-More", "2") }},
		{"header added", "header x-added is not signed", func(r *http.Request) { r.Header.Set("X-Added", "1") }},
		{"header removed", "header x-more is signed and was not sent", func(r *http.Request) { r.Header.Del("X-More") }},
		{"path changed", "does not match", func(r *http.Request) { r.URL.Path += "/x" }},
		{"query added", "does not match", func(r *http.Request) { r.URL.RawQuery = "a=b" }},
		{"body changed", "does not match", func(r *http.Request) {
			other := bytes.Clone(body)
			other[len(other)-1] ^= 1
			r.Body = io.NopCloser(bytes.NewReader(other))
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c := example()
				to := remotewritetest.NewPipe(t, remotewritetest.Options{ExpectViolations: true, SigV4: &remotewritetest.SigV4{
					AccessKeyID: c.AccessKeyID, SecretAccessKey: c.SecretAccessKey, Region: "eu-west-1", Service: "aps",
				}})
				between := roundTripper(func(r *http.Request) (*http.Response, error) {
					tt.change(r)
					return to.Transport.RoundTrip(r)
				})
				req := newRequest(t, to.URL, bytes.NewReader(body))
				req.Header.Set("X-More", "1")
				status, text := send(t, newSigV4(t, c, between), req)
				if status != 403 || !strings.Contains(text, tt.want) || len(to.Violations()) != 1 {
					t.Errorf("HTTP %d %q, want 403 and %q", status, text, tt.want)
				}
			})
		})
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSignedAnew: the same request is signed with the time and the credentials
// of each attempt.
func TestSignedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := example()
		to := receiver(t, c.Credentials)
		rt := newSigV4(t, c, to.Transport)
		body := newBody(t)
		for range 3 {
			if status, text := send(t, rt, newRequest(t, to.URL, bytes.NewReader(body))); status != 204 {
				t.Errorf("HTTP %d %s", status, text)
			}
			time.Sleep(20 * time.Minute)
		}
		var dates []string
		for _, r := range to.Requests() {
			dates = append(dates, r.Header.Get("X-Amz-Date"))
		}
		if diff := cmp.Diff([]string{"20000101T000000Z", "20000101T002000Z", "20000101T004000Z"}, dates); diff != "" {
			t.Error(diff)
		}
		if c.calls != 3 {
			t.Errorf("credentials were asked for %d times", c.calls)
		}
	})
}

// closeCounter is a body that counts.
type closeCounter struct {
	io.Reader
	closed int
}

func (c *closeCounter) Close() error { c.closed++; return nil }

func TestSigV4Errors(t *testing.T) {
	t.Parallel()
	denied := errors.New("AccessDenied: not authorized to perform sts:AssumeRole")
	broken := errors.New("disk on fire")
	for _, tt := range []struct {
		name      string
		err       error
		getBody   func() (io.ReadCloser, error)
		want      string
		permanent bool
	}{
		{"credentials", denied, nil, "getting AWS credentials: " + denied.Error(), true},
		{"credentials out of time", context.DeadlineExceeded, nil, "getting AWS credentials: context deadline exceeded", false},
		{"body", nil, func() (io.ReadCloser, error) { return io.NopCloser(errorReader{broken}), nil }, "hashing the body: disk on fire", true},
		{"GetBody fails", nil, func() (io.ReadCloser, error) { return nil, broken }, "hashing the body: disk on fire", true},
		{"no GetBody", nil, nil, "hashing the body: the request has no GetBody", true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c := example()
			c.err = tt.err
			never := roundTripper(func(*http.Request) (*http.Response, error) {
				t.Error("it was sent")
				return nil, errors.New("sent")
			})
			u, _ := url.Parse("http://user:pass@receiver.test/path?key=value")
			body := &closeCounter{Reader: strings.NewReader("x")}
			req := newRequest(t, u, nil)
			req.Body, req.GetBody = body, tt.getBody
			_, err := newSigV4(t, c, never).RoundTrip(req)
			want := "signing a request to receiver.test (SigV4, service aps, region eu-west-1): " + tt.want
			if err == nil || err.Error() != want || permanent(err) != tt.permanent {
				t.Fatalf("%v, want %s", err, want)
			}
			if body.closed == 0 {
				t.Error("the body was not closed")
			}
		})
	}
}

type errorReader struct{ err error }

func (r errorReader) Read([]byte) (int, error) { return 0, r.err }

// TestForbidden: a 403 may mean that the session has expired, so the next request uses new
// credentials, at most once a minute.
func TestForbidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		to := remotewritetest.NewPipe(t, remotewritetest.Options{})
		rt := newSigV4(t, aws.NewCredentialsCache(&serial{}), to.Transport)
		for _, step := range []struct {
			status int
			wait   time.Duration
		}{{204, 0}, {403, 0}, {403, 0}, {204, time.Minute}, {403, 0}, {400, 0}, {204, 0}} {
			to.Answer(remotewritetest.Answer{Status: step.status, Body: "expired"})
			if status, _ := send(t, rt, newRequest(t, to.URL, bytes.NewReader(newBody(t)))); status != step.status {
				t.Errorf("HTTP %d", status)
			}
			time.Sleep(step.wait)
		}
		var keys []string
		for _, r := range to.Requests() {
			_, key, _ := strings.Cut(r.Header.Get("Authorization"), "Credential=")
			key, _, _ = strings.Cut(key, "/")
			keys = append(keys, key)
		}
		if diff := cmp.Diff([]string{"AKID1", "AKID1", "AKID2", "AKID2", "AKID2", "AKID3", "AKID3"}, keys); diff != "" {
			t.Error(diff)
		}
	})
}

// serial gives other credentials each time.
type serial struct{ n int }

func (s *serial) Retrieve(context.Context) (aws.Credentials, error) {
	s.n++
	return aws.Credentials{AccessKeyID: fmt.Sprint("AKID", s.n), SecretAccessKey: "planted-secret"}, nil
}

// TestCredentialsUntraced: what traces a request does not see the requests for credentials,
// which end with it all the same.
func TestCredentialsUntraced(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{}))
	rt := newSigV4(t, aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
		if httptrace.ContextClientTrace(ctx) != nil {
			t.Error("the request for credentials is traced")
		}
		cancel()
		<-ctx.Done()
		return aws.Credentials{}, ctx.Err()
	}), http.DefaultTransport)
	req := newRequest(t, &url.URL{Scheme: "http", Host: "receiver.test"}, nil).WithContext(ctx)
	resp, err := rt.RoundTrip(req)
	if err == nil {
		_ = resp.Body.Close()
	}
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}
