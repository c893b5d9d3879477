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
)

const hunter = "planted-secret-hunter2"

// However a secret is printed, also as a part of something else, it is not seen.
func TestSecretIsRedacted(t *testing.T) {
	t.Parallel()
	secret := config.NewSecret(hunter)
	type holder struct {
		Public  config.Secret
		private config.Secret
		pointer *config.Secret
		header  config.Headers
	}
	held := holder{secret, secret, &secret, config.Headers{{Name: "A", Value: secret}}}
	c := load(t, "REMOTE_WRITE_URL=https://me:"+hunter+"@h.example/w?key="+hunter, "REMOTE_WRITE_HEADERS=X-A="+hunter)
	var seen strings.Builder
	for _, verb := range strings.Split("v +v #v s q x X d t c U e g b o p T 10s -10v .3s +q #x 08d", " ") {
		for _, value := range []any{secret, &secret, []config.Secret{secret}, map[string]config.Secret{"a": secret}, held, &held, *c, c.RemoteWriteURL, c.RemoteWriteHeaders} {
			if _, whole := value.(config.Config); verb == "p" && (whole || value == any(c.RemoteWriteURL)) {
				continue // fmt asks nobody with %p, and go vet refuses it
			}
			fmt.Fprintf(&seen, "%"+verb+"\n", value)
		}
	}
	text, json1 := new(bytes.Buffer), new(bytes.Buffer)
	for _, log := range []*slog.Logger{slog.New(slog.NewTextHandler(text, nil)), slog.New(slog.NewJSONHandler(json1, nil))} {
		log.Info("x", "secret", secret, "held", held, "config", *c, "url", c.RemoteWriteURL, "headers", c.RemoteWriteHeaders)
	}
	marshalled, err := json.Marshal(map[string]any{"secret": secret, "held": held, "config": c, "key": map[config.Secret]int{secret: 1}})
	if err != nil {
		t.Fatal(err)
	}
	all := seen.String() + text.String() + json1.String() + string(marshalled)
	for _, secret := range []string{hunter, fmt.Sprintf("%x", hunter), fmt.Sprintf("%X", hunter), fmt.Sprintf("%d", []byte(hunter))} {
		if i := strings.Index(all, secret); i >= 0 {
			t.Errorf("%s is seen in …%s…", secret, all[max(0, i-200):i+20])
		}
	}
	if got := fmt.Sprintf("%s %v %q", secret, held.Public, config.Secret{}); got != "REDACTED REDACTED " {
		t.Errorf("printed %q", got)
	}
	if !strings.Contains(string(marshalled), `"secret":"REDACTED"`) || !strings.Contains(text.String(), "secret=REDACTED") {
		t.Errorf("no sign of the secret in %s, %s", marshalled, text)
	}
	if secret.Reveal() != hunter || !secret.IsSet() || (config.Secret{}).IsSet() || (config.Secret{}).Reveal() != "" {
		t.Error("Reveal and IsSet")
	}
	if !secret.Equal(config.NewSecret(hunter)) || secret.Equal(config.Secret{}) {
		t.Error("Equal")
	}
}

func TestSecretReferences(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/prometheus-a1B2c3"
	for _, c := range []struct {
		text string
		ok   bool
	}{
		{hunter, true}, {"a:b", true}, {"https://x", true}, {"filed:x", true}, {" ssm:x", true},
		{"secretsmanager:" + arn, true}, {"secretsmanager:" + arn + "#password", true}, {"secretsmanager:" + arn + "#a b", true}, {"secretsmanager:" + arn + "#a#b", false},
		{"secretsmanager:arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:x", true},
		{"secretsmanager:team/prometheus", false}, {"secretsmanager:", false}, {"secretsmanager:" + arn + "#", false},
		{"secretsmanager:arn:aws:secretsmanager:eu-west-1:1111:secret:x", false}, {"secretsmanager:arn:aws:ssm:eu-west-1:111122223333:parameter/x", false},
		{"SecretsManager:" + arn, false}, {"secretmanager:" + arn, false}, {arn, false},
		{"ssm:/team/prometheus", true}, {"ssm:prometheus.token_1-a", true}, {"ssm:/a/b:3", true}, {"ssm:a:label", true}, {"ssm:a:", false},
		{"ssm:", false}, {"ssm:team/prometheus", false}, {"ssm:/team/", false}, {"ssm:a b", false}, {"ssm:/" + strings.Repeat("a", 1011), false}, {"SSM:/x", false},
		{"file:/run/secrets/x", true}, {"file:x y", true}, {"file:", false}, {"file:a\nb", false}, {"File:/x", false},
	} {
		for _, variable := range []string{"REMOTE_WRITE_PASSWORD=", "REMOTE_WRITE_HEADERS=X-A="} {
			if variable != "REMOTE_WRITE_PASSWORD=" && (strings.HasPrefix(c.text, " ") || strings.Contains(c.text, "\n")) {
				continue
			}
			got, err := config.Load([]string{"REMOTE_WRITE_URL=https://h.example/", "REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_PASSWORD=x", variable + c.text}, config.ToSend)
			if (err == nil) != c.ok {
				t.Errorf("%s%q: error %v", variable, c.text, err)
			}
			if err == nil && variable == "REMOTE_WRITE_PASSWORD=" && got.RemoteWritePassword.Reveal() != c.text {
				t.Errorf("%q became %q", c.text, got.RemoteWritePassword.Reveal())
			}
			// A reference that leads nowhere is shown, for it to be found.
			if faults, ok := err.(config.Faults); ok && variable == "REMOTE_WRITE_PASSWORD=" && faults[0].Value != c.text { //nolint:errorlint // the documented type
				t.Errorf("%q: fault %v", c.text, err)
			}
		}
	}
}

func TestHeaders(t *testing.T) {
	t.Parallel()
	got := load(t, plainURL, "REMOTE_WRITE_HEADERS=X-Scope-OrgID=team-a, x-token = a=b== ,X-Ref=ssm:/a").RemoteWriteHeaders
	want := config.Headers{
		{Name: "X-Scope-OrgID", Value: config.NewSecret("team-a")}, {Name: "x-token", Value: config.NewSecret("a=b==")}, {Name: "X-Ref", Value: config.NewSecret("ssm:/a")},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("headers (-want +got):\n%s", diff)
	}
	for _, bad := range []struct{ text, want string }{
		{"X-A", "has no ="}, {"X-A=1,", "has no ="}, {"=x", "no header's"}, {"X A=x", "no header's"}, {"X-Ä=x", "no header's"}, {"X:A=x", "no header's"},
		{"X-A=", "is empty"}, {"X-A=1,x-a=2", "given twice"}, {"X-A=a\x00b", "control characters"}, {"X-A=\xff", "control characters"}, {"X-A=ssm:", "leads nowhere"},
		{"host=x", "Host is not"}, {"Content-Type=x", "Content-* is not"}, {"CONTENT-LENGTH=1", "Content-* is not"}, {"content-encoding=x", "Content-* is not"},
		{"authorization=x", "Authorization is not"}, {"Proxy-Authorization=x", "Proxy-* is not"}, {"proxy-connection=x", "Proxy-* is not"},
		{"x-prometheus-remote-write-version=2", "X-Prometheus-Remote-Write-* is not"}, {"User-agent=x", "User-Agent is not"}, {"Accept-Encoding=gzip", "Accept-Encoding is not"},
		{"X-Amz-Date=x", "X-Amz-* is not"}, {"x-amz-security-token=x", "X-Amz-* is not"}, {"x-amzn-trace-id=x", "X-Amzn-* is not"}, {"date=x", "Date is not"}, {"Connection=close", "Connection is not"}, {"Keep-Alive=x", "Keep-Alive is not"},
		{"TE=trailers", "Te is not"}, {"Trailer=x", "Trailer is not"}, {"transfer-encoding=chunked", "Transfer-Encoding is not"}, {"Upgrade=h2c", "Upgrade is not"},
		{"HTTP2-Settings=x", "Http2-Settings is not"}, {"Cookie=a", "Cookie is not"}, {"Expect=100-continue", "Expect is not"},
	} {
		_, err := config.Load([]string{plainURL, "REMOTE_WRITE_HEADERS=" + bad.text}, config.ToSend)
		faults, _ := err.(config.Faults) //nolint:errorlint // the documented type
		if len(faults) != 1 || faults[0].Variable != "REMOTE_WRITE_HEADERS" || faults[0].Value != "REDACTED" || !strings.Contains(faults[0].Rule, bad.want) {
			t.Errorf("%q: error %v, want %q", bad.text, err, bad.want)
		}
	}
	for _, name := range []string{"X-Amazon", "Dated", "Contents", "X-Hostname", "Tenant", "X-Amz"} { // none of them is reserved
		load(t, plainURL, "REMOTE_WRITE_HEADERS="+name+"=x")
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
		if field.Type == reflect.TypeFor[config.Secret]() {
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
		}
		check("REMOTE_WRITE_URL=https://me:" + url.QueryEscape(value) + "@h.example/#")
		check("REMOTE_WRITE_URL=https://me:" + value + "@h.example/")
		check("REMOTE_WRITE_URL=me:" + value + "@h.example/")
	})
}
