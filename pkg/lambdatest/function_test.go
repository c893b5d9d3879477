//go:build unix

package lambdatest

import (
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// variables runs a function that responds with its environment.
func variables(t *testing.T, f Function) map[string]string {
	t.Helper()
	env := map[string]string{}
	for _, variable := range decode[[]string](t, invoke(t, start(t, f), `{}`).Payload) {
		name, value, _ := strings.Cut(variable, "=")
		env[name] = value
	}
	return env
}

func TestEnvironmentVariables(t *testing.T) {
	t.Setenv("AWS_PROFILE", "a-developers-own")
	f := function(t, "environment")
	root := filepath.Dir(f.Path)
	f.Env = append(f.Env, "REMOTE_WRITE_URL=http://127.0.0.1:9/", "TZ=Europe/Berlin")
	got := variables(t, f)
	for name, want := range map[string]string{
		"AWS_ACCESS_KEY_ID":               AccessKeyID,
		"AWS_DEFAULT_REGION":              "us-east-1",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256",
		"AWS_LAMBDA_FUNCTION_NAME":        "ecr-remote-write",
		"AWS_LAMBDA_FUNCTION_VERSION":     `\$LATEST`,
		"AWS_LAMBDA_INITIALIZATION_TYPE":  "on-demand",
		"AWS_LAMBDA_LOG_FORMAT":           "JSON",
		"AWS_LAMBDA_LOG_GROUP_NAME":       "/aws/lambda/ecr-remote-write",
		"AWS_LAMBDA_LOG_STREAM_NAME":      `\d{4}/\d\d/\d\d/\[\$LATEST\][0-9a-f]{32}`,
		"AWS_LAMBDA_RUNTIME_API":          `127\.0\.0\.1:\d+`,
		"AWS_REGION":                      "us-east-1",
		"AWS_SECRET_ACCESS_KEY":           SecretAccessKey,
		"AWS_SESSION_TOKEN":               SessionToken,
		"LAMBDA_RUNTIME_DIR":              regexp.QuoteMeta(root),
		"LAMBDA_TASK_ROOT":                regexp.QuoteMeta(root),
		"LANG":                            `en_US\.UTF-8`,
		"PATH":                            "/usr/local/bin:/usr/bin:/bin:/opt/bin",
		"REMOTE_WRITE_URL":                "http://127.0.0.1:9/",
		"TZ":                              "Europe/Berlin", // the function's own wins
		"_HANDLER":                        "bootstrap",

		behaviour:          "environment",
		"_X_AMZN_TRACE_ID": "Root=.+", // by the runtime client, for each invocation
	} {
		if !regexp.MustCompile("^" + want + "$").MatchString(got[name]) {
			t.Errorf("%s is %q, want %s", name, got[name], want)
		}
		delete(got, name)
	}
	if len(got) > 0 {
		t.Errorf("also set: %s", slices.Sorted(maps.Keys(got)))
	}
}

func TestFunctionFields(t *testing.T) {
	t.Parallel()
	f := function(t, "environment")
	f.Name, f.Region, f.AccountID = "exporter", "eu-central-1", "210987654321"
	f.MemoryMB, f.LogLevel = 128, "DEBUG"
	got := variables(t, f)
	for name, want := range map[string]string{
		"AWS_LAMBDA_FUNCTION_NAME":        "exporter",
		"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128",
		"AWS_LAMBDA_LOG_LEVEL":            "DEBUG",
		"AWS_REGION":                      "eu-central-1",
	} {
		if got[name] != want {
			t.Errorf("%s is %q, want %q", name, got[name], want)
		}
	}
	f.LogFormat = "Text"
	if level, ok := variables(t, f)["AWS_LAMBDA_LOG_LEVEL"]; ok {
		t.Errorf("AWS_LAMBDA_LOG_LEVEL is %q with the format Text, which has none", level)
	}
	f.Env = []string{behaviour + "=echo"}
	echoed := decode[seen](t, invoke(t, start(t, f), `{}`).Payload)
	if want := "arn:aws:lambda:eu-central-1:210987654321:function:exporter"; echoed.ARN != want {
		t.Errorf("ARN %s, want %s", echoed.ARN, want)
	}
}
