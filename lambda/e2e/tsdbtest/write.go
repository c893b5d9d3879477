package tsdbtest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
)

// maxBody is how much of a response's body is kept, in bytes.
const maxBody = 4 << 10

// WriteV1 sends one sample of each series, all at the same time, in a single
// Remote-Write 1.0 request built from Prometheus' own types. It returns the status and the
// body of the response, whatever they are; the error is non-nil only without a response.
// It is a second opinion beside the sender under test.
func WriteV1(ctx context.Context, endpoint string, at time.Time, series ...Series) (status int, body string, err error) {
	var req prompb.WriteRequest
	for _, s := range series {
		ts := prompb.TimeSeries{Samples: []prompb.Sample{{Timestamp: at.UnixMilli(), Value: s.Value}}}
		s.Labels.Range(func(l labels.Label) {
			ts.Labels = append(ts.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		})
		req.Timeseries = append(req.Timeseries, ts)
	}
	message, err := req.Marshal()
	if err != nil {
		return 0, "", fmt.Errorf("encode %d series: %w", len(series), err)
	}
	return post(ctx, endpoint, message, "application/x-protobuf", "0.1.0")
}

// post compresses and sends a body in the form that both versions share.
func post(ctx context.Context, endpoint string, body []byte, contentType, version string) (int, string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, endpoint, bytes.NewReader(snappy.Encode(nil, body)))
	if err != nil {
		return 0, "", fmt.Errorf("remote write: %w", err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("X-Prometheus-Remote-Write-Version", version)
	req.Header.Set("User-Agent", "tsdbtest/1")

	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, "", fmt.Errorf("remote write: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil {
		return resp.StatusCode, "", fmt.Errorf("remote write: read the response %s: %w", resp.Status, err)
	}
	return resp.StatusCode, string(text), nil
}
