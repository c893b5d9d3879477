package auth

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxQuoted is how much of an error of AWS is searched for the session token. They
// have a few hundred bytes.
const maxQuoted = 64 << 10

// BlankToken blanks the session token where an AWS service repeats it in an error:
// the answer to a wrong signature has the request's headers in it
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html).
// It is one of the APIOptions of an aws.Config.
func BlankToken(stack *middleware.Stack) error {
	// Next to the connection, so that all that reads the answer comes after it.
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("BlankToken", blankToken), middleware.After)
}

func blankToken(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	request, sent := in.Request.(*smithyhttp.Request)
	answer, came := out.RawResponse.(*smithyhttp.Response)
	if !sent || !came || answer.StatusCode < http.StatusBadRequest || answer.Body == nil {
		return out, metadata, err
	}
	token := request.Header.Get("X-Amz-Security-Token")
	if token == "" {
		return out, metadata, err
	}
	// An error of reading comes again, when the rest is read.
	text, _ := io.ReadAll(io.LimitReader(answer.Body, maxQuoted))
	text = bytes.ReplaceAll(text, []byte(token), []byte("REDACTED"))
	answer.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(text), answer.Body), answer.Body}
	return out, metadata, err
}
