package main

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// CloudFormation does not show parameters that can be secrets.
func TestTemplateNoEcho(t *testing.T) {
	t.Parallel()
	root := template(t)
	variables := at(t, root, "Resources", "ExporterFunction", "Properties", "Environment", "Variables")
	hidden := 0
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if field.Type != reflect.TypeFor[secret.Text]() && field.Type != reflect.TypeFor[config.Headers]() {
			continue
		}
		variable := field.Tag.Get("env")
		parameter := at(t, root, "Parameters", at(t, variables, variable).Content[1].Value)
		noEcho := child(parameter, "NoEcho")
		// Certificates are public.
		want := variable != "REMOTE_WRITE_CA" && variable != "REMOTE_WRITE_CLIENT_CERTIFICATE"
		if got := noEcho != nil && noEcho.Value == "true"; got != want {
			t.Errorf("%s: NoEcho is %v, want %v", variable, got, want)
		}
		hidden++
	}
	if hidden < 6 {
		t.Errorf("%d settings can be secrets", hidden)
	}
}

// Lambda's environment has at most 4 KB, names and values together. The longest URL and
// labels fit, with the other settings of usual length and a reference for each secret of one
// authentication method.
func TestTemplateEnvironment(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1024) // MaxLength of the two
	s := newStack(t, template(t), nil)
	reference := "secretsmanager:" + someSecret + "#password"
	given := map[string]string{
		"WorkspaceId": "", "RemoteWriteUrl": long, "ExternalLabels": long, "StateUrl": long[:256],
		"RemoteWritePassword": reference, "RemoteWriteHeaders": "X-Scope-OrgID=" + reference,
		"RemoteWriteBearerToken": "", "RemoteWriteRoleArn": "", "RemoteWriteRoleExternalId": "", "RemoteWriteCa": "ssm:ca", "RemoteWriteClientCertificate": "", "RemoteWriteClientKey": "",
	}
	parameters := at(t, s.root, "Parameters")
	for i := 0; i < len(parameters.Content); i += 2 {
		name := parameters.Content[i].Value
		value, ok := given[name]
		if !ok && s.parameters[name] == "" {
			value, ok = long[:16], true // most are shorter
		}
		if ok {
			s.parameters[name] = value
		}
	}
	size := 0
	variables := dig(t, properties(s.present("Resources"), "ExporterFunction"), "Environment", "Variables").(map[string]any)
	for name, value := range variables {
		size += len(name) + len(fmt.Sprint(value))
	}
	if size > 4096 || size < 2304 {
		t.Errorf("the environment can have %d bytes", size)
	}
}

// The function's variables are exactly the settings, each with the value of its parameter
// unless it is composed of several.
func TestTemplateSettings(t *testing.T) {
	t.Parallel()
	var want, got []string
	for field := range reflect.TypeFor[config.Config]().Fields() {
		// The template sets Lambda's own variable instead of LOG_LEVEL.
		if variable := field.Tag.Get("env"); variable != "-" && variable != "LOG_LEVEL" {
			want = append(want, variable)
		}
	}
	root := template(t)
	variables := at(t, root, "Resources", "ExporterFunction", "Properties", "Environment", "Variables")
	for i := 0; i < len(variables.Content); i += 2 {
		variable, value := variables.Content[i].Value, variables.Content[i+1]
		got = append(got, variable)
		if variable == "REMOTE_WRITE_URL" || variable == "STATE_URL" || variable == "SCHEDULE" {
			continue
		}
		condition, parameter := value.Content[0].Value, value.Content[1].Value
		if !strings.EqualFold(parameter, strings.ReplaceAll(variable, "_", "")) || condition != "Has"+parameter {
			t.Errorf("%s is %s if %s", variable, parameter, condition)
		}
		if not := at(t, root, "Conditions", condition).Content[0]; not.Content[0].Value != parameter || not.Content[1].Value != "" {
			t.Errorf("line %d: %s does not ask for %s", not.Line, condition, parameter)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := gocmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-config +template.yaml):\n%s", diff)
	}
}

// The defaults in the descriptions of parameters are right.
func TestTemplateDefaults(t *testing.T) {
	t.Parallel()
	parameters := at(t, template(t), "Parameters")
	told := regexp.MustCompile(`^([A-Z_]+)\. .*Empty is ([^ ,;]+?)(?: \(seconds\))?[.:,;]?(?: |$)`)
	defaults := map[string]string{}
	for field := range reflect.TypeFor[config.Config]().Fields() {
		defaults[field.Tag.Get("env")] = field.Tag.Get("envDefault")
	}
	checked := 0
	for i := 1; i < len(parameters.Content); i += 2 {
		match := told.FindStringSubmatch(strings.Join(strings.Fields(at(t, parameters.Content[i], "Description").Value), " "))
		if match == nil || defaults[match[1]] == "" {
			continue
		}
		checked++
		if got := strings.TrimRight(match[2], ":.,"); got != strings.TrimRight(defaults[match[1]], ":") {
			t.Errorf("%s: the template says that empty is %s, the default is %s", match[1], got, defaults[match[1]])
		}
	}
	if checked < 12 {
		t.Errorf("%d defaults were compared, want 12 at least: was the wording changed?", checked)
	}
}
