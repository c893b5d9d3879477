package config_test

import (
	"log/slog"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

const (
	ampURL   = "REMOTE_WRITE_URL=https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write"
	plainURL = "REMOTE_WRITE_URL=http://localhost:9090/api/v1/write"
)

func load(t *testing.T, environ ...string) *config.Config {
	t.Helper()
	c, err := config.Load(environ, config.ToSend)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c := load(t, plainURL, "PATH=/bin", "ECR_CONCURRENCY=", "REMOTE_WRITE_AUTH=")
	if c.RemoteWriteURL.String() != "http://localhost:9090/api/v1/write" {
		t.Errorf("URL %s", c.RemoteWriteURL)
	}
	want := config.Config{
		RemoteWriteURL: c.RemoteWriteURL, RemoteWriteProtocol: remotewrite.Auto, RemoteWriteAuth: auth.None, RemoteWriteTimeout: config.Duration(10 * time.Second),
		RemoteWriteMaxBytes: 900_000, RemoteWriteMaxSeries: 5_000, RemoteWriteConcurrency: 4,
		CacheRefreshInterval: config.Duration(30 * time.Minute), Schedule: config.Schedule(2 * time.Minute), ECRConcurrency: 8, ECRRequestsPerSecond: 20,
		ScanSource: refresh.ScanAuto, ScanRequestsPerSecond: 10, IndexScans: true,
		UntaggedImagesPerRepository: 20, UntaggedImagesWithin: config.Duration(30 * 24 * time.Hour),
		IdleImages: config.IdlePush, InUseWithin: config.Duration(90 * 24 * time.Hour),
		RefreshBudget: config.Duration(time.Minute), StateSaveInterval: config.Duration(5 * time.Minute), TargetRole: "ecr-remote-write", TargetConcurrency: 10, CloudWatchMetrics: config.MetricsForAlarms, LogLevel: c.LogLevel,
	}
	if diff := cmp.Diff(want, *c, cmp.AllowUnexported(config.LogLevel{}, secret.Text{})); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
	if c.LogLevel.Level() != slog.LevelInfo {
		t.Errorf("log level %v", c.LogLevel.Level())
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	c := load(t, plainURL, "CACHE_REFRESH_INTERVAL=90", "REFRESH_BUDGET=1m30s", "REMOTE_WRITE_TIMEOUT=2.5", "REMOTE_WRITE_MAX_BYTES=500000",
		"ECR_REGISTRY_ID=012345678901", "ECR_REQUESTS_PER_SECOND=0.5",
		"SCAN_SOURCE=inspector", "SCAN_REFRESH_INTERVAL=3600", "SCAN_REQUESTS_PER_SECOND=2.5", "SCAN_IMAGES_PER_REPOSITORY=100", "STATE_URL=file:///tmp/x/../state", "EXTERNAL_LABELS=cluster=prod, env = a=b")
	type picked struct {
		Interval, Budget, Timeout time.Duration
		MaxBytes                  int
		Registry                  config.AccountID
		Rate                      float64
		Scans                     refresh.ScanSource
		ScanInterval              time.Duration
		ScanRate                  float64
		ScanImages                int
		State                     string
		Labels                    config.Labels
	}
	got := picked{
		time.Duration(c.CacheRefreshInterval), time.Duration(c.RefreshBudget), time.Duration(c.RemoteWriteTimeout),
		c.RemoteWriteMaxBytes, c.ECRRegistryID, c.ECRRequestsPerSecond,
		c.ScanSource, time.Duration(c.ScanRefreshInterval), c.ScanRequestsPerSecond, c.ScanImagesPerRepository, c.StateURL.Path, c.ExternalLabels,
	}
	want := picked{
		90 * time.Second, 90 * time.Second, 2500 * time.Millisecond, 500_000, "012345678901", 0.5,
		refresh.ScanInspector, time.Hour, 2.5, 100, "/tmp/state",
		config.Labels{{Name: "cluster", Value: "prod"}, {Name: "env", Value: "a=b"}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("values (-want +got):\n%s", diff)
	}
}

func TestLogLevel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		level, lambda string
		want          slog.Level
	}{
		{"", "", slog.LevelInfo},
		{"debug", "", slog.LevelDebug},
		{"WARNING", "", slog.LevelWarn}, // the Python exporter's word
		{"", "TRACE", slog.LevelDebug},
		{"", "FATAL", slog.LevelError},
		{"ERROR", "DEBUG", slog.LevelError},
		{"", "nonsense", slog.LevelInfo},
	} {
		if got := load(t, plainURL, "LOG_LEVEL="+c.level, "AWS_LAMBDA_LOG_LEVEL="+c.lambda).LogLevel.Level(); got != c.want {
			t.Errorf("LOG_LEVEL=%s AWS_LAMBDA_LOG_LEVEL=%s: %v, want %v", c.level, c.lambda, got, c.want)
		}
	}
}

// Each bad setting alone is one fault that names variable, value and rule.
func TestBadSettings(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"REMOTE_WRITE_URL=localhost:9090", "REMOTE_WRITE_URL=ftp://host/", "REMOTE_WRITE_URL=https://", "REMOTE_WRITE_URL=/path", "REMOTE_WRITE_URL=http://a b/",
		"REMOTE_WRITE_AUTH=oauth", "REMOTE_WRITE_AUTH=SIGV4",
		"REMOTE_WRITE_PROTOCOL=1", "REMOTE_WRITE_PROTOCOL=v2", "REMOTE_WRITE_PROTOCOL=AUTO",
		"REMOTE_WRITE_REGION=Ireland", "REMOTE_WRITE_REGION=eu-west",
		"REMOTE_WRITE_TIMEOUT=0", "REMOTE_WRITE_TIMEOUT=soon", "REMOTE_WRITE_TIMEOUT=-1s", "REMOTE_WRITE_TIMEOUT=10m", "REMOTE_WRITE_TIMEOUT=NaN", "REMOTE_WRITE_TIMEOUT=inf",
		"REMOTE_WRITE_MAX_BYTES=0", "REMOTE_WRITE_MAX_BYTES=1MB", "REMOTE_WRITE_MAX_BYTES=9e5", "REMOTE_WRITE_MAX_BYTES=99999999999999999999",
		"REMOTE_WRITE_MAX_SERIES=0", "REMOTE_WRITE_MAX_SERIES=-1",
		"REMOTE_WRITE_CONCURRENCY=0", "REMOTE_WRITE_CONCURRENCY=65",
		"CACHE_REFRESH_INTERVAL=0", "CACHE_REFRESH_INTERVAL=30 minutes", "CACHE_REFRESH_INTERVAL=1e99",
		"CACHE_REFRESH_INTERVAL=8d", "CACHE_REFRESH_INTERVAL=-1d", "CACHE_REFRESH_INTERVAL=1d-1h", "CACHE_REFRESH_INTERVAL=1h1d", "CACHE_REFRESH_INTERVAL=d", "CACHE_REFRESH_INTERVAL=1e9d", "CACHE_REFRESH_INTERVAL=99999999d", "CACHE_REFRESH_INTERVAL=53375d1281023h",
		"SCHEDULE=rate(1 minutes)", "SCHEDULE=rate(2 minute)", "SCHEDULE=rate(0 minutes)", "SCHEDULE=rate(02 minutes)", "SCHEDULE=rate(2 seconds)", "SCHEDULE=rate(99999 days)", "SCHEDULE=rate(999999 minutes)", "SCHEDULE=cron(0 * * * ? *)", "SCHEDULE=often", "SCHEDULE=0",
		"ECR_REGISTRY_ID=12345678901", "ECR_REGISTRY_ID=1234567890123", "ECR_REGISTRY_ID=12345678901x",
		"ECR_CONCURRENCY=0", "ECR_CONCURRENCY=many", "ECR_CONCURRENCY=1.5",
		"ECR_REQUESTS_PER_SECOND=0", "ECR_REQUESTS_PER_SECOND=fast", "ECR_REQUESTS_PER_SECOND=NaN", "ECR_REQUESTS_PER_SECOND=Inf",
		"SCAN_SOURCE=clair", "SCAN_SOURCE=Auto",
		"SCAN_REFRESH_INTERVAL=0", "SCAN_REFRESH_INTERVAL=59s", "SCAN_REFRESH_INTERVAL=721h", "SCAN_REFRESH_INTERVAL=daily",
		"SCAN_REQUESTS_PER_SECOND=0", "SCAN_REQUESTS_PER_SECOND=10001", "SCAN_REQUESTS_PER_SECOND=NaN", "SCAN_REQUESTS_PER_SECOND=ten",
		"SCAN_IMAGES_PER_REPOSITORY=-1", "SCAN_IMAGES_PER_REPOSITORY=100001", "SCAN_IMAGES_PER_REPOSITORY=all",
		"REPOSITORIES_INCLUDE=[a", "REPOSITORIES_EXCLUDE=a)|(b", "TAGS_INCLUDE=*", "TAGS_EXCLUDE=(?=a)", "FAMILIES_INCLUDE=a{1001}", "FAMILIES_EXCLUDE=a\\",
		"IMAGES_PER_REPOSITORY=-1", "IMAGES_PER_REPOSITORY=all", "IMAGES_PER_REPOSITORY=100001",
		"IMAGES_PUSHED_WITHIN=-1s", "IMAGES_PUSHED_WITHIN=a month", "IMAGES_PULLED_WITHIN=3651d", "IMAGES_PULLED_WITHIN=NaNd",
		"IDLE_IMAGES=Never", "IDLE_IMAGES=slow", "IN_USE_WITHIN=23h", "IN_USE_WITHIN=3651d", "IN_USE_WITHIN=0", "QUERY_URL=host/path", "QUERY_URL=http://me@host/path",
		"CLOUDWATCH_METRICS=yes", "CLOUDWATCH_METRICS=2",
		"REFRESH_BUDGET=0", "REFRESH_BUDGET=1h",
		"STATE_URL=disk", "STATE_URL=file://relative", "STATE_URL=file:///", "STATE_URL=file://host/path", "STATE_URL=memory://x", "STATE_URL=file:///p?x=y", "STATE_URL=ftp://x/y", "STATE_URL=s3://", "STATE_URL=s3://bucket", "STATE_URL=s3://bucket/", "STATE_URL=s3:///key", "STATE_URL=S3://bucket/key",
		"STATE_URL=s3://Bucket/key", "STATE_URL=s3://ab/key", "STATE_URL=s3://a..b/key", "STATE_URL=s3://-ab/key", "STATE_URL=s3://ab-/key", "STATE_URL=s3://192.168.1.1/key", "STATE_URL=s3://a_b/key", "STATE_URL=s3://" + strings.Repeat("a", 64) + "/key", "STATE_URL=s3://me:pw@bucket/key",
		"STATE_URL=s3://bucket/a?b", "STATE_URL=s3://bucket/a#b", "STATE_URL=s3://bucket/folder/", "STATE_URL=s3://bucket//a", "STATE_URL=s3://bucket/../a", "STATE_URL=s3://bucket/a\n", "STATE_URL=s3://bucket/\xff", "STATE_URL=s3://bucket/" + strings.Repeat("k", 1017),
		"STATE_SAVE_INTERVAL=-1s", "STATE_SAVE_INTERVAL=25h", "STATE_SAVE_INTERVAL=often",
		"STATE_URL=file:///dir/",
		"EXTERNAL_LABELS=a", "EXTERNAL_LABELS==b", "EXTERNAL_LABELS=a=", "EXTERNAL_LABELS=a=1,a=2", "EXTERNAL_LABELS=__name__=x", "EXTERNAL_LABELS=1a=x", "EXTERNAL_LABELS=a=b,", "EXTERNAL_LABELS=a-b=c", "EXTERNAL_LABELS=a=\xff",
		"LOG_LEVEL=LOUD",
	} {
		variable, value, _ := strings.Cut(bad, "=")
		environ := []string{bad}
		if variable != "REMOTE_WRITE_URL" {
			environ = append(environ, plainURL)
		}
		_, err := config.Load(environ, config.ToSend)
		faults, ok := err.(config.Faults) //nolint:errorlint // the documented type
		if !ok || len(faults) != 1 {
			t.Errorf("%s: error %v, want one fault", bad, err)
			continue
		}
		if variable == "STATE_URL" && strings.ContainsAny(value, "@?") || len(value) > 40 && !strings.Contains(variable, "URL") && !strings.Contains(variable, "ROLE") && !strings.Contains(variable, "CLUDE") {
			value = "REDACTED"
		}
		if f := faults[0]; f.Variable != variable || f.Rule == "" || variable != "REMOTE_WRITE_URL" && variable != "QUERY_URL" && f.Value != value {
			t.Errorf("%s: fault %+v", bad, f)
		}
	}
}

func TestEveryFaultAtOnce(t *testing.T) {
	t.Parallel()
	_, err := config.Load([]string{"REMOTE_WRITE_AUTH=x", "ECR_CONCURRENCY=0", "LOG_LEVEL=y"}, config.ToSend)
	const want = `the configuration has 4 faults:
  ECR_CONCURRENCY="0": want a whole number from 1 to 256
  LOG_LEVEL="y": want DEBUG, INFO, WARN or ERROR
  REMOTE_WRITE_AUTH="x": want sigv4, basic, bearer or none
  REMOTE_WRITE_URL: required: an absolute http or https URL`
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v, want\n%s", err, want)
	}
}

func TestToPrint(t *testing.T) {
	t.Parallel()
	if _, err := config.Load(nil, config.ToPrint); err != nil {
		t.Errorf("without an endpoint: %v", err)
	}
	if _, err := config.Load([]string{"ECR_CONCURRENCY=0"}, config.ToPrint); err == nil {
		t.Error("a fault was overlooked")
	}
}

func TestUnknownSettings(t *testing.T) {
	t.Parallel()
	c := load(t, plainURL, "REMOTE_WRITE_ULR=x", "ECR_PARALLEL=3", "SCAN_FROM=findings", "STATE_URI=memory:", "IMAGES_NEWEST=3", "TAGS=x", "TAGS_ONLY=x", "FAMILIES_=x", "REPOSITORIES_INCLUDED=x", "OTHER=1", "AWS_ECR_X=1")
	const ignored = " is not a setting, and ignored"
	want := []string{
		"ECR_PARALLEL" + ignored, "FAMILIES_" + ignored, "IMAGES_NEWEST" + ignored, "REMOTE_WRITE_ULR" + ignored + "; did you mean REMOTE_WRITE_URL?",
		"REPOSITORIES_INCLUDED" + ignored + "; did you mean REPOSITORIES_INCLUDE?", "SCAN_FROM" + ignored, "STATE_URI" + ignored + "; did you mean STATE_URL?", "TAGS_ONLY" + ignored,
	}
	if diff := cmp.Diff(want, c.Warnings); diff != "" {
		t.Errorf("warnings (-want +got):\n%s", diff)
	}
}

// Names near those of settings are reported, without their prefixes, too.
func TestMisspeltSettings(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"REPOSITORY_INCLUDE": "REPOSITORIES_INCLUDE", "REPOSITORYS_EXCLUDE": "REPOSITORIES_EXCLUDE", "REMOTE_WRITE_UR": "REMOTE_WRITE_URL", "LOGLEVEL": "LOG_LEVEL",
		"SCHEDULES": "SCHEDULE", "EXTERNAL_LABEL": "EXTERNAL_LABELS", "CACHE_REFRESH_INTERVALL": "CACHE_REFRESH_INTERVAL", "REMOTEWRITE_PASSWORD": "REMOTE_WRITE_PASSWORD",
		"LEVEL": "", "SHELL": "", "SITE_URL": "", "REFRESH": "", "AWS_REGION": "",
	} {
		var warnings []string
		if want != "" {
			warnings = []string{name + " is not a setting, and ignored; did you mean " + want + "?"}
		}
		if diff := cmp.Diff(warnings, load(t, plainURL, name+"=x").Warnings); diff != "" {
			t.Errorf("%s: warnings (-want +got):\n%s", name, diff)
		}
	}
	// They are among the faults, as one can be the reason of another.
	_, err := config.Load([]string{"REMOTE_WRITE_UR=http://host/", "REMOTE_WRITE_MAX_SERIES=0"}, config.ToSend)
	const want = `the configuration has 3 faults:
  REMOTE_WRITE_MAX_SERIES="0": want a whole number from 1 to 1000000
  REMOTE_WRITE_UR: not a setting, and ignored; did you mean REMOTE_WRITE_URL?
  REMOTE_WRITE_URL: required: an absolute http or https URL`
	if err == nil || err.Error() != want {
		t.Errorf("error\n%v, want\n%s", err, want)
	}
}

// Contradictions are reported with other faults, also if it is not known which method it is.
func TestContradictionsWithFaults(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		environ []string
		want    string
	}{
		{
			[]string{"REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_BEARER_TOKEN=x"}, `the configuration has 2 faults:
  REMOTE_WRITE_BEARER_TOKEN="REDACTED": want to be set only where REMOTE_WRITE_AUTH is bearer, and REMOTE_WRITE_USERNAME is for basic
  REMOTE_WRITE_URL: required: an absolute http or https URL`,
		},
		{
			[]string{"REMOTE_WRITE_AUTH=oauth", plainURL, "REMOTE_WRITE_BEARER_TOKEN=x", "REMOTE_WRITE_ROLE_EXTERNAL_ID=id"}, `the configuration has 2 faults:
  REMOTE_WRITE_AUTH="oauth": want sigv4, basic, bearer or none
  REMOTE_WRITE_ROLE_EXTERNAL_ID="id": want to be set only where REMOTE_WRITE_AUTH is sigv4, and REMOTE_WRITE_BEARER_TOKEN is for bearer`,
		},
	} {
		if _, err := config.Load(c.environ, config.ToSend); err == nil || err.Error() != c.want {
			t.Errorf("%q: error\n%v, want\n%s", c.environ, err, c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	config.Describe(&out)
	for _, want := range []string{
		"  REMOTE_WRITE_URL (required to push)\n        The remote-write URL of an Amazon Managed Service for Prometheus (AMP) workspace, or of any other endpoint.\n",
		"  ECR_CONCURRENCY (default 8)\n        The number of repositories listed concurrently.\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is missing in\n%s", want, &out)
		}
	}
	sentence := regexp.MustCompile("^        [A-Z][^`]+[^.]\\.\n$")
	for i, line := range slices.Collect(strings.Lines(out.String())) {
		if i%2 == 1 && !sentence.MatchString(line) {
			t.Errorf("%q is no sentence", line)
		}
	}
}
