package awsapi

import (
	"context"
	"fmt"
	"io"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// largeResponse is how many bytes of a response are read while others are. A larger one is
// read and decoded alone, so that memory does not depend on how many calls are made at once.
const largeResponse = 1 << 20

// boundResponse bounds the bodies of responses, those of errors too, after decompression.
type boundResponse struct {
	alone chan struct{} // holds an element while a large response is read
	limit int           // in bytes
}

// ID is the middleware's name.
func (*boundResponse) ID() string { return "BoundResponse" }

// HandleDeserialize is called below the decoder.
func (m *boundResponse) HandleDeserialize(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	if response, ok := out.RawResponse.(*smithyhttp.Response); ok && response.Body != nil {
		response.Body = &boundedBody{boundResponse: m, body: response.Body, done: ctx.Done()}
	}
	return out, metadata, err
}

// boundedBody is a response's body that ends with ErrTooLarge.
type boundedBody struct {
	*boundResponse
	body  io.ReadCloser
	n     int
	holds bool // the element in alone is of this response
	done  <-chan struct{}
}

// Read reads up to the limit.
func (b *boundedBody) Read(p []byte) (int, error) {
	switch {
	case b.n > b.limit:
		return 0, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, b.limit)
	case b.n > largeResponse && !b.holds:
		select {
		case b.alone <- struct{}{}:
			b.holds = true
		case <-b.done:
			return 0, context.Canceled
		}
	}
	n, err := b.body.Read(p[:min(len(p), b.limit+1-b.n)])
	b.n += n
	return n, err
}

// Close is called once the response is decoded.
func (b *boundedBody) Close() error {
	if b.holds {
		b.holds = false
		<-b.alone
	}
	return b.body.Close()
}
