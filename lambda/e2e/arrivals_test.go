package e2e

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/golang/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
)

// environmentHeader is a header with the number of the environment that sends a request; the
// planner's is plannersNumber.
const (
	environmentHeader = "X-Environment"
	plannersNumber    = 0
)

// arrivals is in front of a Prometheus and keeps who sent what of which registry when. It also
// checks each series more strictly: Prometheus silently takes a sample again.
type arrivals struct {
	url string
	to  http.RoundTripper

	mu sync.Mutex
	// last is the time of the last sample of each series, by the hash of its labels.
	last   map[uint64]int64
	runs   []*arrival
	faults []string
	// before, if set, is called before a request of a run is passed on.
	before func(*arrival)
}

// arrival is a request of a run.
type arrival struct {
	environment int
	registry    string // ACCOUNT/REGION; empty for a request of the planner
	at          int64  // of the samples, in milliseconds
	begin, end  time.Time
	series      int
}

// startArrivals starts the front of a Prometheus.
func startArrivals(t *testing.T, prometheus *tsdbtest.Prometheus) *arrivals {
	t.Helper()
	a := &arrivals{to: prometheus.Transport(), last: make(map[uint64]int64)}
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	a.url = server.URL + tsdbtest.DefaultPath
	return a
}

// ServeHTTP keeps a request and passes it on.
func (a *arrivals) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return // the sender was killed
	}
	got := &arrival{begin: time.Now()}
	if got.environment, err = strconv.Atoi(r.Header.Get(environmentHeader)); err != nil {
		a.fault("a request without the number of its environment: %v", err)
	}
	series, err := decodeWrite(r.Header, body)
	if err != nil {
		a.fault("environment %d: %v", got.environment, err)
	}
	a.mu.Lock()
	a.add(got, series)
	before := a.before
	a.mu.Unlock()
	if before != nil && got.registry != "" {
		before(got)
	}
	if r.Context().Err() != nil {
		return // the sender was killed, and its request is lost
	}
	request := r.Clone(r.Context())
	request.Body = io.NopCloser(bytes.NewReader(body))
	response, err := a.to.RoundTrip(request)
	if err != nil {
		a.fault("pass a request on: %v", err)
		return
	}
	defer response.Body.Close()
	if response.StatusCode/100 != 2 && response.StatusCode != http.StatusUnsupportedMediaType {
		text, _ := io.ReadAll(response.Body)
		a.fault("environment %d, registry %s: Prometheus responds %s: %s", got.environment, got.registry, response.Status, text)
	}
	a.mu.Lock()
	got.end = time.Now() // before the sender has the response and can send the next request
	a.mu.Unlock()
	for name, values := range response.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(response.StatusCode)
	_, _ = io.Copy(w, response.Body) // to a sender that may be gone
}

// add checks and keeps a request. The caller holds the lock.
func (a *arrivals) add(got *arrival, series []written) {
	for i := range series {
		s := &series[i]
		hash := s.labels.Hash()
		if last, ok := a.last[hash]; ok && s.at <= last {
			a.faults = append(a.faults, fmt.Sprintf("%s: a sample of %d after one of %d", s.labels, s.at, last))
		}
		a.last[hash] = s.at
		if got.environment == plannersNumber {
			continue
		}
		registry := s.labels.Get("registry_id") + "/" + s.labels.Get("region")
		if i > 0 && (registry != got.registry || s.at != got.at) {
			a.faults = append(a.faults, fmt.Sprintf("a request has samples of %s at %d and of %s at %d: %s", got.registry, got.at, registry, s.at, s.labels))
		}
		got.registry, got.at = registry, s.at
	}
	got.series = len(series)
	a.runs = append(a.runs, got)
}

func (a *arrivals) fault(format string, values ...any) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.faults = append(a.faults, fmt.Sprintf(format, values...))
}

// written is a sample of a series.
type written struct {
	labels labels.Labels
	at     int64
}

// decodeWrite reads a request of either protocol.
func decodeWrite(header http.Header, body []byte) ([]written, error) {
	raw, err := snappy.Decode(nil, body)
	if err != nil {
		return nil, fmt.Errorf("decompress a request: %w", err)
	}
	builder := labels.NewScratchBuilder(16)
	if strings.Contains(header.Get("Content-Type"), "write.v2") {
		var request writev2.Request
		if err := request.Unmarshal(raw); err != nil {
			return nil, fmt.Errorf("decode a request: %w", err)
		}
		all := make([]written, 0, len(request.Timeseries))
		for i := range request.Timeseries {
			series := &request.Timeseries[i]
			ls, err := series.ToLabels(&builder, request.Symbols)
			if err != nil || len(series.Samples) != 1 {
				return nil, fmt.Errorf("series %d has %d samples: %w", i, len(series.Samples), err)
			}
			all = append(all, written{ls, series.Samples[0].Timestamp})
		}
		return all, nil
	}
	var request prompb.WriteRequest
	if err := request.Unmarshal(raw); err != nil {
		return nil, fmt.Errorf("decode a request: %w", err)
	}
	all := make([]written, 0, len(request.Timeseries))
	for i := range request.Timeseries {
		series := &request.Timeseries[i]
		if len(series.Samples) != 1 {
			return nil, fmt.Errorf("series %d has %d samples", i, len(series.Samples))
		}
		all = append(all, written{series.ToLabels(&builder, nil), series.Samples[0].Timestamp})
	}
	return all, nil
}
