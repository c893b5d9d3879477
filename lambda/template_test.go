package main

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/running"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// template parses template.yaml; intrinsic functions are nodes with a tag.
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

// at returns the node at a path of keys.
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

// permissions are the statements of a policy, as "action on resource".
func permissions(t *testing.T, policies any) []string {
	t.Helper()
	var all []string
	for _, policy := range policies.([]any) {
		for _, statement := range dig(t, policy.(map[string]any), "PolicyDocument", "Statement").([]any) {
			fields := statement.(map[string]any)
			if fields["Effect"] == "Deny" && policy.(map[string]any)["PolicyName"] == "network" {
				continue // TestTemplateNetwork
			}
			condition := ""
			if fields["Condition"] != nil {
				condition = " if " + strings.TrimPrefix(fmt.Sprint(fields["Condition"]), "map")
			}
			if fields["Effect"] != "Allow" || condition != "" && condition != inOrganisation {
				t.Errorf("statement %v", fields)
			}
			for _, action := range list(fields["Action"]) {
				for _, resource := range list(fields["Resource"]) {
					all = append(all, action+" on "+resource+condition)
				}
			}
		}
	}
	slices.Sort(all)
	return all
}

// scanPermissions are those that the code declares for a source of scan results. Only auto
// reads the scanning configuration.
func scanPermissions(source refresh.ScanSource) (onECR, onInspector []awsapi.Permission) {
	if source == refresh.ScanSummary || source == refresh.ScanNone {
		return nil, nil
	}
	for _, p := range ecr.ScanPermissions {
		if p.Action != "ecr:GetRegistryScanningConfiguration" || source == refresh.ScanAuto {
			onECR = append(onECR, p)
		}
	}
	if source == refresh.ScanFindings {
		return onECR, nil
	}
	return onECR, inspector.Permissions
}

// declared are the permissions that the code declares for a stack's parameters, and those
// that Lambda needs to run the function.
func declared(s *stack) []string {
	set := func(name, byDefault string) string { return cmp.Or(s.parameters[name], byDefault) }
	region, account := pseudo["AWS::Region"], pseudo["AWS::AccountId"]
	regions, key := region, "stack/inventory" // of the registries, and where their state is
	var all []string
	add := func(action, resource string) { all = append(all, action+" on "+resource) }

	add("logs:CreateLogStream", "<ExporterLogGroup.Arn>")
	add("logs:PutLogEvents", "<ExporterLogGroup.Arn>")
	if s.parameters["Targets"] != "" {
		regions, key = "*", "stack/*/*/inventory"
		all = append(all, declaredForTargets(s)...)
	}
	onECR, onInspector := scanPermissions(refresh.ScanSource(set("ScanSource", "auto")))
	for _, p := range slices.Concat(ecr.Permissions, onECR, onInspector) {
		add(p.Action, strings.NewReplacer("REGION", regions, "ACCOUNT", set("EcrRegistryId", account)).Replace(p.Resource))
	}
	if readsIndexes(s) {
		for _, p := range ecr.IndexPermissions {
			add(p.Action, strings.NewReplacer("REGION", regions, "ACCOUNT", account).Replace(p.Resource))
		}
	}
	for parameter, permissions := range map[string][]awsapi.Permission{
		"RepositoryTags": ecr.TagPermissions, "RegistryDetails": slices.Concat(ecr.LifecyclePermissions, ecr.RegistryPermissions),
	} {
		if asked := s.parameters[parameter]; asked == "" || asked == "false" {
			continue
		}
		for _, p := range permissions {
			add(p.Action, strings.NewReplacer("REGION", regions, "ACCOUNT", set("EcrRegistryId", account)).Replace(p.Resource))
		}
	}
	if role := s.parameters["RemoteWriteRoleArn"]; role != "" {
		// That role needs the permission on the workspace instead.
		for _, p := range auth.RolePermissions {
			add(p.Action, role)
		}
	} else if workspace := strings.Replace(set("WorkspaceId", s.parameters["RemoteWriteWorkspaceId"]), "create", "<Workspace.WorkspaceId>", 1); workspace != "" {
		permissions := auth.Permissions
		if s.parameters["IdleImages"] == "never" {
			permissions = slices.Concat(permissions, running.Permissions)
		}
		for _, p := range permissions {
			add(p.Action, strings.NewReplacer("REGION", set("WorkspaceRegion", region), "ACCOUNT", set("WorkspaceAccountId", account), "WORKSPACE-ID", workspace).Replace(p.Resource))
		}
	}
	if bucket := bucketOf(s); bucket != "" {
		for _, p := range state.Permissions {
			add(p.Action, strings.NewReplacer("BUCKET", bucket, "KEY", key).Replace(p.Resource))
		}
		if key := s.parameters["StateKmsKeyArn"]; key != "" {
			// https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
			add("kms:Decrypt", key)
			add("kms:GenerateDataKey", key)
		}
	}
	for _, p := range secret.Permissions {
		names := s.parameters["SsmParameterArns"]
		if strings.HasPrefix(p.Action, "secretsmanager:") {
			names = s.parameters["SecretArns"]
		}
		for name := range strings.SplitSeq(names, ",") {
			if name != "" {
				add(p.Action, name)
			}
		}
	}
	if key := s.parameters["SecretKmsKeyArn"]; key != "" {
		add("kms:Decrypt", key) // Secrets Manager and Parameter Store use it on behalf of the function
	}
	if hasQueue(s) {
		// https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html#events-sqs-permissions
		for _, action := range []string{"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"} {
			add(action, "<EventQueue.Arn>")
		}
	}
	if s.parameters["SubnetIds"] != "" {
		// https://docs.aws.amazon.com/lambda/latest/dg/configuration-vpc.html#configuration-vpc-permissions
		for _, action := range []string{"AssignPrivateIpAddresses", "CreateNetworkInterface", "DeleteNetworkInterface", "DescribeNetworkInterfaces", "DescribeSubnets", "UnassignPrivateIpAddresses"} {
			add("ec2:"+action, "*")
		}
	}
	if s.parameters["Tracing"] == "ENABLED" {
		// https://docs.aws.amazon.com/lambda/latest/dg/services-xray.html
		add("xray:PutTelemetryRecords", "*")
		add("xray:PutTraceSegments", "*")
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// readsIndexes reports whether a stack's function may read indexes: of its own account's
// registry, for scan results that are read image by image.
func readsIndexes(s *stack) bool {
	onECR, _ := scanPermissions(refresh.ScanSource(cmp.Or(s.parameters["ScanSource"], "auto")))
	own := s.parameters["EcrRegistryId"] == "" || s.parameters["EcrRegistryId"] == pseudo["AWS::AccountId"]
	return s.parameters["PullTimeExclusion"] != "off" && own && len(onECR) > 0
}

// bucketOf is the bucket of the state; empty for none.
func bucketOf(s *stack) string {
	switch bucket := s.parameters["StateBucket"]; bucket {
	case "NONE":
		return ""
	case "":
		return "<InventoryBucket>"
	default:
		return bucket
	}
}

// The template permits exactly what the code declares, for every combination of parameters.
func TestTemplatePermissions(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	everyStack(t, func(s *stack) {
		want := declared(s)
		if got := slices.Compact(permissions(t, s.value(at(t, s.root, "Resources", "ExporterRole", "Properties", "Policies")))); !slices.Equal(got, want) {
			t.Errorf("permissions (-declared beside the code +template.yaml):\n%s", gocmp.Diff(want, got))
		}
		for _, permission := range want {
			action, _, _ := strings.Cut(permission, " ")
			seen[action] = true
		}
	})
	for _, p := range slices.Concat(fleet.Permissions, fleet.MemberPermissions, state.ObjectPermissions, auth.Permissions, auth.RolePermissions, ecr.ScanPermissions, ecr.IndexPermissions, ecr.TagPermissions, ecr.LifecyclePermissions, ecr.RegistryPermissions, inspector.Permissions, running.Permissions, secret.Permissions) {
		if !seen[p.Action] {
			t.Errorf("no combination needs %s", p.Action)
		}
	}
}

// The rules refuse parameters that do not belong together.
func TestTemplateRules(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		given map[string]string
		want  string // the beginning of the message
	}{
		{map[string]string{}, "Set WorkspaceId ("},
		{with(toWorkspace, toURL), "Set WorkspaceId or"},
		{with(toWorkspace, basic), "Requests to WorkspaceId"},
		{with(toWorkspace, bearer), "Requests to WorkspaceId"},
		{with(toURL, map[string]string{"RemoteWriteUsername": "me"}), "Set RemoteWriteUsername and"},
		{with(toURL, map[string]string{"RemoteWritePassword": "ssm:x", "SecretArns": someSecret}), "Set RemoteWriteUsername and"},
		{with(toURL, basic, map[string]string{"SecretArns": ""}), "Set SecretArns or"},
		{with(toURL, bearer, map[string]string{"SsmParameterArns": ""}), "Set SecretArns or"},
		{with(toURL, map[string]string{"RemoteWriteClientKey": "ssm:x"}), "Set SecretArns or"},
		{with(toAnother, toCreated), "CloudFormation makes"},
		{with(toCreated, map[string]string{"WorkspaceAccountId": "444455556666"}), "CloudFormation makes"},
		{with(toWorkspace, map[string]string{"WorkspaceRegion": "us-east-1", "AlertRules": "ENABLED"}), "CloudFormation makes"},
		{with(toURL, map[string]string{"AlertRules": "ENABLED"}), "AlertRules needs"},
		{with(toURL, map[string]string{"AlertEmail": "me@example.com", "AlertTopic": someTopic}), "AlertEmail needs"},
		{with(toWorkspace, map[string]string{"Targets": "111122223333:*", "EcrRegistryId": "222233334444"}), "Set Targets or"},
		{with(toWorkspace, map[string]string{"Targets": "111122223333:*", "StateBucket": "NONE"}), "Targets needs"},
		{with(toURL, map[string]string{"SubnetIds": "subnet-0a1b"}), "Set SubnetIds and"},
		{with(toURL, map[string]string{"SecurityGroupIds": "sg-0a1b"}), "Set SubnetIds and"},
	} {
		if got := newStack(t, template(t), c.given).refused(); len(got) != 1 || !strings.HasPrefix(got[0], c.want) {
			t.Errorf("%v: %q, want %q", c.given, got, c.want)
		}
	}
}

// For every combination of parameters all references resolve, the function accepts its
// settings, and STATE_URL and the resources are as the parameters say.
func TestTemplateCombinations(t *testing.T) {
	t.Parallel()
	// CloudFormation makes up the names.
	named := strings.NewReplacer("<InventoryBucket>", "stack-inventorybucket-1abc", "<Workspace.WorkspaceId>", "ws-3", "<EventQueue>", "https://sqs.eu-west-1.amazonaws.com/111122223333/queue.fifo")
	loaded := map[string]bool{}
	everyStack(t, func(s *stack) {
		resources, outputs := s.present("Resources"), s.present("Outputs")
		environ := []string{"AWS_REGION=" + pseudo["AWS::Region"]}
		variables := dig(t, properties(resources, "ExporterFunction"), "Environment", "Variables").(map[string]any)
		for name, value := range variables {
			environ = append(environ, name+"="+named.Replace(fmt.Sprint(value)))
		}
		slices.Sort(environ)
		if all := strings.Join(environ, "\n"); !loaded[all] { // many stacks have the same
			loaded[all] = true
			if c, err := config.Load(environ, config.ToSend); err != nil {
				t.Fatalf("environment %q: %v", environ, err)
			} else if len(c.Warnings) > 0 {
				t.Fatalf("environment %q: warnings %v", environ, c.Warnings)
			}
		}
		bucket, want := bucketOf(s), ""
		if bucket != "" {
			want = "s3://" + bucket + "/stack/inventory"
		}
		if allowed := fmt.Sprint(s.parameters["PullTimeExclusion"] != "off"); variables["INDEX_SCANS"] != allowed {
			t.Errorf("INDEX_SCANS is %v, want %s", variables["INDEX_SCANS"], allowed)
		}
		if variables["STATE_URL"] != want {
			t.Errorf("STATE_URL is %v, want %v", variables["STATE_URL"], want)
		}
		for name, there := range map[string]bool{
			"InventoryBucket": bucket == "<InventoryBucket>", "InventoryBucketPolicy": bucket == "<InventoryBucket>",
			"ExporterPullTimeExclusion": readsIndexes(s) && s.parameters["PullTimeExclusion"] == "create",
			"EventQueue":                hasQueue(s), "EventQueueMapping": hasQueue(s), "EcrEventRule": s.parameters["EventRules"] == "ENABLED",
		} {
			if _, got := resources[name]; got != there {
				t.Errorf("%s exists: %v, want %v", name, got, there)
			}
		}
		for name, there := range map[string]bool{"StateBucketName": bucket != "", "EventQueueUrl": resources["EventQueue"] != nil, "EventDeadLetterQueueUrl": resources["EventQueue"] != nil} {
			if _, got := outputs[name]; got != there {
				t.Errorf("output %s exists: %v, want %v", name, got, there)
			}
		}
	})
}

// The rules forward the events that the function supports, of its own registry, and only
// they may send to the queue.
func TestTemplateEvents(t *testing.T) {
	t.Parallel()
	everyStack(t, func(s *stack) {
		if s.parameters["EventRules"] != "ENABLED" {
			return
		}
		onECR, _ := scanPermissions(refresh.ScanSource(cmp.Or(s.parameters["ScanSource"], "auto")))
		var want, got, rules []string
		for _, k := range kinds {
			result := k.detailType == "ECR Image Scan" || k.detailType == "Inspector2 Scan"
			if k.source != "aws.events" && k.source != "ecr-remote-write" && k.detailType != "ECR Referrer Action" && (!result || len(onECR) > 0) {
				want = append(want, k.source+" "+k.detailType)
			}
		}
		resources := s.present("Resources")
		for _, name := range []string{"EcrEventRule", "InspectorEventRule"} {
			rule := properties(resources, name)
			if rule == nil {
				continue
			}
			rules = append(rules, "<"+name+".Arn>")
			pattern := dig(t, rule, "EventPattern").(map[string]any)
			for _, detailType := range list(pattern["detail-type"]) {
				got = append(got, list(pattern["source"])[0]+" "+detailType)
			}
			account := cmp.Or(s.parameters["EcrRegistryId"], pseudo["AWS::AccountId"])
			if !slices.Equal(list(pattern["account"]), []string{account}) || !slices.Equal(list(pattern["region"]), []string{pseudo["AWS::Region"]}) {
				t.Errorf("%s: pattern %v, want account %s", name, pattern, account)
			}
			target := dig(t, rule, "Targets").([]any)[0].(map[string]any)
			group := "registry"
			if s.parameters["Targets"] != "" {
				group = (&targets.Target{Account: pseudo["AWS::AccountId"], Region: pseudo["AWS::Region"]}).String()
			}
			if target["Arn"] != "<EventQueue.Arn>" || dig(t, target, "SqsParameters", "MessageGroupId") != group {
				t.Errorf("%s: target %v", name, target)
			}
		}
		slices.Sort(want)
		slices.Sort(got)
		if diff := gocmp.Diff(want, got); diff != "" {
			t.Errorf("events (-supported +forwarded):\n%s", diff)
		}
		allowed := dig(t, properties(resources, "EventQueuePolicy"), "PolicyDocument", "Statement").([]any)[0].(map[string]any)
		if diff := gocmp.Diff(rules, list(dig(t, allowed, "Condition", "ArnEquals", "aws:SourceArn"))); diff != "" {
			t.Errorf("who may send (-rules +policy):\n%s", diff)
		}
	})
}

// The times and counts of the queue fit together (see the comments in template.yaml).
func TestTemplateQueue(t *testing.T) {
	t.Parallel()
	for _, targets := range []string{"", "111122223333:*"} {
		checkQueue(t, newStack(t, template(t), map[string]string{"Targets": targets}))
	}
}

func checkQueue(t *testing.T, s *stack) {
	t.Helper()
	resources := s.present("Resources")
	queue := properties(resources, "EventQueue")
	number := func(fields map[string]any, keys ...string) int {
		n, err := strconv.Atoi(fmt.Sprint(dig(t, fields, keys...)))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	visibility, retention, receives := number(queue, "VisibilityTimeout"), number(queue, "MessageRetentionPeriod"), number(queue, "RedrivePolicy", "maxReceiveCount")
	if timeout := number(properties(resources, "ExporterFunction"), "Timeout"); visibility < timeout || visibility > timeout+30 {
		t.Errorf("messages are hidden for %d s, want a little more than the function's %d s", visibility, timeout)
	}
	// The dead-letter queue is reached before a message expires, but not by a function that
	// was busy for a while.
	if reached := receives * visibility; reached > retention/2 || reached < 1800 {
		t.Errorf("the dead-letter queue is reached after %d s, messages expire after %d s", reached, retention)
	}
	for _, name := range []string{"EcrEventRule", "InspectorEventRule"} {
		target := dig(t, properties(resources, name), "Targets").([]any)[0].(map[string]any)
		if age := number(target, "RetryPolicy", "MaximumEventAgeInSeconds"); age > retention {
			t.Errorf("%s keeps trying for %d s, the queue keeps messages for %d s", name, age, retention)
		}
	}
	mapping := properties(resources, "EventQueueMapping")
	if !slices.Equal(list(mapping["FunctionResponseTypes"]), []string{"ReportBatchItemFailures"}) || mapping["EventSourceArn"] != "<EventQueue.Arn>" {
		t.Errorf("mapping %v", mapping)
	}
	for _, name := range []string{"EventQueue", "EventDeadLetterQueue"} {
		if p := properties(resources, name); p["FifoQueue"] != "true" || p["SqsManagedSseEnabled"] != "true" {
			t.Errorf("%s is not encrypted, or no FIFO queue: %v", name, p)
		}
	}
}

// Stored data is encrypted and accessible by TLS only. The bucket is private, and is kept
// when the stack is deleted, as a bucket with objects cannot be deleted.
func TestTemplatePrivate(t *testing.T) {
	t.Parallel()
	resources := newStack(t, template(t), nil).present("Resources")
	for policy, of := range map[string][]string{
		"InventoryBucketPolicy":      {"<InventoryBucket.Arn>", "<InventoryBucket.Arn>/*"},
		"EventQueuePolicy":           {"<EventQueue.Arn>"},
		"EventDeadLetterQueuePolicy": {"<EventDeadLetterQueue.Arn>"},
	} {
		found := false
		for _, statement := range dig(t, properties(resources, policy), "PolicyDocument", "Statement").([]any) {
			fields := statement.(map[string]any)
			condition, _ := fields["Condition"].(map[string]any)
			secure, _ := condition["Bool"].(map[string]any)
			found = found || fields["Effect"] == "Deny" && fields["Principal"] == "*" && strings.HasSuffix(list(fields["Action"])[0], ":*") &&
				secure["aws:SecureTransport"] == "false" && slices.Equal(list(fields["Resource"]), of)
		}
		if !found {
			t.Errorf("%s does not refuse requests without TLS", policy)
		}
	}
	bucket := properties(resources, "InventoryBucket")
	for _, key := range []string{"BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"} {
		if got := dig(t, bucket, "PublicAccessBlockConfiguration", key); got != "true" {
			t.Errorf("%s is %v", key, got)
		}
	}
	rule := dig(t, bucket, "BucketEncryption", "ServerSideEncryptionConfiguration").([]any)[0].(map[string]any)
	if got := dig(t, rule, "ServerSideEncryptionByDefault", "SSEAlgorithm"); got != "AES256" {
		t.Errorf("encryption %v", got)
	}
	for _, name := range []string{"InventoryBucket", "InventoryBucketPolicy"} {
		fields := resources[name].(map[string]any)
		if fields["DeletionPolicy"] != "RetainExceptOnCreate" || fields["UpdateReplacePolicy"] != "Retain" {
			t.Errorf("%s is deleted with the stack: %v", name, fields)
		}
	}
}
