package main

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// stack is template.yaml with values for its parameters: what CloudFormation would
// make of it, as far as conditions and references go.
type stack struct {
	t          *testing.T
	root       *yaml.Node
	parameters map[string]string
	pseudo     map[string]string
	conditions map[string]bool // those that are evaluated
}

// pseudo are the parameters that CloudFormation itself has.
var pseudo = map[string]string{
	"AWS::Partition": "aws", "AWS::Region": "eu-west-1", "AWS::AccountId": "111122223333", "AWS::StackName": "stack", "AWS::URLSuffix": "amazonaws.com",
}

// newStack has the parameters' defaults where none are given.
func newStack(t *testing.T, root *yaml.Node, given map[string]string) *stack {
	t.Helper()
	s := &stack{t: t, root: root, pseudo: pseudo, parameters: map[string]string{}, conditions: map[string]bool{}}
	parameters := at(t, root, "Parameters")
	for i := 0; i < len(parameters.Content); i += 2 {
		if value := child(parameters.Content[i+1], "Default"); value != nil {
			s.parameters[parameters.Content[i].Value] = value.Value
		}
	}
	for name := range given {
		if _, ok := s.parameters[name]; !ok {
			t.Fatalf("template.yaml has no parameter %s", name)
		}
	}
	maps.Copy(s.parameters, given)
	return s
}

// takes reports whether a parameter takes a value.
func takes(t *testing.T, parameter *yaml.Node, value string) bool {
	t.Helper()
	if allowed := child(parameter, "AllowedValues"); allowed != nil {
		return slices.ContainsFunc(allowed.Content, func(v *yaml.Node) bool { return v.Value == value })
	}
	pattern := child(parameter, "AllowedPattern")
	if pattern == nil {
		return true
	}
	// Go has no negative lookahead.
	not, rest := "", pattern.Value
	if after, ok := strings.CutPrefix(pattern.Value, "^(?!"); ok {
		depth := 1
		end := strings.IndexFunc(after, func(r rune) bool {
			switch r {
			case '(':
				depth++
			case ')':
				depth--
			}
			return depth == 0
		})
		not, rest = after[:end], "^"+after[end+1:]
	}
	return regexp.MustCompile(rest).MatchString(value) && (not == "" || !regexp.MustCompile("^(?:"+not+")").MatchString(value))
}

// refused returns what the template's rules have against the parameters.
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
		return s.reference(node.Value)
	case "!GetAtt":
		return s.reference(node.Value)
	case "!Sub":
		if node.Kind == yaml.ScalarNode {
			return s.substitute(node.Value, nil)
		}
		return s.substitute(argument[0].Value, argument[1])
	case "!Split":
		items := []any{}
		for item := range strings.SplitSeq(fmt.Sprint(s.value(argument[1])), argument[0].Value) {
			items = append(items, item)
		}
		return items
	case "!Select":
		items := s.value(argument[1]).([]any)
		index, err := strconv.Atoi(argument[0].Value)
		if err != nil || index >= len(items) {
			s.t.Fatalf("template.yaml, line %d: no item %s of %v", node.Line, argument[0].Value, items)
		}
		return items[index]
	case "!FindInMap":
		path := []string{"Mappings"}
		for _, key := range argument {
			path = append(path, fmt.Sprint(s.value(key)))
		}
		return at(s.t, s.root, path...).Value
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

// reference is a parameter's value, or stands for a resource or an attribute of it. A
// resource that is not there under these parameters is a fault.
func (s *stack) reference(name string) string {
	if value, ok := s.pseudo[name]; ok {
		return value
	}
	if value, ok := s.parameters[name]; ok {
		return value
	}
	resource, _, _ := strings.Cut(name, ".")
	// SAM makes the schedule's rule out of the function's events.
	if resource != "ExporterFunctionSchedule" && s.resource(resource) == nil {
		s.t.Errorf("with %v there is no %s, and something refers to it", s.parameters, name)
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

// resource returns a resource; nil if there is none under these parameters.
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

// present evaluates a section, Resources or Outputs, without what is not there.
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

// properties are a resource's; nil if it is not there.
func properties(resources map[string]any, name string) map[string]any {
	resource, ok := resources[name].(map[string]any)
	if !ok {
		return nil
	}
	fields, _ := resource["Properties"].(map[string]any)
	return fields
}

// dig follows keys down evaluated fields.
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
	toCreated   = map[string]string{"WorkspaceId": "create"}
	toURL       = map[string]string{"RemoteWriteUrl": "https://prometheus.example/api/v1/write"}
	toProxy     = map[string]string{"RemoteWriteUrl": "https://proxy.example/api/v1/write", "RemoteWriteWorkspaceId": "ws-2"}
)

const (
	someRole   = "arn:aws:iam::444455556666:role/team/writer"
	someSecret = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/prometheus-a1B2c3"
	someKey    = "arn:aws:kms:eu-west-1:111122223333:key/0a1b-2c3d"
	stateKey   = "arn:aws:kms:eu-west-1:111122223333:key/4e5f-6a7b"
	someTopic  = "arn:aws:sns:eu-west-1:111122223333:pager"
)

// Ways to authenticate at toURL.
var (
	basic  = map[string]string{"RemoteWriteUsername": "me", "RemoteWritePassword": "secretsmanager:" + someSecret + "#password", "SecretArns": someSecret}
	bearer = map[string]string{"RemoteWriteBearerToken": "ssm:/team/token", "SsmParameterArns": "arn:aws:ssm:eu-west-1:111122223333:parameter/team/token"}
)

// with puts parameters together.
func with(all ...map[string]string) map[string]string {
	one := map[string]string{}
	for _, more := range all {
		maps.Copy(one, more)
	}
	return one
}

// besides are combinations of parameters that go with any of the others: each by
// itself, not in every combination.
var besides = []map[string]string{
	with(toWorkspace, map[string]string{"RemoteWriteRoleArn": someRole}),
	with(toAnother, map[string]string{"RemoteWriteRoleArn": someRole, "Settings": "REMOTE_WRITE_ROLE_EXTERNAL_ID=registry:1"}),
	with(toProxy, map[string]string{"Settings": "REMOTE_WRITE_AUTH=sigv4", "RemoteWriteRoleArn": someRole}),
	with(toURL, map[string]string{"Settings": "REMOTE_WRITE_AUTH=sigv4;REMOTE_WRITE_REGION=us-east-1", "RemoteWriteRoleArn": someRole}),
	with(toURL, basic),
	with(toURL, bearer),
	with(toURL, map[string]string{"RemoteWriteHeaders": "X-Scope-OrgID=team-a,X-Token=ssm:token", "SsmParameterArns": "arn:aws:ssm:eu-west-1:111122223333:parameter/token"}),
	with(toURL, map[string]string{
		"RemoteWriteClientKey": "secretsmanager:" + someSecret + "#key", "Settings": "REMOTE_WRITE_CA=ssm:ca\nREMOTE_WRITE_CLIENT_CERTIFICATE=secretsmanager:" + someSecret + "#certificate",
		"SecretArns": someSecret + ",arn:aws:secretsmanager:eu-west-1:111122223333:secret:other-??????", "SsmParameterArns": "arn:aws:ssm:eu-west-1:111122223333:parameter/ca,arn:aws:ssm:eu-west-1:111122223333:parameter/cb",
		"SecretKmsKeyArn": "arn:aws:kms:eu-west-1:111122223333:key/0a1b-2c3d",
	}),
	with(toWorkspace, map[string]string{"ScheduleMinutes": "1", "Settings": "REGION_LABEL=true;REMOTE_WRITE_PROTOCOL=2.0;CLOUDWATCH_METRICS=false"}),
	with(toURL, map[string]string{"ScheduleMinutes": "9999", "ExternalLabels": "cluster=a,stage=b=c", "Settings": "REGION_LABEL=true; CACHE_REFRESH_INTERVAL=1d12h; SCAN_REFRESH_INTERVAL=7d;"}),
	with(toWorkspace, map[string]string{"RepositoriesInclude": "team/.*", "RepositoriesExclude": ".*-test", "Settings": `TAGS_INCLUDE=v\d+(\.\d+)*|latest;TAGS_EXCLUDE=.*-rc;IMAGES_PER_REPOSITORY=10`}),
	with(toWorkspace, map[string]string{"IdleImages": "never"}),
	with(toWorkspace, map[string]string{"AlertRules": "ENABLED", "Dashboard": "ENABLED"}),
	with(toWorkspace, map[string]string{"AlertTopic": "create", "Tracing": "ENABLED"}),
	with(toCreated, map[string]string{"AlertRules": "ENABLED", "AlertTopic": someTopic, "EventRules": "DISABLED", "Dashboard": "ENABLED"}),
	with(toCreated, map[string]string{"RemoteWriteRoleArn": someRole}),
	with(toAnother, map[string]string{"AlertTopic": "create", "AlertEmail": "me@example.com", "ScheduleState": "DISABLED"}),
	with(toURL, map[string]string{"AlertTopic": "create", "StateKmsKeyArn": stateKey, "StateBucket": "NONE"}),
	with(toURL, map[string]string{"StateKmsKeyArn": stateKey, "LogKmsKeyArn": someKey}),
	with(toURL, map[string]string{"SubnetIds": "subnet-0a1b", "SecurityGroupIds": "sg-0a1b", "StateBucket": "mine", "StateKmsKeyArn": stateKey}),
	with(toWorkspace, map[string]string{"Targets": "ssm:/targets", "SubnetIds": "subnet-0a1b", "SecurityGroupIds": "sg-0a1b", "ReservedConcurrentExecutions": "none"}),
	with(toURL, map[string]string{"RolePath": "/", "PermissionsBoundaryArn": "arn:aws:iam::aws:policy/PowerUserAccess"}),
	allParameters, allCreated, organisation,
}

// allParameters and allCreated have together every parameter with a value other than the
// default: one names what there is, the other has the stack create what it can.
var allParameters = map[string]string{
	"WorkspaceId": "", "RemoteWriteUrl": "https://proxy.example/api/v1/write?tenant=a", "RemoteWriteWorkspaceId": "ws-2", "WorkspaceRegion": "us-east-1", "WorkspaceAccountId": "444455556666",
	"EcrRegistryId": "777788889999", "RepositoriesInclude": "team/.*", "RepositoriesExclude": ".*-test", "ScanSource": "findings", "PullTimeExclusion": "off", "IdleImages": "never", "ExternalLabels": "cluster=a",
	"RepositoryTags": "team,Cost Center", "RegistryDetails": "true",
	"Settings":        "REMOTE_WRITE_AUTH=basic;REMOTE_WRITE_CLIENT_CERTIFICATE=ssm:/tls/certificate;ECR_CONCURRENCY=4;QUERY_URL=https://proxy.example/api/v1/query",
	"ScheduleMinutes": "1", "ScheduleState": "DISABLED", "EventRules": "DISABLED", "StateBucket": "mine", "Architecture": "x86_64", "MemorySize": "128", "ReservedConcurrentExecutions": "none",
	"RemoteWriteRoleArn": "", "RemoteWriteUsername": "me", "RemoteWritePassword": "secretsmanager:" + someSecret + "#password", "RemoteWriteBearerToken": "", "RemoteWriteHeaders": "X-Scope-OrgID=team-a", "RemoteWriteClientKey": "ssm:/tls/key",
	"SecretArns": someSecret, "SsmParameterArns": "arn:aws:ssm:eu-west-1:111122223333:parameter/tls/key,arn:aws:ssm:eu-west-1:111122223333:parameter/tls/certificate", "SecretKmsKeyArn": someKey,
	"LogLevel": "DEBUG", "LogRetentionDays": "3", "Tracing": "ENABLED",
	"AlertTopic": someTopic, "Dashboard": "ENABLED",
	"SubnetIds": "subnet-0a1b,subnet-2c3d", "SecurityGroupIds": "sg-0a1b,sg-2c3d", "RolePath": "/exporters/", "PermissionsBoundaryArn": "arn:aws:iam::111122223333:policy/team/boundary",
	"StateKmsKeyArn": stateKey, "LogKmsKeyArn": someKey,
}

var allCreated = with(allParameters, map[string]string{
	"WorkspaceId": "create", "RemoteWriteUrl": "", "RemoteWriteWorkspaceId": "", "WorkspaceRegion": "", "WorkspaceAccountId": "", "EcrRegistryId": "", "ScanSource": "inspector", "PullTimeExclusion": "create",
	"Settings": "ECR_CONCURRENCY=4", "ScheduleState": "ENABLED", "EventRules": "ENABLED", "StateBucket": "", "RemoteWriteUsername": "", "RemoteWritePassword": "", "RemoteWriteClientKey": "",
	"AlertRules": "ENABLED", "AlertTopic": "create", "AlertEmail": "me@example.com",
})

// organisation has the parameters of an organisation, and those that concern it.
var organisation = with(toWorkspace, map[string]string{
	"Targets": "s3://documents/ecr/targets.yaml", "TargetRole": "exporters/reader", "MaximumConcurrency": "100", "Settings": "TARGET_EXTERNAL_ID=some-id;REMOTE_WRITE_SAMPLES_PER_SECOND=70000",
	"EventRules": "DISABLED", "AlertTopic": someTopic, "Dashboard": "ENABLED", "IdleImages": "never", "RepositoryTags": "team", "RegistryDetails": "true",
})

// everyStack calls a function for every combination of the parameters that change
// what there is or what is permitted, and for those besides.
func everyStack(t *testing.T, do func(*stack)) {
	t.Helper()
	one := combined(
		[]map[string]string{toWorkspace, toAnother, toCreated, toURL, toProxy},
		[]map[string]string{{}, {"EcrRegistryId": "777788889999"}, {"EcrRegistryId": pseudo["AWS::AccountId"]}},
		exclusions, scanSources,
		[]map[string]string{{}, {"StateBucket": "mine"}, {"StateBucket": "NONE"}},
		[]map[string]string{{}, {"EventRules": "DISABLED"}},
		[]map[string]string{{}, {"IdleImages": "never", "Settings": "QUERY_URL=https://host.example/api/v1/query?dedup=true"}},
		details,
	)
	many := combined(
		[]map[string]string{toWorkspace, toURL},
		[]map[string]string{{"Targets": "111122223333:eu-west-1,222233334444:*"}, {"Targets": "s3://documents/targets.yaml"}, {"Targets": "ssm:/ecr/targets", "SsmParameterArns": "arn:aws:ssm:eu-west-1:111122223333:parameter/ecr/targets", "TargetRole": "reader"}},
		exclusions, scanSources,
		[]map[string]string{{}, {"StateBucket": "mine"}},
		[]map[string]string{{}, {"EventRules": "DISABLED"}},
		details,
	)
	forStacks(t, slices.Concat(one, many, besides), do)
}

// Choices that one registry and an organisation have.
var (
	exclusions  = []map[string]string{{}, {"PullTimeExclusion": "existing"}, {"PullTimeExclusion": "off"}}
	scanSources = []map[string]string{{"ScanSource": ""}, {}, {"ScanSource": "findings"}, {"ScanSource": "inspector"}, {"ScanSource": "summary"}, {"ScanSource": "none"}}
	details     = []map[string]string{{}, {"RepositoryTags": "team"}, {"RegistryDetails": "true"}}
)

// combined returns every combination of one of each choice.
func combined(choices ...[]map[string]string) []map[string]string {
	combinations := []map[string]string{{}}
	for _, choice := range choices {
		var further []map[string]string
		for _, before := range combinations {
			for _, more := range choice {
				further = append(further, with(before, more))
			}
		}
		combinations = further
	}
	return combinations
}

// forStacks calls a function for the stack of each set of parameters.
func forStacks(t *testing.T, all []map[string]string, do func(*stack)) {
	t.Helper()
	root := template(t)
	taken := map[[2]string]bool{} // looked at before
	for _, given := range all {
		for name, value := range given {
			if !taken[[2]string{name, value}] && !takes(t, at(t, root, "Parameters", name), value) {
				t.Errorf("parameter %s does not take %q", name, value)
			}
			taken[[2]string{name, value}] = true
		}
		s := newStack(t, root, given)
		if refused := s.refused(); len(refused) > 0 {
			t.Errorf("the rules refuse it: %q", refused)
		}
		if do(s); t.Failed() {
			t.Fatalf("with %v", given)
		}
	}
}
