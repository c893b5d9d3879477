package ecrtest_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

const targetPrefix = "AmazonEC2ContainerRegistry_V20150921."

var requestID = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// What a client that does not speak the API as the SDK does gets to see.
func TestWire(t *testing.T) {
	t.Parallel()
	reg, srv, _ := start(t, "app")
	putImage(t, reg, "app", ecrtest.Image{Digest: ecrtest.Digest("x"), PushedAt: now})
	const (
		serialization = `{"__type":"SerializationException"}`
		unknown       = `{"__type":"UnknownOperationException"}`
	)
	for _, tc := range []struct {
		name, method, path, target, body string
		status                           int
		want                             string
	}{
		{
			name: "times are seconds", target: "DescribeImages", body: `{"repositoryName":"app"}`, status: 200,
			want: `{"imageDetails":[{"registryId":"123456789012","repositoryName":"app","imageDigest":"` + ecrtest.Digest("x") + `","imagePushedAt":1795176000}]}`,
		},
		{
			name: "lists are never null", target: "DescribeImages", body: `{"repositoryName":"app","filter":{"tagStatus":"TAGGED"}}`,
			status: 200, want: `{"imageDetails":[]}`,
		},
		{
			name: "unknown members are ignored", target: "DescribeRegistry", body: `{"surprise":[1]}`, status: 200,
			want: `{"registryId":"123456789012","replicationConfiguration":{"rules":[]}}`,
		},
		{name: "unknown operation", target: "DescribeEverything", body: `{}`, status: 400, want: unknown},
		{name: "no target", body: `{}`, status: 400, want: unknown},
		{name: "another method", method: http.MethodGet, target: "DescribeRegistry", status: 400, want: unknown},
		{name: "another path", path: "/v2/", target: "DescribeRegistry", body: `{}`, status: 400, want: unknown},
		{name: "no body", target: "DescribeRegistry", status: 400, want: serialization},
		{name: "no JSON", target: "DescribeRegistry", body: `{"a":`, status: 400, want: serialization},
		{name: "no object", target: "DescribeRegistry", body: `[]`, status: 400, want: `{"__type":"SerializationException","message":"array can not be converted to the type of "}`},
		{
			name: "a member of another type", target: "DescribeImages", body: `{"repositoryName":7}`, status: 400,
			want: `{"__type":"SerializationException","message":"number can not be converted to the type of repositoryName"}`,
		},
		{name: "a body beyond all bounds", target: "DescribeRegistry", body: `{"a":"` + strings.Repeat("a", 1<<20) + `"}`, status: 400, want: serialization},
		{
			name: "no repository name", target: "DescribeImages", body: `{}`, status: 400,
			want: `{"__type":"InvalidParameterException","message":"Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must not be null'"}`,
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			if tc.method == "" {
				tc.method = http.MethodPost
			}
			req, err := http.NewRequestWithContext(t.Context(), tc.method, srv.URL()+tc.path, strings.NewReader(tc.body))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/x-amz-json-1.1")
			if tc.target != "" {
				req.Header.Set("X-Amz-Target", targetPrefix+tc.target)
			}
			resp, err := srv.Client().Do(req)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			got, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, string(got)); diff != "" || resp.StatusCode != tc.status {
				t.Errorf("status %d, want %d; body:\n%s", resp.StatusCode, tc.status, diff)
			}
			if got := resp.Header.Get("Content-Type"); got != "application/x-amz-json-1.1" {
				t.Errorf("content type %q", got)
			}
			if got := resp.Header.Get("X-Amzn-Requestid"); !requestID.MatchString(got) {
				t.Errorf("request id %q", got)
			}
		})
	}
}

// Whatever is sent to whatever operation, the answer is a success or a modelled
// error of the client's, never a fault of the server.
func FuzzRequest(f *testing.F) {
	for _, body := range []string{
		`{}`, `null`, `[]`, `{"repositoryName":"app"}`, `{"repositoryName":"app","maxResults":0,"nextToken":""}`,
		`{"repositoryNames":[],"registryId":"1"}`, `{"repositoryName":"app","imageIds":[{}],"filter":{"imageStatus":"ANY"}}`,
		`{"repositoryName":"app","imageIds":[{"imageDigest":"sha256:","imageTag":"v1"}]}`, `{"repositoryNames":["a/b","\u0000"]}`,
		`{"principalArn":"arn:aws:iam::123456789012:role/a"}`, `{"repositoryName":"payments/api","imageId":{"imageTag":"latest"},"maxResults":1}`, `{"filterCriteria":{"resourceType":[{"comparison":"EQUALS"}]}}`,
		`{"aggregationType":"AWS_ECR_CONTAINER","aggregationRequest":{"awsEcrContainerAggregation":{"repositories":[{"comparison":"PREFIX","value":"a"}]}}}`,
	} {
		for _, op := range []string{
			"DescribeRegistry", "DescribeRepositories", "DescribeImages", "DescribeImageScanFindings", "GetRegistryScanningConfiguration",
			"BatchGetImage", "ListPullTimeUpdateExclusions", "RegisterPullTimeUpdateExclusion", "DeregisterPullTimeUpdateExclusion",
			"/findings/aggregation/list", "/coverage/list",
		} {
			f.Add(op, []byte(body))
		}
	}
	reg := ecrtest.NewRegistry(account, region)
	if err := reg.Generate(1, ecrtest.RealisticShape(5, 20, now)); err != nil {
		f.Fatal(err)
	}
	if err := reg.SetScanning(ecrtest.Scanning{Type: "ENHANCED"}); err != nil {
		f.Fatal(err)
	}
	srv := ecrtest.New(reg)
	f.Fuzz(func(t *testing.T, op string, body []byte) {
		req := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		if strings.HasPrefix(op, "/") {
			req.URL.Path = op
		} else {
			req.Header.Set("X-Amz-Target", targetPrefix+op)
		}
		rec := httptest.NewRecorder()
		srv.ServeHTTP(rec, req)
		var answer struct {
			Type string `json:"__type"`
		}
		if err := json.Unmarshal(rec.Body.Bytes(), &answer); err != nil {
			t.Fatalf("%d: not JSON: %q", rec.Code, rec.Body)
		}
		if code := rec.Header().Get("X-Amzn-Errortype"); code != "" {
			answer.Type = code
		}
		if ok := rec.Code == http.StatusOK && answer.Type == "" || rec.Code == http.StatusBadRequest && answer.Type != ""; !ok {
			t.Fatalf("%d: %q", rec.Code, rec.Body)
		}
	})
}
