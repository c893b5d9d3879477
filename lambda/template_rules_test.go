package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// Limits of Amazon Managed Service for Prometheus, modelled. Of its quotas
// (https://docs.aws.amazon.com/prometheus/latest/userguide/AMP_quotas.html) are the size
// of a namespace's definition and the interval of rules; the number of rules in a group
// is none of them, and is a limit of Cortex.
const (
	maxNamespaceBytes = 1 << 20
	minGroupInterval  = 30 * time.Second
	maxGroupRules     = 20
)

// ruleGroups are the parts of a rule file that limits are about.
type ruleGroups struct {
	Groups []struct {
		Name     string
		Interval string
		Rules    []map[string]any
	}
}

// templateRules is the property Data of the rules in template.yaml: the groups of all
// files in mixin/rules, without comments.
func templateRules(t *testing.T) string {
	t.Helper()
	all := &yaml.Node{Kind: yaml.SequenceNode}
	for _, text := range ruleFiles(t) {
		var file struct{ Groups yaml.Node }
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			t.Fatal(err)
		}
		all.Content = append(all.Content, file.Groups.Content...)
	}
	plain(all)
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(map[string]*yaml.Node{"groups": all}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	return "      Data: |\n        " + strings.ReplaceAll(strings.Join(lines, "\n        "), "        \n", "\n") + "\n      # "
}

// ruleFiles returns the texts of mixin/rules, in the order of their names.
func ruleFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("../mixin/rules/*.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		// Until there is a mixin: the alerts of the documentation.
		_, rest, _ := strings.Cut(readFile(t, "../docs/operations.md"), "<!-- alert: exporter -->\n```yaml\n")
		text, _, _ := strings.Cut(rest, "```")
		return []string{text}
	}
	texts := make([]string, len(files))
	for i, file := range files {
		texts[i] = readFile(t, file)
	}
	return texts
}

// plain takes from a node what YAML has for people: comments, and styles and lines of
// strings.
func plain(node *yaml.Node) {
	node.HeadComment, node.LineComment, node.FootComment = "", "", ""
	if node.Kind == yaml.ScalarNode {
		node.Value = strings.Join(strings.Fields(node.Value), " ")
		node.Style &= yaml.SingleQuotedStyle | yaml.DoubleQuotedStyle
	}
	for _, child := range node.Content {
		plain(child)
	}
}

// The rules in the template are within the limits of a workspace.
func TestTemplateRuleLimits(t *testing.T) {
	t.Parallel()
	s := newStack(t, template(t), with(toWorkspace, map[string]string{"AlertRules": "ENABLED"}))
	namespace := properties(s.present("Resources"), "WorkspaceRules")
	data := dig(t, namespace, "Data").(string)
	if len(data) > maxNamespaceBytes {
		t.Errorf("%d bytes of rules", len(data))
	}
	var rules ruleGroups
	if err := yaml.Unmarshal([]byte(data), &rules); err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, group := range rules.Groups {
		if names[group.Name] || group.Name == "" {
			t.Errorf("group %q has no name or one that another has", group.Name)
		}
		names[group.Name] = true
		if len(group.Rules) == 0 || len(group.Rules) > maxGroupRules {
			t.Errorf("group %s has %d rules", group.Name, len(group.Rules))
		}
		if group.Interval != "" {
			if interval, err := time.ParseDuration(group.Interval); err != nil || interval < minGroupInterval {
				t.Errorf("group %s is evaluated every %s (%v)", group.Name, group.Interval, err)
			}
		}
	}
	if len(names) == 0 {
		t.Error("there are no rules")
	}
	if want := "arn:aws:aps:eu-west-1:111122223333:workspace/ws-1"; namespace["Workspace"] != want {
		t.Errorf("the rules are of %v, want %s", namespace["Workspace"], want)
	}
}
