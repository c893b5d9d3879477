//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/cloudformation/types"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/s3"
)

// surroundings is a stack of what users have before they deploy ours with everything on: a
// network, a key and a permissions boundary.
const surroundings = `{"Resources": {
	"Network": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.0.0.0/16"}},
	"Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"VpcId": {"Ref": "Network"}, "CidrBlock": "10.0.0.0/24"}},
	"Group": {"Type": "AWS::EC2::SecurityGroup", "Properties": {"VpcId": {"Ref": "Network"}, "GroupDescription": "the function"}},
	"Key": {"Type": "AWS::KMS::Key", "Properties": {"KeyPolicy": {"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Principal": {"AWS": {"Fn::Sub": "arn:aws:iam::${AWS::AccountId}:root"}}, "Action": "kms:*", "Resource": "*"}]}}},
	"Boundary": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": {"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": ["ecr:*", "inspector2:*", "s3:*", "sqs:*", "logs:*", "kms:*", "sts:*", "ec2:*", "xray:*"], "Resource": "*"}]}}}
}, "Outputs": {
	"SubnetIds": {"Value": {"Ref": "Subnet"}},
	"SecurityGroupIds": {"Value": {"Fn::GetAtt": ["Group", "GroupId"]}},
	"StateKmsKeyArn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}},
	"LogKmsKeyArn": {"Value": {"Fn::GetAtt": ["Key", "Arn"]}},
	"PermissionsBoundaryArn": {"Value": {"Ref": "Boundary"}}
}}`

// added are the types of what is created with everything on, with their number.
var added = map[string]int{
	"AWS::CloudWatch::Alarm": 6, "AWS::CloudWatch::Dashboard": 1, "AWS::KMS::Key": 1, "AWS::SNS::Topic": 1, "AWS::SNS::TopicPolicy": 1,
}

// rolePath is that of the function's role with everything on.
const rolePath = "/exporters/"

// deployEverything turns on what is off by default, as far as the emulator knows it, and
// checks that it is there and that a run still succeeds.
func (s *session) deployEverything(ctx context.Context) (string, error) {
	given, err := s.surround(ctx)
	if err != nil {
		return "", err
	}
	s.stateKey = given["StateKmsKeyArn"]
	parameters := slices.Clone(s.parameters[0])
	parameters = append(parameters, "AlertTopic=create", "AlertEmail=me@example.com", "Dashboard=ENABLED", "Tracing=ENABLED", "RolePath="+rolePath)
	for name, value := range given {
		parameters = append(parameters, name+"="+value)
	}
	if err := s.deploy(ctx, "deploy-everything.log", parameters...); err != nil {
		return "", err
	}
	name := stackName
	resources, err := s.emulator.stacks.DescribeStackResources(ctx, &cloudformation.DescribeStackResourcesInput{StackName: &name})
	if err != nil {
		return "", fmt.Errorf("describe the stack's resources: %w", err)
	}
	count := map[string]int{}
	for i := range resources.StackResources {
		count[*resources.StackResources[i].ResourceType]++
	}
	for of, want := range added {
		if count[of] != want {
			return "", fmt.Errorf("%d of %s, want %d", count[of], of, want)
		}
	}
	if err := s.checkEverything(ctx, given); err != nil {
		return "", err
	}
	pushed, err := s.resume(ctx, s.stores[0])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d resources; %d series, no listing", len(resources.StackResources), pushed.shown()), nil
}

// surround makes the surroundings and returns the parameters that name them.
func (s *session) surround(ctx context.Context) (map[string]string, error) {
	name, template := "surroundings", surroundings
	if _, err := s.emulator.stacks.CreateStack(ctx, &cloudformation.CreateStackInput{
		StackName: &name, TemplateBody: &template, Capabilities: []types.Capability{types.CapabilityCapabilityIam},
	}); err != nil {
		return nil, fmt.Errorf("make a network, a key and a boundary: %w", err)
	}
	waiter := cloudformation.NewStackCreateCompleteWaiter(s.emulator.stacks, func(o *cloudformation.StackCreateCompleteWaiterOptions) { o.MinDelay = 100 * time.Millisecond })
	described, err := waiter.WaitForOutput(ctx, &cloudformation.DescribeStacksInput{StackName: &name}, time.Minute)
	if err != nil {
		return nil, fmt.Errorf("make a network, a key and a boundary: %w", err)
	}
	given := map[string]string{}
	for _, output := range described.Stacks[0].Outputs {
		given[*output.OutputKey] = *output.OutputValue
	}
	return given, nil
}

// checkEverything checks that the parameters have arrived at the function, the role, the
// log group and the bucket. The boundary is set by API if the emulator has ignored the
// template's, so that the next run has to do with it.
func (s *session) checkEverything(ctx context.Context, given map[string]string) error {
	function := s.outputs["FunctionName"]
	configuration, err := s.emulator.functions.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &function})
	if err != nil {
		return fmt.Errorf("read the function's configuration: %w", err)
	}
	if configuration.TracingConfig == nil || configuration.TracingConfig.Mode != "Active" {
		return errors.New("the function is not traced")
	}
	if configuration.VpcConfig == nil || !slices.Equal(configuration.VpcConfig.SubnetIds, []string{given["SubnetIds"]}) {
		s.lacks("it ignores VpcConfig of a template: the function has no network")
	}
	role := s.outputs["RoleArn"]
	if !strings.Contains(role, ":role"+rolePath) {
		return fmt.Errorf("the role %s has not the path %s", role, rolePath)
	}
	role = role[strings.LastIndexByte(role, '/')+1:]
	got, err := s.emulator.roles.GetRole(ctx, &iam.GetRoleInput{RoleName: &role})
	if err != nil {
		return fmt.Errorf("read the role: %w", err)
	}
	boundary := given["PermissionsBoundaryArn"]
	switch is := got.Role.PermissionsBoundary; {
	case is == nil:
		s.lacks("it ignores PermissionsBoundary of a template: the boundary was set by the API")
		if _, err := s.emulator.roles.PutRolePermissionsBoundary(ctx, &iam.PutRolePermissionsBoundaryInput{RoleName: &role, PermissionsBoundary: &boundary}); err != nil {
			return fmt.Errorf("set the role's boundary: %w", err)
		}
	case *is.PermissionsBoundaryArn != boundary:
		return fmt.Errorf("the role's permissions boundary is %s, want %s", *is.PermissionsBoundaryArn, boundary)
	}
	group := logGroup
	groups, err := s.emulator.logs.DescribeLogGroups(ctx, &cloudwatchlogs.DescribeLogGroupsInput{LogGroupNamePrefix: &group})
	if err != nil {
		return fmt.Errorf("describe the log group: %w", err)
	}
	if len(groups.LogGroups) != 1 || groups.LogGroups[0].KmsKeyId == nil || *groups.LogGroups[0].KmsKeyId != given["LogKmsKeyArn"] {
		return errors.New("the log group is not encrypted with the key")
	}
	bucket := s.outputs["StateBucketName"]
	encryption, err := s.emulator.objects.GetBucketEncryption(ctx, &s3.GetBucketEncryptionInput{Bucket: &bucket})
	if err != nil {
		return fmt.Errorf("read the bucket's encryption: %w", err)
	}
	byDefault := encryption.ServerSideEncryptionConfiguration.Rules[0].ApplyServerSideEncryptionByDefault
	switch is := byDefault.KMSMasterKeyID; {
	case is == nil:
		s.lacks("it ignores BucketEncryption of a template: the bucket has not the key")
	case *is != given["StateKmsKeyArn"]:
		return fmt.Errorf("the bucket's key is %s, want %s", *is, given["StateKmsKeyArn"])
	}
	if s.outputs["AlertTopicArn"] == "" {
		return errors.New("the stack has no topic")
	}
	return nil
}
