package awsapi_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
)

// A response beyond the bound is read up to it and not requested again, for an error too.
func TestTooLarge(t *testing.T) {
	t.Parallel()
	for _, service := range services {
		for _, status := range []int{200, 400} {
			t.Run(fmt.Sprint(service.name, status), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					server := start(t)
					server.Fail(ecrtest.Match{}, ecrtest.Always, ecrtest.Fault{Status: status, Body: `{"message":"` + strings.Repeat("x", 7<<20) + `"}`})
					err := service.call(t.Context(), server, awsapi.NewLimiter(1000))
					if !errors.Is(err, awsapi.ErrTooLarge) || len(err.Error()) > 1500 {
						t.Errorf("error %.300v", err)
					}
					if n := server.Calls()[service.operation]; n > 2 {
						t.Errorf("%d calls", n)
					}
				})
			})
		}
	}
}

// A response without an end is given up at the bound.
func TestEndless(t *testing.T) {
	var read atomic.Int64
	cfg := config(start(t))
	cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
		body := io.MultiReader(strings.NewReader(`{"x":"`), endless{&read})
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body), ContentLength: -1, Request: r}, nil
	})}
	for name, call := range map[string]func() error{
		"ECR": func() error { _, err := ecr.New(cfg, ecr.Options{}).Repositories(t.Context()); return err },
		"Inspector": func() error {
			_, _, err := inspector.New(cfg, awsapi.NewLimiter(1000)).Scans(t.Context(), "", "")
			return err
		},
	} {
		read.Store(0)
		if err := call(); !errors.Is(err, awsapi.ErrTooLarge) || read.Load() > 5_000_000 {
			t.Errorf("%s: error %.300v after %d bytes", name, err, read.Load())
		}
	}
}

type endless struct{ n *atomic.Int64 }

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'x'
	}
	e.n.Add(int64(len(p)))
	return len(p), nil
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// One large response is read at a time.
func TestLargeResponsesAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var reading, most atomic.Int32
		gate := make(chan struct{})
		close(gate)
		cfg := config(start(t))
		cfg.HTTPClient = &http.Client{Transport: roundTripper(func(r *http.Request) (*http.Response, error) {
			text := `{"imageDetails":[],"x":"` + strings.Repeat("x", 3<<20) + `"}`
			body := &slowBody{Reader: strings.NewReader(text), reading: &reading, most: &most, gate: gate}
			return &http.Response{StatusCode: 200, Header: http.Header{}, Body: body, ContentLength: int64(len(text)), Request: r}, nil
		})}
		client := ecr.New(cfg, ecr.Options{})
		done := make(chan error)
		for range 8 {
			go func() { _, _, err := client.Images(t.Context(), "app", ""); done <- err }()
		}
		for range 8 {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		if most.Load() != 1 {
			t.Errorf("%d large responses were read at once", most.Load())
		}
		// One that waits for its turn ends with its context.
		gate = make(chan struct{})
		go func() { _, _, err := client.Images(t.Context(), "app", ""); done <- err }()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, _, err := client.Images(ctx, "app", ""); err == nil || ctx.Err() == nil {
			t.Errorf("error %v while another large response was read", err)
		}
		close(gate)
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

// slowBody counts the bodies that are beyond their first 2 MiB.
type slowBody struct {
	*strings.Reader
	reading, most *atomic.Int32
	gate          chan struct{} // closed when reading may go on
	counted       bool
}

func (b *slowBody) Read(p []byte) (int, error) {
	if b.Size()-int64(b.Len()) > 2<<20 && !b.counted {
		b.counted = true
		if n := b.reading.Add(1); n > b.most.Load() {
			b.most.Store(n)
		}
		time.Sleep(time.Millisecond)
		<-b.gate
	}
	return b.Reader.Read(p)
}

func (b *slowBody) Close() error {
	if b.counted {
		b.counted = false
		b.reading.Add(-1)
	}
	return nil
}

// A panic below the call is its error, counted and not retried.
func TestPanic(t *testing.T) {
	for _, service := range []string{"ECR", "Inspector"} {
		cfg := config(start(t))
		cfg.HTTPClient = &http.Client{Transport: roundTripper(func(*http.Request) (*http.Response, error) { panic("planted") })}
		limiter := awsapi.NewLimiter(1000)
		var err error
		if service == "ECR" {
			_, _, err = ecr.New(cfg, ecr.Options{Limiter: limiter}).Images(t.Context(), "app", "")
		} else {
			_, _, err = inspector.New(cfg, limiter).Scans(t.Context(), "", "")
		}
		calls, _ := limiter.TakeCalls()
		if err == nil || !strings.Contains(err.Error(), "the AWS SDK panicked: planted") || calls["DescribeImages"]+calls["ListCoverage"] != 1 {
			t.Errorf("%s: error %v, calls %v", service, err, calls)
		}
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	for _, cycle := range []int{1, 2, 3, 100, 5000} {
		var pages awsapi.Pages
		n := 0
		var err error
		for ; err == nil; n++ {
			err = pages.Advance(fmt.Sprint(n%cycle), 1, "")
		}
		if !errors.Is(err, awsapi.ErrIncomplete) || n > 4*cycle+4 {
			t.Errorf("a cycle of %d tokens: error %v after %d pages", cycle, err, n)
		}
	}
	var pages awsapi.Pages
	for i := range 1000 {
		if err := pages.Advance(fmt.Sprint(i), 1000, fmt.Sprint("record", i)); err != nil {
			t.Fatal(err)
		}
	}
	last := pages
	if err := pages.Advance("next", 1, "x"); !errors.Is(err, awsapi.ErrIncomplete) || !strings.Contains(err.Error(), "more than 1000000 records") {
		t.Errorf("error %v", err)
	}
	if err := last.Advance("", 0, ""); err != nil || last.Token != "" {
		t.Errorf("the last page: error %v, token %q", err, last.Token)
	}
	pages = awsapi.Pages{}
	var err error
	n := 0
	for ; err == nil; n++ {
		err = pages.Advance(fmt.Sprint("page", n), 0, "")
	}
	if n != 100_000 || !strings.Contains(err.Error(), "more than 100000 pages") {
		t.Errorf("error %v after %d pages", err, n)
	}
}

func TestPrintable(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain text":            "plain text",
		"\x1b[31mred\a\n\t":     `\x1b[31mred\a\n\t`,
		"a\xffb":                `a\xffb`,
		"\u202eevil\u200b":      `\u202eevil\u200b`,
		"Zürich 日本 \U0001f600":  "Zürich 日本 \U0001f600",
		strings.Repeat("x", 50): strings.Repeat("x", 30) + "… (50 bytes)",
	} {
		if got := awsapi.Printable(in, 30); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
