package fleet_test

import (
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/fleet"
)

type transport func(*http.Request) (*http.Response, error)

// RoundTrip calls the function.
func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// What is no name of a Region, or not enabled, is left out: messages about it would be dropped.
func TestEnabledRegions(t *testing.T) {
	t.Parallel()
	const response = `<DescribeRegionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><regionInfo>
<item><regionName>us-east-1</regionName><optInStatus>opt-in-not-required</optInStatus></item>
<item><regionName>../plan</regionName><optInStatus>opted-in</optInStatus></item>
<item><regionName>ap-east-1</regionName><optInStatus>not-opted-in</optInStatus></item>
<item><regionName>af-south-1</regionName><optInStatus>opted-in</optInStatus></item>
</regionInfo></DescribeRegionsResponse>`
	cfg := aws.Config{
		Region: "eu-west-1", Credentials: credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
		HTTPClient: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(response)), Request: r}, nil
		})},
	}
	got, err := fleet.EnabledRegions(t.Context(), cfg, awsapi.NewLimiter(10))
	if !slices.Equal(got, []string{"af-south-1", "us-east-1"}) || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
