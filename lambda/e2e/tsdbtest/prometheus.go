// Package tsdbtest runs a real Prometheus inside a test: its time series
// database, its remote-write receiver on 127.0.0.1, its PromQL engine and its
// alerting rules. What a test reads back is therefore what a user's query would
// see, with Prometheus' own judgement of late, repeated and ended samples.
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

	// AMPOutOfOrderWindow is how late a sample may be that AMP still takes by
	// default, for Options.OutOfOrderWindow.
	AMPOutOfOrderWindow = 60 * time.Second

	// Lookback is how long a series that is no longer sent stays visible to
	// queries. The window is open on the left: exactly five minutes later the
	// series is gone. See
	// https://prometheus.io/docs/prometheus/latest/querying/basics/#staleness.
	Lookback = 5 * time.Minute
)

// maxQuerySamples and queryTimeout are Prometheus' own defaults. A query over
// the largest registry that the tests use stays far below both.
const (
	maxQuerySamples = 50_000_000
	queryTimeout    = 2 * time.Minute
)

// Options say how the receiver differs from a Prometheus with its defaults. The
// zero value is such a Prometheus.
type Options struct {
	// OutOfOrderWindow is how much older than the newest sample of its series a
	// sample may be. At zero, as by default in Prometheus, any older sample is
	// refused with 400.
	OutOfOrderWindow time.Duration

	// Path is where remote writes are taken, DefaultPath if empty. Any other
	// path answers 404.
	Path string

	// Only1 answers 415 to Remote-Write 2.0, as a Prometheus does in which that is
	// not switched on.
	Only1 bool

	// NoSocket leaves the listening out: only clients with Transport reach it. So
	// it can be used in a bubble of testing/synctest, in which it is started.
	NoSocket bool
}

// Prometheus is a running database with its receiver. All methods may be called
// from several goroutines.
type Prometheus struct {
	db     *tsdb.DB
	engine *promql.Engine
	parser parser.Parser
	// handler takes what is written, server listens for it; nil with NoSocket.
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

	// The default block of two hours stays, although longer ones are usual in
	// tests: half of it is how old the first sample of a series may be, and one
	// hour is AMP's limit too.
	dbOptions := tsdb.DefaultOptions()
	dbOptions.OutOfOrderTimeWindow = opts.OutOfOrderWindow.Milliseconds()
	db, err := tsdb.Open(tb.TempDir(), logger, nil, dbOptions, nil)
	if err != nil {
		tb.Fatalf("open the Prometheus database: %v", err)
	}
	// Samples carry the times that the test gives them, so a compaction by the
	// wall clock would only add chance.
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

// close ends the receiver before the database, so that no request meets a
// closed one.
func (p *Prometheus) close() error {
	if p.server != nil {
		p.server.Close()
	}
	return errors.Join(p.engine.Close(), p.db.Close())
}

// URL is the remote-write endpoint. It takes Remote-Write 1.0 and 2.0, see
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

// RoundTrip hands the request to the handler and returns its answer.
func (d direct) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		defer r.Body.Close()
	}
	recorder := httptest.NewRecorder()
	d.ServeHTTP(recorder, r)
	answer := recorder.Result()
	answer.Request = r
	return answer, nil
}

// Series is one series with its value at one time.
type Series struct {
	// Labels hold the name of the metric too, as __name__.
	Labels labels.Labels
	Value  float64
}

// Append stores one sample of each series at the given time, as a scrape would:
// it stands for the targets beside us, such as kube-state-metrics. Either all
// samples are stored or none. An error tells which series was refused and why; a
// series given twice is refused, where the database would quietly drop one value.
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
		// Prometheus, too, drops labels without a value at a scrape. Kept, they
		// would be told apart in results only by their looks.
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
