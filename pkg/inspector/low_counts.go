package inspector

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/aws/aws-sdk-go-v2/service/inspector2"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// lowCounts are the counts of an image's row that are in Inspector's service model since
// 2026, and not in version 1.48 of the SDK's module. A later version makes this file
// unnecessary.
type lowCounts struct {
	Low           *int64
	Informational *int64
	Untriaged     *int64
}

// complete reports whether the row has them: older responses have none.
func (l *lowCounts) complete() bool {
	return l.Low != nil && l.Informational != nil && l.Untriaged != nil
}

type lowCountsKey struct{}

// lowCountsOf returns the counts of each row of a response, or none if it has another number
// of rows.
func lowCountsOf(out *inspector2.ListFindingAggregationsOutput) []lowCounts {
	if list, ok := out.ResultMetadata.Get(lowCountsKey{}).([]lowCounts); ok && len(list) == len(out.Responses) {
		return list
	}
	return make([]lowCounts, len(out.Responses))
}

// readLowCounts makes a call read them.
func readLowCounts(o *inspector2.Options) {
	o.APIOptions = append(o.APIOptions, func(stack *middleware.Stack) error {
		// Between the SDK's decoder and the bound of responses, which is below it.
		return stack.Deserialize.Insert(middleware.DeserializeMiddlewareFunc("ReadLowCounts", deserializeLowCounts), "OperationDeserializer", middleware.After)
	})
}

// deserializeLowCounts reads the body, which the SDK's decoder then reads again.
func deserializeLowCounts(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (
	middleware.DeserializeOutput, middleware.Metadata, error,
) {
	out, metadata, err := next.HandleDeserialize(ctx, in)
	response, ok := out.RawResponse.(*smithyhttp.Response)
	if err != nil || !ok || response.StatusCode/100 != 2 {
		return out, metadata, err
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return out, metadata, &smithy.DeserializationError{Err: fmt.Errorf("reading the response: %w", err)}
	}
	var page struct {
		Responses []struct {
			AwsEcrContainerAggregation struct{ SeverityCounts lowCounts }
		}
	}
	if json.Unmarshal(body, &page) == nil { // else the SDK's decoder returns the error
		list := make([]lowCounts, len(page.Responses))
		for i := range page.Responses {
			list[i] = page.Responses[i].AwsEcrContainerAggregation.SeverityCounts
		}
		metadata.Set(lowCountsKey{}, list)
	}
	response.Body = struct {
		io.Reader
		io.Closer
	}{bytes.NewReader(body), response.Body}
	return out, metadata, nil
}
