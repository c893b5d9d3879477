//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/lambda/types"
)

// breakIt breaks the deployed stack on purpose. A later step has to find it.
func (s *session) breakIt(ctx context.Context) (string, error) {
	switch s.broken {
	case "policy":
		return "s3:PutObject is taken from the role", s.breakPolicy(ctx)
	case "mapping":
		return "the mapping of the queue is disabled", s.breakMapping(ctx)
	default:
		return "STATE_URL names a bucket that does not exist", s.breakState(ctx)
	}
}

// breakPolicy takes s3:PutObject from the function's role.
func (s *session) breakPolicy(ctx context.Context) error {
	role := s.outputs["RoleArn"][strings.LastIndex(s.outputs["RoleArn"], "/")+1:]
	policies, err := s.emulator.roles.ListRolePolicies(ctx, &iam.ListRolePoliciesInput{RoleName: &role})
	if err != nil {
		return fmt.Errorf("list the role's policies: %w", err)
	}
	taken := 0
	for _, name := range policies.PolicyNames {
		got, err := s.emulator.roles.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &name})
		if err != nil {
			return fmt.Errorf("read the policy %s: %w", name, err)
		}
		document, err := url.QueryUnescape(*got.PolicyDocument)
		if err != nil {
			return fmt.Errorf("decode the policy %s: %w", name, err)
		}
		const action = `"s3:PutObject"`
		taken += strings.Count(document, action)
		document = strings.ReplaceAll(document, action, `"s3:GetObject"`)
		if _, err := s.emulator.roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &name, PolicyDocument: &document}); err != nil {
			return fmt.Errorf("change the policy %s: %w", name, err)
		}
	}
	if taken == 0 {
		return errors.New("no policy of the role has s3:PutObject")
	}
	return nil
}

// breakMapping disables the mapping between the queue and the function.
func (s *session) breakMapping(ctx context.Context) error {
	function, enabled := s.outputs["FunctionName"], false
	mappings, err := s.emulator.functions.ListEventSourceMappings(ctx, &lambda.ListEventSourceMappingsInput{FunctionName: &function})
	if err != nil {
		return fmt.Errorf("list the mappings: %w", err)
	}
	if len(mappings.EventSourceMappings) != 1 {
		return fmt.Errorf("%d mappings, want 1", len(mappings.EventSourceMappings))
	}
	_, err = s.emulator.functions.UpdateEventSourceMapping(ctx, &lambda.UpdateEventSourceMappingInput{UUID: mappings.EventSourceMappings[0].UUID, Enabled: &enabled})
	if err != nil {
		return fmt.Errorf("disable the mapping: %w", err)
	}
	return nil
}

// breakState sets a STATE_URL with a bucket that does not exist.
func (s *session) breakState(ctx context.Context) error {
	function := s.outputs["FunctionName"]
	got, err := s.emulator.functions.GetFunctionConfiguration(ctx, &lambda.GetFunctionConfigurationInput{FunctionName: &function})
	if err != nil {
		return fmt.Errorf("read the function's configuration: %w", err)
	}
	variables := got.Environment.Variables
	if variables["STATE_URL"] == "" {
		return errors.New("the function has no STATE_URL")
	}
	variables["STATE_URL"] = "s3://no-such-bucket/inventory"
	if _, err := s.emulator.functions.UpdateFunctionConfiguration(ctx, &lambda.UpdateFunctionConfigurationInput{
		FunctionName: &function, Environment: &types.Environment{Variables: variables},
	}); err != nil {
		return fmt.Errorf("change the function's configuration: %w", err)
	}
	return nil
}
