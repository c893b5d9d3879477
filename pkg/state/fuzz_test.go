package state_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// FuzzS3Responses: with any response, loading and saving return a result or an error, and
// only a save with a successful response succeeds.
func FuzzS3Responses(f *testing.F) {
	xml := func(code string) string {
		return `<?xml version="1.0" encoding="UTF-8"?><Error><Code>` + code + `</Code><Message>planted</Message><RequestId>1</RequestId></Error>`
	}
	for _, seed := range []struct {
		status     int
		etag, body string
	}{
		{200, `"1"`, "not an inventory"},
		{200, ``, xml("InternalError")},
		{200, `"1"`, `<CopyObjectResult><ETag>"2"</ETag></CopyObjectResult>`},
		{301, ``, xml("PermanentRedirect")},
		{304, `"1"`, ``},
		{400, ``, xml("AuthorizationHeaderMalformed")},
		{403, ``, xml("AccessDenied")},
		{404, ``, xml("NoSuchKey")},
		{404, ``, xml("NoSuchBucket")},
		{404, ``, ``},
		{404, ``, `<Error><Code>`},
		{409, ``, xml("ConditionalRequestConflict")},
		{412, ``, xml("PreconditionFailed")},
		{500, ``, `{"message":"from a gateway"}`},
		{503, ``, xml("SlowDown")},
		{503, ``, "\xff\x00<"},
	} {
		f.Add(seed.status, seed.etag, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, status int, etag string, body []byte) {
		if status < 200 || status > 599 {
			t.Skip("not a status that S3 responds with")
		}
		synctest.Test(t, func(t *testing.T) { // retries wait
			const secret = "planted-secret-key"
			client := &http.Client{
				Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					if req.Body != nil {
						_, _ = io.Copy(io.Discard, req.Body)
						_ = req.Body.Close()
					}
					header := http.Header{}
					if etag != "" {
						header.Set("ETag", etag)
					}
					return &http.Response{
						StatusCode: status, Header: header, Request: req,
						Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
					}, nil
				}),
				CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
			}
			s := state.NewS3(aws.Config{
				Region: "us-east-1", HTTPClient: client, BaseEndpoint: aws.String("http://s3.test"),
				Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", secret, ""),
			}, "bucket", "state", nil)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			response := etag + string(body)

			loaded, err := s.Load(ctx)
			none := status == http.StatusNotModified || strings.Contains(response, "NoSuchKey")
			if err == nil && status/100 != 2 && !none {
				t.Errorf("loaded from %d %q", status, body)
			}
			if loaded != nil && status/100 != 2 {
				t.Errorf("loaded %+v from %d %q", loaded, status, body)
			}
			checkNoSecret(t, err, response, secret)
			err = s.Save(ctx, &inventory.Registry{ID: "123456789012"}, true)
			if err == nil && status/100 != 2 {
				t.Errorf("saved by %d %q", status, body)
			}
			checkNoSecret(t, err, response, secret)
		})
	})
}

func checkNoSecret(t *testing.T, err error, response, secret string) {
	t.Helper()
	if err != nil && !strings.Contains(response, secret) && strings.Contains(err.Error(), secret) {
		t.Errorf("shows the secret key: %v", err)
	}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
