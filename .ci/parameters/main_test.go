package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

const (
	template = "../../template.yaml"
	docs     = "../../docs/template-parameters.md"
)

// sent returns what make deploy sends.
func sent(t *testing.T, config, parameters string) (map[string]string, error) {
	t.Helper()
	output := filepath.Join(t.TempDir(), "parameters.yaml")
	if err := run(template, docs, config, "default", parameters, output); err != nil {
		return nil, err
	}
	text, err := os.ReadFile(output)
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]string{}
	if err := yaml.Unmarshal(text, &values); err != nil {
		t.Fatal(err)
	}
	for name, value := range values {
		values[name] = unquote(value)
	}
	return values, nil
}

// defaults are the template's, with other values.
func defaults(t *testing.T, given map[string]string) map[string]string {
	t.Helper()
	declared, err := readTemplate(template)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for name, p := range declared {
		all[name] = p.Default
	}
	maps.Copy(all, given)
	return all
}

// From any destination to any other: the stack, which keeps what is not sent, ends up with
// what was given and defaults, and nothing of its previous destination.
func TestDestinationChanges(t *testing.T) {
	t.Parallel()
	const secret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:prometheus-a1B2c3"
	destinations := []struct {
		name, parameters string
		want             map[string]string
	}{
		{"workspace", `WorkspaceId=ws-1`, map[string]string{"WorkspaceId": "ws-1"}},
		{"workspace elsewhere", `WorkspaceId=ws-2 WorkspaceRegion=us-east-1 WorkspaceAccountId=444455556666`, map[string]string{"WorkspaceId": "ws-2", "WorkspaceRegion": "us-east-1", "WorkspaceAccountId": "444455556666"}},
		{"workspace by a role", `WorkspaceId=ws-3 RemoteWriteRoleArn=arn:aws:iam::444455556666:role/writer Settings=REMOTE_WRITE_ROLE_EXTERNAL_ID=registry:1`, map[string]string{"WorkspaceId": "ws-3", "RemoteWriteRoleArn": "arn:aws:iam::444455556666:role/writer", "Settings": "REMOTE_WRITE_ROLE_EXTERNAL_ID=registry:1"}},
		{"URL", `RemoteWriteUrl=https://prometheus.example/api/v1/write`, map[string]string{"RemoteWriteUrl": "https://prometheus.example/api/v1/write"}},
		{"URL, basic", `RemoteWriteUrl=https://h.example/ RemoteWriteUsername="me and you" RemoteWritePassword=secretsmanager:` + secret + `#password SecretArns=` + secret, map[string]string{"RemoteWriteUrl": "https://h.example/", "RemoteWriteUsername": "me and you", "RemoteWritePassword": "secretsmanager:" + secret + "#password", "SecretArns": secret}},
		{"URL, bearer", `RemoteWriteUrl=https://h.example/ RemoteWriteBearerToken=ssm:/token SsmParameterArns=arn:aws:ssm:eu-west-1:111122223333:parameter/token EventRules=DISABLED`, map[string]string{"RemoteWriteUrl": "https://h.example/", "RemoteWriteBearerToken": "ssm:/token", "SsmParameterArns": "arn:aws:ssm:eu-west-1:111122223333:parameter/token", "EventRules": "DISABLED"}},
		{"workspace by another host", `RemoteWriteUrl=https://proxy.example/ RemoteWriteWorkspaceId=ws-4 Settings="REMOTE_WRITE_AUTH=sigv4;TAGS_INCLUDE=v\d+"`, map[string]string{"RemoteWriteUrl": "https://proxy.example/", "RemoteWriteWorkspaceId": "ws-4", "Settings": `REMOTE_WRITE_AUTH=sigv4;TAGS_INCLUDE=v\d+`}},
	}
	for _, from := range destinations {
		for _, to := range destinations {
			stack := map[string]string{}
			for _, step := range []string{from.parameters, to.parameters} {
				values, err := sent(t, "", step)
				if err != nil {
					t.Fatalf("%s: %v", step, err)
				}
				maps.Copy(stack, values) // what is not sent stays
			}
			if want := defaults(t, to.want); !maps.Equal(stack, want) {
				t.Errorf("from %s to %s: the stack has\n%v, want\n%v", from.name, to.name, stack, want)
			}
		}
	}
}

func TestFaults(t *testing.T) {
	t.Parallel()
	for parameters, wants := range map[string][]string{
		"EventRules=DISABLED":                                                  {"set WorkspaceId"},
		"WorkspaceId=ws-1 RemoteWriteUrl=https://h.example/":                   {"not both"},
		"WorkspaceId=YOUR-WORKSPACE-ID Foo=1 EcrConcurrency=2":                 {"WorkspaceId is still the placeholder YOUR-WORKSPACE-ID", "Foo is not a parameter", "EcrConcurrency is no longer a parameter of the template, but Settings: ECR_CONCURRENCY", "docs/template-parameters.md"},
		"WorkspaceId=workspace":                                                {"WorkspaceId must be create or a workspace ID"},
		"WorkspaceId=ws-1 EventRules=false Architecture=arm":                   {"EventRules must be one of ENABLED, DISABLED", "Architecture must be one of arm64, x86_64"},
		"WorkspaceId=ws-1 ScheduleMinutes=rate(1 minute)":                      {`at "minute)"`},
		"WorkspaceId=ws-1 ScheduleMinutes=289 AlertTopic=create":               {"ScheduleMinutes must be at most 288"},
		"WorkspaceId=ws-1 ScheduleMinutes=0":                                   {"ScheduleMinutes must be a whole number"},
		"RemoteWriteUrl=http://h RemoteWritePassword=hunter2":                  {"RemoteWritePassword must be a reference"},
		`RemoteWriteUrl=http://h RemoteWritePassword="hunter2 hunter2" hunter`: {`at "hunter"`},
		`WorkspaceId=ws-1 Settings=A="b c"`:                                    {`at "Settings"`},
	} {
		_, err := sent(t, "", parameters)
		for _, want := range wants {
			if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: error %v, want %q", parameters, err, want)
			}
		}
	}
}

// Values come through SAM as they are.
func TestEscape(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"", "a", `a b`, `"a"`, `'a'`, `a\ b\"c\'d`, `\d+\.`, `"`, `'`, "a=1;\nb=2", `\\ `} {
		if got := unquote(escape(value)); got != value {
			t.Errorf("%q becomes %q", value, got)
		}
	}
}

// All forms of samconfig.toml, which counts only without PARAMETERS.
func TestConfig(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "samconfig.toml")
	for overrides, want := range map[string]map[string]string{
		`parameter_overrides = ["WorkspaceId=ws-1", "ScheduleMinutes=\"3\" MemorySize=128"]`:    {"WorkspaceId": "ws-1", "ScheduleMinutes": "3", "MemorySize": "128"},
		`parameter_overrides = "WorkspaceId=\"ws-1\" Settings=\"A=b c\" RemoteWriteUrl= "`:      {"WorkspaceId": "ws-1", "Settings": "A=b c"},
		`parameter_overrides = { WorkspaceId = "ws-1", MemorySize = 128 }`:                      {"WorkspaceId": "ws-1", "MemorySize": "128"},
		`parameter_overrides = "ParameterKey=WorkspaceId,ParameterValue=ws-1 LogLevel='DEBUG'"`: {"WorkspaceId": "ws-1", "LogLevel": "DEBUG"},
	} {
		if err := os.WriteFile(file, []byte("version = 0.1\n[default.deploy.parameters]\n"+overrides+"\n[other.deploy.parameters]\nx = 1\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := sent(t, file, "")
		if err != nil || !maps.Equal(got, defaults(t, want)) {
			t.Errorf("%s: %v, %v", overrides, got, err)
		}
		if got, err := sent(t, file, "WorkspaceId=ws-2"); err != nil || !maps.Equal(got, defaults(t, map[string]string{"WorkspaceId": "ws-2"})) {
			t.Errorf("PARAMETERS: %v, %v", got, err)
		}
	}
	if err := run(template, docs, file, "prod", "", ""); err == nil || !strings.Contains(err.Error(), `no environment "prod"`) {
		t.Errorf("another environment: %v", err)
	}
	// Both environments of the repository's file have placeholders, and nothing else wrong.
	for _, env := range []string{"default", "staging"} {
		if err := run(template, docs, "../../samconfig.toml", env, "", ""); err == nil || strings.Count(err.Error(), "\n") > 0 || !strings.Contains(err.Error(), "placeholder YOUR-WORKSPACE-ID") {
			t.Errorf("samconfig.toml, %s: %v", env, err)
		}
	}
}
