package ecr_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// fixedResponse responds to every request in the same way.
type fixedResponse struct {
	status    int
	errorType string
	body      []byte
}

func (a fixedResponse) RoundTrip(req *http.Request) (*http.Response, error) {
	header := http.Header{"Content-Type": {"application/x-amz-json-1.1"}}
	if a.errorType != "" {
		header.Set("X-Amzn-Errortype", a.errorType)
	}
	return &http.Response{
		StatusCode: a.status, Header: header, Body: io.NopCloser(bytes.NewReader(a.body)),
		ContentLength: int64(len(a.body)), Request: req,
	}, nil
}

// Any response leads to a result or an error. ErrGone and ErrDenied need a response with
// that meaning.
func FuzzResponses(f *testing.F) {
	for _, seed := range []struct {
		status          int
		errorType, body string
	}{
		{200, "", `{"registryId":"123456789012"}`},
		{200, "", `{"repositories":[{"repositoryName":"app","createdAt":1.6e9},{}],"nextToken":"next"}`},
		{200, "", `{"imageDetails":[{"imageDigest":"sha256:00","imageTags":["v1",""],"imageSizeInBytes":-1}],"nextToken":"next"}`},
		{200, "", `{"imageScanStatus":{"status":"COMPLETE"},"imageScanFindings":{"imageScanCompletedAt":1e30,"findingSeverityCounts":{"HIGH":1e12}}}`},
		{200, "", `<html>a proxy's page</html>`},
		{400, "", `{"__type":"RepositoryNotFoundException","message":"no such repository"}`},
		{400, "", `{"__type":"com.amazonaws.ecr#ScanNotFoundException:http://internal.amazon.com/"}`},
		{400, "ImageNotFoundException:", `{}`},
		{400, "", `{"__type":"InvalidParameterException","message":"Invalid token"}`},
		{400, "", `{"__type":"ThrottlingException","message":"Rate exceeded"}`},
		{400, "", `{"__type":{"a":1},"message":["x"]}`},
		{403, "", `{"__type":"AccessDeniedException","Message":"planted"}`},
		{404, "", ``},
		{429, "", `slow down`},
		{500, "", "{\"__type\":\"ServerException\",\"message\":\"\xff\"}"},
		{503, "", `[`},
	} {
		f.Add(seed.status, seed.errorType, []byte(seed.body))
	}
	f.Fuzz(func(t *testing.T, status int, errorType string, body []byte) {
		if status < 200 || status > 599 || status/100 == 3 {
			t.Skip("not a response of an API")
		}
		synctest.Test(t, func(t *testing.T) { // retries wait
			const secret = "planted-secret-key"
			c := ecr.New(aws.Config{
				Region: region, HTTPClient: &http.Client{Transport: fixedResponse{status, errorType, body}},
				Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", secret, ""),
			}, ecr.Options{})
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			response := errorType + string(body)
			digest, err := inventory.ParseDigest("sha256:" + strings.Repeat("0", 64))
			check(t, err)
			for name, call := range map[string]func() (nothing bool, err error){
				"RegistryID":      func() (bool, error) { id, err := c.RegistryID(ctx); return id == "", err },
				"ScanType":        func() (bool, error) { scanType, _, err := c.ScanType(ctx); return scanType == "", err },
				"LifecyclePolicy": func() (bool, error) { there, err := c.LifecyclePolicy(ctx, "app"); return !there, err },
				"Tags":            func() (bool, error) { tags, err := c.Tags(ctx, "arn"); return len(tags) == 0, err },
				"Details": func() (bool, error) {
					details, err := c.Details(ctx, nil)
					return len(details.CacheRules)+len(details.Replication) == 0 || err != nil, err // which can have a part
				},
				"Repositories": func() (bool, error) { all, err := c.Repositories(ctx); return len(all) == 0, err },
				"Repository":   func() (bool, error) { r, err := c.Repository(ctx, "app"); return r == nil, err },
				"Images":       func() (bool, error) { all, _, err := c.Images(ctx, "app", "token"); return len(all) == 0, err },
				"Scan": func() (bool, error) {
					scan, err := c.Scan(ctx, "app", digest)
					// A missing scan is not an error.
					return scan == nil || scan.Status == inventory.ScanNotFound || scan.Status == inventory.ScanImageNotFound, err
				},
			} {
				nothing, err := call()
				if status/100 != 2 && !nothing || err != nil && !nothing {
					t.Errorf("%s: a result from %d %q: %v", name, status, body, err)
				}
				if status/100 != 2 && err == nil && name != "Scan" && name != "LifecyclePolicy" {
					t.Errorf("%s: no error from %d %q", name, status, body)
				}
				if errors.Is(err, awsapi.ErrGone) && status/100 != 2 && !strings.Contains(response, "RepositoryNotFoundException") {
					t.Errorf("%s: gone by %d %q: %v", name, status, body, err)
				}
				if errors.Is(err, awsapi.ErrDenied) && status != http.StatusForbidden && !strings.Contains(response, "AccessDeniedException") {
					t.Errorf("%s: denied by %d %q: %v", name, status, body, err)
				}
				if err != nil && !strings.Contains(response, secret) && strings.Contains(err.Error(), secret) {
					t.Errorf("%s shows the secret key: %v", name, err)
				}
			}
		})
	})
}
