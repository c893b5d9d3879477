package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"runtime"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsmiddleware "github.com/aws/aws-sdk-go-v2/aws/middleware"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	awsconfig "github.com/aws/aws-sdk-go-v2/config"
	"github.com/aws/smithy-go/logging"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/emf"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// wiring is how the program is set up apart from the configuration.
type wiring struct {
	log *slog.Logger
	// budget is set if REFRESH_BUDGET applies.
	budget bool
	// print is set if the series are printed instead of sent.
	print bool
	// stdout, if set, gets the run metrics for CloudWatch, with the function's name.
	stdout io.Writer
	name   string
	// laptop, if set, shows the progress to a person, outside Lambda.
	laptop *progress
	// transport, if set, carries every request in place of the network.
	transport http.RoundTripper
}

func (w *wiring) progress() func(what string, done, due int) {
	if w.laptop == nil {
		return nil
	}
	return w.laptop.refreshing
}

// awsTimeout bounds one request to an AWS API. A page of 1,000 images takes about one
// second; a broken connection must not use up the time of the invocation.
const awsTimeout = 20 * time.Second

// maxResponseHeader bounds the head of a response from AWS, in bytes. net/http's own limit is
// 10 MB.
const maxResponseHeader = 64 << 10

// How long after a final scan result the next request is due if SCAN_REFRESH_INTERVAL is
// not set: ECR scans an image once a day at most, Inspector whenever it learns of a
// vulnerability.
const (
	basicScanInterval    = 24 * time.Hour
	enhancedScanInterval = 6 * time.Hour
)

// connections are what the exporters of all registries have in common: the AWS configuration,
// and what is sent and asked through it.
type connections struct {
	aws     aws.Config // the function's own
	stored  aws.Config // of the state
	secrets *secret.Resolver
	sender  *remotewrite.Sender
	running exporter.Running // nil if nobody asks what runs
	wiring
}

// wire makes the exporter of the function's own registry from the configuration. It makes no
// AWS call.
func wire(ctx context.Context, c *config.Config, w wiring) (*exporter.Exporter, error) {
	connected, err := connect(ctx, c, w)
	if err != nil {
		return nil, err
	}
	return connected.registry(c, connected.aws)
}

// connect sets up what does not depend on the registry. It makes no AWS call.
func connect(ctx context.Context, c *config.Config, w wiring) (*connections, error) {
	for _, warning := range c.Warnings {
		w.log.Warn(warning)
	}
	awsCfg, err := awsConfig(ctx, c, w.log)
	if err == nil && w.laptop != nil {
		err = checkCredentials(ctx, awsCfg)
	}
	if err != nil {
		return nil, err
	}
	if w.transport != nil {
		awsCfg.HTTPClient = &http.Client{Transport: w.transport, Timeout: awsTimeout}
	}
	connected := &connections{aws: awsCfg, stored: forObjects(awsCfg), secrets: secret.NewResolver(awsCfg, w.log), wiring: w}
	if connected.sender, err = newSender(c, awsCfg, connected.secrets, w); err != nil {
		return nil, err
	}
	if c.IdleImages == config.IdleNever && c.QueryURL.Host != "" {
		if connected.running, err = newRunning(c, awsCfg, connected.secrets, w); err != nil {
			return nil, err
		}
	}
	return connected, nil
}

// registry makes the exporter of a registry: that of the credentials' account in the Region of
// awsCfg, unless the configuration names another account.
func (w *connections) registry(c *config.Config, awsCfg aws.Config) (*exporter.Exporter, error) {
	limiter := awsapi.NewLimiter(c.ECRRequestsPerSecond)
	limiter.SetRate(c.ScanRequestsPerSecond, append([]string{ecr.ScanOperation}, inspector.Operations...)...)
	source := ecr.New(awsCfg, ecr.Options{RegistryID: string(c.ECRRegistryID), Limiter: limiter})
	shape := c.Shape()
	shape.Region = awsCfg.Region
	selected, err := selection.New(shape)
	if err != nil {
		return nil, err
	}
	table, err := metrics.New(shape)
	if err != nil {
		return nil, err
	}
	estimator, err := newEstimator(c, table, "")
	if err != nil {
		return nil, err
	}
	store := newStore(c, w.stored, w.log)
	if stored, ok := store.(*state.Store); ok && w.print {
		store = state.ReadOnly{Store: stored}
	}
	store.Of(string(c.ECRRegistryID), awsCfg.Region)
	options := exporter.Options{
		Store: store,
		Refresher: refresh.New(source, refresh.Options{
			Region:      awsCfg.Region,
			Interval:    time.Duration(c.CacheRefreshInterval),
			Concurrency: c.ECRConcurrency,
			Logger:      w.log,
			Progress:    w.progress(),
			Includes:    selected.Repository,
			Select:      selected.Apply,
			Keeps: func(image *inventory.Image, at time.Time) bool {
				return table.ShowsUntagged() && selected.MayShow(image, at)
			},
			Platforms: table.ShowsPlatforms(),
			Untagged:  table.ShowsUntagged(),
			Details: refresh.DetailOptions{
				Registry: c.RegistryDetails, LifecyclePolicies: c.LifecyclePolicies, Tags: len(c.RepositoryTags) > 0,
			},
			Scans: refresh.ScanOptions{
				Source:    c.ScanSource,
				Inspector: inspector.New(awsCfg, limiter),
				Basic:     cmp.Or(time.Duration(c.ScanRefreshInterval), basicScanInterval),
				Enhanced:  cmp.Or(time.Duration(c.ScanRefreshInterval), enhancedScanInterval),
				Newest:    c.ScanImagesPerRepository,
				PerSecond: c.ScanRequestsPerSecond,
				Indexes:   c.IndexScans,
			},
		}),
		SaveInterval: time.Duration(c.StateSaveInterval),
		Calls:        limiter,
		Table:        table,
		Auto:         c.RemoteWriteProtocol == remotewrite.Auto,
		Version:      versionText(),
		GoVersion:    runtime.Version(),
		Forecast:     forecasts(estimator, c.IdleImages == config.IdleNever),
		Logger:       w.log,
	}
	if w.stdout != nil && c.CloudWatchMetrics != config.NoMetrics {
		options.Publish = func(at time.Time, series iter.Seq[metrics.Series]) error {
			if c.CloudWatchMetrics == config.MetricsForAlarms {
				series = forAlarms(series)
			}
			return emf.Write(w.stdout, "ecr-remote-write", at, []metrics.Label{{Name: "FunctionName", Value: w.name}}, series)
		}
	}
	if w.budget {
		options.RefreshBudget = time.Duration(c.RefreshBudget)
	}
	if len(table.Families())+len(table.RunFamilies()) == 0 {
		w.log.Warn("FAMILIES_INCLUDE and FAMILIES_EXCLUDE exclude every family: nothing is sent")
	}
	options.NewRun, options.Sender = w.secrets.NewRun, w.sender
	if c.OneOfMany {
		options.Account = string(c.ECRRegistryID)
	}
	if c.AMP() {
		options.RampAbove, options.Admit = exporter.RampAbove, selected.Admit
	}
	if c.IdleImages == config.IdleNever {
		options.Running = w.running
	}
	return exporter.New(options), nil
}

// awsConfig loads the AWS configuration of the environment.
func awsConfig(ctx context.Context, c *config.Config, log *slog.Logger) (aws.Config, error) {
	options := []func(*awsconfig.LoadOptions) error{awsconfig.WithLogger(sdkLogger(log))}
	// They may come from SETTINGS, which the SDK does not read.
	if c.UseFIPSEndpoint {
		options = append(options, awsconfig.WithUseFIPSEndpoint(aws.FIPSEndpointStateEnabled))
	}
	if c.UseDualStackEndpoint {
		options = append(options, awsconfig.WithUseDualStackEndpoint(aws.DualStackEndpointStateEnabled))
	}
	awsCfg, err := awsconfig.LoadDefaultConfig(ctx, append(options, awsconfig.WithHTTPClient(
		awshttp.NewBuildableClient().WithTimeout(awsTimeout).WithTransportOptions(func(t *http.Transport) {
			t.MaxIdleConnsPerHost = c.ECRConcurrency
			t.MaxResponseHeaderBytes = maxResponseHeader
		})))...)
	if err != nil {
		return aws.Config{}, fmt.Errorf("loading the AWS configuration: %w", err)
	}
	if awsCfg.Region == "" {
		return aws.Config{}, errors.New("no AWS Region: set AWS_REGION, or a region in the AWS configuration")
	}
	awsCfg.APIOptions = append(awsCfg.APIOptions, auth.BlankToken, awsmiddleware.AddUserAgentKeyValue("ecr-remote-write", versionText()))
	return awsCfg, nil
}

// sdkLogger writes the AWS SDK's log lines to log. Its warnings are about details such as a
// connection that cannot be reused; what fails is an error.
func sdkLogger(log *slog.Logger) logging.Logger {
	return logging.LoggerFunc(func(_ logging.Classification, format string, v ...any) {
		log.Debug("AWS SDK: " + fmt.Sprintf(format, v...))
	})
}

// dialTimeout bounds connecting to S3: in a VPC without a route to it, loading must not use
// up the time of the invocation.
const dialTimeout = 3 * time.Second

func newStore(c *config.Config, awsCfg aws.Config, log *slog.Logger) exporter.Store {
	switch at := c.StateURL; {
	case at.Path != "":
		return state.NewFile(at.Path, log)
	case at.Bucket != "":
		return state.NewS3(awsCfg, at.Bucket, at.Key, log)
	}
	return &state.Memory{}
}

// forObjects returns the configuration for S3. Transferring a large object can take longer than
// an API request, so the timeout applies to the response header only.
func forObjects(awsCfg aws.Config) aws.Config {
	if client, ok := awsCfg.HTTPClient.(*awshttp.BuildableClient); ok {
		awsCfg.HTTPClient = client.WithTimeout(0).WithDialerOptions(func(d *net.Dialer) {
			d.Timeout = dialTimeout
		}).WithTransportOptions(func(t *http.Transport) {
			t.ResponseHeaderTimeout = awsTimeout
		})
	}
	return awsCfg
}
