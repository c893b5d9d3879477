//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	lambdatypes "github.com/aws/aws-sdk-go-v2/service/lambda/types"
	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// The stack of an organisation: with a registry in another Region, and one in another account.
const (
	otherRegion   = "us-east-1"
	memberAccount = "210987654321"
	memberRole    = "ecr-remote-write"
	externalID    = "some-id"
)

// organisationSteps make a stack for three registries. They need a session without a stack.
func (s *session) organisationSteps() []step {
	return []step{
		{"make deploy, with Targets", s.deployTargets},
		{"the role of a member account", s.deployMember},
		{"a plan, and a run of each registry", s.plan},
		{"a state for each registry", s.targetStates},
		{"make undeploy DELETE_STATE=1", s.undeployState},
	}
}

// deployTargets deploys the stack with three registries, and checks the mapping of the queue.
func (s *session) deployTargets(ctx context.Context) (string, error) {
	var list []string
	for _, registry := range s.registries.all() {
		list = append(list, registry.ID()+":"+registry.Region())
	}
	parameters := append(slices.Clone(s.parameters[0]), "Targets="+strings.Join(list, ","), "MaximumConcurrency=2",
		"ScheduleMinutes=1", "EventRules=DISABLED", "Settings=TARGET_EXTERNAL_ID="+externalID+";SCAN_REQUESTS_PER_SECOND=1000")
	if err := s.deploy(ctx, "deploy-targets.log", parameters...); err != nil {
		return "", err
	}
	// Of the function in both Regions of its own account, and of the role in the other one.
	for _, registry := range s.registries.all() {
		principal := s.outputs["RoleArn"]
		if registry.ID() == memberAccount {
			principal = "arn:aws:iam::" + memberAccount + ":role/" + memberRole
		}
		if err := registry.SetPullTimeExclusions(principal); err != nil {
			return "", fmt.Errorf("exclude %s: %w", principal, err)
		}
	}
	if err := s.allowRoles(ctx); err != nil {
		return "", err
	}
	if err := s.checkMapping(ctx); err != nil {
		return "", err
	}
	// deploy has reserved one execution if the emulator has ignored the template's three.
	function, three := s.outputs["FunctionName"], int32(3)
	if _, err := s.emulator.functions.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &function, ReservedConcurrentExecutions: &three}); err != nil {
		return "", fmt.Errorf("reserve a concurrency of 3: %w", err)
	}
	return fmt.Sprintf("%d registries", len(list)), nil
}

// checkMapping checks the mapping of the queue. What the emulator keeps as text, the client
// cannot read, so its number is set by the API.
func (s *session) checkMapping(ctx context.Context) error {
	stack, resource := stackName, "EventQueueMapping"
	described, err := s.emulator.stacks.DescribeStackResource(ctx, &cloudformation.DescribeStackResourceInput{StackName: &stack, LogicalResourceId: &resource})
	if err != nil {
		return fmt.Errorf("find the mapping: %w", err)
	}
	s.lacks("it keeps MaximumConcurrency of a template as text: it was set by the API")
	mapping, err := s.emulator.functions.UpdateEventSourceMapping(ctx, &lambda.UpdateEventSourceMappingInput{
		UUID: described.StackResourceDetail.PhysicalResourceId, ScalingConfig: &lambdatypes.ScalingConfig{MaximumConcurrency: aws.Int32(2)},
	})
	if err != nil {
		return fmt.Errorf("set the mapping's maximum concurrency: %w", err)
	}
	if n := aws.ToInt32(mapping.BatchSize); n != 1 {
		return fmt.Errorf("the mapping has batches of %d, want 1", n)
	}
	return nil
}

// allowRoles takes from the function's role what the emulator does not know: the condition
// that a role to assume is in the same organisation. And it adds an action that AWS does not
// know.
func (s *session) allowRoles(ctx context.Context) error {
	role := s.outputs["RoleArn"][strings.LastIndexByte(s.outputs["RoleArn"], '/')+1:]
	taken := 0
	err := s.changePolicies(ctx, role, func(document map[string]any) {
		statements, _ := document["Statement"].([]any)
		for _, statement := range statements {
			switch fields, _ := statement.(map[string]any); {
			case fields["Action"] == "sts:AssumeRole" && fields["Condition"] != nil:
				delete(fields, "Condition")
				taken++
			case fields["Action"] == "sqs:SendMessage":
				fields["Action"] = []string{"sqs:SendMessage", "sqs:SendMessageBatch"}
			}
		}
	})
	if err == nil && taken != 1 {
		err = fmt.Errorf("%d statements of the role allow sts:AssumeRole on a condition, want 1", taken)
	}
	s.lacks("it wants sqs:SendMessageBatch, which is no action of IAM: the function's role got it by the API")
	s.lacks("it does not know aws:ResourceOrgID: that condition was taken from the function's role by the API")
	return err
}

// changePolicies changes the inline policies of a role.
func (s *session) changePolicies(ctx context.Context, role string, change func(document map[string]any)) error {
	policies, err := s.emulator.roles.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &role})
	if err != nil {
		return fmt.Errorf("list the role's policies: %w", err)
	}
	for _, name := range policies.PolicyNames {
		got, err := s.emulator.roles.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
		if err != nil {
			return fmt.Errorf("read the policy %s: %w", name, err)
		}
		document, err := decodePolicy(*got.PolicyDocument)
		if err != nil {
			return fmt.Errorf("decode the policy %s: %w", name, err)
		}
		change(document)
		text, err := json.Marshal(document)
		if err != nil {
			return err
		}
		if _, err := s.emulator.roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: aws.String(string(text))}); err != nil {
			return fmt.Errorf("change the policy %s: %w", name, err)
		}
	}
	return nil
}

// deployMember makes the role in the member account, from its template.
func (s *session) deployMember(ctx context.Context) (string, error) {
	template, err := os.ReadFile(filepath.Join("deploy", "member-role.yaml"))
	if err != nil {
		return "", fmt.Errorf("read the template of the role: %w", err)
	}
	s.lacks("it does not know AWS::Region in conditions: the template of the member role had the Region there")
	text := strings.Replace(string(template), `[!Ref "AWS::Region", `, "["+s.registry.Region()+", ", 1)
	s.lacks("aws:PrincipalArn has the session there, and not its role: the trust policy had a pattern of sessions")
	session := "arn:aws:sts::" + s.registry.ID() + ":assumed-role/" + s.outputs["RoleArn"][strings.LastIndexByte(s.outputs["RoleArn"], '/')+1:] + "/*"
	text = strings.Replace(text, `ArnEquals: { "aws:PrincipalArn": !Ref ExporterRoleArn }`, `ArnLike: { "aws:PrincipalArn": "`+session+`" }`, 1)
	organisation, err := s.emulator.organisation(ctx)
	if err != nil {
		return "", err
	}
	// MiniStack takes an access key of 12 digits as the account.
	as := credentials.NewStaticCredentialsProvider(memberAccount, secretKey, "")
	stacks := cloudformation.New(s.emulator.stacks.Options(), func(o *cloudformation.Options) { o.Credentials = as })
	name := "ecr-remote-write-member"
	var parameters []types.Parameter
	for key, value := range map[string]string{
		"ExporterRoleArn": s.outputs["RoleArn"], "OrganizationId": organisation, "ExternalId": externalID, "HomeRegion": s.registry.Region(), "PullTimeExclusion": "off",
	} {
		parameters = append(parameters, types.Parameter{ParameterKey: &key, ParameterValue: &value})
	}
	if _, err := stacks.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: &name, TemplateBody: &text, Parameters: parameters, Capabilities: []types.Capability{types.CapabilityCapabilityNamedIam},
	}); err != nil {
		return "", fmt.Errorf("make the role of the member account: %w", err)
	}
	waiter := cloudformation.NewStackCreateCompleteWaiter(stacks, func(o *cloudformation.StackCreateCompleteWaiterOptions) { o.MinDelay = 100 * time.Millisecond })
	described, err := waiter.WaitForOutput(ctx, &cloudformation.DescribeStacksInput{StackName: &name}, time.Minute)
	if err != nil {
		return "", fmt.Errorf("make the role of the member account: %w", err)
	}
	for _, output := range described.Stacks[0].Outputs {
		if *output.OutputKey == "RoleArn" {
			return *output.OutputValue, nil
		}
	}
	return "", errors.New("the stack of the member account has no role")
}

// plan invokes the function as the schedule does, and waits until the store has the series of
// every registry, and those about all of them.
func (s *session) plan(ctx context.Context) (string, error) {
	function := s.outputs["FunctionName"]
	out, err := s.emulator.functions.Invoke(ctx, &lambda.InvokeInput{FunctionName: &function, Payload: s.event})
	if err != nil {
		return "", fmt.Errorf("invoke the function: %w", err)
	}
	if out.FunctionError != nil {
		return "", fmt.Errorf("planning failed: %.1000s", out.Payload)
	}
	series := 0
	// The emulator takes the messages of a FIFO queue one after the other.
	err = poll(ctx, 2*time.Minute, 500*time.Millisecond, func() error {
		if err := s.stores[0].Flush(ctx); err != nil {
			return err
		}
		series = 0
		for _, registry := range s.registries.all() {
			n, err := s.compareTarget(ctx, registry)
			if err != nil {
				return err
			}
			series += n
		}
		return nil
	})
	if err != nil {
		return "", errors.Join(err, s.lastLog(ctx))
	}
	got, err := s.stores[0].Query(ctx, `sum(aws_ecr_exporter_target_up) + sum(aws_ecr_exporter_targets_valid)`, time.Now())
	if err != nil {
		return "", err
	}
	if want := float64(len(s.registries.all()) + 1); len(got) != 1 || got[0].Value != want {
		return "", fmt.Errorf("registries that could be read, and whether the list is valid: %v, want %v together", got, want)
	}
	return fmt.Sprintf("%d series, as the registries have", series), nil
}

// compareTarget checks that the store has exactly the families of the contract of a registry,
// and returns how many series these are.
func (s *session) compareTarget(ctx context.Context, registry *ecrtest.Registry) (int, error) {
	now := time.Now()
	type total struct {
		series int
		sum    float64
	}
	want := map[string]total{}
	all := 0
	for series := range contracttest.Of(registry, contracttest.IndexScansAt(registry, now)) {
		if series.Family == "aws_ecr_repository_exporter_up" {
			continue // the plan's, once for all
		}
		t := want[series.Family]
		want[series.Family] = total{t.series + 1, t.sum + series.Value}
		all++
	}
	got := map[string]total{}
	selector := fmt.Sprintf(`{__name__=~%q,registry_id=%q,region=%q}`, strings.Join(slices.Sorted(maps.Keys(want)), "|"), registry.ID(), registry.Region())
	for _, aggregation := range []string{"count", "sum"} {
		vector, err := s.stores[0].Query(ctx, aggregation+" by (__name__) ("+selector+")", now)
		if err != nil {
			return 0, err
		}
		for _, v := range vector {
			t := got[v.Labels["__name__"]]
			if aggregation == "count" {
				t.series = int(v.Value)
			} else {
				t.sum = v.Value
			}
			got[v.Labels["__name__"]] = t
		}
	}
	var errs []error
	for _, family := range slices.Sorted(maps.Keys(want)) {
		if got[family] != want[family] {
			errs = append(errs, fmt.Errorf("%s of %s/%s: the store has %+v, the registry %+v", family, registry.ID(), registry.Region(), got[family], want[family]))
		}
	}
	return all, errors.Join(errs...)
}

// targetStates checks that the bucket has a state of each registry, and the plan's.
func (s *session) targetStates(ctx context.Context) (string, error) {
	bucket := s.outputs["StateBucketName"]
	keys := []string{stackName + "/plan"}
	for _, registry := range s.registries.all() {
		keys = append(keys, stackName+"/"+registry.ID()+"/"+registry.Region()+"/inventory")
	}
	var sizes []string
	for _, key := range keys {
		object, err := s.emulator.objects.HeadObject(ctx, &s3.HeadObjectInput{Bucket: &bucket, Key: &key})
		if err != nil {
			return "", fmt.Errorf("find %s in the bucket: %w", key, err)
		}
		sizes = append(sizes, fmt.Sprint(*object.ContentLength))
	}
	return strings.Join(sizes, ", ") + " bytes", nil
}

// lastLog writes the function's log into a file, and returns the last warnings and errors in it.
func (s *session) lastLog(ctx context.Context) error {
	var all strings.Builder
	var lines []error
	err := s.log(ctx, func(message string) error {
		all.WriteString(strings.TrimSpace(message) + "\n")
		if strings.Contains(message, `"level":"ERROR"`) || strings.Contains(message, `"level":"WARN"`) {
			lines = append(lines, fmt.Errorf("%.300s…%s", message, message[max(0, len(message)-300):])) //nolint:err113 // a line of the log
		}
		return nil
	})
	writeErr := os.WriteFile(filepath.Join(s.out, "function.log"), []byte(all.String()), 0o600)
	return errors.Join(err, writeErr, errors.Join(lines[max(0, len(lines)-5):]...))
}
