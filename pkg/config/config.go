// Package config reads the settings from the environment as one validated struct.
// All faults are reported together, each with the variable, its value and the rule
// it breaks.
package config

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caarlos0/env/v11"
)

// Config is what can be set. Each field is one environment variable; README's
// table is made from the tags and comments here.
type Config struct {
	// Where the series are sent: the remote-write URL of an Amazon Managed Service for Prometheus (AMP) workspace, or of any other endpoint.
	RemoteWriteURL URL `env:"REMOTE_WRITE_URL" rule:"an absolute http or https URL" note:"required"`
	// How requests authenticate: `sigv4` or `none`.
	RemoteWriteAuth Auth `env:"REMOTE_WRITE_AUTH" rule:"sigv4 or none" note:"sigv4 for an AMP host, else none"`
	// The AWS Region that requests are signed for.
	RemoteWriteRegion Region `env:"REMOTE_WRITE_REGION" rule:"an AWS Region such as eu-west-1" note:"the AMP host's, else the function's"`
	// How long one attempt to send a batch may take.
	RemoteWriteTimeout Duration `env:"REMOTE_WRITE_TIMEOUT" envDefault:"10s" rule:"from 100ms to 5m, as a Go duration or in seconds" min:"100ms" max:"5m"`
	// The most bytes of one request, before compression. AMP takes 1 MB.
	RemoteWriteMaxBytes int `env:"REMOTE_WRITE_MAX_BYTES" envDefault:"900000" rule:"a whole number from 10000 to 100000000" min:"10000" max:"100000000"`
	// The most series of one request.
	RemoteWriteMaxSeries int `env:"REMOTE_WRITE_MAX_SERIES" envDefault:"5000" rule:"a whole number from 1 to 1000000" min:"1" max:"1000000"`
	// How many requests are under way at once. Each holds up to twice `REMOTE_WRITE_MAX_BYTES` of memory.
	RemoteWriteConcurrency int `env:"REMOTE_WRITE_CONCURRENCY" envDefault:"4" rule:"a whole number from 1 to 64" min:"1" max:"64"`
	// How long what ECR answered stays fresh, in seconds (as the Python exporter takes it) or as a Go duration.
	CacheRefreshInterval Duration `env:"CACHE_REFRESH_INTERVAL" envDefault:"1800" rule:"from 1s to 168h, as a Go duration or in seconds" min:"1s" max:"168h"`
	// The AWS account whose registry is read.
	ECRRegistryID AccountID `env:"ECR_REGISTRY_ID" rule:"an AWS account, twelve digits" note:"the function's account"`
	// How many repositories are listed at once.
	ECRConcurrency int `env:"ECR_CONCURRENCY" envDefault:"8" rule:"a whole number from 1 to 256" min:"1" max:"256"`
	// The most requests a second to each operation of the ECR API. It is halved when ECR throttles, and grows back.
	ECRRequestsPerSecond float64 `env:"ECR_REQUESTS_PER_SECOND" envDefault:"20" rule:"a number from 0.1 to 10000" min:"0.1" max:"10000"`
	// Where scan results come from: `auto` looks at the registry's scanning configuration and takes `findings` for basic scanning, `inspector` for enhanced; `findings` makes one ECR call an image; `inspector` reads Amazon Inspector's lists, and findings where these are not exact; `summary` takes what comes with the list of images; `none` asks for nothing.
	ScanSource ScanSource `env:"SCAN_SOURCE" envDefault:"auto" rule:"auto, findings, inspector, summary or none"`
	// How long the result of a finished scan stays fresh, in seconds or as a Go duration. An event that tells of a scan counts at once.
	ScanRefreshInterval Duration `env:"SCAN_REFRESH_INTERVAL" rule:"from 1m to 720h, as a Go duration or in seconds" note:"24h for basic scanning, 6h for enhanced" min:"1m" max:"720h"`
	// The most requests a second that ask for scan results. It is halved when AWS throttles, and grows back.
	ScanRequestsPerSecond float64 `env:"SCAN_REQUESTS_PER_SECOND" envDefault:"10" rule:"a number from 0.1 to 10000" min:"0.1" max:"10000"`
	// How many images of a repository are asked for scan results, the newest tagged ones; 0 means all.
	ScanImagesPerRepository int `env:"SCAN_IMAGES_PER_REPOSITORY" envDefault:"0" rule:"a whole number from 0 to 100000" min:"0" max:"100000"`
	// How much of an invocation may be spent on asking ECR; what is due beyond it waits for the next one. `-once` and `-dry-run` take as long as they need.
	RefreshBudget Duration `env:"REFRESH_BUDGET" envDefault:"60s" rule:"from 1s to 15m, as a Go duration or in seconds" min:"1s" max:"15m"`
	// Where the inventory rests between cold starts: `memory:` (nowhere), `file:///path` or `s3://bucket/key`.
	StateURL StateURL `env:"STATE_URL" envDefault:"memory:" rule:"memory:, file:///path or s3://bucket/key"`
	// How long what a run learned may wait before the state is saved. A run that finished a refresh saves at once.
	StateSaveInterval Duration `env:"STATE_SAVE_INTERVAL" envDefault:"5m" rule:"from 0s to 24h, as a Go duration or in seconds" min:"0s" max:"24h"`
	// Labels put on every series, as `name=value,name=value`. A family's own label of the same name wins.
	ExternalLabels Labels `env:"EXTERNAL_LABELS" rule:"name=value pairs separated by commas; names match [a-zA-Z_][a-zA-Z0-9_]* and do not begin with __; values have 1 to 2048 bytes"`
	// The least severe log lines that are shown: `DEBUG`, `INFO`, `WARN` or `ERROR`.
	LogLevel LogLevel `env:"LOG_LEVEL" rule:"DEBUG, INFO, WARN or ERROR" note:"AWS_LAMBDA_LOG_LEVEL, else INFO"`
	// Warnings are settings that look like ours and are not: a misspelt name would otherwise go unseen.
	Warnings []string `env:"-"`
}

// Use says what the configuration is for.
type Use int

// What a configuration can be used for.
const (
	// ToSend needs an endpoint.
	ToSend Use = iota
	// ToPrint, the dry run, needs none.
	ToPrint
)

// Load reads the configuration from environment entries of the form NAME=value,
// as os.Environ gives them. An empty variable counts as unset. The error, if any,
// names every fault.
func Load(environ []string, use Use) (*Config, error) {
	vars := env.ToMap(environ)
	for name, value := range vars {
		if value == "" {
			delete(vars, name)
		}
	}
	c := &Config{}
	var faults Faults
	if err := env.ParseWithOptions(c, env.Options{Environment: vars}); err != nil {
		all, ok := err.(env.AggregateError) //nolint:errorlint // documented as the type of every error of the package
		if !ok {
			return nil, fmt.Errorf("reading the configuration: %w", err)
		}
		for _, err := range all.Errors {
			parse, ok := err.(env.ParseError) //nolint:errorlint // as above
			if !ok {
				return nil, fmt.Errorf("reading the configuration: %w", err)
			}
			faults.add(vars, parse.Name)
		}
	}
	c.checkRanges(vars, &faults)
	c.resolve(vars, use, &faults)
	c.Warnings = unknown(vars)
	if len(faults) > 0 {
		slices.SortFunc(faults, func(a, b Fault) int { return strings.Compare(a.Variable, b.Variable) })
		return nil, faults
	}
	return c, nil
}

// checkRanges holds numbers and durations against their tags. One that is not set
// and has no default of its own stays zero: what uses it knows its defaults.
func (c *Config) checkRanges(vars map[string]string, faults *Faults) {
	value := reflect.ValueOf(c).Elem()
	for field, v := range value.Fields() {
		low, bounded := field.Tag.Lookup("min")
		if !bounded || v.IsZero() && vars[field.Tag.Get("env")] == "" {
			continue
		}
		if n := number(v); !(n >= bound(low) && n <= bound(field.Tag.Get("max"))) { // so that NaN is out too
			faults.add(vars, field.Name)
		}
	}
}

func number(v reflect.Value) float64 {
	if v.CanFloat() {
		return v.Float()
	}
	return float64(v.Int())
}

// bound reads a tag of this file: a number, or a duration.
func bound(tag string) float64 {
	if n, err := strconv.ParseFloat(tag, 64); err == nil {
		return n
	}
	d, _ := time.ParseDuration(tag)
	return float64(d)
}

// ampHost matches the endpoints of Amazon Managed Service for Prometheus: plain,
// FIPS, dual-stack, VPC and China.
//
// See https://docs.aws.amazon.com/general/latest/gr/prometheus-service.html.
var ampHost = regexp.MustCompile(`^(?:[a-z0-9-]+\.)?aps-workspaces(?:-fips)?\.([a-z]{2}(?:-[a-z]+)+-\d)\.(?:vpce\.)?(?:amazonaws\.com(?:\.cn)?|api\.aws|api\.amazonwebservices\.com\.cn)$`)

// resolve settles what depends on another setting.
func (c *Config) resolve(vars map[string]string, use Use, faults *Faults) {
	if _, set := vars["REMOTE_WRITE_URL"]; !set && use == ToSend {
		*faults = append(*faults, Fault{Variable: "REMOTE_WRITE_URL", Rule: "required: " + rule("RemoteWriteURL")})
	}
	if match := ampHost.FindStringSubmatch(strings.ToLower(c.RemoteWriteURL.Hostname())); match != nil {
		c.RemoteWriteAuth = cmp.Or(c.RemoteWriteAuth, AuthSigV4)
		c.RemoteWriteRegion = cmp.Or(c.RemoteWriteRegion, Region(match[1]))
	}
	c.RemoteWriteAuth = cmp.Or(c.RemoteWriteAuth, AuthNone)
	if c.RemoteWriteAuth == AuthSigV4 && c.RemoteWriteURL.User != nil {
		*faults = append(*faults, Fault{"REMOTE_WRITE_URL", withoutSecrets(c.RemoteWriteURL.URL), "no user name or password in it where requests are signed (REMOTE_WRITE_AUTH)"})
	}
	if c.LogLevel.level == nil {
		// Lambda's own variable is set by the platform and is not for us to
		// refuse: what is not known counts as INFO.
		if c.LogLevel.UnmarshalText([]byte(vars["AWS_LAMBDA_LOG_LEVEL"])) != nil {
			level := slog.LevelInfo
			c.LogLevel.level = &level
		}
	}
}

// prefixes are those of our variables that hardly anything else has.
var prefixes = []string{"REMOTE_WRITE_", "ECR_", "SCAN_", "STATE_"}

// unknown names variables with a prefix of ours that mean nothing.
func unknown(vars map[string]string) []string {
	known := map[string]bool{}
	for field := range reflect.TypeFor[Config]().Fields() {
		known[field.Tag.Get("env")] = true
	}
	var warnings []string
	for name := range vars {
		ours := slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(name, prefix) })
		if ours && !known[name] {
			warnings = append(warnings, name+" is no setting of this program and is ignored")
		}
	}
	slices.Sort(warnings)
	return warnings
}

// Loopback reports whether the endpoint is on this machine.
func (c *Config) Loopback() bool {
	host := c.RemoteWriteURL.Hostname()
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
