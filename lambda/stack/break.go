//go:build unix

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
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
	policy := "state"
	got, err := s.emulator.roles.GetRolePolicy(ctx, &iam.GetRolePolicyInput{RoleName: &role, PolicyName: &policy})
	if err != nil {
		return fmt.Errorf("read the policy: %w", err)
	}
	text, err := url.QueryUnescape(*got.PolicyDocument)
	if err != nil {
		return fmt.Errorf("decode the policy: %w", err)
	}
	var document struct {
		Version   string
		Statement []map[string]any
	}
	if err := json.Unmarshal([]byte(text), &document); err != nil {
		return fmt.Errorf("decode the policy: %w", err)
	}
	document.Statement = slices.DeleteFunc(document.Statement, func(statement map[string]any) bool {
		actions, list := statement["Action"].([]any)
		if list {
			statement["Action"] = slices.DeleteFunc(actions, func(action any) bool { return action == "s3:PutObject" })
		}
		return statement["Action"] == "s3:PutObject"
	})
	left, err := json.Marshal(document)
	if err != nil {
		return fmt.Errorf("encode the policy: %w", err)
	}
	if strings.Contains(string(left), "s3:PutObject") || len(left) == len(text) {
		return fmt.Errorf("the policy %s is not as expected", text)
	}
	changed := string(left)
	if _, err := s.emulator.roles.PutRolePolicy(ctx, &iam.PutRolePolicyInput{RoleName: &role, PolicyName: &policy, PolicyDocument: &changed}); err != nil {
		return fmt.Errorf("change the policy: %w", err)
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
