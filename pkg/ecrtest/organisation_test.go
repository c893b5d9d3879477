package ecrtest_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/credentials/stscreds"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

const (
	member      = "210987654321"
	memberRole  = "arn:aws:iam::" + member + ":role/ecr-remote-write"
	otherRegion = "us-east-1"
)

// newOrganisation has a function in one account, and a member with registries in two Regions.
func newOrganisation(t *testing.T) *ecrtest.Organisation {
	t.Helper()
	o := ecrtest.NewOrganisation(account, region)
	o.AddAccount(member, region, otherRegion)
	o.PutRole(member, ecrtest.Role{Name: "ecr-remote-write", ExternalID: "some-id"})
	for name, at := range map[string][2]string{"own": {account, region}, "near": {member, region}, "far": {member, otherRegion}} {
		registry := ecrtest.NewRegistry(at[0], at[1])
		if err := registry.PutRepository(ecrtest.Repository{Name: name}); err != nil {
			t.Fatal(err)
		}
		o.AddRegistry(registry)
	}
	return o
}

// configOf are clients that try once, with a key in a Region.
func configOf(o *ecrtest.Organisation, key ecrtest.Key, region string) aws.Config {
	return aws.Config{
		Region: region, BaseEndpoint: aws.String(o.URL()), HTTPClient: o.Client(), RetryMaxAttempts: 1,
		Credentials: credentials.NewStaticCredentialsProvider(key.AccessKeyID, key.SecretAccessKey, key.SessionToken),
	}
}

// in is a configuration with the role of the member, in a Region, and with changed options.
func in(own aws.Config, region string, change ...func(*stscreds.AssumeRoleOptions)) aws.Config {
	with := own.Copy()
	with.Region = region
	with.Credentials = aws.NewCredentialsCache(stscreds.NewAssumeRoleProvider(sts.NewFromConfig(own), memberRole, func(o *stscreds.AssumeRoleOptions) {
		o.RoleSessionName, o.ExternalID = "session", aws.String("some-id")
		for _, f := range change {
			f(o)
		}
	}))
	return with
}

// repositories are the names of the repositories that a client lists, or the error's code.
func repositories(t *testing.T, cfg aws.Config) string {
	t.Helper()
	out, err := ecr.NewFromConfig(cfg).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		return codeOf(err)
	}
	names := make([]string, 0, 1)
	for i := range out.Repositories {
		names = append(names, *out.Repositories[i].RepositoryName)
	}
	return strings.Join(names, " ")
}

// The key decides on the account and the signature on the Region.
func TestOrganisation(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	ecrtest.StartOrganisation(t, o)
	key := o.NewKey()
	own := configOf(o, key, region)
	unknown, mixed := key, key
	unknown.AccessKeyID, mixed.SessionToken = "ASIAUNKNOWN", o.NewKey().SessionToken
	for _, tc := range []struct {
		name string
		cfg  aws.Config
		want string
	}{
		{"own", own, "own"},
		{"own, another environment", configOf(o, o.NewKey(), region), "own"},
		{"member", in(own, region), "near"},
		{"member, other Region", in(own, otherRegion), "far"},
		{"a Region that is not enabled", configOf(o, key, otherRegion), "UnrecognizedClientException"},
		{"an unknown key", configOf(o, unknown, region), "UnrecognizedClientException"},
		{"the token of another key", configOf(o, mixed, region), "UnrecognizedClientException"},
		{"no external id", in(own, region, func(o *stscreds.AssumeRoleOptions) { o.ExternalID = nil }), "AccessDenied"},
		{"another external id", in(own, region, func(o *stscreds.AssumeRoleOptions) { o.ExternalID = aws.String("other") }), "AccessDenied"},
		{"an external id that is none", in(own, region, func(o *stscreds.AssumeRoleOptions) { o.ExternalID = aws.String("ä") }), "ValidationError"},
		{"an unknown role", in(own, region, func(o *stscreds.AssumeRoleOptions) { o.RoleARN += "-2" }), "AccessDenied"},
		{"an unknown account", in(own, region, func(o *stscreds.AssumeRoleOptions) {
			o.RoleARN = strings.ReplaceAll(o.RoleARN, member, "1"+account[1:])
		}), "AccessDenied"},
		{"no role", in(own, region, func(o *stscreds.AssumeRoleOptions) { o.RoleARN = "arn:aws:iam::1:role/a" }), "ValidationError"},
		{"no session name", in(own, region, func(o *stscreds.AssumeRoleOptions) { o.RoleSessionName = "a b" }), "ValidationError"},
		{"five minutes", in(own, region, func(o *stscreds.AssumeRoleOptions) { o.Duration = 5 * time.Minute }), "ValidationError"},
		{"two hours, chained", in(own, region, func(o *stscreds.AssumeRoleOptions) { o.Duration = 2 * time.Hour }), "ValidationError"},
		{"from role to role", in(in(own, region), region), "AccessDenied"},
	} {
		if got := repositories(t, tc.cfg); got != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got, tc.want)
		}
	}
	_, err := in(own, region, func(o *stscreds.AssumeRoleOptions) { o.RoleARN += "-2" }).Credentials.Retrieve(t.Context())
	checkCode(t, "an unknown role", err, "AccessDenied", "User: arn:aws:sts::123456789012:assumed-role/ecr-remote-write/ecr-remote-write "+
		"is not authorized to perform: sts:AssumeRole on resource: "+memberRole+"-2")

	who, err := sts.NewFromConfig(in(own, region)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	if err != nil || *who.Account != member || *who.Arn != "arn:aws:sts::"+member+":assumed-role/ecr-remote-write/session" ||
		!strings.HasPrefix(*who.UserId, "AROA") || !strings.HasSuffix(*who.UserId, ":session") {
		t.Errorf("the caller is %+v, %v", who, err)
	}
	_, err = sts.NewFromConfig(configOf(o, unknown, region)).GetCallerIdentity(t.Context(), &sts.GetCallerIdentityInput{})
	checkCode(t, "STS with an unknown key", err, "InvalidClientTokenId", "")
}

// A registry's policy, faults and roles are its own, also while it is being read.
func TestOrganisationFaults(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	ecrtest.StartOrganisation(t, o)
	own := configOf(o, o.NewKey(), region)
	near, far := in(own, region), in(own, otherRegion)
	o.Server(member, region).SetPolicy(parsePolicy(t, `{"Statement":{"Effect":"Deny","Action":"ecr:*","Resource":"*"}}`))
	o.Server(account, region).Fail(ecrtest.Match{Operation: "DescribeRepositories"}, 1, ecrtest.FaultThrottling)
	got := []string{repositories(t, near), repositories(t, far), repositories(t, own), repositories(t, own)}
	if diff := cmp.Diff([]string{"AccessDeniedException", "far", "ThrottlingException", "own"}, got); diff != "" {
		t.Error(diff)
	}
	_, err := ecr.NewFromConfig(near).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	checkCode(t, "denied", err, "AccessDeniedException", "User: arn:aws:sts::"+member+":assumed-role/ecr-remote-write/session is not authorized")

	o.Server(member, otherRegion).Before(ecrtest.Match{Operation: "DescribeRepositories"}, 2, func(ecrtest.Request) { o.CloseAccount(member) })
	got = []string{repositories(t, far), repositories(t, far), repositories(t, in(own, otherRegion))}
	if got[0] != "far" || got[1] != "UnrecognizedClientException" || !strings.Contains(got[2], "AccessDenied") {
		t.Errorf("the account vanishes in the middle: %q", got)
	}
	o.PutRole(member, ecrtest.Role{Name: "ecr-remote-write"})
	got = []string{repositories(t, far), repositories(t, in(own, otherRegion))}
	if diff := cmp.Diff([]string{"UnrecognizedClientException", "far"}, got); diff != "" {
		t.Errorf("the role is another one of the same name: %s", diff)
	}
}

// A session ends after an hour.
func TestOrganisationSession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrganisation(t)
		ecrtest.StartOrganisationPipe(t, o)
		cached := in(configOf(o, o.NewKey(), region), region)
		first, err := cached.Credentials.Retrieve(t.Context())
		if err != nil || !first.CanExpire || time.Until(first.Expires).Round(time.Second) != 15*time.Minute {
			t.Fatalf("%+v, %v", first, err) // the SDK's default is 15 minutes
		}
		same := cached.Copy()
		same.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return first, nil })
		time.Sleep(15*time.Minute - time.Second)
		got := []string{repositories(t, same)}
		time.Sleep(time.Second)
		got = append(got, repositories(t, same), repositories(t, cached))
		if diff := cmp.Diff([]string{"near", "ExpiredTokenException", "near"}, got); diff != "" {
			t.Error(diff)
		}
		if n := o.Calls()["AssumeRole"]; n != 2 {
			t.Errorf("%d sessions, want 2", n)
		}
	})
}

// Each request is recorded with its time, account, Region and key.
func TestOrganisationRequests(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := newOrganisation(t)
		ecrtest.StartOrganisationPipe(t, o)
		o.Server(account, region).SetLatency("", time.Second, 0)
		o.Server(member, otherRegion).SetLatency("", time.Second, 0)
		key, started := o.NewKey(), time.Now()
		far := in(configOf(o, key, region), otherRegion)
		repositories(t, far)
		session, err := far.Credentials.Retrieve(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, accessKey := range []string{key.AccessKeyID, session.AccessKeyID} {
			if from := o.FunctionKey(accessKey); from != key.AccessKeyID {
				t.Errorf("%s is of the function's key %q", accessKey, from)
			}
		}
		if from := o.FunctionKey("ASIAUNKNOWN"); from != "" {
			t.Errorf("an unknown key is of %q", from)
		}
		type record struct {
			Operation, Account, Region, AccessKey string
			At, Done                              time.Duration
		}
		var got []record
		for _, r := range o.Requests() {
			got = append(got, record{r.Operation, r.Account, r.Region, r.AccessKey, r.At.Sub(started), r.Done.Sub(started)})
		}
		if diff := cmp.Diff([]record{
			{"AssumeRole", account, region, key.AccessKeyID, 0, time.Second},
			{"DescribeRepositories", member, otherRegion, session.AccessKeyID, time.Second, 2 * time.Second},
		}, got); diff != "" {
			t.Error(diff)
		}
	})
}

// DescribeRegions names the Regions that are enabled for the caller's account.
func TestDescribeRegions(t *testing.T) {
	t.Parallel()
	o := newOrganisation(t)
	ecrtest.StartOrganisation(t, o)
	own := configOf(o, o.NewKey(), region)
	const here, other, disabled = region + " opt-in-not-required", otherRegion + " opt-in-not-required", otherRegion + " not-opted-in"
	filter := func(values ...string) *ec2.DescribeRegionsInput {
		return &ec2.DescribeRegionsInput{AllRegions: new(true), Filters: []types.Filter{{Name: aws.String("opt-in-status"), Values: values}}}
	}
	for _, tc := range []struct {
		name string
		cfg  aws.Config
		in   *ec2.DescribeRegionsInput
		want []string
	}{
		{"own", own, &ec2.DescribeRegionsInput{}, []string{here}},
		{"member", in(own, region), &ec2.DescribeRegionsInput{}, []string{here, other}},
		{"all", own, &ec2.DescribeRegionsInput{AllRegions: new(true)}, []string{here, disabled}},
		{"all but disabled", own, filter("opt-in-not-required", "opted-in"), []string{here}},
		{"disabled", own, filter("not-opted-in"), []string{disabled}},
	} {
		out, err := ec2.NewFromConfig(tc.cfg).DescribeRegions(t.Context(), tc.in)
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var got []string
		for _, r := range out.Regions {
			got = append(got, *r.RegionName+" "+*r.OptInStatus)
			if *r.Endpoint != "ec2."+*r.RegionName+".amazonaws.com" {
				t.Errorf("the endpoint of %s is %s", *r.RegionName, *r.Endpoint)
			}
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s: %s", tc.name, diff)
		}
	}
	o.Server(account, region).SetPolicy(parsePolicy(t, `{"Statement":{"Effect":"Allow","Action":"ecr:*","Resource":"*"}}`))
	unknown := own.Copy()
	unknown.Credentials = credentials.NewStaticCredentialsProvider("ASIAUNKNOWN", "a", "b")
	for _, tc := range []struct {
		cfg    aws.Config
		in     *ec2.DescribeRegionsInput
		status int
		code   string
	}{
		{own, &ec2.DescribeRegionsInput{}, http.StatusForbidden, "UnauthorizedOperation"},
		{unknown, &ec2.DescribeRegionsInput{}, http.StatusUnauthorized, "AuthFailure"},
		{own, &ec2.DescribeRegionsInput{RegionNames: []string{region}}, http.StatusBadRequest, "UnknownParameter"},
	} {
		_, err := ec2.NewFromConfig(tc.cfg).DescribeRegions(t.Context(), tc.in)
		response, ok := errors.AsType[*awshttp.ResponseError](err)
		if codeOf(err) != tc.code || !ok || response.HTTPStatusCode() != tc.status {
			t.Errorf("%v, want %d %s", err, tc.status, tc.code)
		}
	}
}
