package config_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

func TestSettings(t *testing.T) {
	t.Parallel()
	c := load(t, plainURL, "SETTINGS=ECR_CONCURRENCY=4; TAGS_EXCLUDE = a=b.*\n\n  CACHE_REFRESH_INTERVAL=1h\r\nREFRESH_BUDGET=;REMOTE_WRITE_CA=;",
		"CACHE_REFRESH_INTERVAL=")
	if c.ECRConcurrency != 4 || c.TagsExclude != "a=b.*" || c.CacheRefreshInterval != config.Duration(time.Hour) || c.RefreshBudget != config.Duration(time.Minute) || c.Warnings != nil {
		t.Errorf("settings %+v", c)
	}
	if c := load(t, plainURL, "SETTINGS=;\n ; "); c.ECRConcurrency != 8 {
		t.Errorf("settings %+v", c)
	}
	c = load(t, plainURL, "SETTINGS=REMOTE_WRITE_AUTH=sigv4;REMOTE_WRITE_REGION=eu-west-1", "REMOTE_WRITE_ROLE_ARN=arn:aws:iam::111122223333:role/r")
	if c.RemoteWriteAuth != "sigv4" || c.RemoteWriteRegion != "eu-west-1" {
		t.Errorf("settings that others depend on: %+v", c)
	}
	// Public, and kept elsewhere, as PEM text has new lines.
	c = load(t, "REMOTE_WRITE_URL=https://h.example/", "SETTINGS=REMOTE_WRITE_CA=ssm:/ca;REMOTE_WRITE_CLIENT_CERTIFICATE=secretsmanager:team/tls#cert", "REMOTE_WRITE_CLIENT_KEY=secretsmanager:team/tls#key")
	if text(c.RemoteWriteCA) != reference || text(c.RemoteWriteClientCertificate) != reference {
		t.Errorf("certificates %+v", c)
	}
}

// A variable of its own wins over SETTINGS, and a difference is a warning.
func TestSettingsPrecedence(t *testing.T) {
	t.Parallel()
	c := load(t, plainURL, "SETTINGS=ECR_CONCURRENCY=4;SCAN_SOURCE=none", "ECR_CONCURRENCY=2", "SCAN_SOURCE=none")
	want := []string{"SETTINGS: ECR_CONCURRENCY has no effect, because the variable ECR_CONCURRENCY is set"}
	if diff := cmp.Diff(want, c.Warnings); c.ECRConcurrency != 2 || diff != "" {
		t.Errorf("concurrency %d, warnings (-want +got):\n%s", c.ECRConcurrency, diff)
	}
}

// Faults in SETTINGS come with all others; those of a value name its setting.
func TestSettingsFaults(t *testing.T) {
	t.Parallel()
	_, err := config.Load([]string{plainURL, "LOG_LEVEL=LOUD", "SETTINGS=ECR_CONCURRENCY=0;TAGS_EXCLUD=x;ECR_CONCURRENCY=3\nfoo;=x;tags_exclude=y;SETTINGS=a;REFRESH_BUDGET=2h;LOG_LEVEL"}, config.ToSend)
	faults, _ := err.(config.Faults) //nolint:errorlint // the documented type
	const pair = ", with the name of a setting; a value cannot contain a semicolon or a new line"
	want := config.Faults{
		{Variable: "ECR_CONCURRENCY", Value: "0", Rule: "a whole number from 1 to 256"},
		{Variable: "LOG_LEVEL", Value: "LOUD", Rule: "DEBUG, INFO, WARN or ERROR"},
		{Variable: "REFRESH_BUDGET", Value: "2h", Rule: "from 1s to 15m, as a Go duration or in seconds"},
		{Variable: "SETTINGS", Rule: "TAGS_EXCLUD is not a setting"},
		{Variable: "SETTINGS", Rule: "ECR_CONCURRENCY is given twice"},
		{Variable: "SETTINGS", Rule: "pair 4 is not NAME=value" + pair},
		{Variable: "SETTINGS", Rule: "pair 5 is not NAME=value" + pair},
		{Variable: "SETTINGS", Rule: "pair 6 is not NAME=value" + pair},
		{Variable: "SETTINGS", Rule: "SETTINGS is not a setting"},
		{Variable: "SETTINGS", Rule: "LOG_LEVEL has no value"},
	}
	if diff := cmp.Diff(want, faults); diff != "" {
		t.Errorf("faults (-want +got):\n%s", diff)
	}
}

// What can be secret is refused in SETTINGS, and nothing of its value is shown.
func TestSettingsRefuseSecrets(t *testing.T) {
	t.Parallel()
	refused := 0
	for field := range reflect.TypeFor[config.Config]().Fields() {
		variable := field.Tag.Get("env")
		public := variable == "REMOTE_WRITE_CA" || variable == "REMOTE_WRITE_CLIENT_CERTIFICATE" || variable == "QUERY_URL" || variable == "QUEUE_URL"
		switch field.Type {
		case reflect.TypeFor[secret.Text](), reflect.TypeFor[config.Headers](), reflect.TypeFor[config.URL]():
			if !public && field.Tag.Get("secret") == "" {
				t.Errorf("%s is not tagged secret", variable)
			}
		}
		if field.Tag.Get("secret") == "" {
			continue
		}
		refused++
		_, err := config.Load([]string{"SETTINGS=" + variable + "=" + hunter + ";" + hunter + "\nHUNTER2=x"}, config.ToPrint)
		if err == nil || !strings.Contains(err.Error(), "SETTINGS: "+variable+" can be secret") || strings.Contains(strings.ToLower(err.Error()), "hunter2") {
			t.Errorf("%s: error %v", variable, err)
		}
	}
	if refused < 5 {
		t.Errorf("%d settings are refused", refused)
	}
}

func TestRegionLabel(t *testing.T) {
	t.Parallel()
	const region, label = "AWS_REGION=eu-west-1", "REGION_LABEL=true"
	for _, c := range []struct {
		environ []string
		want    map[string]string
	}{
		{[]string{region}, nil},
		{[]string{region, "REGION_LABEL=false"}, nil},
		{[]string{region, label}, map[string]string{"region": "eu-west-1"}},
		{[]string{region, label, "EXTERNAL_LABELS=cluster=a,Region=b"}, map[string]string{"cluster": "a", "Region": "b", "region": "eu-west-1"}},
		{[]string{region, "EXTERNAL_LABELS=region=home"}, map[string]string{"region": "home"}},
	} {
		if diff := cmp.Diff(c.want, load(t, append(c.environ, plainURL)...).Shape().External); diff != "" {
			t.Errorf("%q (-want +got):\n%s", c.environ, diff)
		}
	}
	for want, environ := range map[string][]string{
		"EXTERNAL_LABELS has no region": {region, label, "EXTERNAL_LABELS=region=home"},
		"AWS_REGION is set":             {label},
		"true or false":                 {region, "REGION_LABEL=on"},
	} {
		if _, err := config.Load(append(environ, plainURL), config.ToSend); err == nil || !strings.Contains(err.Error(), "REGION_LABEL") || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: error %v, want %q", environ, err, want)
		}
	}
}
