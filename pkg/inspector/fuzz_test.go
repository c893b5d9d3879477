package inspector_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
)

// Any response leads to rows or an error. Rows need a digest in the response, and ErrDenied
// a response with that meaning.
func FuzzResponses(f *testing.F) {
	const (
		image = "arn:aws:ecr:eu-west-1:123456789012:repository/app/sha256:0000000000000000000000000000000000000000000000000000000000000000"
		row   = `{"resourceId":"` + image + `","resourceType":"AWS_ECR_CONTAINER_IMAGE","scanStatus":{"statusCode":"INACTIVE","reason":"NO_INVENTORY"}}`
	)
	for _, seed := range []struct {
		status          int
		errorType, body string
	}{
		{200, "", `{"coveredResources":[` + row + `,{}],"nextToken":"next"}`},
		{200, "", `{"aggregationType":"AWS_ECR_CONTAINER","responses":[{"awsEcrContainerAggregation":{"resourceId":"` + image + `","severityCounts":{"critical":-1,"all":9e18}}}]}`},
		{200, "", `{"responses":[{"unknown":{}},{"awsEcrContainerAggregation":null}]}`},
		{200, "", `a proxy's page`},
		{400, "ValidationException", `{"message":"Invalid token","fields":null}`},
		{400, "", `{"__type":"BadRequestException"}`},
		{403, "AccessDeniedException:http://internal.amazon.com/", `{"message":"no"}`},
		{404, "ResourceNotFoundException", `{"message":7}`},
		{429, "ThrottlingException", `{"message":"slow down","retryAfterSeconds":"x"}`},
		{500, "InternalServerException", "\xff"},
	} {
		f.Add(seed.status, seed.errorType, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, status int, errorType string, body []byte) {
		if status < 200 || status > 599 || status/100 == 3 {
			t.Skip("not a response of an API")
		}
		synctest.Test(t, func(t *testing.T) { // retries wait
			const secret = "planted-secret-key"
			c := inspector.New(aws.Config{
				Region: region, HTTPClient: &http.Client{Transport: roundTripper(func(req *http.Request) (*http.Response, error) {
					return &http.Response{
						StatusCode: status, Header: http.Header{"X-Amzn-Errortype": {errorType}}, Request: req,
						Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
					}, nil
				})},
				Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", secret, ""),
			}, awsapi.NewLimiter(1000))
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			response := errorType + string(body)
			for token, pages := "", 0; pages < 10; pages++ {
				rows, next, err := c.Scans(ctx, account, token)
				if len(rows) > 0 && (status/100 != 2 || err != nil || !strings.Contains(response, "sha256:")) {
					t.Errorf("%d rows from %d %q: %v", len(rows), status, body, err)
				}
				if status/100 != 2 && err == nil {
					t.Errorf("no error from %d %q", status, body)
				}
				if errors.Is(err, awsapi.ErrDenied) && status != http.StatusForbidden && !strings.Contains(response, "AccessDeniedException") {
					t.Errorf("denied by %d %q: %v", status, body, err)
				}
				if err != nil && !strings.Contains(response, secret) && strings.Contains(err.Error(), secret) {
					t.Errorf("shows the secret key: %v", err)
				}
				if token = next; err != nil || token == "" {
					break
				}
			}
		})
	})
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(req *http.Request) (*http.Response, error) { return f(req) }
