package config_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

func TestTargets(t *testing.T) {
	t.Parallel()
	inLambda := []string{plainURL, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001"}
	for value, fault := range map[string]string{
		"111122223333:eu-west-1,222233334444:*":  "",
		"111122223333:us-gov-west-1":             "",
		"111122223333:eusc-de-east-1":            "",
		"111122223333:eu-west-1, 222233334444:*": "",
		"111122223333:eu-west-1,":                "TARGETS",
		"ssm:":                                   "TARGETS",
		"secretsmanager:targets":                 "TARGETS",
		"s3://bucket/targets.yaml":               "",
		"ssm:/exporter/targets":                  "",
		"111122223333":                           "TARGETS",
		"11112222333:eu-west-1":                  "TARGETS",
		"111122223333:eu-west-1;":                "TARGETS",
		"s3://bucket":                            "TARGETS",
		"s3://Bucket/key":                        "TARGETS",
		"file:///targets.yaml":                   "TARGETS",
	} {
		_, err := config.Load(slices.Concat(inLambda, []string{"TARGETS=" + value, "QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/111122223333/q.fifo"}), config.ToSend)
		if got := strings.Contains(errorText(err), fault) && (fault != "") == (err != nil); !got {
			t.Errorf("TARGETS=%s: %v, want a fault of %q", value, err, fault)
		}
	}
	_, err := config.Load(append(inLambda, "TARGETS=111122223333:eu-west-1,222233334444:eu-west-1,33334444555:eu-west-1"), config.ToSend)
	if !strings.Contains(errorText(err), ",33334444555:eu-west-1") {
		t.Errorf("%v: want the list in it", err)
	}
	_, err = config.Load(slices.Concat(inLambda, []string{"TARGETS=111122223333:*", "ECR_REGISTRY_ID=111122223333"}), config.ToSend)
	for _, want := range []string{"QUEUE_URL: required with TARGETS", "ECR_REGISTRY_ID"} {
		if !strings.Contains(errorText(err), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// The role is one in any account, since it is assumed in all of them.
func TestTargetRole(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]bool{
		"ecr-remote-write": true, "path/x": true, "arn:aws-eusc:iam::ACCOUNT:role/path/x": true,
		"/path/x": false, "arn:aws:iam::111122223333:role/x": false, "arn:evil:iam::ACCOUNT:role/x": false, "a b": false,
	} {
		if _, err := config.Load([]string{plainURL, "TARGET_ROLE=" + value}, config.ToSend); (err == nil) != want {
			t.Errorf("TARGET_ROLE=%s: %v", value, err)
		}
	}
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

// A registry of many has its own settings, state and labels, and the others of the function.
func TestForTarget(t *testing.T) {
	t.Parallel()
	environ := []string{
		plainURL, "SETTINGS=TARGETS=111122223333:*;REPOSITORIES_EXCLUDE=x;REGION_LABEL=true", "AWS_REGION=us-east-1", "STATE_URL=s3://bucket/stack/inventory", "EXTERNAL_LABELS=env=all,org=example", "SCAN_SOURCE=summary", "FAMILIES_EXCLUDE=a|b",
	}
	c, err := config.ForTarget(environ, config.ToSend, &targets.Target{
		Account: "111122223333", Region: "eu-west-1", Interval: time.Hour, Labels: map[string]string{"env": "prod"},
		Settings: map[string]string{"SCAN_SOURCE": "inspector", "REPOSITORIES_INCLUDE": "shop/.*", "REPOSITORIES_EXCLUDE": ""},
	})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Labels{{Name: "org", Value: "example"}, {Name: "env", Value: "prod"}, {Name: "region", Value: "eu-west-1"}, {Name: "registry_id", Value: "111122223333"}}
	if diff := cmp.Diff(want, c.ExternalLabels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if c.ScanSource != "inspector" || c.RepositoriesInclude != "shop/.*" || c.ECRRegistryID != "111122223333" || c.Targets != "" || c.RepositoriesExclude != "" || c.Schedule.Interval() != time.Hour {
		t.Errorf("%+v", c)
	}
	if got, want := c.StateURL.String(), "s3://bucket/stack/111122223333/eu-west-1/inventory"; got != want {
		t.Errorf("state at %s, want %s", got, want)
	}
	table, err := metrics.New(c.Shape())
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(table.Families(), func(f *metrics.Family) bool { return f.Name == metrics.ExporterUp }) {
		t.Errorf("%s is a family of each registry", metrics.ExporterUp)
	}
	for name, value := range map[string]string{"SCAN_SOURCE": "all", "STATE_URL": "s3://other/inventory", "a\nb": "x"} {
		if _, err := config.ForTarget(environ, config.ToSend, &targets.Target{Settings: map[string]string{name: value}}); !strings.Contains(errorText(err), name) {
			t.Errorf("a wrong setting: %v", err)
		}
	}
	if names := config.TargetSettings(); !slices.Contains(names, "SCAN_SOURCE") || slices.Contains(names, "REMOTE_WRITE_URL") || slices.Contains(names, "STATE_URL") {
		t.Errorf("settings of a registry: %v", names)
	}
}
