package ecrtest_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// Exclusions are registered once each, listed in pages and removed.
func TestPullTimeUpdateExclusions(t *testing.T) {
	t.Parallel()
	reg, srv, client := start(t)
	srv.SetClock(func() time.Time { return now })
	register := func(arn string) (*ecr.RegisterPullTimeUpdateExclusionOutput, error) {
		return client.RegisterPullTimeUpdateExclusion(t.Context(), &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &arn})
	}
	deregister := func(arn string) error {
		_, err := client.DeregisterPullTimeUpdateExclusion(t.Context(), &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: &arn})
		return err
	}
	const b = "arn:aws:iam::123456789012:role/team/b"
	out, err := register(b)
	if err != nil || *out.PrincipalArn != b || !out.CreatedAt.Equal(now) {
		t.Fatalf("%+v, %v", out, err)
	}
	if _, err := register(b); codeOf(err) != "ExclusionAlreadyExistsException" {
		t.Error(err)
	}
	for _, arn := range []string{"", "arn:aws:sts::123456789012:assumed-role/b/session", "arn:aws:iam::123456789012:group/b", "arn:aws:iam::123456789012:role/" + strings.Repeat("b", 200)} {
		if _, err := register(arn); codeOf(err) != "InvalidParameterException" {
			t.Errorf("%q: %v", arn, err)
		}
	}
	const a, c = "arn:aws:iam::123456789012:role/a", "arn:aws:iam::123456789012:user/c"
	for _, arn := range []string{c, a} {
		if _, err := register(arn); err != nil {
			t.Fatal(err)
		}
	}
	var listed []string
	in := &ecr.ListPullTimeUpdateExclusionsInput{MaxResults: aws.Int32(2)}
	for pages := 0; ; pages++ {
		page, err := client.ListPullTimeUpdateExclusions(t.Context(), in)
		if err != nil || pages > 2 {
			t.Fatal(pages, err)
		}
		listed = append(listed, page.PullTimeUpdateExclusions...)
		if in.NextToken = page.NextToken; in.NextToken == nil {
			break
		}
	}
	if diff := cmp.Diff([]string{a, b, c}, listed); diff != "" {
		t.Error(diff)
	}
	if err := deregister(b); err != nil {
		t.Fatal(err)
	}
	if err := deregister(b); codeOf(err) != "ExclusionNotFoundException" {
		t.Error(err)
	}
	if diff := cmp.Diff([]string{a, c}, reg.PullTimeExclusions()); diff != "" {
		t.Error(diff)
	}
}

func TestExclusionsQuota(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t)
	arns := make([]string, 101)
	for i := range arns {
		arns[i] = fmt.Sprintf("arn:aws:iam::123456789012:role/r%d", i)
	}
	if err := reg.SetPullTimeExclusions(arns...); err == nil {
		t.Error("101 exclusions are accepted")
	}
	if err := reg.SetPullTimeExclusions("role"); err == nil {
		t.Error("a principal that is no ARN is accepted")
	}
	if err := reg.SetPullTimeExclusions(arns[:100]...); err != nil {
		t.Fatal(err)
	}
	_, err := client.RegisterPullTimeUpdateExclusion(t.Context(), &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: &arns[100]})
	if codeOf(err) != "LimitExceededException" {
		t.Error(err)
	}
}

// The three operations on exclusions are authorised on "*".
func TestExclusionsDenied(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t)
	srv.SetPolicy(parsePolicy(t, `{"Statement":{"Effect":"Allow","Action":"ecr:ListPullTimeUpdateExclusions","Resource":"*"}}`))
	arn := aws.String("arn:aws:iam::123456789012:role/a")
	if _, err := client.ListPullTimeUpdateExclusions(t.Context(), &ecr.ListPullTimeUpdateExclusionsInput{}); err != nil {
		t.Error(err)
	}
	if _, err := client.RegisterPullTimeUpdateExclusion(t.Context(), &ecr.RegisterPullTimeUpdateExclusionInput{PrincipalArn: arn}); codeOf(err) != "AccessDeniedException" {
		t.Error(err)
	}
	if _, err := client.DeregisterPullTimeUpdateExclusion(t.Context(), &ecr.DeregisterPullTimeUpdateExclusionInput{PrincipalArn: arn}); codeOf(err) != "AccessDeniedException" {
		t.Error(err)
	}
}

// The caller is a session of a role, or what a test sets.
func TestGetCallerIdentity(t *testing.T) {
	t.Parallel()
	_, srv, _ := start(t)
	client := sts.NewFromConfig(newConfig(srv))
	for _, tc := range []struct{ caller, arn, account, user string }{
		{"", "arn:aws:sts::123456789012:assumed-role/ecr-remote-write/ecr-remote-write", account, "AROAEXAMPLE:ecr-remote-write"},
		{"arn:aws:iam::210987654321:user/a/b", "arn:aws:iam::210987654321:user/a/b", "210987654321", "AIDAEXAMPLE"},
	} {
		srv.SetCaller(tc.caller)
		out, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
		if err != nil {
			t.Fatal(err)
		}
		if *out.Arn != tc.arn || *out.Account != tc.account || *out.UserId != tc.user {
			t.Errorf("%s, %s, %s", *out.Arn, *out.Account, *out.UserId)
		}
	}
	if calls := srv.Calls()["GetCallerIdentity"]; calls != 2 {
		t.Error(srv.Calls())
	}
	srv.Fail(ecrtest.Match{Operation: "GetCallerIdentity"}, 1, ecrtest.FaultThrottling)
	if _, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); codeOf(err) != "ThrottlingException" {
		t.Error(err)
	}
	srv.RequireAccessKey(key)
	if _, err := client.GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{}); err != nil {
		t.Error(err)
	}
}
