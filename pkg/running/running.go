// Package running asks a Prometheus-compatible store which images run, by an instant query
// (https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries) of what
// kube-state-metrics reports. It does not decide what is in use: pkg/selection does.
package running

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// DefaultQuery returns a series for each image that containers of pods have.
const DefaultQuery = `group by (image_id, image_spec, image) ({__name__=~"kube_pod_(init_)?container_info"})`

// Permissions are the IAM actions that signed queries to an AMP workspace need.
// See https://docs.aws.amazon.com/prometheus/latest/userguide/AMP-APIReference-ExecuteInstantQuery.html
var Permissions = []awsapi.Permission{{Action: "aps:QueryMetrics", Resource: "arn:aws:aps:REGION:ACCOUNT:workspace/WORKSPACE-ID"}}

// maxAnswer bounds the answer in bytes: it has about 300 for each image.
const maxAnswer = 16 << 20

// Client asks one store.
type Client struct {
	options Options
	http    *http.Client
}

// Options are what a Client is made of.
type Options struct {
	// URL is that of the store's instant queries, /api/v1/query.
	URL *url.URL
	// Query is a PromQL expression whose value is a vector.
	Query string
	// Transport authenticates and sends requests.
	Transport http.RoundTripper
	// Timeout is that of the query with its answer.
	Timeout time.Duration
	Version string // of the program
}

// New returns a client. It sends nothing.
func New(o Options) *Client {
	// A redirect is an answer that is no success: credentials are for one host.
	return &Client{o, &http.Client{Transport: o.Transport, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// Images calls saw with each name that the store has for an image that runs: the values of the
// labels image_id, image_spec and image. saw returns false if there is no room for more. Without
// an error these are all; else they are what there was of the answer.
func (c *Client) Images(ctx context.Context, saw func(image string) bool) error {
	if err := c.images(ctx, saw); err != nil {
		return fmt.Errorf("asking %s which images run: %w", c.options.URL.Host, err)
	}
	return nil
}

func (c *Client) images(ctx context.Context, saw func(string) bool) error {
	ctx, cancel := context.WithTimeout(ctx, c.options.Timeout)
	defer cancel()
	var answered atomic.Bool
	trace := &httptrace.ClientTrace{GotFirstResponseByte: func() { answered.Store(true) }}
	body := strings.NewReader(url.Values{"query": {c.options.Query}}.Encode())
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodPost, c.options.URL.String(), body)
	if err != nil {
		return errors.New("the URL is not valid")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	// Else a transport may ask for gzip after the request has been signed, and decompress
	// without a limit.
	req.Header.Set("Accept-Encoding", "identity")
	req.Header.Set("User-Agent", "ecr-remote-write/"+c.options.Version)
	resp, err := c.http.Do(req)
	switch {
	case err != nil && ctx.Err() != nil:
		return fmt.Errorf("no answer within %s: %w", c.options.Timeout, ctx.Err())
	case err != nil && answered.Load():
		// The error quotes the answer, which may repeat the request's secrets.
		return errors.New("the answer is no HTTP response")
	case err != nil:
		if u := (*url.Error)(nil); errors.As(err, &u) {
			err = u.Err // without the URL
		}
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the answer is %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	limited := &io.LimitedReader{R: resp.Body, N: maxAnswer}
	whole := &reader{r: limited}
	err = decode(whole, saw)
	switch {
	case err == nil:
		return nil
	case limited.N <= 0:
		return fmt.Errorf("the answer is larger than %d MiB", maxAnswer>>20)
	case ctx.Err() != nil:
		return fmt.Errorf("no whole answer within %s: %w", c.options.Timeout, ctx.Err())
	case whole.failed:
		return errors.New("the connection broke off within the answer") // its error can quote, too
	}
	return fmt.Errorf("reading the answer: %w", err)
}

// reader notes that reading failed.
type reader struct {
	r      io.Reader
	failed bool
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.failed = r.failed || err != nil && !errors.Is(err, io.EOF)
	return n, err
}
