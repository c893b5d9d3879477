package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// stack is template.yaml with values for its parameters. It evaluates conditions and
// references as CloudFormation does.
type stack struct {
	t          *testing.T
	root       *yaml.Node
	parameters map[string]string
	lists      map[string]bool // parameters that are lists
	conditions map[string]bool // evaluated so far
}

// pseudo are CloudFormation's pseudo parameters.
var pseudo = map[string]string{
	"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "111122223333", "AWS::StackName": "stack", "AWS::URLSuffix": "amazonaws.com",
}

// newStack uses the defaults of parameters that are not given.
func newStack(t *testing.T, root *yaml.Node, given map[string]string) *stack {
	t.Helper()
	s := &stack{t: t, root: root, parameters: map[string]string{}, lists: map[string]bool{}, conditions: map[string]bool{}}
	parameters := at(t, root, "Parameters")
	for i := 0; i < len(parameters.Content); i += 2 {
		if value := child(parameters.Content[i+1], "Default"); value != nil {
			s.parameters[parameters.Content[i].Value] = value.Value
		}
		s.lists[parameters.Content[i].Value] = child(parameters.Content[i+1], "Type").Value == "CommaDelimitedList"
	}
	for name := range given {
		if _, ok := s.parameters[name]; !ok {
			t.Fatalf("template.yaml has no parameter %s", name)
		}
	}
	maps.Copy(s.parameters, given)
	return s
}

// takes reports whether a value is valid for a parameter.
func takes(t *testing.T, parameter *yaml.Node, value string) bool {
	t.Helper()
	if allowed := child(parameter, "AllowedValues"); allowed != nil {
		return slices.ContainsFunc(allowed.Content, func(v *yaml.Node) bool { return v.Value == value })
	}
	values := []string{value}
	if child(parameter, "Type").Value == "CommaDelimitedList" {
		values = strings.Split(value, ",") // each has to match the pattern
	}
	pattern := child(parameter, "AllowedPattern")
	if pattern == nil || strings.Contains(pattern.Value, "(?!") { // which Go does not support
		return true
	}
	expression, err := regexp.Compile(pattern.Value)
	if err != nil {
		t.Fatalf("template.yaml, line %d: %v", pattern.Line, err)
	}
	return !slices.ContainsFunc(values, func(v string) bool { return !expression.MatchString(v) })
}

// refused returns the message of the template's rule that the parameters break.
func (s *stack) refused() []string {
	var all []string
	rules := at(s.t, s.root, "Rules")
	for i := 1; i < len(rules.Content); i += 2 {
		for _, assertion := range at(s.t, rules.Content[i], "Assertions").Content {
			if !s.truth(at(s.t, assertion, "Assert")) {
				all = append(all, at(s.t, assertion, "AssertDescription").Value)
			}
		}
	}
	return all
}

// child returns a key's value, or nil.
func child(node *yaml.Node, key string) *yaml.Node {
	for i := 0; i+1 < len(node.Content); i += 2 {
		if node.Content[i].Value == key {
			return node.Content[i+1]
		}
	}
	return nil
}

// omitted stands for AWS::NoValue.
type omitted struct{}

// value evaluates a node to a string, a bool, a []any or a map[string]any.
func (s *stack) value(node *yaml.Node) any {
	switch {
	case strings.HasPrefix(node.Tag, "!") && !strings.HasPrefix(node.Tag, "!!"):
		return s.function(node)
	case node.Kind == yaml.SequenceNode:
		list := []any{}
		for _, item := range node.Content {
			if v := s.value(item); v != (omitted{}) {
				list = append(list, v)
			}
		}
		return list
	case node.Kind == yaml.MappingNode:
		fields := map[string]any{}
		for i := 0; i < len(node.Content); i += 2 {
			if v := s.value(node.Content[i+1]); v != (omitted{}) {
				fields[node.Content[i].Value] = v
			}
		}
		return fields
	}
	return node.Value
}

// function evaluates an intrinsic function.
func (s *stack) function(node *yaml.Node) any {
	switch argument := node.Content; node.Tag {
	case "!Ref":
		if node.Value == "AWS::NoValue" {
			return omitted{}
		}
		if s.lists[node.Value] {
			items := []any{}
			for item := range strings.SplitSeq(s.reference(node.Value), ",") {
				items = append(items, item)
			}
			return items
		}
		return s.reference(node.Value)
	case "!GetAtt":
		return s.reference(node.Value)
	case "!Sub":
		if node.Kind == yaml.ScalarNode {
			return s.substitute(node.Value, nil)
		}
		return s.substitute(argument[0].Value, argument[1])
	case "!Join":
		return strings.Join(list(s.value(argument[1])), argument[0].Value)
	case "!If":
		if s.condition(argument[0].Value) {
			return s.value(argument[1])
		}
		return s.value(argument[2])
	case "!Condition":
		return s.condition(node.Value)
	case "!Equals":
		return s.value(argument[0]) == s.value(argument[1])
	case "!Not":
		return !s.truth(argument[0])
	case "!And", "!Or":
		and := node.Tag == "!And"
		for _, operand := range argument {
			if s.truth(operand) != and {
				return !and
			}
		}
		return and
	}
	s.t.Fatalf("template.yaml, line %d: what is %s?", node.Line, node.Tag)
	return nil
}

func (s *stack) truth(node *yaml.Node) bool {
	b, ok := s.value(node).(bool)
	if !ok {
		s.t.Fatalf("template.yaml, line %d: want a condition", node.Line)
	}
	return b
}

func (s *stack) condition(name string) bool {
	b, known := s.conditions[name]
	if !known {
		b = s.truth(at(s.t, s.root, "Conditions", name))
		s.conditions[name] = b
	}
	return b
}

// reference returns a parameter's value, or a placeholder for a resource or its attribute. A
// resource that does not exist with these parameters is an error.
func (s *stack) reference(name string) string {
	if value, ok := pseudo[name]; ok {
		return value
	}
	if value, ok := s.parameters[name]; ok {
		return value
	}
	resource, _, _ := strings.Cut(name, ".")
	// SAM makes the schedule's rule from the function's events.
	if resource != "ExporterFunctionSchedule" && s.resource(resource) == nil {
		s.t.Errorf("with %v there is a reference to %s, which does not exist", s.parameters, name)
	}
	return "<" + name + ">"
}

var substituted = regexp.MustCompile(`\$\{([^}]+)\}`)

func (s *stack) substitute(text string, local *yaml.Node) string {
	return substituted.ReplaceAllStringFunc(text, func(match string) string {
		name := match[2 : len(match)-1]
		if local != nil {
			if node := child(local, name); node != nil {
				return fmt.Sprint(s.value(node))
			}
		}
		return s.reference(name)
	})
}

// resource returns a resource; nil if it does not exist with these parameters.
func (s *stack) resource(name string) *yaml.Node {
	node := child(at(s.t, s.root, "Resources"), name)
	if node == nil {
		return nil
	}
	if condition := child(node, "Condition"); condition != nil && !s.condition(condition.Value) {
		return nil
	}
	return node
}

// present evaluates what exists in a section, Resources or Outputs.
func (s *stack) present(section string) map[string]any {
	all := map[string]any{}
	node := at(s.t, s.root, section)
	for i := 0; i < len(node.Content); i += 2 {
		fields := node.Content[i+1]
		if condition := child(fields, "Condition"); condition != nil && !s.condition(condition.Value) {
			continue
		}
		all[node.Content[i].Value] = s.value(fields)
	}
	return all
}

// properties are a resource's; nil if it does not exist.
func properties(resources map[string]any, name string) map[string]any {
	resource, ok := resources[name].(map[string]any)
	if !ok {
		return nil
	}
	fields, _ := resource["Properties"].(map[string]any)
	return fields
}

// dig returns the evaluated field at a path of keys.
func dig(t *testing.T, fields map[string]any, keys ...string) any {
	t.Helper()
	var value any = fields
	for _, key := range keys {
		inner, ok := value.(map[string]any)
		if !ok || inner[key] == nil {
			t.Fatalf("no %v in %v", keys, fields)
		}
		value = inner[key]
	}
	return value
}

// list is a value, or the values of a list, as strings.
func list(value any) []string {
	items, ok := value.([]any)
	if !ok {
		items = []any{value}
	}
	texts := make([]string, len(items))
	for i, item := range items {
		texts[i] = fmt.Sprint(item)
	}
	return texts
}

// Parameters that belong together.
var (
	toWorkspace = map[string]string{"WorkspaceId": "ws-1"}
	toAnother   = map[string]string{"WorkspaceId": "ws-1", "WorkspaceRegion": "us-east-1", "WorkspaceAccountId": "444455556666"}
	toURL       = map[string]string{"RemoteWriteUrl": "https://prometheus.example/api/v1/write"}
	toProxy     = map[string]string{"RemoteWriteUrl": "https://proxy.example/api/v1/write", "RemoteWriteWorkspaceId": "ws-2"}
)

const (
	someRole   = "arn:aws:iam::444455556666:role/team/writer"
	someSecret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/prometheus-a1B2c3"
)

// with merges parameters.
func with(all ...map[string]string) map[string]string {
	one := map[string]string{}
	for _, more := range all {
		maps.Copy(one, more)
	}
	return one
}

// besides are parameters that are each tested alone, not in every combination.
var besides = []map[string]string{
	with(toWorkspace, map[string]string{"RemoteWriteRoleArn": someRole}),
	with(toAnother, map[string]string{"RemoteWriteRoleArn": someRole, "RemoteWriteRoleExternalId": "registry:1"}),
	with(toProxy, map[string]string{"RemoteWriteAuth": "sigv4", "RemoteWriteRoleArn": someRole}),
	with(toURL, map[string]string{"RemoteWriteAuth": "sigv4", "RemoteWriteRegion": "us-east-1", "RemoteWriteRoleArn": someRole}),
	with(toURL, map[string]string{"RemoteWriteUsername": "me", "RemoteWritePassword": "secretsmanager:" + someSecret + "#password", "SecretArns": someSecret}),
	with(toURL, map[string]string{"RemoteWriteUsername": "me", "RemoteWritePassword": "a text, with a comma"}),
	with(toURL, map[string]string{"RemoteWriteBearerToken": "ssm:/team/token", "SsmParameterArns": "arn:aws:ssm:eu-west-1:111122223333:parameter/team/token"}),
	with(toURL, map[string]string{"RemoteWriteAuth": "bearer", "RemoteWriteBearerToken": "abc", "RemoteWriteHeaders": "X-Scope-OrgID=team-a,X-Token=ssm:token"}),
	with(toURL, map[string]string{
		"RemoteWriteCa": "ssm:ca", "RemoteWriteClientCertificate": "secretsmanager:" + someSecret + "#certificate", "RemoteWriteClientKey": "secretsmanager:" + someSecret + "#key",
		"SecretArns": someSecret + ",arn:aws:secretsmanager:eu-west-1:111122223333:secret:other-??????", "SsmParameterArns": "arn:aws:ssm:eu-west-1:111122223333:parameter/ca,arn:aws:ssm:eu-west-1:111122223333:parameter/cb",
		"SecretKmsKeyArn": "arn:aws:kms:eu-west-1:111122223333:key/0a1b-2c3d",
	}),
	with(toWorkspace, map[string]string{"RemoteWriteProtocol": "2.0", "ScheduleRate": "rate(1 hour)", "CloudWatchMetrics": "false"}),
	with(toURL, map[string]string{"RemoteWriteProtocol": "auto", "ScheduleRate": "rate(9999 hours)", "CloudWatchMetrics": "true", "CacheRefreshInterval": "1d12h", "ScanRefreshInterval": "7d"}),
	with(toWorkspace, map[string]string{
		"RepositoriesInclude": "team/.*", "RepositoriesExclude": ".*-test", "TagsInclude": `v\d+(\.\d+)*|latest`, "TagsExclude": ".*-rc", "FamiliesInclude": "aws_ecr_.*", "FamiliesExclude": ".*_scan_.*",
		"ImagesPerRepository": "10", "ImagesPushedWithin": "30d", "ImagesPulledWithin": "0",
	}),
}

// everyStack calls a function for every combination of the parameters that change resources
// or permissions, and for those in besides.
func everyStack(t *testing.T, do func(*stack)) {
	t.Helper()
	root := template(t)
	combinations := []map[string]string{{}}
	for _, choice := range [][]map[string]string{
		{toWorkspace, toAnother, toURL, toProxy},
		{{}, {"EcrRegistryId": "777788889999"}},
		{{}, {"ScanSource": "auto"}, {"ScanSource": "findings"}, {"ScanSource": "inspector"}, {"ScanSource": "summary"}, {"ScanSource": "none"}},
		{{}, {"CreateStateBucket": "false"}},
		{{}, {"StateBucket": "mine"}},
		{{}, {"StateUrl": "memory:"}, {"StateUrl": "file:///tmp/inventory"}},
		{{}, {"EventRules": "DISABLED"}},
	} {
		var further []map[string]string
		for _, before := range combinations {
			for _, more := range choice {
				further = append(further, with(before, more))
			}
		}
		combinations = further
	}
	for _, given := range besides {
		for name, value := range given {
			if !takes(t, at(t, root, "Parameters", name), value) {
				t.Errorf("parameter %s: %q is not valid", name, value)
			}
		}
	}
	for _, given := range append(combinations, besides...) {
		s := newStack(t, root, given)
		if refused := s.refused(); len(refused) > 0 {
			t.Errorf("refused by the rules: %q", refused)
		}
		if do(s); t.Failed() {
			t.Fatalf("with %v", given)
		}
	}
}
