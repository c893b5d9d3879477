package main

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
)

// Secrets are accepted as references only, and no parameter is NoEcho, for which sam
// deploy --guided asks without end.
func TestTemplateSecrets(t *testing.T) {
	t.Parallel()
	parameters := at(t, template(t), "Parameters")
	for i := 0; i < len(parameters.Content); i += 2 {
		if child(parameters.Content[i+1], "NoEcho") != nil {
			t.Errorf("%s is NoEcho", parameters.Content[i].Value)
		}
	}
	for _, name := range []string{"RemoteWritePassword", "RemoteWriteBearerToken", "RemoteWriteClientKey"} {
		for value, want := range map[string]bool{
			"": true, "secretsmanager:" + someSecret: true, "secretsmanager:team/prometheus#password": true, "ssm:/team/token": true,
			"hunter2": false, "-----BEGIN PRIVATE KEY-----": false, "file:/run/secret": false, "ssm:": false, "ssm:a b": false, " ssm:/a": false, "SSM:/a": false,
		} {
			if got := takes(t, at(t, parameters, name), value); got != want {
				t.Errorf("%s takes %q: %v, want %v", name, value, got, want)
			}
		}
	}
	settings := at(t, parameters, "Settings")
	if !takes(t, settings, "ECR_CONCURRENCY=4;\nTAGS_EXCLUDE=REMOTE_WRITE_PASSWORD") {
		t.Error("Settings does not take settings")
	}
	refused := 0
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if field.Tag.Get("secret") == "" {
			continue
		}
		refused++
		if value := "ECR_CONCURRENCY=4;\n" + field.Tag.Get("env") + " =x"; takes(t, settings, value) {
			t.Errorf("Settings takes %q", value)
		}
	}
	if refused < 5 {
		t.Errorf("%d settings are refused", refused)
	}
}

// What patterns accept beyond what everyStack has.
func TestTemplatePatterns(t *testing.T) {
	t.Parallel()
	parameters := at(t, template(t), "Parameters")
	for name, values := range map[string]map[string]bool{
		"RemoteWriteUrl":   {"https://aps-workspaces.eu-west-1.amazonaws.com/workspaces/ws-1/api/v1/remote_write": false, "https://aps-workspaces-fips.us-east-1.amazonaws.com/x": true, "https://me:pw@host/": false, "http://h": true, "ftp://h/": false},
		"ScheduleMinutes":  {"": false, "0": false, "1": true, "02": false, "1.5": false, "10000": false, "rate(1 minute)": false},
		"SecretArns":       {someSecret + ",": false, "," + someSecret: false, someSecret + ", " + someSecret: false, someSecret + someSecret: false, someSecret + "," + someSecret: true, "*": false},
		"SsmParameterArns": {"arn:aws:ssm:eu-west-1:111122223333:parameter/a,": false, "arn:aws:ssm:eu-west-1:111122223333:parameter//a": false, "arn:aws:ssm:eu-west-1:111122223333:parameter/*": false},
		"Targets": {
			"111122223333:eu-west-1": true, "111122223333:*,222233334444:us-gov-west-1": true, "s3://bucket/a/b c.yaml": false, "s3://bucket/a/targets.yaml": true, "s3://bucket/": false,
			"ssm:/a/b": true, "ssm:a": false, "ssm:a/b": false, "ssm:/": false, "111122223333": false, "111122223333:eu-west-1,": false, "11112222333:*": false, "s3://a-bucket/*": false, "ssm:*": false,
		},
		"TargetRole":         {"a/b": true, "a": true, "": false, "*": false, "/a": false, "a/": false, "arn:aws:iam::111122223333:role/a": false},
		"ExternalLabels":     {"a": false, "a=": false, "a=b,": false, "a=b=c,d=e": true, ",a=b": false, "1a=b": false},
		"RemoteWriteHeaders": {"X-A": false, "X-A=1,": false, "X-A=a b,X-B=ssm:/c": true},
		"RepositoryTags":     {"team,": false, ",team": false, "team,,a": false, "team,cost center,a:b/c": true},
		"StateBucket":        {"none": true, "NONE": true, "s3://bucket": false, "Bucket": false},
		"WorkspaceId":        {"YOUR-WORKSPACE-ID": false, "create": true, "Create": false},
		"AlertTopic":         {"create": true, someTopic: true, someTopic + ":0a1b": false, "pager": false},
		"AlertEmail":         {"me@example.com": true, "me": false, "me@example.com,you@example.com": false},
		"SubnetIds":          {"subnet-0a1b,subnet-2c3d": true, "subnet-0a1b,": false, "subnet-0a1b subnet-2c3d": false, "sg-0a1b": false},
		"RolePath":           {"/": true, "/a/b/": true, "a/": false, "/a": false},
	} {
		for value, want := range values {
			if got := takes(t, at(t, parameters, name), value); got != want {
				t.Errorf("%s takes %q: %v, want %v", name, value, got, want)
			}
		}
	}
}

// Lambda takes 4 KB of environment, names and values together. Not all that may be long
// fits at once: the longest URL, labels and 1 KB of Settings do, beside usual filters and
// a reference for each secret of one way to authenticate.
func TestTemplateEnvironment(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 1024) // MaxLength of URL and labels
	s := newStack(t, template(t), with(allParameters, map[string]string{
		"RemoteWriteUrl": long, "ExternalLabels": long, "Settings": long, "RepositoriesInclude": long[:64], "RepositoriesExclude": long[:64],
		"RemoteWriteHeaders": "X-Scope-OrgID=secretsmanager:" + someSecret + "#tenant",
	}))
	size := 0
	variables := dig(t, properties(s.present("Resources"), "ExporterFunction"), "Environment", "Variables").(map[string]any)
	for name, value := range variables {
		size += len(name) + len(fmt.Sprint(value))
	}
	if size > 4096 || size < 3*1024 {
		t.Errorf("the environment can take %d bytes", size)
	}
}

// Every variable of the template's function is a setting, and has the value of the
// parameter of the same name, unless it is put together from several. The other settings
// can be given in Settings.
func TestTemplateSettings(t *testing.T) {
	t.Parallel()
	variables := at(t, template(t), "Resources", "ExporterFunction", "Properties", "Environment", "Variables")
	for field := range reflect.TypeFor[config.Config]().Fields() {
		variable := field.Tag.Get("env")
		value := child(variables, variable)
		switch {
		case variable == "-":
		case value == nil && field.Tag.Get("secret") != "":
			t.Errorf("no parameter sets %s, and Settings cannot", variable)
		case value == nil, slices.Contains(organisationOnly, variable), variable == "REMOTE_WRITE_URL", variable == "STATE_URL", variable == "SCHEDULE", variable == "INDEX_SCANS", variable == "LIFECYCLE_POLICIES":
		case value.Tag != "!Ref" || !strings.EqualFold(value.Value, strings.ReplaceAll(variable, "_", "")):
			t.Errorf("%s is %s %s", variable, value.Tag, value.Value)
		}
	}
	for i := 0; i < len(variables.Content); i += 2 {
		if !isSetting(variables.Content[i].Value) {
			t.Errorf("%s is not a setting", variables.Content[i].Value)
		}
	}
}

func isSetting(variable string) bool {
	for field := range reflect.TypeFor[config.Config]().Fields() {
		if field.Tag.Get("env") == variable {
			return true
		}
	}
	return false
}

// The template's defaults are those of the program, but for where the state is kept.
func TestTemplateDefaults(t *testing.T) {
	t.Parallel()
	variables := dig(t, properties(newStack(t, template(t), toURL).present("Resources"), "ExporterFunction"), "Environment", "Variables").(map[string]any)
	var environ []string
	for name, value := range variables {
		if name != "STATE_URL" {
			environ = append(environ, name+"="+fmt.Sprint(value))
		}
	}
	got, err := config.Load(environ, config.ToSend)
	if err != nil {
		t.Fatal(err)
	}
	want, err := config.Load([]string{"REMOTE_WRITE_URL=" + toURL["RemoteWriteUrl"]}, config.ToSend)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("the settings of a default stack are\n%+v, those of the program\n%+v", got, want)
	}
}

// The rule's expression has the singular for one minute, as EventBridge requires, and the
// function gets the same interval.
func TestTemplateSchedule(t *testing.T) {
	t.Parallel()
	for minutes, want := range map[string]string{"1": "rate(1 minute)", "2": "rate(2 minutes)", "60": "rate(60 minutes)"} {
		function := properties(newStack(t, template(t), map[string]string{"ScheduleMinutes": minutes}).present("Resources"), "ExporterFunction")
		if got := dig(t, function, "Events", "Schedule", "Properties", "Schedule"); got != want {
			t.Errorf("the rule's schedule is %s, want %s", got, want)
		}
		schedule := config.Schedule(0)
		if err := schedule.UnmarshalText([]byte(dig(t, function, "Environment", "Variables", "SCHEDULE").(string))); err != nil || fmt.Sprintf("%.0f", schedule.Interval().Minutes()) != minutes {
			t.Errorf("SCHEDULE is %s (%v), want %s minutes", schedule, err, minutes)
		}
	}
}

// At most 45 parameters for whoever has one registry, and few more in the group of an
// organisation, which all others can leave alone. Each is in one group.
func TestTemplateGroups(t *testing.T) {
	t.Parallel()
	root := template(t)
	var grouped, want []string
	many := 0
	for _, group := range at(t, root, "Metadata", "AWS::CloudFormation::Interface", "ParameterGroups").Content {
		for _, name := range at(t, group, "Parameters").Content {
			grouped = append(grouped, name.Value)
		}
		if strings.HasPrefix(at(t, group, "Label", "default").Value, "An organisation") {
			many += len(at(t, group, "Parameters").Content)
		}
	}
	parameters := at(t, root, "Parameters")
	for i := 0; i < len(parameters.Content); i += 2 {
		want = append(want, parameters.Content[i].Value)
		if child(parameters.Content[i+1], "Default") == nil || child(parameters.Content[i+1], "Description") == nil {
			t.Errorf("%s has no default or no description", parameters.Content[i].Value)
		}
	}
	if diff := gocmp.Diff(want, grouped); diff != "" || len(want)-many > 45 || many != 3 {
		t.Errorf("%d parameters, %d of them of an organisation (-template.yaml +groups):\n%s", len(want), many, diff)
	}
}

// docs/template-parameters.md has a row for each of the 55 former parameters, with a
// parameter or a setting that Settings accepts; all that have stayed stand for themselves.
func TestTemplateFormerParameters(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/template-parameters.md")
	if err != nil {
		t.Fatal(err)
	}
	parameters := at(t, template(t), "Parameters")
	former := map[string]bool{}
	for _, row := range regexp.MustCompile("(?m)^\\| `([A-Za-z]+)` \\| `([A-Za-z]+)`(?:: `([A-Z_]+)`)? \\|").FindAllStringSubmatch(string(text), -1) {
		name, parameter, variable := row[1], row[2], row[3]
		former[name] = true
		switch {
		case child(parameters, parameter) == nil:
			t.Errorf("%s: there is no parameter %s", name, parameter)
		case (parameter == "Settings") != (variable != ""), child(parameters, name) != nil && name != parameter:
			t.Errorf("%s is %s %s", name, parameter, variable)
		case variable != "" && (!isSetting(variable) || !strings.EqualFold(name, strings.ReplaceAll(variable, "_", ""))):
			t.Errorf("%s: %s is another setting, or none", name, variable)
		case variable != "" && !takes(t, at(t, parameters, "Settings"), variable+"=x"):
			t.Errorf("%s: Settings does not take %s", name, variable)
		}
	}
	if len(former) != 55 {
		t.Errorf("the table has %d former parameters", len(former))
	}
}
