//go:build unix

package localtest

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Sample is one element of an instant vector.
type Sample struct {
	Labels map[string]string
	Value  float64
}

// maxResponse bounds the size of a response, in bytes.
const maxResponse = 16 << 20

// Query evaluates PromQL at a time. The result must be an instant vector.
//
// See https://prometheus.io/docs/prometheus/latest/querying/api/#instant-queries.
func (s *Store) Query(ctx context.Context, promQL string, at time.Time) ([]Sample, error) {
	parameters := url.Values{
		"query": {promQL},
		"time":  {strconv.FormatFloat(float64(at.UnixMilli())/1000, 'f', 3, 64)},
	}
	body, err := s.get(ctx, "/prometheus/api/v1/query?"+parameters.Encode())
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", promQL, err)
	}
	vector, err := decodeVector(body)
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", promQL, err)
	}
	return vector, nil
}

// Curves evaluates PromQL at steps of a range, and returns the values of each series.
//
// See https://prometheus.io/docs/prometheus/latest/querying/api/#range-queries.
func (s *Store) Curves(ctx context.Context, promQL string, from, to time.Time, step time.Duration) ([][]float64, error) {
	parameters := url.Values{
		"query": {promQL}, "step": {step.String()},
		"start": {strconv.FormatInt(from.Unix(), 10)}, "end": {strconv.FormatInt(to.Unix(), 10)},
	}
	body, err := s.get(ctx, "/prometheus/api/v1/query_range?"+parameters.Encode())
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", promQL, err)
	}
	result, err := decode(body, "matrix")
	if err != nil {
		return nil, fmt.Errorf("query %s: %w", promQL, err)
	}
	curves := make([][]float64, len(result))
	for i, element := range result {
		for _, point := range element.Values {
			value, err := element.value(point[1])
			if err != nil {
				return nil, fmt.Errorf("query %s: %w", promQL, err)
			}
			curves[i] = append(curves[i], value)
		}
	}
	return curves, nil
}

// Flush makes everything that was pushed visible to queries, which otherwise takes a second.
func (s *Store) Flush(ctx context.Context) error {
	if _, err := s.get(ctx, "/internal/force_flush"); err != nil {
		return fmt.Errorf("flush VictoriaMetrics: %w", err)
	}
	return nil
}

// get returns the response of VictoriaMetrics. An error includes the body of the response.
func (s *Store) get(ctx context.Context, path string) ([]byte, error) {
	return s.do(ctx, http.MethodGet, path, http.NoBody)
}

func (s *Store) post(ctx context.Context, path, body string) error {
	_, err := s.do(ctx, http.MethodPost, path, strings.NewReader(body))
	return err
}

func (s *Store) do(ctx context.Context, method, path string, content io.Reader) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, s.URL+path, content)
	if err != nil {
		return nil, err
	}
	response, err := s.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxResponse))
	if err != nil {
		return nil, err
	}
	if response.StatusCode/100 != 2 {
		return nil, fmt.Errorf("%s: %.1000s", response.Status, body)
	}
	return body, nil
}

// series is an element of the result of a query.
type series struct {
	Metric map[string]string
	Value  [2]json.RawMessage   // of a vector: seconds, and the value as text
	Values [][2]json.RawMessage // of a matrix, likewise
}

// decode decodes the response to a query, whose result must be of a type.
func decode(body []byte, resultType string) ([]series, error) {
	var response struct {
		Status string
		Error  string
		Data   struct {
			ResultType string
			Result     []series
		}
	}
	if err := json.Unmarshal(body, &response); err != nil {
		return nil, fmt.Errorf("decode the response: %w", err)
	}
	switch {
	case response.Status != "success":
		return nil, fmt.Errorf("response with status %q: %s", response.Status, response.Error)
	case response.Data.ResultType != resultType:
		return nil, fmt.Errorf("response with a %q instead of a %s", response.Data.ResultType, resultType)
	}
	return response.Data.Result, nil
}

// value decodes a value of a series.
func (s *series) value(text json.RawMessage) (float64, error) {
	var number string
	if err := json.Unmarshal(text, &number); err != nil {
		return 0, fmt.Errorf("decode the value of %v: %w", s.Metric, err)
	}
	value, err := strconv.ParseFloat(number, 64)
	if err != nil {
		return 0, fmt.Errorf("decode the value of %v: %w", s.Metric, err)
	}
	return value, nil
}

// decodeVector decodes the response to a query for an instant vector.
func decodeVector(body []byte) ([]Sample, error) {
	result, err := decode(body, "vector")
	if err != nil {
		return nil, err
	}
	vector := make([]Sample, 0, len(result))
	for _, element := range result {
		value, err := element.value(element.Value[1])
		if err != nil {
			return nil, err
		}
		vector = append(vector, Sample{Labels: element.Metric, Value: value})
	}
	return vector, nil
}
