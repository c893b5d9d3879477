package awsapi

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"runtime"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

const (
	// largeResponse is how many bytes of a response are read while others are. A larger one
	// is read and decoded alone, so that memory does not depend on how many calls are made
	// at once. It is below a power of two, to which the SDK's buffer grows.
	largeResponse = 1_000_000
	// Bounds of what a response is decoded to: "{}," is three bytes, and a record in memory
	// hundreds. A page has at most 1,000 records. Commas count the elements of lists.
	maxObjects  = 20_000
	maxElements = 500_000
)

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
	body io.ReadCloser
	n    int

	objects, elements int
	err               error

	holds bool // the element in alone is of this response
	done  <-chan struct{}
}

// Read reads up to the limit.
func (b *boundedBody) Read(p []byte) (int, error) {
	switch {
	case b.err != nil:
		return 0, b.err
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
	b.objects += bytes.Count(p[:n], []byte{'{'})
	b.elements += bytes.Count(p[:n], []byte{','})
	if b.n > b.limit || b.objects > maxObjects || b.elements > maxElements {
		b.err = fmt.Errorf("%w: more than %d bytes, %d objects or %d elements of lists", ErrTooLarge, b.limit, maxObjects, maxElements)
		return 0, b.err
	}
	return n, err
}

// Close is called once the response is decoded. What a response that was too large left is
// collected before the next one is read: if all are, the heap would else grow to several times
// the normal size.
func (b *boundedBody) Close() error {
	err := b.body.Close()
	if b.holds {
		if b.err != nil {
			runtime.GC()
		}
		b.holds = false
		<-b.alone
	}
	return err
}
