package auth

import (
	"bytes"
	"context"
	"io"
	"net/http"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// maxSearched is how much of an error response is searched for the session token, in
// bytes. They have a few hundred.
const maxSearched = 64 << 10

// BlankToken is one of the APIOptions of an aws.Config. It blanks the session token in
// error responses of AWS, which end up in errors and logs: the response to a wrong
// signature repeats the request's headers, token included
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-troubleshooting.html).
func BlankToken(stack *middleware.Stack) error {
	// Next to the connection, so that everything that reads the response comes after it.
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("BlankToken", blankToken), middleware.After)
}

func blankToken(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	req, sent := in.Request.(*smithyhttp.Request)
	resp, received := out.RawResponse.(*smithyhttp.Response)
	if !sent || !received || resp.StatusCode < http.StatusBadRequest || resp.Body == nil {
		return out, metadata, err
	}
	if token := req.Header.Get("X-Amz-Security-Token"); token != "" {
		// An error of reading comes again when the rest is read.
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxSearched))
		text = bytes.ReplaceAll(text, []byte(token), []byte("REDACTED"))
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(text), resp.Body), resp.Body}
	}
	return out, metadata, err
}
