package main

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gopkg.in/yaml.v3"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
)

// template reads template.yaml as it stands, intrinsic functions being nodes with
// a tag.
func template(t *testing.T) *yaml.Node {
	t.Helper()
	text, err := os.ReadFile("../template.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	return document.Content[0]
}

// at follows keys down a document.
func at(t *testing.T, node *yaml.Node, keys ...string) *yaml.Node {
	t.Helper()
next:
	for _, key := range keys {
		for i := 0; i+1 < len(node.Content); i += 2 {
			if node.Content[i].Value == key {
				node = node.Content[i+1]
				continue next
			}
		}
		t.Fatalf("template.yaml has no %v", keys)
	}
	return node
}

// scalars are all values below a node.
func scalars(node *yaml.Node) []string {
	if node.Kind == yaml.ScalarNode {
		return []string{node.Value}
	}
	var list []string
	for _, child := range node.Content {
		list = append(list, scalars(child)...)
	}
	return list
}

// statements are the mappings with an Effect below a node, whatever condition
// they stand under.
func statements(node *yaml.Node) []*yaml.Node {
	var list []*yaml.Node
	for i, child := range node.Content {
		if node.Kind == yaml.MappingNode && child.Value == "Effect" && i%2 == 0 {
			return []*yaml.Node{node}
		}
		list = append(list, statements(child)...)
	}
	return list
}

// What the template permits is what the code declares beside its calls, no more
// and no less, and on as little.
func TestTemplatePermissions(t *testing.T) {
	t.Parallel()
	want := map[string]string{}
	for _, p := range ecr.Permissions {
		want[p.Action] = p.Resource
	}
	for _, action := range auth.Actions {
		want[action] = "workspace/"
	}
	got := map[string]string{}
	for _, statement := range statements(at(t, template(t), "Resources", "ExporterRole", "Properties", "Policies")) {
		if effect := at(t, statement, "Effect").Value; effect != "Allow" {
			t.Errorf("statement with effect %s", effect)
		}
		resource := scalars(at(t, statement, "Resource"))[0]
		switch {
		case strings.HasPrefix(resource, "arn:${AWS::Partition}:ecr:"):
			resource = resource[strings.LastIndex(resource, ":")+1:]
		case strings.HasPrefix(resource, "arn:${AWS::Partition}:aps:"):
			if !strings.HasSuffix(resource, ":workspace/${Workspace}") {
				t.Errorf("aps: resource %s is not one workspace", resource)
			}
			resource = "workspace/"
		}
		for _, action := range scalars(at(t, statement, "Action")) {
			// Writing its log is what every function's role permits.
			if !strings.HasPrefix(action, "logs:") {
				got[action] = resource
			}
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("permissions (-declared beside the code +template.yaml):\n%s", diff)
	}
}

// Every setting is a variable of the template's function, and no other is.
func TestTemplateSettings(t *testing.T) {
	t.Parallel()
	var want, got []string
	for field := range reflect.TypeFor[config.Config]().Fields() {
		// The template sets Lambda's own variable in place of LOG_LEVEL.
		if variable := field.Tag.Get("env"); variable != "-" && variable != "LOG_LEVEL" {
			want = append(want, variable)
		}
	}
	variables := at(t, template(t), "Resources", "ExporterFunction", "Properties", "Environment", "Variables")
	for i := 0; i < len(variables.Content); i += 2 {
		got = append(got, variables.Content[i].Value)
	}
	slices.Sort(want)
	slices.Sort(got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("settings (-config +template.yaml):\n%s", diff)
	}
}

// What the template tells of defaults is true.
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
	if checked < 9 {
		t.Errorf("%d defaults were compared, want 9 at least: is their wording another?", checked)
	}
}
