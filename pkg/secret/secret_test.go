package secret_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

const (
	planted = "planted-secret-7c1f"
	secARN  = "arn:aws:secretsmanager:us-east-2:123456789012:secret:prometheus/token-AbCdEf"
	ssmARN  = "arn:aws:ssm:us-west-2:123456789012:parameter/shared/token"
)

func newSecret(t *testing.T, r *secret.Resolver, text string) *secret.Secret {
	t.Helper()
	parsed, err := secret.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return r.Secret(parsed)
}

func wantValue(t *testing.T, s *secret.Secret, want string) {
	t.Helper()
	got, err := s.Value(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got != want {
		t.Errorf("value %q, want %q", got, want)
	}
}

// TestValue: each kind of reference is read once, from the right place, in the right
// Region.
func TestValue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return "file:" + path
	}
	object, _ := json.Marshal(map[string]any{"token": planted, "a.b c": "x" + planted, "port": 9090})
	for _, tt := range []struct {
		name, text string
		stored     any
		under      string
		want       string
		call       string
	}{
		{"literal", planted, nil, "", planted, ""},
		{"literal with a colon", "token:" + planted, nil, "", "token:" + planted, ""},
		{"secret by ARN, in its Region", "secretsmanager:" + secARN, planted, secARN, planted, "us-east-2 secretsmanager.GetSecretValue " + secARN},
		{"secret by name", "secretsmanager:prometheus/token", planted, "prometheus/token", planted, "eu-west-1 secretsmanager.GetSecretValue prometheus/token"},
		{"member", "secretsmanager:" + secARN + "#token", string(object), secARN, planted, "us-east-2 secretsmanager.GetSecretValue " + secARN},
		{"member of odd name", "secretsmanager:name#a.b c", string(object), "name", "x" + planted, "eu-west-1 secretsmanager.GetSecretValue name"},
		{"all of an object", "secretsmanager:name", string(object), "name", string(object), "eu-west-1 secretsmanager.GetSecretValue name"},
		{"parameter", "ssm:/prometheus/token", planted, "/prometheus/token", planted, "eu-west-1 AmazonSSM.GetParameter /prometheus/token"},
		{"parameter's version", "ssm:token:3", planted, "token:3", planted, "eu-west-1 AmazonSSM.GetParameter token:3"},
		{"parameter by ARN, in its Region", "ssm:" + ssmARN, planted, ssmARN, planted, "us-west-2 AmazonSSM.GetParameter " + ssmARN},
		{"file", file("plain", planted), nil, "", planted, ""},
		{"file with a line break", file("line", planted+"\n"), nil, "", planted, ""},
		{"file with two, of another system", file("dos", planted+"\r\n\r\n"), nil, "", planted + "\r\n", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.set(tt.under, tt.stored)
			r := s.resolver(t)
			made := newSecret(t, r, tt.text)
			if calls := s.took(); len(calls) > 0 {
				t.Errorf("%v before it was needed", calls)
			}
			for range 3 {
				wantValue(t, made, tt.want)
			}
			wantValue(t, newSecret(t, r, tt.text), tt.want)
			if got := strings.Join(s.took(), "\n"); got != tt.call {
				t.Errorf("calls %q, want %q", got, tt.call)
			}
		})
	}
}

// TestErrors: they name what was asked for and show nothing of what it is.
func TestErrors(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	large := filepath.Join(dir, "large")
	if err := os.WriteFile(large, bytes.Repeat([]byte("planted-secret "), 1<<17), 0o600); err != nil {
		t.Fatal(err)
	}
	empty := filepath.Join(dir, "empty")
	if err := os.WriteFile(empty, []byte("\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, text string
		stored     any // under "name"
		want       []string
		permanent  bool
	}{
		{"no such secret", "secretsmanager:name", nil, []string{"the secret secretsmanager:name: ", "ResourceNotFoundException"}, true},
		{"no such parameter", "ssm:name", nil, []string{"the secret ssm:name: ", "ParameterNotFound"}, true},
		{"not allowed", "secretsmanager:name#key", failure{400, "AccessDeniedException"}, []string{"secretsmanager:name#key", "AccessDeniedException"}, true},
		{"key of KMS not allowed", "ssm:name", failure{400, "AccessDeniedException"}, []string{"ssm:name", "AccessDeniedException"}, true},
		{"binary", "secretsmanager:name", []byte(planted), []string{"secretsmanager:name", "it is binary"}, true},
		{"empty", "secretsmanager:name", "", []string{"secretsmanager:name", "it is empty"}, true},
		{"empty parameter", "ssm:name", "", []string{"ssm:name", "it is empty"}, true},
		{"no object", "secretsmanager:name#key", planted, []string{"secretsmanager:name#key", "not a JSON object"}, true},
		{"a list", "secretsmanager:name#key", `["` + planted + `"]`, []string{"not a JSON object"}, true},
		{"null", "secretsmanager:name#key", `null`, []string{"not a JSON object"}, true},
		{"cut off", "secretsmanager:name#key", `{"key":"` + planted, []string{"not a JSON object"}, true},
		{"no such key", "secretsmanager:name#key", `{"Key":"` + planted + `"}`, []string{`has no key "key"`}, true},
		{"a number", "secretsmanager:name#key", `{"key":1}`, []string{`key "key"`, "not a string"}, true},
		{"an object in it", "secretsmanager:name#key", `{"key":{"a":"` + planted + `"}}`, []string{"not a string"}, true},
		{"empty member", "secretsmanager:name#key", `{"key":""}`, []string{"it is empty"}, true},
		{"no file", "file:" + filepath.Join(dir, "none"), nil, []string{"the secret file:" + dir, "no such file"}, true},
		{"a folder", "file:" + dir, nil, []string{"not a regular file"}, true},
		{"a device", "file:/dev/zero", nil, []string{"not a regular file"}, true},
		{"a large file", "file:" + large, nil, []string{"longer than 1048576 bytes"}, true},
		{"an empty file", "file:" + empty, nil, []string{"it is empty"}, true},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			s := start(t)
			s.set("name", tt.stored)
			_, err := newSecret(t, s.resolver(t), tt.text).Value(t.Context())
			var e *secret.Error
			if !errors.As(err, &e) || e.Permanent() != tt.permanent {
				t.Fatalf("error %#v", err)
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error %q, want %q in it", err, want)
				}
			}
			if strings.Contains(fmt.Sprintf("%v %+v", err, err), "planted-secret") {
				t.Errorf("error %q shows the secret", err)
			}
		})
	}
}

// TestParse: a malformed reference is an error, before any call to AWS. It is shown, and
// the secret itself is not.
func TestParse(t *testing.T) {
	t.Parallel()
	const secretARN, parameterARN = "arn:aws:secretsmanager:us-east-2:123456789012:secret:", "arn:aws:ssm:us-west-2:123456789012:parameter"
	for _, text := range []string{
		"secretsmanager:", "secretsmanager:#key", "secretsmanager:name#", "secretsmanager:a b", "secretsmanager:a#b#c", "secretsmanager:a#\x00",
		"secretsmanager:" + secretARN, "secretsmanager:arn:aws:secretsmanager::123456789012:secret:a", "secretsmanager:arn:aws:secretsmanager:us-east-2:1:secret:a",
		"secretsmanager:" + ssmARN, "secretsmanager:arn:a", "secretsmanager:" + strings.Repeat("a", 520),
		"ssm:", "ssm:a b", "ssm:a#key", "ssm:team/token", "ssm:/team/", "ssm:a:", "ssm:a:" + strings.Repeat("b", 101), "ssm:/" + strings.Repeat("a", 1011),
		"ssm:" + secARN, "ssm:" + parameterARN, "ssm:arn:aws:ssm:us-east-2:123456789012:document/a", "ssm:arn:aws:ssm:us-east-2:1:parameter/a",
		"file:", "file:a\x00b", "file:a\nb",
		secARN, secARN + "#a", ssmARN, "SSM:/x", "File:/x", "SecretsManager:" + secARN, "secretmanager:" + secARN,
	} {
		if parsed, err := secret.Parse(text); err == nil || parsed.IsSet() {
			t.Errorf("%q is accepted", text)
		}
		if got := secret.Shown(text); got != text {
			t.Errorf("%q is shown as %s", text, got)
		}
	}
	for text, reference := range map[string]bool{
		planted: false, "a:b": false, "https://example.com/#a": false, "filed:x": false, " ssm:x": false,
		"secretsmanager:" + secARN: true, "secretsmanager:" + secARN + "#a b": true, "secretsmanager:a/b+c=@.-#k": true,
		"secretsmanager:arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:x": true,
		"ssm:token": true, "ssm:/a/b.c_d-e:label": true, "ssm:" + ssmARN: true, "ssm:" + parameterARN + "/token:3": true,
		"file:relative/path": true, "file:/a b": true,
	} {
		parsed, err := secret.Parse(text)
		if literal, ok := parsed.Literal(); err != nil || !parsed.IsSet() || ok == reference || ok && literal != text {
			t.Errorf("%q: literal %v, error %v", text, ok, err)
		}
		if want := map[bool]string{true: text, false: "REDACTED"}[reference]; secret.Shown(text) != want {
			t.Errorf("%q is shown as %s", text, secret.Shown(text))
		}
	}
	unset, err := secret.Parse("")
	if _, ok := unset.Literal(); err != nil || ok || unset.IsSet() || secret.Shown("") != "" || secret.NewResolver(aws.Config{}, slog.New(slog.DiscardHandler)).Secret(unset) != nil {
		t.Errorf("an empty setting is set: error %v", err)
	}
}

// No way of printing shows a secret.
func TestHidden(t *testing.T) {
	t.Parallel()
	synctest.Test(t, testHidden)
}

func testHidden(t *testing.T) {
	s := startPipe(t)
	s.set("name", planted)
	r := s.resolver(t)
	literal, fetched := newSecret(t, r, planted), newSecret(t, r, "secretsmanager:name")
	setting, err := secret.Parse(planted)
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, fetched, planted)
	synctest.Wait() // package fmt reads the locks of structs, so none may be in use
	type holder struct {
		Exported *secret.Secret
		Value    secret.Secret
		hidden   *secret.Secret
		inner    secret.Secret
		all      []any
		resolver *secret.Resolver
		Setting  secret.Text
		setting  secret.Text
	}
	for _, one := range []*secret.Secret{literal, fetched} {
		h := holder{one, *one, one, *one, []any{one, *one}, r, setting, setting}
		for _, v := range []any{one, *one, h, &h, []any{one}, map[string]any{"k": *one}, r, *one, any(h.all), setting, &setting, []secret.Text{setting}, map[secret.Text]int{setting: 1}} {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%T", "%p", "%t", "%10.3s"} {
				if text := fmt.Sprintf(verb, v); strings.Contains(text, planted) || strings.Contains(text, fmt.Sprintf("%x", planted)) {
					t.Errorf("%s of %T shows it: %s", verb, v, text)
				}
			}
			var out bytes.Buffer
			slog.New(slog.NewJSONHandler(&out, nil)).Info("m", "v", v)
			slog.New(slog.NewTextHandler(&out, nil)).Info("m", "v", v)
			if data, err := json.Marshal(v); err == nil {
				out.Write(data)
			}
			if strings.Contains(out.String(), planted) {
				t.Errorf("%T shows in %s", v, &out)
			}
		}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			if text := fmt.Sprintf(verb, one); text != "REDACTED" {
				t.Errorf("%s is %s", verb, text)
			}
		}
		text, err := json.Marshal(map[string]any{"p": one, "v": *one, "t": setting})
		if string(text) != `{"p":"REDACTED","t":"REDACTED","v":"REDACTED"}` || err != nil {
			t.Errorf("JSON %s, %v", text, err)
		}
	}
}

// TestNotLogged: no secret is logged, even if the AWS configuration asks for everything.
func TestNotLogged(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := startPipe(t)
		var out bytes.Buffer
		r := s.resolverTo(&out)
		for _, text := range []string{"secretsmanager:a", "ssm:b", "secretsmanager:c#d"} {
			name := strings.TrimSuffix(text[strings.Index(text, ":")+1:], "#d")
			made := newSecret(t, r, text)
			for _, value := range []any{`{"d":"` + planted + `"}`, planted, failure{500, "InternalServiceError"}} {
				s.set(name, value)
				if value, err := made.Value(t.Context()); err == nil {
					made.Refused(value)
				}
				time.Sleep(time.Minute)
			}
		}
		for _, want := range []string{"secret read again", "could not be read again", `"secretsmanager:a"`, `"ssm:b"`} {
			if !strings.Contains(out.String(), want) {
				t.Errorf("no %s in\n%s", want, &out)
			}
		}
		if strings.Contains(out.String(), "planted-secret") || strings.Contains(out.String(), "AKIDEXAMPLE") {
			t.Errorf("it shows in\n%s", &out)
		}
	})
}

// TestTogether: what is kept in one place is read once for all who need a part of
// it, also at the same time.
func TestTogether(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.set("name", `{"user":"me","password":"`+planted+`"}`)
	s.hold = make(chan struct{})
	r := s.resolver(t)
	user, password := newSecret(t, r, "secretsmanager:name#user"), newSecret(t, r, "secretsmanager:name#password")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			got, err := user.Value(t.Context())
			if got != "me" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
		all.Go(func() {
			got, err := password.Value(t.Context())
			if got != planted || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		})
	}
	close(s.hold)
	all.Wait()
	if calls := s.took(); len(calls) != 1 {
		t.Errorf("%d calls: %v", len(calls), calls)
	}
}

// TestCallerGone: a caller that gives up ends neither the read nor the wait of others.
func TestCallerGone(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.set("name", planted)
	s.hold = make(chan struct{})
	made := newSecret(t, s.resolver(t), "ssm:name")
	ctx, cancel := context.WithCancel(t.Context())
	gone, value := make(chan error, 1), make(chan string, 1)
	go func() {
		_, err := made.Value(ctx)
		gone <- err
	}()
	go func() {
		got, _ := made.Value(t.Context())
		value <- got
	}()
	for len(s.took()) == 0 {
		time.Sleep(time.Millisecond)
	}
	cancel()
	err := <-gone
	var e *secret.Error
	if !errors.As(err, &e) || !errors.Is(err, context.Canceled) || e.Permanent() {
		t.Errorf("error %v", err)
	}
	close(s.hold)
	if got := <-value; got != planted {
		t.Errorf("value %q", got)
	}
	if diff := cmp.Diff([]string(nil), s.took()); diff != "" {
		t.Error(diff)
	}
}
