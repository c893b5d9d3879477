package exporter_test

import (
	"bytes"
	"context"
	"log/slog"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account  = "123456789012"
	interval = 30 * time.Minute
)

// world is a registry, a receiver, and the exporter between them.
type world struct {
	*testing.T
	registry *ecrtest.Registry
	server   *ecrtest.Server
	receiver *remotewritetest.Server
	store    exporter.Store
	source   *ecr.Client
	exporter *exporter.Exporter
	log      bytes.Buffer
}

// newWorld serves everything in memory, for use in a synctest bubble.
func newWorld(t *testing.T, change ...func(*exporter.Options)) *world {
	t.Helper()
	w := &world{
		T: t, registry: ecrtest.NewRegistry(account, "eu-west-1"),
		receiver: remotewritetest.NewPipe(t, remotewritetest.Options{}),
		store:    &state.Memory{},
	}
	w.server = ecrtest.StartPipe(t, w.registry)
	w.restart(change...)
	return w
}

// restart begins a new execution environment with the same store.
func (w *world) restart(change ...func(*exporter.Options)) {
	w.Helper()
	log := slog.New(slog.NewTextHandler(&w.log, nil))
	limiter := awsapi.NewLimiter(1000)
	w.source = ecr.New(aws.Config{
		Region: "eu-west-1", BaseEndpoint: aws.String(w.server.URL()), HTTPClient: w.server.Client(),
		Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}, ecr.Options{Limiter: limiter})
	sender, err := remotewrite.New(remotewrite.Options{
		URL: w.receiver.URL, Client: &http.Client{Transport: w.receiver.Transport}, MaxSeries: 10, Logger: log,
	})
	w.check(err)
	options := exporter.Options{
		Store:     w.store,
		Refresher: refresh.New(w.source, refresh.Options{Interval: interval, Concurrency: 4, Logger: log}),
		Sender:    sender, Calls: limiter, RefreshBudget: time.Minute, Logger: log,
	}
	shaped(func(*inventory.Shape) {})(&options)
	for _, f := range change {
		f(&options)
	}
	w.exporter = exporter.New(options)
}

// contract are the families that these tests count: a further one must not change them.
const contract = "aws_ecr_repository_(count|info|exporter_up)|aws_ecr_image_(size_in_bytes|pushed_at_timestamp_seconds|scan_severity_count|scan_completed_at_timestamp_seconds)"

// shaped changes the shape of the series, by default that of the contract's families.
func shaped(change func(*inventory.Shape)) func(*exporter.Options) {
	return func(o *exporter.Options) {
		shape := inventory.Shape{Families: inventory.Filter{Include: contract}}
		change(&shape)
		var err error
		if o.Table, err = metrics.New(shape); err != nil {
			panic(err)
		}
	}
}

func durable(o *exporter.Options) {
	shaped(func(s *inventory.Shape) {
		s.Durable, s.Families.Include = true, contract+"|aws_ecr_exporter_state_available"
	})(o)
}

func (w *world) check(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) put(repository string, images ...ecrtest.Image) {
	w.Helper()
	if _, ok := w.registry.Repository(repository); !ok {
		w.check(w.registry.PutRepository(ecrtest.Repository{Name: repository}))
	}
	for _, image := range images {
		w.check(w.registry.PutImage(repository, image))
	}
}

// run makes a run as an invocation does, with a deadline.
func (w *world) run(timeout time.Duration) (exporter.Summary, error) {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), timeout)
	defer cancel()
	return w.exporter.Run(ctx)
}
