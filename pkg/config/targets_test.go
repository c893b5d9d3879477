package config_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

func TestTargets(t *testing.T) {
	t.Parallel()
	inLambda := []string{plainURL, "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001"}
	for value, fault := range map[string]string{
		"111122223333:eu-west-1,222233334444:*": "",
		"111122223333:us-gov-west-1":            "",
		"s3://bucket/targets.yaml":              "",
		"ssm:/exporter/targets":                 "",
		"111122223333":                          "TARGETS",
		"11112222333:eu-west-1":                 "TARGETS",
		"111122223333:eu-west-1;":               "TARGETS",
		"s3://bucket":                           "TARGETS",
		"s3://Bucket/key":                       "TARGETS",
		"file:///targets.yaml":                  "TARGETS",
	} {
		_, err := config.Load(slices.Concat(inLambda, []string{"TARGETS=" + value, "QUEUE_URL=https://sqs.eu-west-1.amazonaws.com/111122223333/q.fifo"}), config.ToSend)
		if got := strings.Contains(errorText(err), fault) && (fault != "") == (err != nil); !got {
			t.Errorf("TARGETS=%s: %v, want a fault of %q", value, err, fault)
		}
	}
	_, err := config.Load(slices.Concat(inLambda, []string{"TARGETS=111122223333:*", "ECR_REGISTRY_ID=111122223333"}), config.ToSend)
	for _, want := range []string{"QUEUE_URL: required with TARGETS", "ECR_REGISTRY_ID"} {
		if !strings.Contains(errorText(err), want) {
			t.Errorf("%v, want %q", err, want)
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
		plainURL, "TARGETS=111122223333:*", "STATE_URL=s3://bucket/stack/inventory", "EXTERNAL_LABELS=env=all,org=example", "SCAN_SOURCE=summary", "FAMILIES_EXCLUDE=a|b",
	}
	c, err := config.ForTarget(environ, config.ToSend, "111122223333", "eu-west-1",
		map[string]string{"SCAN_SOURCE": "inspector", "REPOSITORIES_INCLUDE": "shop/.*"}, map[string]string{"env": "prod", "region": "eu-west-1"})
	if err != nil {
		t.Fatal(err)
	}
	want := config.Labels{{Name: "org", Value: "example"}, {Name: "env", Value: "prod"}, {Name: "region", Value: "eu-west-1"}}
	if diff := cmp.Diff(want, c.ExternalLabels); diff != "" {
		t.Errorf("labels (-want +got):\n%s", diff)
	}
	if c.ScanSource != "inspector" || c.RepositoriesInclude != "shop/.*" || c.ECRRegistryID != "111122223333" || c.Targets != "" {
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
	if _, err := config.ForTarget(environ, config.ToSend, "1", "r", map[string]string{"SCAN_SOURCE": "all"}, nil); !strings.Contains(errorText(err), "SCAN_SOURCE") {
		t.Errorf("a wrong setting: %v", err)
	}
	if names := config.TargetSettings(); !slices.Contains(names, "SCAN_SOURCE") || slices.Contains(names, "REMOTE_WRITE_URL") || slices.Contains(names, "STATE_URL") {
		t.Errorf("settings of a registry: %v", names)
	}
}
