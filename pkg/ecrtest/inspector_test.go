package ecrtest_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/inspector2"
	"github.com/aws/aws-sdk-go-v2/service/inspector2/types"
	"github.com/aws/smithy-go"
	"github.com/aws/smithy-go/document"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

var ignoreSerde = cmp.Options{cmpopts.IgnoreTypes(document.NoSerde{}), cmpopts.EquateApproxTime(0)}

// startInspector serves an ENHANCED registry in which the given repositories exist, at
// a time that does not pass.
func startInspector(t *testing.T, names ...string) (*ecrtest.Registry, *ecrtest.Server, *inspector2.Client) {
	t.Helper()
	reg, srv, _ := start(t, names...)
	setScanning(t, reg, ecrtest.Scanning{Type: "ENHANCED"})
	srv.SetClock(func() time.Time { return now })
	return reg, srv, newInspector(srv)
}

func newInspector(srv *ecrtest.Server) *inspector2.Client {
	return inspector2.NewFromConfig(newConfig(srv))
}

func aggregations(filter types.AwsEcrContainerAggregation, size int32) *inspector2.ListFindingAggregationsInput {
	return &inspector2.ListFindingAggregationsInput{
		AggregationType:    types.AggregationTypeAwsEcrContainer,
		AggregationRequest: &types.AggregationRequestMemberAwsEcrContainerAggregation{Value: filter},
		MaxResults:         &size,
	}
}

// aggregateAll reads all pages.
func aggregateAll(t *testing.T, client *inspector2.Client, in *inspector2.ListFindingAggregationsInput) (rows []types.AwsEcrContainerAggregationResponse, pages int) {
	t.Helper()
	for p := inspector2.NewListFindingAggregationsPaginator(client, in); p.HasMorePages(); pages++ {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if out.AggregationType != in.AggregationType {
			t.Errorf("aggregation type %s", out.AggregationType)
		}
		for _, row := range out.Responses {
			rows = append(rows, row.(*types.AggregationResponseMemberAwsEcrContainerAggregation).Value)
		}
	}
	return rows, pages
}

func coverAll(t *testing.T, client *inspector2.Client, in *inspector2.ListCoverageInput) (rows []types.CoveredResource, pages int) {
	t.Helper()
	for p := inspector2.NewListCoveragePaginator(client, in); p.HasMorePages(); pages++ {
		out, err := p.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, out.CoveredResources...)
	}
	return rows, pages
}

func imageARN(repository, digest string) string {
	return "arn:aws:ecr:eu-west-1:123456789012:repository/" + repository + "/" + digest
}

// Every field of both lists is set; images with findings are aggregated, and all that were
// scanned or refused are covered.
func TestInspectorFields(t *testing.T) {
	t.Parallel()
	reg, _, client := startInspector(t, "app", "other")
	at := func(minutes int) time.Time { return now.Add(time.Duration(minutes) * time.Minute) }
	put := func(repository, name string, states ...ecrtest.ScanState) string {
		d := putImage(t, reg, repository, ecrtest.Image{Digest: ecrtest.Digest(name), Tags: []string{"z-" + name, "a-" + name}, PulledAt: at(-9)})
		setScan(t, reg, repository, d, states...)
		return d
	}
	counts := map[string]int32{"CRITICAL": 1, "HIGH": 2, "MEDIUM": 3, "LOW": 4, "UNTRIAGED": 5}
	full := put("app", "full")
	if err := reg.SetScan("app", full, ecrtest.Scan{
		States:      []ecrtest.ScanState{{At: at(-5), CompletedAt: at(-6), Counts: counts}},
		LastInUseAt: at(-7), InUseCount: 3,
	}); err != nil {
		t.Fatal(err)
	}
	clean := put("app", "clean", ecrtest.ScanState{At: at(-5), CompletedAt: at(-6), Counts: map[string]int32{}})
	put("app", "never")
	put("app", "later", ecrtest.ScanState{At: at(1), Counts: counts})
	again := put("other", "full", ecrtest.ScanState{At: at(-5), Status: "UNSUPPORTED_IMAGE", Reason: "UNSUPPORTED_MEDIA_TYPE"})

	rows, _ := aggregateAll(t, client, aggregations(types.AwsEcrContainerAggregation{}, 100))
	if diff := cmp.Diff([]types.AwsEcrContainerAggregationResponse{{
		AccountId: aws.String(account), Architecture: aws.String("amd64"), ImageSha: &full, Repository: aws.String("app"),
		ImageTags: []string{"a-full", "z-full"}, ResourceId: aws.String(imageARN("app", full)),
		SeverityCounts: &types.SeverityCounts{All: aws.Int64(15), Critical: aws.Int64(1), High: aws.Int64(2), Medium: aws.Int64(3)},
		LastInUseAt:    aws.Time(at(-7)), InUseCount: aws.Int64(3),
	}}, rows, ignoreSerde); diff != "" {
		t.Errorf("aggregations:\n%s", diff)
	}

	image := func(repository, digest, name string, code types.ScanStatusCode, reason types.ScanStatusReason) types.CoveredResource {
		return types.CoveredResource{
			AccountId: aws.String(account), ResourceId: aws.String(imageARN(repository, digest)),
			ResourceType: types.CoverageResourceTypeAwsEcrContainerImage, ScanType: types.ScanTypePackage,
			ScanStatus: &types.ScanStatus{StatusCode: code, Reason: reason},
			ResourceMetadata: &types.ResourceScanMetadata{
				EcrRepository: &types.EcrRepositoryMetadata{Name: &repository, ScanFrequency: types.EcrScanFrequencyContinuousScan},
				EcrImage:      &types.EcrContainerImageMetadata{Tags: []string{"a-" + name, "z-" + name}, ImagePulledAt: aws.Time(at(-9))},
			},
		}
	}
	repository := func(name string) types.CoveredResource {
		return types.CoveredResource{
			AccountId: aws.String(account), ResourceId: aws.String("arn:aws:ecr:eu-west-1:123456789012:repository/" + name),
			ResourceType: types.CoverageResourceTypeAwsEcrRepository, ScanType: types.ScanTypePackage,
			ScanStatus: &types.ScanStatus{StatusCode: types.ScanStatusCodeActive, Reason: types.ScanStatusReasonSuccessful},
			ResourceMetadata: &types.ResourceScanMetadata{
				EcrRepository: &types.EcrRepositoryMetadata{Name: &name, ScanFrequency: types.EcrScanFrequencyContinuousScan},
			},
		}
	}
	wantFull := image("app", full, "full", types.ScanStatusCodeActive, types.ScanStatusReasonSuccessful)
	wantFull.LastScannedAt = aws.Time(at(-6))
	wantFull.ResourceMetadata.EcrImage.LastInUseAt, wantFull.ResourceMetadata.EcrImage.InUseCount = aws.Time(at(-7)), aws.Int64(3)
	wantClean := image("app", clean, "clean", types.ScanStatusCodeActive, types.ScanStatusReasonSuccessful)
	wantClean.LastScannedAt = aws.Time(at(-6))
	want := []types.CoveredResource{
		repository("app"), wantFull, wantClean, repository("other"),
		image("other", again, "full", types.ScanStatusCodeInactive, types.ScanStatusReasonUnsupportedMediaType),
	}
	slices.SortFunc(want, func(a, b types.CoveredResource) int { return strings.Compare(*a.ResourceId, *b.ResourceId) })
	got, _ := coverAll(t, client, &inspector2.ListCoverageInput{})
	if diff := cmp.Diff(want, got, ignoreSerde); diff != "" {
		t.Errorf("coverage:\n%s", diff)
	}

	setScanning(t, reg, ecrtest.Scanning{Type: "BASIC"})
	rows, _ = aggregateAll(t, client, aggregations(types.AwsEcrContainerAggregation{}, 100))
	if got, _ := coverAll(t, client, &inspector2.ListCoverageInput{}); len(rows)+len(got) > 0 {
		t.Errorf("a BASIC registry: %v, %v", rows, got)
	}
}

// Each status of ECR, in ECR and in Inspector.
func TestScanStatuses(t *testing.T) {
	t.Parallel()
	reg, srv, inspector := startInspector(t, "app")
	client := newClient(srv)
	want := map[string]string{
		"IN_PROGRESS":              "ACTIVE SCAN_IN_PROGRESS",
		"COMPLETE":                 "INACTIVE SCAN_FREQUENCY_SCAN_ON_PUSH",
		"FAILED":                   "INACTIVE INTERNAL_ERROR",
		"UNSUPPORTED_IMAGE":        "INACTIVE UNSUPPORTED_OS",
		"ACTIVE":                   "ACTIVE SUCCESSFUL",
		"PENDING":                  "ACTIVE PENDING_INITIAL_SCAN",
		"SCAN_ELIGIBILITY_EXPIRED": "INACTIVE SCAN_ELIGIBILITY_EXPIRED",
		"FINDINGS_UNAVAILABLE":     "INACTIVE NO_RESOURCES_FOUND",
		"LIMIT_EXCEEDED":           "INACTIVE IMAGE_SIZE_EXCEEDED",
		"IMAGE_ARCHIVED":           "INACTIVE IMAGE_ARCHIVED",
	}
	tell := func(digest string) (ecr, inspected string) {
		out, err := describeFindings(t, client, "app", digest)
		if err != nil {
			t.Fatal(err)
		}
		rows, _ := coverAll(t, inspector, &inspector2.ListCoverageInput{
			FilterCriteria: &types.CoverageFilterCriteria{ResourceId: coverage("EQUALS", imageARN("app", digest))},
		})
		if len(rows) != 1 {
			t.Fatalf("%s: %d rows", digest, len(rows))
		}
		return string(out.ImageScanStatus.Status), string(rows[0].ScanStatus.StatusCode) + " " + string(rows[0].ScanStatus.Reason)
	}
	for status, wantInspected := range want {
		digest := putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest(status)})
		setScan(t, reg, "app", digest, ecrtest.ScanState{Status: status})
		if ecr, inspected := tell(digest); ecr != status || inspected != wantInspected {
			t.Errorf("%s: ECR says %s, Inspector %s", status, ecr, inspected)
		}
	}
	// An archived image has the status of archived images until it is restored.
	digest := ecrtest.Digest("ACTIVE")
	if err := reg.Archive("app", digest, now); err != nil {
		t.Fatal(err)
	}
	if ecr, inspected := tell(digest); ecr != "IMAGE_ARCHIVED" || inspected != want["IMAGE_ARCHIVED"] {
		t.Errorf("archived: ECR says %s, Inspector %s", ecr, inspected)
	}
	if err := reg.Restore("app", digest, now); err != nil {
		t.Fatal(err)
	}
	if ecr, _ := tell(digest); ecr != "ACTIVE" {
		t.Errorf("restored: ECR says %s", ecr)
	}
	// Where a rule has images scanned on push only, a scan ends for good.
	setScan(t, reg, "app", digest, ecrtest.ScanState{})
	setScanning(t, reg, ecrtest.Scanning{Type: "ENHANCED", Rules: []ecrtest.ScanningRule{{Frequency: "SCAN_ON_PUSH", Filters: []string{"a*"}}}})
	if ecr, inspected := tell(digest); ecr != "COMPLETE" || inspected != want["COMPLETE"] {
		t.Errorf("scan on push: ECR says %s, Inspector %s", ecr, inspected)
	}
}

func coverage(comparison types.CoverageStringComparison, values ...string) (list []types.CoverageStringFilter) {
	for _, v := range values {
		list = append(list, types.CoverageStringFilter{Comparison: comparison, Value: &v})
	}
	return list
}

func filters(comparison types.StringComparison, values ...string) (list []types.StringFilter) {
	for _, v := range values {
		list = append(list, types.StringFilter{Comparison: comparison, Value: &v})
	}
	return list
}

// Invalid requests to Inspector, with the status of each kind of error.
func TestInspectorRefuses(t *testing.T) {
	t.Parallel()
	reg, srv, client := startInspector(t, "app")
	for _, digest := range putImages(t, reg, "app", 3) {
		setScan(t, reg, "app", digest, ecrtest.ScanState{Counts: map[string]int32{"LOW": 1}})
	}
	aggregate := func(change func(*inspector2.ListFindingAggregationsInput)) error {
		in := aggregations(types.AwsEcrContainerAggregation{}, 1)
		change(in)
		_, err := client.ListFindingAggregations(t.Context(), in)
		return err
	}
	container := func(f types.AwsEcrContainerAggregation) types.AggregationRequest {
		return &types.AggregationRequestMemberAwsEcrContainerAggregation{Value: f}
	}
	cover := func(f types.CoverageFilterCriteria, size int32, token *string) error {
		_, err := client.ListCoverage(t.Context(), &inspector2.ListCoverageInput{FilterCriteria: &f, MaxResults: &size, NextToken: token})
		return err
	}
	first, err := client.ListFindingAggregations(t.Context(), aggregations(types.AwsEcrContainerAggregation{}, 1))
	if err != nil || first.NextToken == nil {
		t.Fatal(first, err)
	}
	for name, err := range map[string]error{
		"another type": aggregate(func(in *inspector2.ListFindingAggregationsInput) { in.AggregationType = types.AggregationTypePackage }),
		"another request": aggregate(func(in *inspector2.ListFindingAggregationsInput) {
			in.AggregationRequest = &types.AggregationRequestMemberRepositoryAggregation{}
		}),
		"no results":       aggregate(func(in *inspector2.ListFindingAggregationsInput) { in.MaxResults = aws.Int32(0) }),
		"too many results": aggregate(func(in *inspector2.ListFindingAggregationsInput) { in.MaxResults = aws.Int32(101) }),
		"token":            aggregate(func(in *inspector2.ListFindingAggregationsInput) { in.NextToken = aws.String("AAAA") }),
		"token of another filter": aggregate(func(in *inspector2.ListFindingAggregationsInput) {
			in.AggregationRequest = container(types.AwsEcrContainerAggregation{Repositories: filters("EQUALS", "app")})
			in.NextToken = first.NextToken
		}),
		"sorting": aggregate(func(in *inspector2.ListFindingAggregationsInput) {
			in.AggregationRequest = container(types.AwsEcrContainerAggregation{SortBy: types.AwsEcrContainerSortByAll})
		}),
		"comparison": aggregate(func(in *inspector2.ListFindingAggregationsInput) {
			in.AggregationRequest = container(types.AwsEcrContainerAggregation{Repositories: filters("CONTAINS", "app")})
		}),
		"empty value": aggregate(func(in *inspector2.ListFindingAggregationsInput) { in.AccountIds = filters("EQUALS", "") }),
		"eleven filters": aggregate(func(in *inspector2.ListFindingAggregationsInput) {
			in.AggregationRequest = container(types.AwsEcrContainerAggregation{ImageTags: filters("EQUALS", strings.Split("a b c d e f g h i j k", " ")...)})
		}),
		"no filter":          cover(types.CoverageFilterCriteria{ResourceType: []types.CoverageStringFilter{}}, 1, nil),
		"prefix of coverage": cover(types.CoverageFilterCriteria{ResourceType: coverage("PREFIX", "AWS")}, 1, nil),
		"no range":           cover(types.CoverageFilterCriteria{LastScannedAt: []types.CoverageDateFilter{}}, 1, nil),
		"functions":          cover(types.CoverageFilterCriteria{LambdaFunctionName: coverage("EQUALS", "f")}, 1, nil),
		"too much coverage":  cover(types.CoverageFilterCriteria{}, 201, nil),
		"token of a list":    cover(types.CoverageFilterCriteria{}, 1, first.NextToken),
	} {
		checkInspectorError[*types.ValidationException](t, name, err, 400)
	}

	ask := func() error { return cover(types.CoverageFilterCriteria{}, 1, nil) }
	srv.SetPolicy(parsePolicy(t, `{"Statement": {"Effect": "Allow", "Action": "inspector2:ListFindingAggregations", "Resource": "*"}}`))
	checkInspectorError[*smithy.GenericAPIError](t, "denied", ask(), 403)
	checkCode(t, "denied", ask(), "AccessDeniedException",
		"is not authorized to perform: inspector2:ListCoverage on resource: arn:aws:inspector2:eu-west-1:123456789012:/coverage/list because")
	if err := aggregate(func(*inspector2.ListFindingAggregationsInput) {}); err != nil {
		t.Errorf("allowed: %v", err)
	}
	srv.SetPolicy(nil)

	srv.SetRate("ListCoverage", 0.001, 1)
	if err := ask(); err != nil {
		t.Error(err)
	}
	checkInspectorError[*types.ThrottlingException](t, "over the rate", ask(), 429)
	srv.SetRate("ListCoverage", 0, 0)
	srv.Fail(ecrtest.Match{Operation: "ListCoverage"}, 1, ecrtest.Fault{Status: 500, Code: "InternalServerException"})
	checkInspectorError[*types.InternalServerException](t, "fault", ask(), 500)

	srv.RequireAccessKey(key)
	if err := ask(); err != nil {
		t.Errorf("signed: %v", err)
	}
	srv.RequireAccessKey("AKIDOTHER")
	checkCode(t, "another key", ask(), "UnrecognizedClientException", "")
	if got := srv.Errors()["UnrecognizedClientException"]; got != 1 || srv.Calls()["ListCoverage"] == 0 {
		t.Errorf("counted %v, %v", srv.Errors(), srv.Calls())
	}
}

// checkInspectorError expects an error of a type, under a status.
func checkInspectorError[E error](t *testing.T, name string, err error, status int) {
	t.Helper()
	_, ok := errors.AsType[E](err)
	resp, okResp := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || !okResp || resp.HTTPStatusCode() != status {
		t.Errorf("%s: %v", name, err)
	}
}
