//go:build unix

package main

import (
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// The user's environment must not direct the function to a real registry, endpoint or
// state.
func TestFunctionEnv(t *testing.T) {
	t.Parallel()
	r, err := localtest.StartRegistry(time.Now(), 4, 20, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Server.Close()
	setup := functionSetup{
		registry:    r,
		remoteWrite: "http://127.0.0.1:1/api/v1/write",
		environ: []string{
			"HOME=/home/user", "AWS_PROFILE=production", "AWS_ENDPOINT_URL=https://example.com", "HTTPS_PROXY=http://proxy:3128",
			"REMOTE_WRITE_URL=https://example.com/write", "REMOTE_WRITE_AUTH=sigv4", "ECR_REGISTRY_ID=999999999999", "STATE_URL=file:///state",
			"SCAN_SOURCE=none", "STATE_SAVE_INTERVAL=1s",
			"REMOTE_WRITE_MAX_SERIES=100", "LOG_LEVEL=DEBUG", "EXTERNAL_LABELS=team=a=b", "ECR_REQUESTS_PER_SECOND=5", "SCAN_REQUESTS_PER_SECOND=2",
		},
	}
	want := []string{
		"AWS_ENDPOINT_URL=" + r.Server.URL(),
		"REMOTE_WRITE_URL=http://127.0.0.1:1/api/v1/write",
		"CACHE_REFRESH_INTERVAL=1s",
		"ECR_REQUESTS_PER_SECOND=1000",
		"SCAN_REQUESTS_PER_SECOND=10000",
		"REPOSITORY_TAGS=team,cost-center", "LIFECYCLE_POLICIES=true", "REGISTRY_DETAILS=true", "FAMILIES_INCLUDE=.*",
		"REMOTE_WRITE_MAX_SERIES=100", "LOG_LEVEL=DEBUG", "EXTERNAL_LABELS=team=a=b", "ECR_REQUESTS_PER_SECOND=5", "SCAN_REQUESTS_PER_SECOND=2",
	}
	if diff := cmp.Diff(want, setup.env()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A port that is taken is replaced by any other, and that is said.
func TestTakenPort(t *testing.T) {
	t.Parallel()
	text, err := localtest.FreePort(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:"+text)
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	var out strings.Builder
	s := &session{stdout: &out}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := s.free(t.Context(), port, "PORT"); got != 0 || out.String() != "port "+text+" is taken, using another one; PORT=N sets it\n" {
		t.Errorf("port %d, output %q", got, &out)
	}
	out.Reset()
	if got := s.free(t.Context(), 0, "PORT"); got != 0 || out.String() != "" {
		t.Errorf("port %d, output %q", got, &out)
	}
	if err := listener.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.free(t.Context(), port, "PORT"); got != port || out.String() != "" {
		t.Errorf("port %d, output %q", got, &out)
	}
}
