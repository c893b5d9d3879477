package ecrtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// Every fault as the SDK's client gets to see it.
func TestFaults(t *testing.T) {
	t.Parallel()
	isAPI := func(code string, status int) func(error) bool {
		return func(err error) bool {
			api, ok := errors.AsType[smithy.APIError](err)
			resp, okResp := errors.AsType[*smithyhttp.ResponseError](err)
			return ok && okResp && api.ErrorCode() == code && resp.HTTPStatusCode() == status
		}
	}
	isStatus := func(status int) func(error) bool {
		return func(err error) bool {
			resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
			return ok && resp.HTTPStatusCode() == status
		}
	}
	isDecoding := func(err error) bool {
		_, ok := errors.AsType[*smithy.DeserializationError](err)
		return ok
	}
	for _, tc := range []struct {
		name  string
		fault ecrtest.Fault
		check func(error) bool
		saw   ecrtest.Request // Status and Code
	}{
		{"throttling", ecrtest.FaultThrottling, isAPI("ThrottlingException", 400), ecrtest.Request{Status: 400, Code: "ThrottlingException"}},
		{"throttle", ecrtest.FaultThrottle, isAPI("ThrottleException", 400), ecrtest.Request{Status: 400, Code: "ThrottleException"}},
		{"too many requests", ecrtest.FaultTooManyRequests, isAPI("TooManyRequestsException", 429), ecrtest.Request{Status: 429, Code: "TooManyRequestsException"}},
		{"bare 429", ecrtest.FaultBare429, isStatus(429), ecrtest.Request{Status: 429, Code: "HTTP 429"}},
		{"server fault", ecrtest.FaultServer, func(err error) bool {
			_, ok := errors.AsType[*types.ServerException](err)
			return ok && isStatus(500)(err)
		}, ecrtest.Request{Status: 500, Code: "ServerException"}},
		{"unavailable", ecrtest.FaultUnavailable, isStatus(503), ecrtest.Request{Status: 503, Code: "HTTP 503"}},
		{"reset", ecrtest.FaultReset, func(err error) bool { return errors.Is(err, syscall.ECONNRESET) || errors.Is(err, io.EOF) }, ecrtest.Request{Code: "reset"}},
		{"truncated", ecrtest.FaultTruncated, func(err error) bool {
			return isDecoding(err) && (errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, syscall.ECONNRESET))
		}, ecrtest.Request{Status: 200, Code: "damaged"}},
		{"garbage", ecrtest.FaultGarbage, isDecoding, ecrtest.Request{Status: 200, Code: "damaged"}},
		{"an error of one's own", ecrtest.Fault{Status: 418, Code: "TeapotException", Message: "short and stout"}, isAPI("TeapotException", 418), ecrtest.Request{Status: 418, Code: "TeapotException"}},
		{"slow body", ecrtest.Fault{BodyDelay: time.Millisecond}, func(err error) bool { return err == nil }, ecrtest.Request{Status: 200}},
		{"no fault at all", ecrtest.Fault{}, func(err error) bool { return err == nil }, ecrtest.Request{Status: 200}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			reg, srv, client := start(t, "app")
			putImages(t, reg, "app", 10)
			srv.Fail(ecrtest.Match{}, 1, tc.fault)
			describe := func() error {
				out, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
				if err == nil && len(out.ImageDetails) != 10 {
					t.Errorf("success with %d images", len(out.ImageDetails))
				}
				return err
			}
			if err := describe(); !tc.check(err) {
				t.Errorf("got %v", err)
			}
			if err := describe(); err != nil {
				t.Errorf("the call after: %v", err)
			}
			srv.Close() // so that all that happened is recorded
			got := srv.Requests()[0]
			if got.Status != tc.saw.Status || got.Code != tc.saw.Code || got.Operation != "DescribeImages" {
				t.Errorf("recorded %+v", got)
			}
			if tc.saw.Code != "" && srv.Errors()[tc.saw.Code] != 1 {
				t.Errorf("counted %v", srv.Errors())
			}
		})
	}
}

func TestFaultHeader(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t)
	srv.Fail(ecrtest.Match{}, 1, ecrtest.Fault{Status: 429, Header: http.Header{"Retry-After": {"7"}}})
	_, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
	resp, ok := errors.AsType[*smithyhttp.ResponseError](err)
	if !ok || resp.Response.Header.Get("Retry-After") != "7" {
		t.Errorf("%v", err)
	}
}

// Scripts apply to what they match, as often as they say, the first one first.
func TestFaultScripts(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t, "a1", "b1")
	images := func(name string) string {
		_, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: &name})
		return codeOf(err)
	}
	registry := func() string {
		_, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{})
		return codeOf(err)
	}
	fault := func(code string) ecrtest.Fault { return ecrtest.Fault{Status: 400, Code: code} }
	srv.Fail(ecrtest.Match{Operation: "DescribeImages"}, 2, fault("First"))
	srv.Fail(ecrtest.Match{RepositoryName: "a1"}, 1, fault("Second"))
	srv.Fail(ecrtest.Match{Operation: "DescribeRegistry", RepositoryName: "a1"}, ecrtest.Always, fault("Never"))
	srv.Fail(ecrtest.Match{}, 0, fault("Never"))
	srv.Fail(ecrtest.Match{RepositoryName: "b1"}, ecrtest.Always, fault("Always"))
	got := []string{registry(), images("b1"), images("a1"), images("a1"), images("a1"), images("b1"), images("b1"), registry()}
	srv.ClearFaults()
	got = append(got, images("b1"))
	want := []string{"", "First", "First", "Second", "", "Always", "Always", "", ""}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// codeOf is the API's code of an error, empty for none.
func codeOf(err error) string {
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		return api.ErrorCode()
	}
	if err != nil {
		return err.Error()
	}
	return ""
}

func TestVanish(t *testing.T) {
	t.Parallel()
	reg, srv, client := start(t, "a1", "b1")
	srv.Vanish("a1")
	for range 2 {
		out, err := client.DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
		if err != nil || len(out.Repositories) != 2 {
			t.Fatalf("%+v, %v", out, err)
		}
	}
	_, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("a1")})
	checkCode(t, "vanished", err, "RepositoryNotFoundException", "'a1'")
	if _, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("b1")}); err != nil {
		t.Error(err)
	}
	if got := reg.Totals().Repositories; got != 1 {
		t.Errorf("%d repositories are left", got)
	}
}

// Hooks run ahead of each request that matches, all of them, and may give the
// server further orders.
func TestBefore(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t, "app")
	var seen []string
	srv.Before(ecrtest.Match{Operation: "DescribeImages"}, 2, func(r ecrtest.Request) { seen = append(seen, "images of "+r.RepositoryName) })
	srv.Before(ecrtest.Match{}, ecrtest.Always, func(r ecrtest.Request) { seen = append(seen, r.Operation) })
	srv.Before(ecrtest.Match{}, 1, func(ecrtest.Request) { srv.Fail(ecrtest.Match{}, 1, ecrtest.FaultServer) })
	srv.Before(ecrtest.Match{}, 0, func(ecrtest.Request) { seen = append(seen, "never") })
	var codes []string
	for range 3 {
		_, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app")})
		codes = append(codes, codeOf(err))
	}
	want := []string{"images of app", "DescribeImages", "images of app", "DescribeImages", "DescribeImages"}
	if diff := cmp.Diff(want, seen); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ServerException", "", ""}, codes); diff != "" {
		t.Error(diff)
	}
}

func TestSignature(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t)
	srv.RequireAccessKey(key)
	describe := func(opts ...func(*ecr.Options)) error {
		_, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{}, opts...)
		return err
	}
	if err := describe(); err != nil {
		t.Errorf("signed: %v", err)
	}
	checkCode(t, "another key", describe(func(o *ecr.Options) {
		o.Credentials = aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIDOTHER", SecretAccessKey: "planted-secret-key"}, nil
		})
	}), "UnrecognizedClientException", "security token")
	header := func(value string) func(*ecr.Options) {
		return func(o *ecr.Options) { o.HTTPClient = authorizing{srv.Client(), value} }
	}
	checkCode(t, "unsigned", describe(header("")), "MissingAuthenticationTokenException", "Missing Authentication Token")
	const scope = "/20261120/eu-west-1/"
	checkCode(t, "for another service", describe(header("AWS4-HMAC-SHA256 Credential="+key+scope+"aps/aws4_request, SignedHeaders=host, Signature=0")),
		"InvalidSignatureException", "correct service: 'ecr'")
	checkCode(t, "a token", describe(header("Bearer "+key)), "IncompleteSignatureException", "algorithm")
	checkCode(t, "no signature", describe(header("AWS4-HMAC-SHA256 Credential="+key+scope+"ecr/aws4_request, SignedHeaders=host")),
		"IncompleteSignatureException", "Signature")
	checkCode(t, "no scope", describe(header("AWS4-HMAC-SHA256 Credential="+key+", SignedHeaders=host, Signature=0")),
		"IncompleteSignatureException", "Credential")
}

// authorizing sends requests with an Authorization header of its own: the SDK's
// client always signs.
type authorizing struct {
	client *http.Client
	header string
}

func (a authorizing) Do(r *http.Request) (*http.Response, error) {
	if r.Header.Del("Authorization"); a.header != "" {
		r.Header.Set("Authorization", a.header)
	}
	return a.client.Do(r)
}

func TestObserved(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t, "app")
	arrived, release := make(chan struct{}), make(chan struct{})
	srv.Before(ecrtest.Match{Operation: "DescribeImages"}, 3, func(ecrtest.Request) {
		arrived <- struct{}{}
		<-release
	})
	var calls sync.WaitGroup
	for range 3 {
		calls.Go(func() {
			_, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), MaxResults: aws.Int32(7)})
			if err != nil {
				t.Error(err)
			}
		})
	}
	for range 3 {
		<-arrived
	}
	for _, r := range srv.Requests() {
		if r.Status != 0 || r.RepositoryName != "app" || r.MaxResults != 7 || !requestID.MatchString(r.ID) || r.At.IsZero() {
			t.Errorf("in flight: %+v", r)
		}
	}
	close(release)
	calls.Wait()
	if _, err := client.DescribeRegistry(t.Context(), &ecr.DescribeRegistryInput{}); err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]int{"DescribeImages": 3, "DescribeRegistry": 1}, srv.Calls()); diff != "" {
		t.Error(diff)
	}
	if got := srv.MaxInFlight(); got != 3 {
		t.Errorf("%d requests in flight", got)
	}
	srv.ResetObserved()
	if n := len(srv.Requests()) + len(srv.Calls()) + len(srv.Errors()) + srv.MaxInFlight(); n != 0 {
		t.Errorf("not forgotten: %v, %v, %v, %d", srv.Requests(), srv.Calls(), srv.Errors(), srv.MaxInFlight())
	}
}

// A request has ended once the client has its response, however large that is.
func TestOneAfterTheOther(t *testing.T) {
	t.Parallel()
	reg, srv, client := start(t, "app")
	putImages(t, reg, "app", 200)
	for range 200 {
		if _, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app"), MaxResults: aws.Int32(1000)}); err != nil {
			t.Fatal(err)
		}
		if last := srv.Requests()[len(srv.Requests())-1]; last.Status != 200 || last.Done.IsZero() {
			t.Fatalf("after its response: %+v", last)
		}
	}
	if n := srv.MaxInFlight(); n != 1 {
		t.Errorf("%d requests in flight", n)
	}
}

// What is recorded of requests is bounded; what is counted is not.
func TestRequestsAreBounded(t *testing.T) {
	t.Parallel()
	srv := ecrtest.New(ecrtest.NewRegistry(account, region))
	const bound, more = 10_000, 7
	for i := range bound + more {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "/", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if req.Header.Set("X-Amz-Target", targetPrefix+"DescribeRegistry"); i < more {
			req.Header.Set("X-Amz-Target", "first ones")
		}
		srv.ServeHTTP(discard{}, req)
	}
	requests := srv.Requests()
	if len(requests) != bound || srv.Calls()["DescribeRegistry"] != bound || srv.Calls()["first ones"] != more {
		t.Errorf("%d requests, %v", len(requests), srv.Calls())
	}
	for i, r := range requests {
		if r.Operation != "DescribeRegistry" || i > 0 && r.At.Before(requests[i-1].At) {
			t.Fatalf("request %d: %+v", i, r)
		}
	}
}

// discard is a response nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// The SDK's own retries get past what the SDK takes for transient.
func TestRetriesGetThrough(t *testing.T) {
	t.Parallel()
	_, srv, _ := start(t, "app")
	client := newClient(srv, func(o *ecr.Options) {
		o.RetryMaxAttempts = 10
		o.Retryer = retry.NewStandard(func(so *retry.StandardOptions) {
			so.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	})
	for _, fault := range []ecrtest.Fault{
		ecrtest.FaultThrottling, ecrtest.FaultTooManyRequests, ecrtest.FaultServer, ecrtest.FaultUnavailable, ecrtest.FaultReset,
	} {
		srv.Fail(ecrtest.Match{}, 1, fault)
	}
	if _, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{RepositoryName: aws.String("app")}); err != nil {
		t.Error(err)
	}
	if got := srv.Calls()["DescribeImages"]; got != 6 {
		t.Errorf("%d calls", got)
	}
}
