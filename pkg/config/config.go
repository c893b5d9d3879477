// Package config reads the settings from the environment into one validated struct. It
// reports all faults together, each with the variable, its value unless it is secret, and
// the rule it breaks. The packages that use a setting own its type and its rule.
package config

import (
	"fmt"
	"maps"
	"net"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"github.com/caarlos0/env/v11"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// Config holds the settings. Each field is one environment variable; the table in
// docs/settings.md is generated from its tags and comment. A field tagged secret can hold a
// secret, and one tagged target can be set for a registry of its own (see Targets).
type Config struct {
	// The remote-write URL of an Amazon Managed Service for Prometheus (AMP) workspace, or of any other endpoint.
	RemoteWriteURL URL `env:"REMOTE_WRITE_URL" secret:"yes" rule:"an absolute http or https URL" note:"required"`
	// The version of the remote-write protocol: `auto` tries 2.0, whose responses say how much of a batch was stored, and falls back to 1.0 if the endpoint does not support it.
	RemoteWriteProtocol remotewrite.Protocol `env:"REMOTE_WRITE_PROTOCOL" rule:"1.0, auto or 2.0" note:"1.0 for an AMP host, else auto"`
	// How requests authenticate: `sigv4`, `basic`, `bearer` or `none`.
	RemoteWriteAuth auth.Method `env:"REMOTE_WRITE_AUTH" rule:"sigv4, basic, bearer or none" note:"sigv4 for an AMP host, else basic with a user name, bearer with a token, or none"`
	// The AWS Region to sign requests for.
	RemoteWriteRegion Region `env:"REMOTE_WRITE_REGION" rule:"an AWS Region such as eu-west-1" note:"the AMP host's, else the function's"`
	// The role to assume for signing requests, for a workspace in another account. Only with `sigv4`.
	RemoteWriteRoleARN RoleARN `env:"REMOTE_WRITE_ROLE_ARN" rule:"the ARN of an IAM role, arn:aws:iam::ACCOUNT:role/NAME"`
	// The external id that the role's trust policy requires.
	RemoteWriteRoleExternalID ExternalID `env:"REMOTE_WRITE_ROLE_EXTERNAL_ID" rule:"2 to 1224 letters, digits and _+=,.@:/-"`
	// The user name for `basic`. It may be in the URL instead.
	RemoteWriteUsername string `env:"REMOTE_WRITE_USERNAME" rule:"text without colon and control characters"`
	// The password for `basic`. A secret is the text itself or, better, a reference to where it is stored.
	RemoteWritePassword secret.Text `env:"REMOTE_WRITE_PASSWORD" secret:"yes" rule:"text without control characters, or a reference: secretsmanager:ARN, secretsmanager:ARN#json-key, ssm:NAME or file:PATH, where a name and an ARN are interchangeable"`
	// The token for `bearer`: text or a reference.
	RemoteWriteBearerToken secret.Text `env:"REMOTE_WRITE_BEARER_TOKEN" secret:"yes" rule:"visible ASCII characters, or a reference like REMOTE_WRITE_PASSWORD's"`
	// Headers to add to every request, as `Name=value,Name=value`, such as `X-Scope-OrgID=team-a`. A value may be a reference. Authorization, Cookie and headers that the sender sets are refused.
	RemoteWriteHeaders Headers `env:"REMOTE_WRITE_HEADERS" secret:"yes" rule:"Name=value pairs separated by commas, each name once and none that is reserved; a value is text or a reference like REMOTE_WRITE_PASSWORD's"`
	// The CA certificates to verify the endpoint with, in place of the system's: PEM text or a reference. This and the next two need an https URL, and are read once per process.
	RemoteWriteCA secret.Text `env:"REMOTE_WRITE_CA" rule:"certificates as PEM text, or a reference like REMOTE_WRITE_PASSWORD's"`
	// The client certificate, followed by any intermediate certificates: PEM text or a reference.
	RemoteWriteClientCertificate secret.Text `env:"REMOTE_WRITE_CLIENT_CERTIFICATE" rule:"certificates as PEM text, or a reference like REMOTE_WRITE_PASSWORD's"`
	// The private key of the client certificate, not encrypted: PEM text or a reference.
	RemoteWriteClientKey secret.Text `env:"REMOTE_WRITE_CLIENT_KEY" secret:"yes" rule:"a private key as PEM text, or a reference like REMOTE_WRITE_PASSWORD's"`
	// The timeout of one attempt to send a batch.
	RemoteWriteTimeout Duration `env:"REMOTE_WRITE_TIMEOUT" envDefault:"10s" rule:"from 100ms to 5m, as a Go duration or in seconds" min:"100ms" max:"5m"`
	// The maximum size of a request in bytes, before compression. AMP accepts 1 MB.
	RemoteWriteMaxBytes int `env:"REMOTE_WRITE_MAX_BYTES" envDefault:"900000" rule:"a whole number from 10000 to 100000000" min:"10000" max:"100000000"`
	// The maximum number of series in a request.
	RemoteWriteMaxSeries int `env:"REMOTE_WRITE_MAX_SERIES" envDefault:"5000" rule:"a whole number from 1 to 1000000" min:"1" max:"1000000"`
	// The number of concurrent requests. Each uses up to twice `REMOTE_WRITE_MAX_BYTES` of memory.
	RemoteWriteConcurrency int `env:"REMOTE_WRITE_CONCURRENCY" envDefault:"4" rule:"a whole number from 1 to 64" min:"1" max:"64"`
	// Whether AWS is called through its FIPS endpoints. Not every Region and service has one: see [Regions](regions.md). `REMOTE_WRITE_URL` is used as it is.
	UseFIPSEndpoint bool `env:"AWS_USE_FIPS_ENDPOINT" envDefault:"false" rule:"true or false"`
	// Whether AWS is called through its dual-stack endpoints, which take IPv6 too. For these the same holds.
	UseDualStackEndpoint bool `env:"AWS_USE_DUALSTACK_ENDPOINT" envDefault:"false" rule:"true or false"`
	// How long data from ECR stays fresh, in seconds (as in the Python exporter) or as a Go duration.
	CacheRefreshInterval Duration `env:"CACHE_REFRESH_INTERVAL" target:"yes" envDefault:"1800" rule:"from 1s to 168h, as 7d, as a Go duration or in seconds" min:"1s" max:"168h"`
	// How often the function is invoked, which only the [forecast of the cost](cost.md) needs to know. With `TARGETS`: how often a registry is pushed, in whole minutes.
	Schedule Schedule `env:"SCHEDULE" envDefault:"rate(2 minutes)" rule:"rate(N minutes), hours or days as EventBridge writes it, or a duration; from 1s to 10000h" min:"1s" max:"10000h"`
	// The AWS account of the registry.
	ECRRegistryID AccountID `env:"ECR_REGISTRY_ID" rule:"an AWS account, twelve digits" note:"the function's account"`
	// The number of repositories listed concurrently.
	ECRConcurrency int `env:"ECR_CONCURRENCY" target:"yes" envDefault:"8" rule:"a whole number from 1 to 256" min:"1" max:"256"`
	// The rate limit of each ECR API operation, in requests per second. Throttling halves it for a while.
	ECRRequestsPerSecond float64 `env:"ECR_REQUESTS_PER_SECOND" target:"yes" envDefault:"20" rule:"a number from 0.1 to 10000" min:"0.1" max:"10000"`
	// Where scan results come from: `auto` uses `findings` for a registry with basic scanning and `inspector` for one with enhanced scanning; `findings` makes one ECR call per image; `inspector` reads Amazon Inspector's lists, and findings where these are not exact; `summary` uses what is in the list of images; `none` reads nothing.
	ScanSource refresh.ScanSource `env:"SCAN_SOURCE" target:"yes" envDefault:"auto" rule:"auto, findings, inspector, summary or none"`
	// How long the result of a finished scan stays fresh, in seconds or as a Go duration. A scan event takes effect at once.
	ScanRefreshInterval Duration `env:"SCAN_REFRESH_INTERVAL" target:"yes" rule:"from 1m to 720h, as 7d, as a Go duration or in seconds" note:"24h for basic scanning, 6h for enhanced" min:"1m" max:"720h"`
	// The rate limit of requests for scan results, per second. Throttling halves it for a while.
	ScanRequestsPerSecond float64 `env:"SCAN_REQUESTS_PER_SECOND" target:"yes" envDefault:"10" rule:"a number from 0.1 to 10000" min:"0.1" max:"10000"`
	// The number of images per repository to read scan results for, the newest tagged ones first; 0 means all.
	ScanImagesPerRepository int `env:"SCAN_IMAGES_PER_REPOSITORY" target:"yes" envDefault:"0" rule:"a whole number from 0 to 100000" min:"0" max:"100000"`
	// Whether the images of indexes (multi-architecture images) are read, to show their scan results for the index. It needs a [pull-time update exclusion](scans-and-events.md#indexes).
	IndexScans bool `env:"INDEX_SCANS" target:"yes" envDefault:"true" rule:"true or false"`
	// The repositories to export: a regular expression (RE2) that matches the whole name. Nothing is read or sent for the others.
	RepositoriesInclude Regexp `env:"REPOSITORIES_INCLUDE" target:"yes" rule:"a regular expression" note:"all"`
	// Exceptions from `REPOSITORIES_INCLUDE`.
	RepositoriesExclude Regexp `env:"REPOSITORIES_EXCLUDE" target:"yes" rule:"a regular expression" note:"none"`
	// The image tags to export, likewise.
	TagsInclude Regexp `env:"TAGS_INCLUDE" target:"yes" rule:"a regular expression" note:"all"`
	// Exceptions from `TAGS_INCLUDE`.
	TagsExclude Regexp `env:"TAGS_EXCLUDE" target:"yes" rule:"a regular expression" note:"none"`
	// The metric families to export, by name. Some are exported only if this matches them: see [metrics](metrics.md).
	FamiliesInclude Regexp `env:"FAMILIES_INCLUDE" target:"yes" rule:"a regular expression" note:"all"`
	// Exceptions from `FAMILIES_INCLUDE`.
	FamiliesExclude Regexp `env:"FAMILIES_EXCLUDE" target:"yes" rule:"a regular expression" note:"none"`
	// The number of images per repository to export, those pushed last; 0 means all.
	ImagesPerRepository int `env:"IMAGES_PER_REPOSITORY" target:"yes" envDefault:"0" rule:"a whole number from 0 to 100000" min:"0" max:"100000"`
	// Export only images pushed within this time; 0 means all. With `IMAGES_PULLED_WITHIN` too, either is enough.
	ImagesPushedWithin Duration `env:"IMAGES_PUSHED_WITHIN" target:"yes" rule:"from 0s to 3650d, as 30d, as a Go duration or in seconds" note:"no limit" min:"0s" max:"3650d"`
	// Export only images pulled within this time; 0 means all. ECR records a pull about once a day.
	ImagesPulledWithin Duration `env:"IMAGES_PULLED_WITHIN" target:"yes" rule:"from 0s to 3650d, as 30d, as a Go duration or in seconds" note:"no limit" min:"0s" max:"3650d"`
	// The number of untagged images per repository to export by digest, those pushed last, of the ones that a pod may run: see [untagged images](scans-and-events.md#untagged-images); 0 means none.
	UntaggedImagesPerRepository int `env:"UNTAGGED_IMAGES_PER_REPOSITORY" target:"yes" envDefault:"20" rule:"a whole number from 0 to 100000" min:"0" max:"100000"`
	// Export only untagged images pushed or pulled within this time; 0 means all.
	UntaggedImagesWithin Duration `env:"UNTAGGED_IMAGES_WITHIN" target:"yes" envDefault:"30d" rule:"from 0s to 3650d, as 30d, as a Go duration or in seconds" min:"0s" max:"3650d"`
	// Whether images that are [idle](in-use.md) have series: `push` or `never`.
	IdleImages IdleImages `env:"IDLE_IMAGES" target:"yes" envDefault:"push" rule:"push or never"`
	// With `IDLE_IMAGES=never`: how long an image is in use after its push or last pull. ECR records a pull about once a day.
	InUseWithin Duration `env:"IN_USE_WITHIN" target:"yes" envDefault:"90d" rule:"from 24h to 3650d, as 30d, as a Go duration or in seconds" min:"24h" max:"3650d"`
	// With `IDLE_IMAGES=never`: the instant PromQL query whose series name the images that run, in the labels `image_id`, `image_spec` and `image`.
	InUseQuery string `env:"IN_USE_QUERY" rule:"a PromQL expression" note:"the containers of kube-state-metrics"`
	// With `IDLE_IMAGES=never`: the URL of instant queries of the store, such as `https://…/api/v1/query`. Requests authenticate like those of remote write, so it must contain no secret.
	QueryURL URL `env:"QUERY_URL" rule:"an absolute http or https URL without user name and password" note:"that of the AMP workspace; required for any other endpoint"`
	// The keys of the repositories' own tags to export as labels of `aws_ecr_repository_tags_info`, such as `team,cost-center`. It costs one ECR call for each repository and refresh.
	RepositoryTags TagKeys `env:"REPOSITORY_TAGS" target:"yes" rule:"up to 50 keys of tags separated by commas, each once, with 1 to 128 characters" note:"none"`
	// Whether to export which repositories have a lifecycle policy. It costs one ECR call for each repository and refresh.
	LifecyclePolicies bool `env:"LIFECYCLE_POLICIES" target:"yes" envDefault:"false" rule:"true or false"`
	// Whether to export the registry's pull-through cache rules, replication destinations and own quotas. It costs three calls for each refresh.
	RegistryDetails bool `env:"REGISTRY_DETAILS" target:"yes" envDefault:"false" rule:"true or false"`
	// How much of an invocation may be spent on reading from AWS; the rest waits for the next one. `-once` and `-dry-run` have no limit.
	RefreshBudget Duration `env:"REFRESH_BUDGET" envDefault:"60s" rule:"from 1s to 15m, as a Go duration or in seconds" min:"1s" max:"15m"`
	// Where the inventory is kept between cold starts: `memory:` (nowhere), `file:///path` or `s3://bucket/key`.
	StateURL StateURL `env:"STATE_URL" envDefault:"memory:" rule:"memory:, file:///path or s3://bucket/key"`
	// How long new data may wait before the state is saved. A run that completes a refresh saves at once.
	StateSaveInterval Duration `env:"STATE_SAVE_INTERVAL" envDefault:"5m" rule:"from 0s to 24h, as a Go duration or in seconds" min:"0s" max:"24h"`
	// Labels to add to every series, as `name=value,name=value`. A family's own label of the same name wins.
	ExternalLabels Labels `env:"EXTERNAL_LABELS" rule:"name=value pairs separated by commas; names match [a-zA-Z_][a-zA-Z0-9_]* and do not begin with __; values have 1 to 2048 bytes"`
	// Whether to add the label `region`, the function's AWS Region, to every series, like one of `EXTERNAL_LABELS`. Set it if functions in several Regions of one account send to one workspace.
	RegionLabel bool `env:"REGION_LABEL" envDefault:"false" rule:"true or false"`
	// Which registries to read, of many accounts and Regions: a list such as `111122223333:eu-west-1,222233334444:*`, or where a [document](targets.md) is, `s3://bucket/key` or `ssm:NAME`. See [an organisation](organisation.md).
	Targets Targets `env:"TARGETS" rule:"ACCOUNT:REGION pairs separated by commas, with * for all enabled Regions; s3://bucket/key; or ssm:NAME" note:"the function's own registry"`
	// With `TARGETS`: the role to assume in other accounts, by name, with its path if it has one, or by an ARN with `ACCOUNT` in place of the account.
	TargetRole RoleName `env:"TARGET_ROLE" envDefault:"ecr-remote-write" rule:"the name of an IAM role, or its ARN with ACCOUNT in place of the account"`
	// The external id that these roles' trust policies require.
	TargetExternalID ExternalID `env:"TARGET_EXTERNAL_ID" rule:"2 to 1224 letters, digits and _+=,.@:/-"`
	// With `TARGETS`: the URL of the SQS FIFO queue that has a message for each registry that is due.
	QueueURL URL `env:"QUEUE_URL" rule:"an absolute http or https URL without user name and password" note:"required in Lambda"`
	// With `TARGETS`: how many registries are read and pushed at once, as the queue's event source mapping allows.
	TargetConcurrency int `env:"TARGET_CONCURRENCY" envDefault:"10" rule:"a whole number from 2 to 1000" min:"2" max:"1000"`
	// With `TARGETS`: how many samples a second the endpoint takes, which the registries share; 0 means no limit. It slows pushes and never shortens them.
	RemoteWriteSamplesPerSecond float64 `env:"REMOTE_WRITE_SAMPLES_PER_SECOND" envDefault:"0" rule:"a number from 0 to 100000000" min:"0" max:"100000000"`
	// Which run metrics to log in CloudWatch's embedded metric format too, where they also show an endpoint that is down: `alarms` for the three that [alarms](operations.md#cloudwatch) need, `true` for all, `false` for none. CloudWatch bills each as a custom metric.
	CloudWatchMetrics CloudWatchMetrics `env:"CLOUDWATCH_METRICS" envDefault:"alarms" rule:"alarms, true or false"`
	// The log level: `DEBUG`, `INFO`, `WARN` or `ERROR`.
	LogLevel LogLevel `env:"LOG_LEVEL" rule:"DEBUG, INFO, WARN or ERROR" note:"AWS_LAMBDA_LOG_LEVEL, else INFO"`
	// Further settings as `NAME=value` pairs, separated by semicolons or new lines, neither of which a value can contain. A variable of its own wins. What can be secret is refused: the URL, password, token, headers and client key.
	Settings Settings `env:"SETTINGS" rule:"NAME=value pairs separated by ; or new lines"`
	// Warnings are about settings that are accepted but probably wrong, such as a misspelt name.
	Warnings []string `env:"-"`
	// OneOfMany is set for one of TARGETS' registries (see ForTarget).
	OneOfMany bool `env:"-"`
}

// CloudWatchMetrics says which run metrics become metrics of CloudWatch.
type CloudWatchMetrics string

// The values of CLOUDWATCH_METRICS.
const (
	MetricsForAlarms CloudWatchMetrics = "alarms"
	AllMetrics       CloudWatchMetrics = "true"
	NoMetrics        CloudWatchMetrics = "false"
)

// Use is what the configuration is for.
type Use int

// The uses of a configuration.
const (
	// ToSend needs an endpoint.
	ToSend Use = iota
	// ToPrint, the dry run, needs none.
	ToPrint
)

// parsers read the types without UnmarshalText, most of which other packages own.
var parsers = map[reflect.Type]env.ParserFunc{
	reflect.TypeFor[AccountID]():            parseIf[AccountID](awsapi.ValidAccount),
	reflect.TypeFor[Region]():               parseIf[Region](awsapi.ValidRegion),
	reflect.TypeFor[RoleARN]():              parseIf[RoleARN](validRoleARN),
	reflect.TypeFor[ExternalID]():           parseIf[ExternalID](awsapi.ValidExternalID),
	reflect.TypeFor[remotewrite.Protocol](): oneOf(remotewrite.V1, remotewrite.V2, remotewrite.Auto),
	reflect.TypeFor[CloudWatchMetrics]():    oneOf(MetricsForAlarms, AllMetrics, NoMetrics),
	reflect.TypeFor[auth.Method]():          oneOf(auth.SigV4, auth.Basic, auth.Bearer, auth.None),
	reflect.TypeFor[Targets]():              parseIf[Targets](validTargets),
	reflect.TypeFor[RoleName]():             parseIf[RoleName](targets.ValidRole),
	reflect.TypeFor[IdleImages]():           oneOf(IdlePush, IdleNever),
	reflect.TypeFor[refresh.ScanSource]():   oneOf(refresh.ScanAuto, refresh.ScanFindings, refresh.ScanInspector, refresh.ScanSummary, refresh.ScanNone),
	reflect.TypeFor[secret.Text](): func(text string) (any, error) {
		parsed, err := secret.Parse(text)
		if err != nil {
			return nil, reason(err.Error())
		}
		return parsed, nil
	},
}

func oneOf[T ~string](values ...T) env.ParserFunc {
	return parseIf[T](func(text string) bool { return slices.Contains(values, T(text)) })
}

// Load reads the configuration from environment entries of the form NAME=value, as
// os.Environ returns them. An empty variable counts as unset. The error is of the type
// Faults, with every fault.
func Load(environ []string, use Use) (*Config, error) { return load(environ, nil, use) }

// load is Load with variables in place of those of the environment and of SETTINGS.
func load(environ []string, instead map[string]string, use Use) (*Config, error) {
	vars := env.ToMap(environ)
	unset := func(_, value string) bool { return value == "" }
	maps.DeleteFunc(vars, unset)
	c := &Config{}
	var faults Faults
	c.Warnings = addSettings(vars, &faults)
	maps.Copy(vars, instead)
	maps.DeleteFunc(vars, unset)
	if err := env.ParseWithOptions(c, env.Options{Environment: vars, FuncMap: parsers}); err != nil {
		all, ok := err.(env.AggregateError) //nolint:errorlint // documented as the type of every error of the package
		if !ok {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		for _, err := range all.Errors {
			parse, ok := err.(env.ParseError) //nolint:errorlint // as above
			if !ok {
				return nil, fmt.Errorf("reading the configuration: %w", err)
			}
			faults.add(vars, parse.Name, parse.Err)
		}
	}
	c.checkRanges(vars, &faults)
	c.resolve(vars, use, &faults)
	for _, fault := range misspelt(vars) {
		c.Warnings = append(c.Warnings, fault.Variable+" is "+fault.Rule)
		if len(faults) > 0 {
			faults = append(faults, fault)
		}
	}
	if len(faults) > 0 {
		slices.SortStableFunc(faults, func(a, b Fault) int { return strings.Compare(a.Variable, b.Variable) })
		return nil, faults
	}
	return c, nil
}

// checkRanges checks numbers and durations against their min and max tags. One that is
// not set and has no default stays zero.
func (c *Config) checkRanges(vars map[string]string, faults *Faults) {
	value := reflect.ValueOf(c).Elem()
	for field, v := range value.Fields() {
		low, bounded := field.Tag.Lookup("min")
		if !bounded || v.IsZero() && vars[field.Tag.Get("env")] == "" {
			continue
		}
		if n := number(v); !(n >= bound(low) && n <= bound(field.Tag.Get("max"))) { // so that NaN is out too
			faults.add(vars, field.Name, nil)
		}
	}
}

func number(v reflect.Value) float64 {
	if v.CanFloat() {
		return v.Float()
	}
	return float64(v.Int())
}

// bound reads a min or max tag: a number or a duration.
func bound(tag string) float64 {
	if n, err := strconv.ParseFloat(tag, 64); err == nil {
		return n
	}
	var d Duration
	_ = d.UnmarshalText([]byte(tag)) // all tags are valid, or every test fails
	return float64(d)
}

// Loopback reports whether the endpoint is on this machine.
func (c *Config) Loopback() bool {
	host := c.RemoteWriteURL.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
