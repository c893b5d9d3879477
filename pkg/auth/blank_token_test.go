package auth_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	static "github.com/aws/aws-sdk-go-v2/credentials"
	stsapi "github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/aws/smithy-go/middleware"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
)

// TestBlankToken: the SDK's error shows what AWS said, without the session token. The
// control shows that it would.
func TestBlankToken(t *testing.T) {
	t.Parallel()
	const token = "planted-secret-session-token"
	ask := func(options ...func(*middleware.Stack) error) error {
		config := aws.Config{
			Region: "eu-west-1", APIOptions: options,
			Credentials: static.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", token),
			HTTPClient: &http.Client{Transport: quoting(func(req *http.Request) string {
				return `<ErrorResponse><Error><Code>SignatureDoesNotMatch</Code><Message>The Canonical String for this request should have been` +
					` 'POST x-amz-security-token:` + req.Header.Get("X-Amz-Security-Token") + ` end'</Message></Error></ErrorResponse>`
			})},
		}
		_, err := stsapi.NewFromConfig(config).GetCallerIdentity(t.Context(), &stsapi.GetCallerIdentityInput{})
		return err
	}
	if err := ask(); err == nil || !strings.Contains(err.Error(), token) {
		t.Errorf("without it: %v", err)
	}
	err := ask(auth.BlankToken)
	if err == nil || strings.Contains(err.Error(), token) ||
		!strings.Contains(err.Error(), "SignatureDoesNotMatch") || !strings.Contains(err.Error(), "x-amz-security-token:REDACTED end'") {
		t.Errorf("with it: %v", err)
	}
}

// quoting answers 403 with a body made of the request.
type quoting func(*http.Request) string

func (q quoting) RoundTrip(req *http.Request) (*http.Response, error) {
	text := q(req)
	return &http.Response{
		StatusCode: http.StatusForbidden, Header: http.Header{"Content-Type": {"text/xml"}},
		Body: io.NopCloser(strings.NewReader(text)), ContentLength: int64(len(text)), Request: req,
	}, nil
}
