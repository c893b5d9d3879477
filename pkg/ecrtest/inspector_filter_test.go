package ecrtest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/inspector2"
	"github.com/aws/aws-sdk-go-v2/service/inspector2/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// A registry of three repositories, to be filtered and paged.
func startFiltered(t *testing.T) (*ecrtest.Registry, *inspector2.Client) {
	t.Helper()
	reg, _, client := startInspector(t, "app", "app-2", "web")
	for i, repository := range []string{"app", "app-2", "web"} {
		for k, digest := range putImages(t, reg, repository, 5) {
			state := ecrtest.ScanState{At: now, CompletedAt: now.Add(-time.Duration(k) * time.Hour), Counts: map[string]int32{"LOW": int32(i + 1)}}
			if k == 4 {
				state = ecrtest.ScanState{At: now, Status: "UNSUPPORTED_IMAGE"}
			}
			if err := reg.SetScan(repository, digest, ecrtest.Scan{States: []ecrtest.ScanState{state}, LastInUseAt: now, InUseCount: int64(k)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return reg, client
}

func TestAggregationFilters(t *testing.T) {
	t.Parallel()
	_, client := startFiltered(t)
	digest := ecrtest.Digest("app:t0001")
	for _, tc := range []struct {
		name   string
		filter types.AwsEcrContainerAggregation
		want   string // rows by repository
	}{
		{"none", types.AwsEcrContainerAggregation{}, "app app app app app-2 app-2 app-2 app-2 web web web web"},
		{"a repository", types.AwsEcrContainerAggregation{Repositories: filters("EQUALS", "app")}, "app app app app"},
		{"two", types.AwsEcrContainerAggregation{Repositories: filters("EQUALS", "web", "app")}, "app app app app web web web web"},
		{"a prefix", types.AwsEcrContainerAggregation{Repositories: filters("PREFIX", "app")}, "app app app app app-2 app-2 app-2 app-2"},
		{"not", types.AwsEcrContainerAggregation{Repositories: filters("NOT_EQUALS", "app", "web")}, "app-2 app-2 app-2 app-2"},
		{"prefix and not", types.AwsEcrContainerAggregation{Repositories: append(filters("PREFIX", "app"), filters("NOT_EQUALS", "app")...)}, "app-2 app-2 app-2 app-2"},
		{"an image", types.AwsEcrContainerAggregation{ImageShas: filters("EQUALS", digest)}, "app"},
		{"a resource", types.AwsEcrContainerAggregation{ResourceIds: filters("EQUALS", imageARN("app", digest))}, "app"},
		{"resources", types.AwsEcrContainerAggregation{ResourceIds: filters("PREFIX", imageARN("web", ""))}, "web web web web"},
		{"a tag", types.AwsEcrContainerAggregation{ImageTags: filters("EQUALS", "t0003")}, "app app-2 web"},
		{"two members", types.AwsEcrContainerAggregation{ImageTags: filters("EQUALS", "t0003"), Repositories: filters("EQUALS", "web")}, "web"},
		{"nothing", types.AwsEcrContainerAggregation{Repositories: filters("EQUALS", "nothing")}, ""},
	} {
		for _, size := range []int32{1, 3, 4, 100} {
			rows, pages := aggregateAll(t, client, aggregations(tc.filter, size))
			var got []string
			for _, row := range rows {
				got = append(got, *row.Repository)
			}
			if diff := cmp.Diff(tc.want, strings.Join(got, " ")); diff != "" {
				t.Errorf("%s, by %d:\n%s", tc.name, size, diff)
			}
			if want := max(1, (len(rows)+int(size)-1)/int(size)); pages != want {
				t.Errorf("%s, by %d: %d pages, want %d", tc.name, size, pages, want)
			}
		}
	}
	for accounts, want := range map[string]int{account: 12, "999999999999": 0} {
		in := aggregations(types.AwsEcrContainerAggregation{}, 100)
		in.AccountIds = filters("EQUALS", accounts)
		if rows, _ := aggregateAll(t, client, in); len(rows) != want {
			t.Errorf("account %s: %d rows", accounts, len(rows))
		}
	}
}

func TestCoverageFilters(t *testing.T) {
	t.Parallel()
	_, client := startFiltered(t)
	for _, tc := range []struct {
		name   string
		filter types.CoverageFilterCriteria
		want   int
	}{
		{"none", types.CoverageFilterCriteria{}, 18},
		{"images", types.CoverageFilterCriteria{ResourceType: coverage("EQUALS", "AWS_ECR_CONTAINER_IMAGE")}, 15},
		{"repositories", types.CoverageFilterCriteria{ResourceType: coverage("NOT_EQUALS", "AWS_ECR_CONTAINER_IMAGE")}, 3},
		{"a repository", types.CoverageFilterCriteria{EcrRepositoryName: coverage("EQUALS", "app")}, 6},
		{"other repositories", types.CoverageFilterCriteria{EcrRepositoryName: coverage("NOT_EQUALS", "app")}, 12},
		{"inactive", types.CoverageFilterCriteria{ScanStatusCode: coverage("EQUALS", "INACTIVE")}, 3},
		{"unsupported", types.CoverageFilterCriteria{ScanStatusReason: coverage("EQUALS", "UNSUPPORTED_OS", "IMAGE_ARCHIVED")}, 3},
		{"a tag", types.CoverageFilterCriteria{EcrImageTags: coverage("EQUALS", "t0001")}, 3},
		{"another account", types.CoverageFilterCriteria{AccountId: coverage("EQUALS", "999999999999")}, 0},
		{"another scan type", types.CoverageFilterCriteria{ScanType: coverage("EQUALS", "NETWORK")}, 0},
		{"scanned since", types.CoverageFilterCriteria{LastScannedAt: []types.CoverageDateFilter{{StartInclusive: aws.Time(now.Add(-time.Hour))}}}, 6},
		{"scanned until", types.CoverageFilterCriteria{LastScannedAt: []types.CoverageDateFilter{{EndInclusive: aws.Time(now.Add(-time.Hour))}}}, 9},
		{"scanned within", types.CoverageFilterCriteria{LastScannedAt: []types.CoverageDateFilter{
			{StartInclusive: aws.Time(now), EndInclusive: aws.Time(now.Add(time.Hour))}, {EndInclusive: aws.Time(now.Add(-3 * time.Hour))},
		}}, 6},
		{"in use", types.CoverageFilterCriteria{EcrImageInUseCount: []types.CoverageNumberFilter{{LowerInclusive: aws.Int64(2), UpperInclusive: aws.Int64(3)}}}, 6},
		{"used since", types.CoverageFilterCriteria{EcrImageLastInUseAt: []types.CoverageDateFilter{{StartInclusive: aws.Time(now)}}}, 15},
		{"pulled", types.CoverageFilterCriteria{ImagePulledAt: []types.CoverageDateFilter{{StartInclusive: aws.Time(time.Unix(1, 0))}}}, 0},
	} {
		for _, size := range []int32{1, 5, 200} {
			rows, pages := coverAll(t, client, &inspector2.ListCoverageInput{FilterCriteria: &tc.filter, MaxResults: &size})
			if len(rows) != tc.want || pages != max(1, (tc.want+int(size)-1)/int(size)) {
				t.Errorf("%s, by %d: %d rows on %d pages, want %d", tc.name, size, len(rows), pages, tc.want)
			}
		}
	}
}
