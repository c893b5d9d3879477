package main

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// organisationOnly are the settings that the template leaves empty without Targets.
var organisationOnly = []string{"TARGET_ROLE", "TARGET_CONCURRENCY", "QUEUE_URL"}

// inOrganisation is the condition on the roles that the function may assume: they are in the
// organisation of its own account. In no organisation there is none to assume.
// See https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_condition-keys.html#condition-keys-resourceorgid
const inOrganisation = " if [StringEquals:map[aws:ResourceOrgID:${aws:PrincipalOrgID}]]"

// hasQueue reports whether a stack has a queue: for events, or for the registries that are due.
func hasQueue(s *stack) bool {
	return s.parameters["EventRules"] == "ENABLED" || s.parameters["Targets"] != ""
}

// declaredForTargets are the permissions that the code declares for many registries, besides
// those for one.
func declaredForTargets(s *stack) []string {
	var all []string
	add := func(action, resource string) { all = append(all, action+" on "+resource) }
	for _, p := range slices.Concat(fleet.Permissions, fleet.MemberPermissions) {
		add(p.Action, strings.Replace(p.Resource, "arn:aws:sqs:REGION:ACCOUNT:QUEUE", "<EventQueue.Arn>", 1))
	}
	for _, p := range auth.RolePermissions {
		add(p.Action, strings.NewReplacer("ACCOUNT", "*", "NAME", s.parameters["TargetRole"]).Replace(p.Resource)+inOrganisation)
	}
	for _, p := range state.ObjectPermissions {
		for _, key := range []string{"plan", "running"} {
			add(p.Action, strings.NewReplacer("BUCKET", bucketOf(s), "KEY", "stack/"+key).Replace(p.Resource))
		}
		// The document is only read.
		if document, ok := strings.CutPrefix(s.parameters["Targets"], "s3://"); ok && p.Action == "s3:GetObject" {
			add(p.Action, strings.Replace(p.Resource, "BUCKET/KEY", document, 1))
		}
	}
	for _, p := range secret.Permissions {
		if name, ok := strings.CutPrefix(s.parameters["Targets"], "ssm:"); ok && strings.HasPrefix(p.Action, "ssm:") {
			add(p.Action, strings.NewReplacer("REGION", pseudo["AWS::Region"], "ACCOUNT", pseudo["AWS::AccountId"], "NAME", strings.TrimPrefix(name, "/")).Replace(p.Resource))
		}
	}
	return all
}

// Every list of permissions that a package declares is one of those that the template is
// compared with, or that the role of a member account is.
func TestTemplateKnowsPermissions(t *testing.T) {
	t.Parallel()
	known := readFile(t, "template_test.go") + readFile(t, "template_targets_test.go")
	declaration := regexp.MustCompile(`(?m)^\s*(?:var )?([A-Z]\w*|Permissions) += \[\]awsapi\.Permission\{`)
	found := 0
	err := filepath.WalkDir("../pkg", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, match := range declaration.FindAllStringSubmatch(readFile(t, path), -1) {
			found++
			if name := filepath.Base(filepath.Dir(path)) + "." + match[1]; !strings.Contains(known, name) {
				t.Errorf("%s: no test compares %s with template.yaml", path, name)
			}
		}
		return nil
	})
	if err != nil || found < 12 {
		t.Errorf("%d lists found: %v", found, err)
	}
}

// With Targets each minute is planned, a message is one registry's turn, and the function may
// run once more than the queue makes it, for the plan. Without, nothing of that is there.
func TestTemplateTargets(t *testing.T) {
	t.Parallel()
	parameter := at(t, template(t), "Parameters", "MaximumConcurrency")
	for _, value := range at(t, parameter, "AllowedValues").Content {
		many := newStack(t, template(t), with(organisation, map[string]string{"MaximumConcurrency": value.Value})).present("Resources")
		n, err := strconv.Atoi(value.Value)
		if err != nil {
			t.Fatal(err)
		}
		function, mapping := properties(many, "ExporterFunction"), properties(many, "EventQueueMapping")
		for what, values := range map[string][2]any{
			"reserved":           {function["ReservedConcurrentExecutions"], strconv.Itoa(n + 1)},
			"of the mapping":     {dig(t, mapping, "ScalingConfig", "MaximumConcurrency"), value.Value},
			"TARGET_CONCURRENCY": {dig(t, function, "Environment", "Variables", "TARGET_CONCURRENCY"), value.Value},
			"batch":              {mapping["BatchSize"], "1"},
			"schedule":           {dig(t, function, "Events", "Schedule", "Properties", "Schedule"), "rate(1 minute)"},
			"interval":           {dig(t, function, "Environment", "Variables", "SCHEDULE"), "2m"},
			"queue":              {dig(t, function, "Environment", "Variables", "QUEUE_URL"), "<EventQueue>"},
		} {
			if values[0] != values[1] {
				t.Errorf("%s with MaximumConcurrency=%s: %v, want %v", what, value.Value, values[0], values[1])
			}
		}
	}
	one := newStack(t, template(t), toWorkspace).present("Resources")
	function, mapping := properties(one, "ExporterFunction"), properties(one, "EventQueueMapping")
	if function["ReservedConcurrentExecutions"] != "1" || mapping["BatchSize"] != "10" || mapping["ScalingConfig"] != nil || properties(one, "EventQueue")["VisibilityTimeout"] != "120" {
		t.Errorf("without Targets the function is %v, the mapping %v", function, mapping)
	}
	none := newStack(t, template(t), with(organisation, map[string]string{"ReservedConcurrentExecutions": "none"})).present("Resources")
	if got := properties(none, "ExporterFunction")["ReservedConcurrentExecutions"]; got != nil {
		t.Errorf("%v are reserved, want none", got)
	}
}

// In a network the function may still ask which Regions are enabled, and nothing else of EC2.
func TestTemplateTargetsNetwork(t *testing.T) {
	t.Parallel()
	s := newStack(t, template(t), with(organisation, map[string]string{"SubnetIds": "subnet-0a1b", "SecurityGroupIds": "sg-0a1b"}))
	role := properties(s.present("Resources"), "ExporterRole")
	var allowed, denied []string
	for _, policy := range role["Policies"].([]any) {
		for _, statement := range dig(t, policy.(map[string]any), "PolicyDocument", "Statement").([]any) {
			fields := statement.(map[string]any)
			for _, action := range list(fields["Action"]) {
				switch {
				case !strings.HasPrefix(action, "ec2:"):
				case fields["Effect"] == "Deny":
					denied = append(denied, action)
				default:
					allowed = append(allowed, action)
				}
			}
		}
	}
	allowed = slices.DeleteFunc(allowed, func(action string) bool { return action == "ec2:DescribeRegions" })
	if diff := gocmp.Diff(allowed, denied); diff != "" || len(denied) == 0 {
		t.Errorf("of EC2 (-allowed to Lambda +denied to the code):\n%s", diff)
	}
}

// Nobody but the rules and the function's role sends to the queue, and without rules no service.
func TestTemplateTargetsSenders(t *testing.T) {
	t.Parallel()
	for rules, want := range map[string]int{"ENABLED": 1, "DISABLED": 0} {
		resources := newStack(t, template(t), with(organisation, map[string]string{"EventRules": rules})).present("Resources")
		allowed := 0
		for _, statement := range dig(t, properties(resources, "EventQueuePolicy"), "PolicyDocument", "Statement").([]any) {
			if fmt.Sprint(statement.(map[string]any)["Effect"]) == "Allow" {
				allowed++
			}
		}
		if allowed != want {
			t.Errorf("EventRules=%s: %d statements of the queue allow something, want %d", rules, allowed, want)
		}
	}
}
