package ecrtest_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"unicode"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

func parsePolicy(t *testing.T, text string) *ecrtest.Policy {
	t.Helper()
	p, err := ecrtest.ParsePolicy([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const teamPolicy = `{
	"Version": "2012-10-17",
	"Statement": [
		{"Sid": "Read", "Effect": "Allow", "Action": ["ecr:Describe*", "ecr:GetLifecyclePolic?"], "Resource": "arn:aws:ecr:eu-west-1:123456789012:repository/*"},
		{"Effect": "Allow", "Action": "ecr:DescribeRegistry", "Resource": "*"},
		{"Effect": "Deny", "Action": "ecr:DescribeImages", "Resource": ["arn:aws:ecr:*:*:repository/secret/*", "arn:aws:ecr:*:*:repository/vault"]}
	]
}`

func TestPolicyAllows(t *testing.T) {
	t.Parallel()
	const repository = "arn:aws:ecr:eu-west-1:123456789012:repository/"
	p := parsePolicy(t, teamPolicy)
	for _, tc := range []struct {
		action, resource string
		want             bool
	}{
		{"ecr:DescribeImages", repository + "app", true},
		{"ecr:describeimages", repository + "team/app", true}, // actions know no case
		{"ecr:DescribeRepositories", repository + "*", true},
		{"ecr:GetLifecyclePolicy", repository + "app", true},
		{"ecr:GetLifecyclePolicyPreview", repository + "app", false},
		{"ecr:GetLifecyclePolic", repository + "app", false},
		{"ecr:BatchGetImage", repository + "app", false},
		{"s3:DescribeImages", repository + "app", false},
		{"ecr:DescribeImages", "*", false},
		{"ecr:DescribeImages", strings.ToUpper(repository) + "app", false}, // resources do
		{"ecr:DescribeImages", strings.Replace(repository, "eu-west-1", "eu-west-2", 1) + "app", false},
		{"ecr:DescribeRegistry", "*", true},
		{"ecr:DescribeImages", repository + "secret/app", false},
		{"ecr:DescribeImages", repository + "vault", false},
		{"ecr:DescribeImages", repository + "vaults", true},
		{"ecr:DescribeImageScanFindings", repository + "secret/app", true},
	} {
		if got := p.Allows(tc.action, tc.resource); got != tc.want {
			t.Errorf("%s on %s: %v", tc.action, tc.resource, got)
		}
	}
	if (*ecrtest.Policy)(nil).Allows("ecr:DescribeImages", "*") || new(ecrtest.Policy).Allows("ecr:DescribeImages", "*") {
		t.Error("no policy permits something")
	}
	if !parsePolicy(t, `{"Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}`).Allows("any:Thing", "arn:aws:x:::y") {
		t.Error("everything is not everything")
	}
}

func TestParsePolicyRefuses(t *testing.T) {
	t.Parallel()
	statement := func(s string) string { return `{"Version": "2012-10-17", "Statement": [` + s + `]}` }
	for _, tc := range []struct{ text, says string }{
		{``, "EOF"},
		{`[]`, "array"},
		{`{}`, "no statement"},
		{`{"Statement": []}`, "no statement"},
		{`{"Statement": null}`, "no statement"},
		{`{"Version": "2020-01-01", "Statement": []}`, "version"},
		{statement(`{"Effect": "Allow", "Action": "*", "Resource": "*"}`) + "{}", "after the document"},
		{`{"Statement": [], "Comment": ""}`, "Comment"},
		{statement(`{"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {}}`), "Condition"},
		{statement(`{"Effect": "Allow", "NotAction": "*", "Resource": "*"}`), "NotAction"},
		{statement(`{"Effect": "Allow", "Action": "*", "NotResource": "*"}`), "NotResource"},
		{statement(`{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}`), "Principal"},
		{statement(`{"Action": "*", "Resource": "*"}`), "effect"},
		{statement(`{"Effect": "allow", "Action": "*", "Resource": "*"}`), "effect"},
		{statement(`{"Effect": "Allow", "Resource": "*"}`), "Action"},
		{statement(`{"Effect": "Allow", "Action": "*"}`), "Resource"},
		{statement(`{"Effect": "Allow", "Action": [], "Resource": "*"}`), "Action"},
		{statement(`{"Effect": "Allow", "Action": 7, "Resource": "*"}`), "list of strings"},
		{statement(`{"Effect": "Allow", "Action": [null, 7], "Resource": "*"}`), "list of strings"},
		{statement(`{"Effect": "Allow", "Action": "DescribeImages", "Resource": "*"}`), "DescribeImages"},
		{statement(`{"Effect": "Allow", "Action": "*", "Resource": "repository/app"}`), "ARN"},
		{statement(`{"Effect": "Allow", "Action": "*", "Resource": "arn:aws:ecr:::repository/${aws:username}"}`), "variables"},
		{statement(`{"Effect": "Allow", "Action": "*", "Resource": "*"}, {"Effect": "Deny"}`), "statement 2"},
	} {
		if p, err := ecrtest.ParsePolicy([]byte(tc.text)); err == nil || !strings.Contains(err.Error(), tc.says) || p != nil {
			t.Errorf("%s: %v, %v", tc.text, p, err)
		}
	}
}

// A parsed policy decides on any request; a policy with an error is nil.
func FuzzParsePolicy(f *testing.F) {
	f.Add([]byte(teamPolicy), "ecr:DescribeImages", "arn:aws:ecr:eu-west-1:123456789012:repository/app")
	f.Add([]byte(`{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}`), "*", "")
	f.Fuzz(func(t *testing.T, text []byte, action, resource string) {
		p, err := ecrtest.ParsePolicy(text)
		if (p == nil) == (err == nil) {
			t.Fatalf("%v, %v", p, err)
		}
		p.Allows(action, resource)
	})
}

// Wildcards mean what the regular expression of the same meaning says.
func FuzzPolicyWildcards(f *testing.F) {
	for _, pattern := range []string{"", "*", "**", "?", "a*b", "a?b", "*a*b*", "a*a*a", "[a]", "*/app", "team-?/*"} {
		for _, s := range []string{"", "a", "b", "ab", "axb", "axxb", "aaab", "aabb", "team-1/app", "[a]"} {
			f.Add(pattern, s)
		}
	}
	const prefix = "arn:aws:ecr:::"
	f.Fuzz(func(t *testing.T, pattern, s string) {
		ascii := func(s string) bool {
			return !strings.ContainsFunc(s, func(r rune) bool { return r > unicode.MaxASCII })
		}
		if strings.Contains(pattern, "${") || !ascii(pattern) || !ascii(s) {
			t.Skip() // not in ARNs; a ? is a byte here and a rune to regexp
		}
		text, err := json.Marshal(map[string]any{"Statement": map[string]any{"Effect": "Allow", "Action": "*", "Resource": prefix + pattern}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := ecrtest.ParsePolicy(text)
		if err != nil {
			t.Fatal(err)
		}
		re := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(pattern))
		want := regexp.MustCompile(`(?s)^` + re + `$`).MatchString(s)
		if got := p.Allows("ecr:X", prefix+s); got != want {
			t.Errorf("%q on %q: %v", pattern, s, got)
		}
	})
}

func TestServerEnforcesPolicy(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t, "app", "secret/app")
	srv.SetPolicy(parsePolicy(t, teamPolicy))
	const user = "User: arn:aws:sts::123456789012:assumed-role/ecr-remote-write/ecr-remote-write is not authorized to perform: "
	registry := func() error {
		_, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
		return err
	}
	repositories := func(names ...string) error {
		_, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RepositoryNames: names})
		return err
	}
	images := func(name string, ids bool) error {
		in := &ecr.DescribeImagesInput{RepositoryName: aws.String(name)}
		if ids {
			in.ImageIds = append(in.ImageIds, imageID("v1"))
		}
		_, err := client.DescribeImages(t.Context(), in)
		return err
	}
	for name, err := range map[string]error{
		"registry": registry(), "repositories": repositories(), "named": repositories("app", "secret/app"), "images": images("app", false),
	} {
		if err != nil {
			t.Errorf("%s, which are allowed: %v", name, err)
		}
	}
	denied := user + "ecr:DescribeImages on resource: arn:aws:ecr:eu-west-1:123456789012:repository/secret/app with an explicit deny in an identity-based policy"
	checkCode(t, "denied", images("secret/app", false), "AccessDeniedException", denied)
	checkCode(t, "denied by id", images("secret/app", true), "AccessDeniedException", denied)
	// Without permission, the response does not depend on whether it exists.
	checkCode(t, "denied and missing", images("secret/nothing", false), "AccessDeniedException", "secret/nothing")

	srv.SetPolicy(parsePolicy(t, `{"Statement": {"Effect": "Allow", "Action": "ecr:DescribeRepositories", "Resource": "arn:aws:ecr:*:*:repository/app"}}`))
	if err := repositories("app"); err != nil {
		t.Error(err)
	}
	checkCode(t, "all repositories", repositories(), "AccessDeniedException",
		user+"ecr:DescribeRepositories on resource: arn:aws:ecr:eu-west-1:123456789012:repository/* because no identity-based policy allows the ecr:DescribeRepositories action")
	checkCode(t, "one of two", repositories("app", "secret/app"), "AccessDeniedException", "repository/secret/app")
	checkCode(t, "registry", registry(), "AccessDeniedException", user+"ecr:DescribeRegistry on resource: * because")

	srv.SetPolicy(nil)
	if err := repositories(); err != nil {
		t.Error(err)
	}
}
