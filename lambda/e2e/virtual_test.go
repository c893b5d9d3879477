package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/cost"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/running"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// virtualLambda is the function without a process and without sockets, for bubbles of
// testing/synctest, in which days pass in seconds. It is wired like the bootstrap, whose
// own wiring is in package main and cannot be imported.
type virtualLambda struct {
	*testing.T
	registry   *ecrtest.Registry
	server     *ecrtest.Server
	prometheus *tsdbtest.Prometheus
	requested  *scanRequests
	pushed     *selectedWrites
	path       string // of the state
	// refreshEvery is how often repositories are listed. Most tests are not about them.
	refreshEvery time.Duration
	// shape are the settings about series: the defaults, unless a test changes them before a
	// cold start. With an InUseWithin the function asks Prometheus what runs.
	shape    inventory.Shape
	exporter *exporter.Exporter
}

const (
	// The defaults of the settings, except for saveInterval.
	scansPerSecond    = 10
	basicInterval     = 24 * time.Hour
	enhancedInterval  = 6 * time.Hour
	invocationEvery   = 2 * time.Minute
	saveInterval      = 30 * time.Minute // longer than the default, to make the tests faster
	refreshBudget     = time.Minute
	virtualInvocation = time.Minute
	// refreshTime is the time that such an invocation has for the refresh: half of it is
	// reserved for the push.
	refreshTime = virtualInvocation / 2
	// burst is the number of calls that may be made at once after a pause.
	burst = scansPerSecond
	// cutOff is the number of calls that the end of that time can cut off: the concurrent
	// ones.
	cutOff = 8
)

func newVirtualLambda(t *testing.T, registry *ecrtest.Registry) *virtualLambda {
	t.Helper()
	v := &virtualLambda{
		T: t, registry: registry,
		prometheus: tsdbtest.Start(t, tsdbtest.Options{NoSocket: true}),
		path:       filepath.Join(t.TempDir(), "state"), refreshEvery: 7 * 24 * time.Hour,
		shape: inventory.Shape{Durable: true, Region: region},
	}
	v.server = ecrtest.StartPipe(t, registry)
	v.requested = &scanRequests{next: v.server.Client().Transport, at: map[string][]time.Time{}}
	v.pushed = &selectedWrites{next: v.prometheus.Transport()}
	v.coldStart()
	return v
}

// coldStart starts a new execution environment.
func (v *virtualLambda) coldStart() {
	v.Helper()
	limiter := awsapi.NewLimiter(10_000)
	limiter.SetRate(scansPerSecond, append([]string{ecr.ScanOperation}, inspector.Operations...)...)
	cfg := aws.Config{
		Region: region, BaseEndpoint: aws.String(v.server.URL()), HTTPClient: &http.Client{Transport: v.requested},
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDEXAMPLE", SecretAccessKey: "planted-secret-key"}, nil
		}),
	}
	endpoint, err := url.Parse(v.prometheus.URL())
	if err != nil {
		v.Fatal(err)
	}
	sender, err := remotewrite.New(remotewrite.Options{URL: endpoint, Client: &http.Client{Transport: v.pushed}})
	if err != nil {
		v.Fatal(err)
	}
	log := slog.New(slog.NewTextHandler(v.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))
	table, err := metrics.New(v.shape)
	if err != nil {
		v.Fatal(err)
	}
	selected, err := selection.New(v.shape)
	if err != nil {
		v.Fatal(err)
	}
	estimator := &cost.Estimator{
		Prices: cost.ListPrices(), Table: table, Schedule: invocationEvery, Refresh: v.refreshEvery, Memory: 256, Scans: scansPerSecond, AMP: true, S3: true,
	}
	never := v.shape.InUseWithin > 0
	options := exporter.Options{
		Store:        state.NewFile(v.path, log),
		SaveInterval: saveInterval,
		Refresher: refresh.New(ecr.New(cfg, ecr.Options{Limiter: limiter}), refresh.Options{
			Interval:    v.refreshEvery,
			Concurrency: cutOff,
			Logger:      log,
			Includes:    selected.Repository,
			Select:      selected.Apply,
			Keeps: func(image *inventory.Image, at time.Time) bool {
				return table.ShowsUntagged() && selected.MayShow(image, at)
			},
			Platforms: table.ShowsPlatforms(),
			Untagged:  table.ShowsUntagged(),
			Details: refresh.DetailOptions{
				Registry: v.shape.RegistryDetails, LifecyclePolicies: v.shape.LifecyclePolicies, Tags: len(v.shape.RepositoryTags) > 0,
			},
			Scans: refresh.ScanOptions{
				Source: refresh.ScanAuto, Inspector: inspector.New(cfg, limiter),
				Basic: basicInterval, Enhanced: enhancedInterval, PerSecond: scansPerSecond,
				Indexes: table.ShowsPlatforms(),
			},
		}),
		Sender: sender, Calls: limiter, Table: table, RefreshBudget: refreshBudget, Logger: log,
		Version: "v0.0.0", GoVersion: "go1.26",
		Forecast: func(registry *inventory.Registry, pushed metrics.Push, series int) (samples, dollars float64) {
			estimator.Pushed = pushed
			usage := estimator.Usage(registry, series, never)
			return usage.Samples, estimator.Prices.Bill(usage, estimator.AMP).Total()
		},
	}
	if never {
		at, err := url.Parse(v.prometheus.QueryURL())
		if err != nil {
			v.Fatal(err)
		}
		options.Running = running.New(running.Options{URL: at, Query: running.DefaultQuery, Transport: v.prometheus.Transport(), Timeout: time.Minute})
	}
	v.exporter = exporter.New(options)
}

// invoke makes a run with the time of an invocation and returns its summary. With deliver
// the push arrives in Prometheus, which takes a while; otherwise it is discarded.
func (v *virtualLambda) invoke(deliver bool) summary {
	v.Helper()
	v.pushed.deliver = deliver
	ctx, cancel := context.WithTimeout(v.Context(), virtualInvocation)
	defer cancel()
	done, err := v.exporter.Run(ctx)
	if err != nil {
		v.Fatalf("the run at %s: %v", time.Now(), err)
	}
	text, err := json.Marshal(done)
	if err != nil {
		v.Fatal(err)
	}
	var s summary
	if err := json.Unmarshal(text, &s); err != nil {
		v.Fatal(err)
	}
	return s
}

// scanRequests is a transport that records when each image's scan was requested.
type scanRequests struct {
	next http.RoundTripper
	mu   sync.Mutex
	at   map[string][]time.Time // by repository@digest
}

// RoundTrip records a DescribeImageScanFindings that has a response.
func (a *scanRequests) RoundTrip(r *http.Request) (*http.Response, error) {
	if !strings.HasSuffix(r.Header.Get("X-Amz-Target"), "."+ecr.ScanOperation) {
		return a.next.RoundTrip(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	_ = r.Body.Close() // of a request: it has no error
	r = r.Clone(r.Context())
	r.Body = io.NopCloser(bytes.NewReader(body))
	var in struct {
		RepositoryName string
		ImageID        struct{ ImageDigest string }
	}
	if err := json.Unmarshal(body, &in); err != nil {
		return nil, fmt.Errorf("read the request: %w", err)
	}
	response, err := a.next.RoundTrip(r)
	if err == nil {
		a.mu.Lock()
		defer a.mu.Unlock()
		key := in.RepositoryName + "@" + in.ImageID.ImageDigest
		a.at[key] = append(a.at[key], time.Now())
	}
	return response, err
}

// eachRequested calls a function for each image that was requested.
func (v *virtualLambda) eachRequested(do func(image string, at []time.Time)) {
	v.requested.mu.Lock()
	defer v.requested.mu.Unlock()
	for image, at := range v.requested.at {
		do(image, at)
	}
}

// times returns when an image's scan was requested.
func (a *scanRequests) times(repository, digest string) []time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.at[repository+"@"+digest]
}

// selectedWrites is a transport that discards requests unless deliver is set.
type selectedWrites struct {
	next    http.RoundTripper
	deliver bool
}

// RoundTrip delivers a remote write, or discards it and responds as the receiver would.
func (w *selectedWrites) RoundTrip(r *http.Request) (*http.Response, error) {
	if w.deliver {
		return w.next.RoundTrip(r)
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return nil, fmt.Errorf("read the remote write: %w", err)
	}
	return &http.Response{
		StatusCode: http.StatusNoContent, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: http.NoBody, Request: r,
	}, r.Body.Close()
}
