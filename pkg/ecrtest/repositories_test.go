package ecrtest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

func TestDescribeRepositoriesByName(t *testing.T) {
	t.Parallel()
	_, _, client := start(t, "a1", "b1", "c1")
	const invalid = "InvalidParameterException"
	for _, tc := range []struct {
		name string
		in   ecr.DescribeRepositoriesInput
		want []string
		code string
		says string
	}{
		{name: "in the order asked for", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{"c1", "a1"}}, want: []string{"c1", "a1"}},
		{name: "one twice", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{"c1", "c1"}}, want: []string{"c1", "c1"}},
		{
			name: "one that is not", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{"a1", "d1"}}, code: "RepositoryNotFoundException",
			says: "The repository with name 'd1' does not exist in the registry with id '123456789012'",
		},
		{name: "none", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{}}, code: invalid, says: "greater than or equal to 1"},
		{name: "too many", in: ecr.DescribeRepositoriesInput{RepositoryNames: slices.Repeat([]string{"a1"}, 101)}, code: invalid, says: "less than or equal to 100"},
		{name: "no name", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{"A1"}}, code: invalid, says: "must satisfy regular expression '[a-z0-9]+"},
		{name: "a short name", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{"a"}}, code: invalid, says: "greater than or equal to 2"},
		{name: "a long name", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{strings.Repeat("a", 257)}}, code: invalid, says: "less than or equal to 256"},
		{name: "by pages", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{"a1"}, MaxResults: aws.Int32(10)}, code: invalid},
		{name: "with a token", in: ecr.DescribeRepositoriesInput{RepositoryNames: []string{"a1"}, NextToken: aws.String("x")}, code: invalid},
		{name: "of no account", in: ecr.DescribeRepositoriesInput{RegistryId: aws.String("12345")}, code: invalid, says: "[0-9]{12}"},
	} {
		out, err := client.DescribeRepositories(t.Context(), &tc.in)
		if tc.code != "" {
			checkCode(t, tc.name, err, tc.code, tc.says)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tc.name, err)
			continue
		}
		var got []string
		for _, repo := range out.Repositories {
			got = append(got, *repo.RepositoryName)
		}
		if diff := cmp.Diff(tc.want, got); diff != "" {
			t.Errorf("%s:\n%s", tc.name, diff)
		}
	}
}

func TestDescribeImagesRefuses(t *testing.T) {
	t.Parallel()
	_, _, client := start(t, "app")
	for _, tc := range []struct {
		in         ecr.DescribeImagesInput
		code, says string
	}{
		{ecr.DescribeImagesInput{RepositoryName: aws.String("gone")}, "RepositoryNotFoundException", "'gone' does not exist"},
		{ecr.DescribeImagesInput{RepositoryName: aws.String("")}, "InvalidParameterException", "'repositoryName'"},
		{ecr.DescribeImagesInput{RepositoryName: aws.String("a_-b")}, "InvalidParameterException", "'repositoryName'"},
		{
			ecr.DescribeImagesInput{RepositoryName: aws.String("app"), Filter: &types.DescribeImagesFilter{TagStatus: "SOME"}},
			"InvalidParameterException", "Invalid parameter at 'filter.tagStatus' failed to satisfy constraint: 'Member must satisfy enum value set: [TAGGED, UNTAGGED, ANY]'",
		},
		{
			ecr.DescribeImagesInput{RepositoryName: aws.String("app"), Filter: &types.DescribeImagesFilter{ImageStatus: "LOST"}},
			"InvalidParameterException", "'filter.imageStatus'",
		},
	} {
		_, err := client.DescribeImages(t.Context(), &tc.in)
		checkCode(t, tc.says, err, tc.code, tc.says)
	}
	// The SDK knows the modelled ones by type.
	_, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("gone")})
	if _, ok := errors.AsType[*types.RepositoryNotFoundException](err); !ok {
		t.Errorf("not by its type: %v", err)
	}
}

func TestOtherRegistries(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t, "ours")
	const other = "999999999999"
	in := &ecr.DescribeRepositoriesInput{RegistryId: aws.String(other)}
	_, err := client.DescribeRepositories(t.Context(), in)
	checkCode(t, "a registry that is not simulated", err, "AccessDeniedException", "arn:aws:ecr:eu-west-1:"+other+":repository/*")

	theirs := ecrtest.NewRegistry(other, region)
	putRepository(t, theirs, ecrtest.Repository{Name: "theirs"})
	digest := putImage(t, theirs, "theirs", ecrtest.Image{Digest: ecrtest.Digest("x")})
	srv.AddRegistry(theirs)
	repos, err := client.DescribeRepositories(t.Context(), in)
	if err != nil || len(repos.Repositories) != 1 || *repos.Repositories[0].RepositoryUri != other+".dkr.ecr.eu-west-1.amazonaws.com/theirs" {
		t.Errorf("%+v, %v", repos, err)
	}
	images, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RegistryId: aws.String(other), RepositoryName: aws.String("theirs")})
	if err != nil || len(images.ImageDetails) != 1 || *images.ImageDetails[0].ImageDigest != digest || *images.ImageDetails[0].RegistryId != other {
		t.Errorf("%+v, %v", images, err)
	}
	own, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{RegistryId: aws.String(account)})
	if err != nil || len(own.Repositories) != 1 || *own.Repositories[0].RepositoryName != "ours" {
		t.Errorf("%+v, %v", own, err)
	}
}

func TestPartitions(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ region, arn, uri string }{
		{"eu-west-1", "arn:aws:ecr:eu-west-1:123456789012:repository/a", "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a"},
		{"cn-north-1", "arn:aws-cn:ecr:cn-north-1:123456789012:repository/a", "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a"},
		{"us-gov-west-1", "arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/a", "123456789012.dkr.ecr.us-gov-west-1.amazonaws.com/a"},
	} {
		reg := ecrtest.NewRegistry(account, tc.region)
		if reg.ARN("a") != tc.arn || reg.URI("a") != tc.uri || reg.Region() != tc.region || reg.ID() != account {
			t.Errorf("%s: %s, %s", tc.region, reg.ARN("a"), reg.URI("a"))
		}
	}
}
