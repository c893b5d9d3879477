package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

const hunter = "planted-secret-hunter2"

// However a configuration is printed its secrets are not seen. (Tests of pkg/secret show
// the same of a setting alone.)
func TestSecretsAreRedacted(t *testing.T) {
	t.Parallel()
	c := load(t, "REMOTE_WRITE_URL=https://me:"+hunter+"@h.example/w?key="+hunter, "REMOTE_WRITE_HEADERS=X-A="+hunter)
	type holder struct {
		headers config.Headers
		secret  secret.Text
	}
	held := holder{c.RemoteWriteHeaders, c.RemoteWritePassword}
	var seen strings.Builder
	for _, verb := range strings.Split("v +v #v s q x X d t c U e g b o T 10s -10v .3s +q #x 08d", " ") {
		for _, value := range []any{*c, c, held, &held, c.RemoteWriteURL, c.RemoteWriteHeaders} {
			fmt.Fprintf(&seen, "%"+verb+"\n", value)
		}
	}
	text, json1 := new(bytes.Buffer), new(bytes.Buffer)
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(text, nil)), slog.New(slog.NewJSONHandler(json1, nil))} {
		log.Info("x", "held", held, "config", *c, "url", c.RemoteWriteURL, "headers", c.RemoteWriteHeaders)
	}
	marshalled, err := json.Marshal(map[string]any{"held": held, "config": c})
	if err != nil {
		t.Fatal(err)
	}
	all := seen.String() + text.String() + json1.String() + string(marshalled)
	for _, secret := range []string{hunter, fmt.Sprintf("%x", hunter), fmt.Sprintf("%X", hunter), fmt.Sprintf("%d", []byte(hunter))} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%s is seen in …%s…", secret, all[max(0, i-200):i+20])
		}
	}
	if !strings.Contains(string(marshalled), `"RemoteWritePassword":"REDACTED"`) {
		t.Errorf("no sign of the secret in %s", marshalled)
	}
}

// A secret in the place of a number or a word, or in a state's URL, is not echoed.
func TestMisplacedSecrets(t *testing.T) {
	t.Parallel()
	long := hunter + strings.Repeat("-x", 20)
	for _, setting := range []string{"ECR_CONCURRENCY=" + long, "REMOTE_WRITE_AUTH=" + long, "CACHE_REFRESH_INTERVAL=" + long, "ECR_REGISTRY_ID=" + long, "STATE_URL=s3://me:" + hunter + "@bucket/key", "STATE_URL=s3://bucket/key?token=" + hunter} {
		_, err := config.Load([]string{setting, plainURL}, config.ToSend)
		if variable, _, _ := strings.Cut(setting, "="); err == nil || strings.Contains(err.Error(), hunter) || !strings.Contains(err.Error(), variable+`="REDACTED": want `) {
			t.Errorf("%s: error %v", setting, err)
		}
	}
}

// A malformed reference is a fault that shows it and says what is wrong. (Tests of
// pkg/secret have the grammar.)
func TestSecretReferences(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		hunter: "", "secretsmanager:team/prometheus#password": "", "ssm:arn:aws:ssm:eu-west-1:111122223333:parameter/x": "", "file:/run/secrets/x": "",
		"secretsmanager:": "want secretsmanager:ARN or", "ssm:team/prometheus": "begins with a slash", "SSM:/x": "at the beginning of a reference",
	} {
		for _, environ := range [][]string{{"REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_PASSWORD=" + text}, {"REMOTE_WRITE_HEADERS=X-A=" + text}} {
			_, err := config.Load(append(environ, "REMOTE_WRITE_URL=https://h.example/"), config.ToSend)
			if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %v, want %q", environ, err, want)
			}
			if len(environ) == 2 && err != nil && !strings.Contains(err.Error(), text) {
				t.Errorf("%q: error %v does not show it", environ, err)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	var got []string
	for _, h := range load(t, plainURL, "REMOTE_WRITE_HEADERS=X-Scope-OrgID=team-a, x-token = a=b== ,X-Ref=ssm:/a").RemoteWriteHeaders {
		got = append(got, h.Name+"="+text(h.Value))
	}
	if diff := cmp.Diff([]string{"X-Scope-OrgID=team-a", "x-token=a=b==", "X-Ref=" + reference}, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	for _, bad := range []struct{ text, want string }{ // tests of pkg/auth have all names and values
		{"X-A", "has no ="}, {"X-A=1,", "has no ="}, {"=x", "not that of a header"}, {"X A=x", "not that of a header"},
		{"X-A=", "is empty"}, {"X-A=1,x-a=2", "given twice"}, {"X-A=a\x00b", "control characters"}, {"X-A=ssm:", "want ssm:NAME"},
		{"host=x", "Host cannot"}, {"content-encoding=x", "Content-* cannot"}, {"authorization=x", "Authorization cannot"}, {"Cookie=a", "Cookie cannot"},
	} {
		_, err := config.Load([]string{plainURL, "REMOTE_WRITE_HEADERS=" + bad.text}, config.ToSend)
		faults, _ := err.(config.Faults) //nolint:errorlint // the documented type
		if len(faults) != 1 || faults[0].Variable != "REMOTE_WRITE_HEADERS" || faults[0].Value != "REDACTED" || !strings.Contains(faults[0].Rule, bad.want) {
			t.Errorf("%q: error %v, want %q", bad.text, err, bad.want)
		}
	}
}

// Secrets in a URL never reach a fault or a log.
func TestURLSecrets(t *testing.T) {
	t.Parallel()
	for _, u := range []string{
		"ftp://me:" + hunter + "@host/", "https://me:" + hunter + "@ho st/", "ftp://host/?key=" + hunter, "me:" + hunter + "@host/", hunter + "@host/",
		"https:/me:" + hunter + "@host/", "https://me:#" + hunter + "@host/", "https://me:/" + hunter + "@host/#x", "mailto:" + hunter,
	} {
		if _, err := config.Load([]string{"REMOTE_WRITE_URL=" + u}, config.ToSend); err == nil || strings.Contains(err.Error(), hunter) {
			t.Errorf("%s: error %v", u, err)
		}
	}
	if _, err := config.Load([]string{"REMOTE_WRITE_URL=https://me:" + hunter + "@host/", "REMOTE_WRITE_AUTH=sigv4"}, config.ToSend); err == nil || strings.Contains(err.Error(), hunter) {
		t.Errorf("user info with sigv4: error %v", err)
	}
	if c := load(t, "REMOTE_WRITE_URL=https://me:"+hunter+"@host/?key="+hunter); strings.Contains(c.RemoteWriteURL.String(), hunter) {
		t.Errorf("String() = %s", c.RemoteWriteURL)
	}
}

// secretVariables are those whose values are no one's business.
func secretVariables() []string {
	var all []string
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if field.Type == reflect.TypeFor[secret.Text]() {
			all = append(all, field.Tag.Get("env"))
		}
	}
	return all
}

// Whatever is wrong, a fault shows no secret that was given as text.
func FuzzFaultsShowNoSecret(f *testing.F) {
	f.Add("", "", "basic")
	f.Add(" ", "\n", "bearer")
	f.Add("x\x00", "\xff", "none")
	f.Add("filed:", ",", "sigv4")
	f.Add("a,b=", "=c,Host=x", "")
	f.Add("@", "/", "oauth")
	f.Add("//", "@", "basic")
	f.Add("-----BEGIN PRIVATE KEY-----\n", "\n-----END PRIVATE KEY-----", "none")
	variables := secretVariables()
	if len(variables) < 5 {
		f.Fatalf("the secrets are %q", variables)
	}
	f.Fuzz(func(t *testing.T, before, after, auth string) {
		const secret = "HUNTER2"
		value := before + secret + after
		low := strings.ToLower(value)
		if strings.Contains(low, "arn:aws") || strings.HasPrefix(low, "ssm:") || strings.HasPrefix(low, "file:") || strings.HasPrefix(low, "secretsmanager:") {
			t.Skip("a reference")
		}
		check := func(environ ...string) {
			if _, err := config.Load(append(environ, "REMOTE_WRITE_AUTH="+auth), config.ToSend); err != nil && strings.Contains(strings.ReplaceAll(err.Error(), fmt.Sprintf("%.200q", auth), ""), secret) {
				t.Errorf("%q: %v", environ, err)
			}
		}
		for _, endpoint := range []string{"", ampURL, plainURL, "REMOTE_WRITE_URL=https://h.example/"} {
			for _, variable := range variables {
				check(endpoint, variable+"="+value)
			}
			check(endpoint, "REMOTE_WRITE_HEADERS="+value)
			check(endpoint, "REMOTE_WRITE_HEADERS=X-A="+value+",Host=x")
			check(endpoint, "REMOTE_WRITE_USERNAME=me:"+value)
			check(endpoint, "SETTINGS=REMOTE_WRITE_PASSWORD="+value)
		}
		check("REMOTE_WRITE_URL=https://me:" + url.QueryEscape(value) + "@h.example/#")
		check("REMOTE_WRITE_URL=https://me:" + value + "@h.example/")
		check("REMOTE_WRITE_URL=me:" + value + "@h.example/")
	})
}
