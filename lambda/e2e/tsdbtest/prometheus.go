// Package tsdbtest runs a real Prometheus inside a test: its time series
// database, its remote-write receiver on 127.0.0.1, its PromQL engine and its
// alerting rules. A test therefore reads what a user's query would return, after
// Prometheus' own handling of late, repeated and stale samples.
package tsdbtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/prometheus/client_golang/exp/api/remote"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	remotestorage "github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/tsdb"
)

const (
	// DefaultPath is where Prometheus itself listens for remote writes.
	DefaultPath = "/api/v1/remote_write"

	// AMPPath is a path of the shape that Amazon Managed Service for Prometheus
	// (AMP) gives a workspace, for Options.Path.
	AMPPath = "/workspaces/ws-0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0/api/v1/remote_write"

	// AMPOutOfOrderWindow is how late a sample may be for AMP to accept it by default,
	// for Options.OutOfOrderWindow.
	AMPOutOfOrderWindow = 60 * time.Second

	// Lookback is how long a series that is no longer sent stays visible to
	// queries. The window is open on the left: exactly five minutes later the
	// series is gone. See
	// https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness.
	Lookback = 5 * time.Minute
)

// maxQuerySamples and queryTimeout are Prometheus' own defaults. A query on the largest
// registry of the tests stays far below both.
const (
	maxQuerySamples = 50_000_000
	queryTimeout    = 2 * time.Minute
)

// Options are the differences to a Prometheus with its defaults, which is the zero value.
type Options struct {
	// OutOfOrderWindow is how much older than the newest sample of its series a
	// sample may be. At zero, as by default in Prometheus, any older sample is
	// refused with 400.
	OutOfOrderWindow time.Duration

	// Path is that of the remote-write endpoint, DefaultPath if empty. Requests to any
	// other path get 404.
	Path string

	// Only1 responds to Remote-Write 2.0 with 415, as a Prometheus does in which 2.0 is
	// not enabled.
	Only1 bool

	// NoSocket does not listen: only clients with Transport reach the receiver, which can
	// then be used in the bubble of testing/synctest in which it is started.
	NoSocket bool
}

// Prometheus is a running database with its receiver. All methods may be called
// from several goroutines.
type Prometheus struct {
	db     *tsdb.DB
	engine *promql.Engine
	parser parser.Parser
	// handler receives remote writes, server listens for them; nil with NoSocket.
	handler http.Handler
	server  *httptest.Server
	path    string
	logger  *slog.Logger
}

// Start opens an empty database in a directory of its own and serves it until
// the test ends. Warnings of Prometheus, such as a series that it left out for
// its labels while answering 2xx, go to the test's log.
func Start(tb testing.TB, opts Options) *Prometheus {
	tb.Helper()
	if opts.Path == "" {
		opts.Path = DefaultPath
	}
	logger := slog.New(slog.NewTextHandler(tb.Output(), &slog.HandlerOptions{Level: slog.LevelWarn}))

	// The default block of two hours, although longer ones are usual in tests: the first
	// sample of a series may be half as old, and one hour is AMP's limit too.
	dbOptions := tsdb.DefaultOptions()
	dbOptions.OutOfOrderTimeWindow = opts.OutOfOrderWindow.Milliseconds()
	db, err := tsdb.Open(tb.TempDir(), logger, nil, dbOptions, nil)
	if err != nil {
		tb.Fatalf("open the Prometheus database: %v", err)
	}
	// Samples have the times that the test gives them; a compaction by the wall clock
	// would make results depend on the time of day.
	db.DisableCompactions()

	promqlParser := parser.NewParser(parser.Options{})
	p := &Prometheus{
		db:     db,
		parser: promqlParser,
		path:   opts.Path,
		logger: logger,
		engine: promql.NewEngine(promql.EngineOpts{
			Logger:               logger,
			MaxSamples:           maxQuerySamples,
			Timeout:              queryTimeout,
			LookbackDelta:        Lookback,
			EnableAtModifier:     true,
			EnableNegativeOffset: true,
			Parser:               promqlParser,
		}),
	}

	accepted := remote.MessageTypes{remote.WriteV1MessageType, remote.WriteV2MessageType}
	if opts.Only1 {
		accepted = accepted[:1]
	}
	mux := http.NewServeMux()
	mux.Handle("POST "+opts.Path, remotestorage.NewWriteHandler(
		logger, prometheus.NewRegistry(), db, accepted, false, false, false))
	mux.Handle("POST "+p.queryPath(), p.api())
	p.handler = mux
	if !opts.NoSocket {
		p.server = httptest.NewServer(mux)
	}

	tb.Cleanup(func() {
		if err := p.close(); err != nil {
			tb.Errorf("close Prometheus: %v", err)
		}
	})
	return p
}

// close closes the receiver before the database, so that no request uses a closed
// database.
func (p *Prometheus) close() error {
	if p.server != nil {
		p.server.Close()
	}
	return errors.Join(p.engine.Close(), p.db.Close())
}

// URL is the remote-write endpoint. It accepts Remote-Write 1.0 and 2.0, see
// https://prometheus.io/docs/specs/prw/remote_write_spec/.
func (p *Prometheus) URL() string {
	if p.server == nil {
		return "http://prometheus.invalid" + p.path
	}
	return p.server.URL + p.path
}

// Transport hands requests to the receiver within the process.
func (p *Prometheus) Transport() http.RoundTripper { return direct{p.handler} }

// direct is a transport without a network.
type direct struct{ http.Handler }

// RoundTrip hands the request to the handler and returns its response.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	recorder := httptest.NewRecorder()
	d.ServeHTTP(recorder, r)
	response := recorder.Result()
	response.Request = r
	return response, nil
}

// Series is one series with its value at one time.
type Series struct {
	// Labels hold the name of the metric too, as __name__.
	Labels labels.Labels
	Value  float64
}

// Append stores one sample of each series at the given time, as a scrape of another
// target such as kube-state-metrics would. Either all samples are stored or none. The
// error names the refused series and the reason; a duplicate series is refused, where the
// database would silently drop one value.
func (p *Prometheus) Append(ctx context.Context, at time.Time, series ...Series) error {
	app := p.db.Appender(ctx)
	seen := make(map[string]bool, len(series))
	for _, s := range series {
		key := Key(s.Labels)
		if seen[key] {
			err := fmt.Errorf("append %s at %s: given twice", key, at)
			return errors.Join(err, app.Rollback())
		}
		seen[key] = true
		// Prometheus also drops labels without a value at a scrape.
		if _, err := app.Append(0, s.Labels.WithoutEmpty(), at.UnixMilli(), s.Value); err != nil {
			err = fmt.Errorf("append %s at %s: %w", key, at, err)
			return errors.Join(err, app.Rollback())
		}
	}
	if err := app.Commit(); err != nil {
		return fmt.Errorf("commit %d samples at %s: %w", len(series), at, err)
	}
	return nil
}
