package main

import (
	"maps"
	"slices"
	"strings"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v3"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
	"github.com/aws-exporters/ecr-remote-write/pkg/inspector"
)

// memberParameters are those of deploy/member-role.yaml without a default, in the Region of pseudo.
var memberParameters = map[string]string{"ExporterRoleArn": "arn:aws:iam::444455556666:role/exporters/stack-ExporterRole-1abc", "OrganizationId": "o-a1b2c3d4e5", "HomeRegion": "eu-west-1"}

// memberRole is the template for member accounts, with parameters.
func memberRole(t *testing.T, given map[string]string) *stack {
	t.Helper()
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(readFile(t, "../deploy/member-role.yaml")), &document); err != nil {
		t.Fatal(err)
	}
	root := document.Content[0]
	s := newStack(t, root, nil)
	maps.Copy(s.parameters, with(memberParameters, given))
	for name, value := range s.parameters {
		if parameter := at(t, root, "Parameters", name); value != "" && !takes(t, parameter, value) {
			t.Errorf("parameter %s does not take %q", name, value)
		}
	}
	return s
}

// The role of a member account may do exactly what the code declares for reading a registry,
// whatever its source of scan results, and which Regions there are.
func TestMemberRolePermissions(t *testing.T) {
	t.Parallel()
	for _, given := range combined(
		[]map[string]string{{}, {"PullTimeExclusion": "off"}}, []map[string]string{{}, {"RepositoryTags": "true"}}, []map[string]string{{}, {"RegistryDetails": "true"}},
	) {
		declared := slices.Concat(ecr.Permissions, ecr.ScanPermissions, inspector.Permissions, fleet.MemberPermissions)
		for parameter, more := range map[string][]awsapi.Permission{
			"RepositoryTags": ecr.TagPermissions, "RegistryDetails": slices.Concat(ecr.LifecyclePermissions, ecr.RegistryPermissions),
		} {
			if given[parameter] == "true" {
				declared = append(declared, more...)
			}
		}
		if given["PullTimeExclusion"] != "off" {
			declared = append(declared, ecr.IndexPermissions...)
		}
		var want []string
		for _, p := range declared {
			want = append(want, p.Action+" on "+strings.NewReplacer("REGION", "*", "ACCOUNT", pseudo["AWS::AccountId"]).Replace(p.Resource))
		}
		slices.Sort(want)
		role := properties(memberRole(t, given).present("Resources"), "Role")
		if diff := gocmp.Diff(slices.Compact(want), permissions(t, role["Policies"])); diff != "" {
			t.Errorf("%v: permissions (-declared beside the code +deploy/member-role.yaml):\n%s", given, diff)
		}
	}
}

// The role trusts one role of the exporter's account, and only while that account is in the
// organisation.
func TestMemberRoleTrust(t *testing.T) {
	t.Parallel()
	for externalID, want := range map[string]map[string]any{
		"":        {"aws:PrincipalOrgID": "o-a1b2c3d4e5"},
		"some-id": {"aws:PrincipalOrgID": "o-a1b2c3d4e5", "sts:ExternalId": "some-id"},
	} {
		role := properties(memberRole(t, map[string]string{"ExternalId": externalID, "PermissionsBoundaryName": "team/boundary"}).present("Resources"), "Role")
		got := dig(t, role, "AssumeRolePolicyDocument", "Statement")
		trust := []any{map[string]any{
			"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": map[string]any{"AWS": "arn:aws:iam::444455556666:root"},
			"Condition": map[string]any{"ArnEquals": map[string]any{"aws:PrincipalArn": memberParameters["ExporterRoleArn"]}, "StringEquals": want},
		}}
		if diff := gocmp.Diff(trust, got); diff != "" {
			t.Errorf("who may assume the role (-want +deploy/member-role.yaml):\n%s", diff)
		}
		if role["MaxSessionDuration"] != "3600" || role["PermissionsBoundary"] != "arn:aws:iam::111122223333:policy/team/boundary" || role["RoleName"] != "ecr-remote-write" {
			t.Errorf("role %v", role)
		}
	}
}

// IAM is global and the list of exclusions is a Region's: the role is made at home, the
// exclusion everywhere.
func TestMemberRoleRegions(t *testing.T) {
	t.Parallel()
	for home, want := range map[string][]string{"eu-west-1": {"Exclusion", "Role"}, "us-east-1": {"Exclusion"}} {
		s := memberRole(t, map[string]string{"HomeRegion": home})
		resources := s.present("Resources")
		if got := slices.Sorted(maps.Keys(resources)); !slices.Equal(got, want) {
			t.Errorf("at home in %s eu-west-1 has %v, want %v", home, got, want)
		}
		principal := "arn:aws:iam::111122223333:role/ecr-remote-write"
		if home == pseudo["AWS::Region"] {
			principal = "<Role.Arn>" // which it waits for
		}
		if got := properties(resources, "Exclusion")["PrincipalArn"]; got != principal {
			t.Errorf("the exclusion is of %v, want %s", got, principal)
		}
		s.present("Outputs")
	}
	if got := memberRole(t, map[string]string{"PullTimeExclusion": "off"}).present("Resources")["Exclusion"]; got != nil {
		t.Errorf("exclusion %v", got)
	}
}

// What template.yaml, the program and the template for member accounts call the role by
// default is the same.
func TestMemberRoleName(t *testing.T) {
	t.Parallel()
	c, err := config.Load([]string{"REMOTE_WRITE_URL=" + toURL["RemoteWriteUrl"]}, config.ToSend)
	if err != nil {
		t.Fatal(err)
	}
	member, main := memberRole(t, nil).parameters["RoleName"], newStack(t, template(t), nil).parameters["TargetRole"]
	if member != main || string(c.TargetRole) != main {
		t.Errorf("the role is %s, %s and %s", member, main, c.TargetRole)
	}
}
