package main

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/ecr"

	"github.com/aws-exporters/ecr-remote-write/pkg/config"
)

// Calls to AWS name the program and its version, so that CloudTrail's records do.
func TestUserAgentOfAWS(t *testing.T) {
	got := make(chan string, 1)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got <- r.UserAgent()
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		io.WriteString(w, "{}")
	}))
	defer server.Close()
	for variable, value := range map[string]string{
		"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": "AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY": "secret",
	} {
		t.Setenv(variable, value)
	}
	c, err := awsConfig(t.Context(), &config.Config{ECRConcurrency: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ecr.NewFromConfig(c).DescribeRegistry(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if agent := <-got; !regexp.MustCompile(`\becr-remote-write/` + regexp.QuoteMeta(versionText()) + `( |$)`).MatchString(agent) {
		t.Errorf("User-Agent is %q", agent)
	}
}
