package remotewrite

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strings"
	"time"
)

const (
	// maxErrorBody is how much of an answer's body is kept: as much as Prometheus
	// shows.
	maxErrorBody = 1024
	// maxBodyRead is how much of it is read, so that a connection whose answer was
	// short can be used again. It also has room for a secret that spans the place
	// where the body is cut.
	maxBodyRead = 16 << 10
	// bodyTime is how long reading it may take. The status has come by then, so
	// a body that does not end costs only the connection.
	bodyTime = time.Second
)

// answer is what is kept of an HTTP response.
type answer struct {
	status     int
	retryAfter time.Duration
	body       string
	// written is what a 2.0 receiver says it has written.
	written written
}

// post makes one attempt. An error means that no answer came.
func (s *Sender) post(ctx context.Context, proto protocol, body []byte) (*answer, error) {
	parent := ctx
	ctx, cancel := context.WithTimeout(ctx, s.timeout)
	defer cancel()

	// When this returns, nothing may read the bytes any more: see lease.
	lease := &lease{data: body}
	defer lease.end()
	var sent outgoing
	req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, sent.trace()), http.MethodPost, s.url.String(), lease.body())
	if err != nil {
		return nil, err
	}
	req.ContentLength = int64(len(body))
	req.GetBody = lease.again
	h := req.Header
	h.Set("Content-Type", proto.contentType())
	h.Set("Content-Encoding", "snappy")
	h.Set("X-Prometheus-Remote-Write-Version", proto.version())
	h.Set("User-Agent", s.userAgent)
	// Else a transport may ask for gzip after the request has been signed, and
	// decompress without a limit.
	h.Set("Accept-Encoding", "identity")

	resp, err := s.client.Do(req)
	if err != nil {
		return nil, sent.blank(req, noAnswer(parent, ctx, s.timeout, err))
	}
	a := &answer{
		status:     resp.StatusCode,
		retryAfter: parseRetryAfter(resp.Header.Get("Retry-After"), time.Now()),
		written:    parseWritten(resp.Header),
	}
	timer := time.AfterFunc(bodyTime, cancel)
	defer timer.Stop()
	// What can be had of it: the status is answer enough.
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBodyRead))
	_ = resp.Body.Close()
	if judge(a.status) != accepted {
		a.body = errorBody(string(text), len(text) == maxBodyRead, secretsOf(req, resp))
	}
	return a, nil
}

// noAnswer says why no answer came. The client's own error is not passed on as it
// is: it holds the whole URL, and of a timeout it says no more than "context
// deadline exceeded".
func noAnswer(parent, ctx context.Context, timeout time.Duration, err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	switch {
	case errors.Is(parent.Err(), context.DeadlineExceeded):
		return fmt.Errorf("no answer before the deadline of the push: %w", err)
	case parent.Err() != nil:
		return fmt.Errorf("no answer before the push ended: %w", err)
	case ctx.Err() != nil:
		return fmt.Errorf("no answer within %s: %w", timeout, err)
	}
	return err
}

// public are the request headers that hold nothing secret. Any other may have
// been set as a credential; X-Scope-Orgid, the tenant of Cortex and Mimir, and that
// of Thanos, are names that they put into most of their answers.
var public = map[string]bool{
	"Accept-Encoding": true, "Content-Encoding": true, "Content-Length": true, "Content-Type": true,
	"User-Agent": true, "X-Prometheus-Remote-Write-Version": true,
	"X-Amz-Date": true, "X-Amz-Content-Sha256": true, "X-Scope-Orgid": true, "Thanos-Tenant": true,
}

// secretsOf returns the credentials of a request, longest first, so that none
// hides in another. A receiver may repeat them: the AWS answer to a wrong
// signature holds the session token.
func secretsOf(req *http.Request, resp *http.Response) []string {
	if resp.Request != nil {
		req = resp.Request // as it was sent: authenticated
	}
	var secrets []string
	for name, values := range req.Header {
		if public[name] {
			continue
		}
		for _, v := range values {
			secrets = append(secrets, v)
			// "Bearer TOKEN": the token also without the word.
			if _, token, ok := strings.Cut(v, " "); ok {
				secrets = append(secrets, token)
			}
		}
	}
	if _, password, ok := req.BasicAuth(); ok {
		secrets = append(secrets, password)
	}
	if password, ok := req.URL.User.Password(); ok {
		secrets = append(secrets, password)
	}
	if q := req.URL.RawQuery; q != "" {
		secrets = append(secrets, q)
		for _, values := range req.URL.Query() {
			secrets = append(secrets, values...)
		}
	}
	slices.SortFunc(secrets, func(a, b string) int { return cmp.Compare(len(b), len(a)) })
	return secrets
}

// errorBody returns the start of an answer's body, without secrets. If the text
// was cut off it may end with a part of one.
func errorBody(text string, cut bool, secrets []string) string {
	for _, secret := range secrets {
		if len(secret) < 4 {
			continue
		}
		text = strings.ReplaceAll(text, secret, "REDACTED")
		for n := min(len(secret)-1, len(text)); cut && n > 0; n-- {
			if strings.HasSuffix(text, secret[:n]) {
				text = text[:len(text)-n] + "REDACTED"
				break
			}
		}
	}
	text = strings.TrimSpace(text)
	if len(text) > maxErrorBody {
		text = text[:maxErrorBody]
	}
	return text
}
