//go:build unix

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudformation"
	"github.com/aws/aws-sdk-go-v2/service/lambda"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// command runs a command with the emulator as AWS. Its output goes into a file, and into the
// error if it fails.
func (s *session) command(ctx context.Context, log, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...) //nolint:gosec // the commands are ours
	// Nothing of the user's configuration, and of a make that runs this program.
	cmd.Env = slices.DeleteFunc(os.Environ(), func(variable string) bool {
		return strings.HasPrefix(variable, "AWS_") || strings.HasPrefix(variable, "MAKE") || strings.HasPrefix(variable, "MFLAGS=")
	})
	cmd.Env = append(cmd.Env,
		"AWS_ENDPOINT_URL="+s.gateway.url, "AWS_CA_BUNDLE="+s.gateway.certificate,
		"AWS_CONFIG_FILE=/dev/null", "AWS_SHARED_CREDENTIALS_FILE=/dev/null", "AWS_EC2_METADATA_DISABLED=true",
		"SAM_CLI_TELEMETRY=0", "GOARCH="+runtime.GOARCH,
	)
	cmd.Env = append(cmd.Env, credentialEnv()...)
	// Ctrl-C at a terminal signals the whole process group, and the command's children.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdin = strings.NewReader("y\n") // deploy this changeset?
	out, err := cmd.CombinedOutput()
	writeErr := os.WriteFile(filepath.Join(s.out, log), out, 0o600)
	if err != nil {
		err = fmt.Errorf("%s %s: %w; it wrote:\n%s", name, strings.Join(args, " "), err, out)
	}
	return errors.Join(err, writeErr)
}

// make runs a target of the Makefile.
func (s *session) make(ctx context.Context, log string, args ...string) error {
	return s.command(ctx, log, "make", append([]string{"--no-print-directory"}, args...)...)
}

// deploy deploys the stack with parameters and reads its outputs. The emulator refuses a
// resource of a type that it does not know, so the role's pull-time update exclusion is
// added to the simulated registry here.
func (s *session) deploy(ctx context.Context, log string, parameters ...string) error {
	return s.deployWith(ctx, nil, log, parameters...)
}

// deployWith does it with arguments of make.
func (s *session) deployWith(ctx context.Context, args []string, log string, parameters ...string) error {
	parameters = append(parameters, "PullTimeExclusion=existing")
	if runtime.GOARCH == "amd64" {
		parameters = append(parameters, "Architecture=x86_64") // the default is arm64
	}
	if err := s.make(ctx, log, append(args, "deploy", "PARAMETERS="+strings.Join(parameters, " "))...); err != nil {
		return err
	}
	name := stackName
	described, err := s.emulator.stacks.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name})
	if err != nil {
		return fmt.Errorf("describe the stack: %w", err)
	}
	s.outputs = map[string]string{}
	for _, output := range described.Stacks[0].Outputs {
		s.outputs[*output.OutputKey] = *output.OutputValue
	}
	role := s.outputs["RoleArn"]
	if err := s.registry.SetPullTimeExclusions(role); err != nil {
		return fmt.Errorf("exclude the function's role: %w", err)
	}
	s.registry.Server.SetCaller("arn:aws:sts::" + localtest.Account + ":assumed-role/" + role[strings.LastIndexByte(role, '/')+1:] + "/" + stackName)
	return s.reserve(ctx)
}

// reserve reserves a concurrency of one by API if the emulator has ignored the template's.
func (s *session) reserve(ctx context.Context) error {
	function, one := s.outputs["FunctionName"], int32(1)
	reserved, err := s.emulator.functions.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &function})
	if err != nil {
		return fmt.Errorf("read the function's concurrency: %w", err)
	}
	if reserved.ReservedConcurrentExecutions != nil {
		return nil
	}
	s.lacks("it ignores ReservedConcurrentExecutions of a template: 1 was set by the API")
	_, err = s.emulator.functions.PutFunctionConcurrency(ctx, &lambda.PutFunctionConcurrencyInput{FunctionName: &function, ReservedConcurrentExecutions: &one})
	if err != nil {
		return fmt.Errorf("reserve a concurrency of 1: %w", err)
	}
	return nil
}

// destinationNames are the kinds of destinations, one for each store.
var destinationNames = [...]string{"RemoteWriteUrl", "a URL with a password", "WorkspaceId"}

// destinationParameters returns the stack's parameters for each.
func (s *session) destinationParameters(ctx context.Context) ([][]string, error) {
	name := stackName
	secret, err := s.emulator.secrets.CreateSecret(ctx, &secretsmanager.CreateSecretInput{Name: &name, SecretString: &s.gateway.password})
	if err != nil {
		return nil, fmt.Errorf("keep the password: %w", err)
	}
	return [][]string{
		{"RemoteWriteUrl=" + s.stores[0].URL + localtest.RemoteWritePath},
		{
			"RemoteWriteUrl=" + s.gateway.url + passwordPath + localtest.RemoteWritePath,
			"RemoteWriteUsername=" + username, "RemoteWritePassword=secretsmanager:" + *secret.ARN, "SecretArns=" + *secret.ARN,
		},
		{"WorkspaceId=" + workspace},
	}, nil
}

// deployFirst makes the stack.
func (s *session) deployFirst(ctx context.Context) (string, error) {
	if err := s.deploy(ctx, "deploy.log", s.parameters[0]...); err != nil {
		return "", err
	}
	name := stackName
	resources, err := s.emulator.stacks.DescribeStackResources(ctx, &cloudformation.DescribeStackResourcesInput{StackName: &name})
	if err != nil {
		return "", fmt.Errorf("describe the stack's resources: %w", err)
	}
	return fmt.Sprintf("%d resources", len(resources.StackResources)), nil
}

// moveStep changes the destination, and checks that the next run pushes everything to the new
// one, nothing to the previous one, and lists nothing again.
func (s *session) moveStep(from, to int) step {
	do := func(ctx context.Context) (string, error) {
		if err := s.deploy(ctx, fmt.Sprintf("deploy-%d-%d.log", from, to), s.parameters[to]...); err != nil {
			return "", err
		}
		pushed, err := s.resume(ctx, s.stores[to])
		if err != nil {
			return "", err
		}
		result, err := s.stores[from].Query(ctx, `max(timestamp({__name__!=""}))`, time.Now())
		if err != nil {
			return "", err
		}
		if len(result) > 0 && result[0].Value >= float64(pushed.Timestamp.UnixMilli())/1000 {
			return "", errors.New("the run also pushed to the previous destination")
		}
		return fmt.Sprintf("%d series at the new one, no listing", pushed.shown()), nil
	}
	return step{"make deploy, to " + destinationNames[to], do}
}

// undeploy deletes the stack and checks that only the bucket stays.
func (s *session) undeploy(ctx context.Context) (string, error) {
	if err := s.make(ctx, "undeploy.log", "undeploy", "YES=1"); err != nil {
		return "", err
	}
	if err := s.gone(ctx); err != nil {
		return "", err
	}
	if kept, err := s.bucketExists(ctx); err != nil || !kept {
		return "", errors.Join(err, errors.New("the state bucket is gone too"))
	}
	return "the bucket stays", nil
}

// redeploy makes the stack again with the bucket of the previous one.
func (s *session) redeploy(ctx context.Context) (string, error) {
	if err := s.deploy(ctx, "redeploy.log", append(slices.Clone(s.parameters[0]), "StateBucket="+s.outputs["StateBucketName"], "StateKmsKeyArn="+s.stateKey)...); err != nil {
		return "", err
	}
	pushed, err := s.resume(ctx, s.stores[0])
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%d series, no listing", pushed.shown()), nil
}

// undeployState deletes the stack and the bucket.
func (s *session) undeployState(ctx context.Context) (string, error) {
	if err := s.make(ctx, "undeploy-state.log", "undeploy", "YES=1", "DELETE_STATE=1"); err != nil {
		return "", err
	}
	if err := s.gone(ctx); err != nil {
		return "", err
	}
	if kept, err := s.bucketExists(ctx); err != nil || kept {
		return "", errors.Join(err, errors.New("the state bucket is still there"))
	}
	return "nothing stays", nil
}

// gone checks that the stack and its function do not exist.
func (s *session) gone(ctx context.Context) error {
	name, function := stackName, s.outputs["FunctionName"]
	if described, err := s.emulator.stacks.DescribeStacks(ctx, &cloudformation.DescribeStacksInput{StackName: &name}); err == nil {
		return fmt.Errorf("the stack is %s", described.Stacks[0].StackStatus)
	}
	if _, err := s.emulator.functions.GetFunctionConcurrency(ctx, &lambda.GetFunctionConcurrencyInput{FunctionName: &function}); err == nil {
		return fmt.Errorf("the function %s is still there", function)
	}
	// Otherwise a process of the deleted function could run the next stack's.
	left, err := s.emulator.stopFunctions()
	if left > 0 {
		s.lacks("it does not end the process of a deleted function: it was ended here")
	}
	return err
}

// lacks records something that the emulator cannot do, once.
func (s *session) lacks(text string) {
	for _, known := range s.missing {
		if known == text {
			return
		}
	}
	s.missing = append(s.missing, text)
}
