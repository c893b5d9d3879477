package main

import (
	"bytes"
	"crypto/tls"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// serve serves without any check of the requests, and counts them. A path such as /403 is
// the status of the response.
func serve(t *testing.T, start func(*httptest.Server)) (server *httptest.Server, requests *int) {
	t.Helper()
	requests = new(int)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		*requests++
		if status, err := strconv.Atoi(r.URL.Path[1:]); err == nil {
			http.Error(w, "the reason", status)
		}
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	start(server)
	t.Cleanup(server.Close)
	return server, requests
}

// What people read on standard error, to the last word. URL stands for the endpoint's, and
// TIME for a duration.
func TestTexts(t *testing.T) {
	s := surround(t)
	// An image without a tag has no series.
	if err := s.registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest("2"), PushedAt: time.Unix(2, 0)}); err != nil {
		t.Fatal(err)
	}
	untrusted, untrustedRequests := serve(t, (*httptest.Server).StartTLS)
	mutual, mutualRequests := serve(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MaxVersion: tls.VersionTLS12}
		s.StartTLS()
	})
	plain, _ := serve(t, (*httptest.Server).Start)
	closed, _ := serve(t, (*httptest.Server).Start)
	closed.Close()
	ca := "REMOTE_WRITE_CA=" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: mutual.Certificate().Raw}))
	events := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(events, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	elsewhere := string(sample(t, "image-push.json"))
	push := strings.ReplaceAll(elsewhere, "eu-central-1", region)
	app, other := write("app", strings.ReplaceAll(push, "payments/api", "app")), write("other", push)
	foreign, failed := write("foreign", elsewhere), write("failed", strings.ReplaceAll(push, "SUCCESS", "FAILURE"))
	defer func(d time.Duration) { unreachableFor = d }(unreachableFor)
	unreachableFor = 100 * time.Millisecond

	const (
		noCredentials = "ecr-remote-write: no AWS credentials: log in (\"aws sso login\"), set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY\n"
		leftOut       = "The event is about another registry, or about a repository that REPOSITORIES_INCLUDE or REPOSITORIES_EXCLUDE leaves out: nothing was pushed.\n"
		lost          = "ecr-remote-write: remote write of 4 series to URL"
	)
	without := map[string]string{"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
	for _, c := range []struct {
		name    string
		args    []string
		url     string
		environ []string
		aws     map[string]string
		code    int
		// stdout is the beginning of standard output, empty if there is none.
		stdout, stderr string
	}{
		{name: "pushed", args: []string{"-once"}, stdout: "{\n  \"timestamp\"", stderr: "Pushed 4 series of 1 repository and 2 images to URL in TIME.\n"},
		{
			name: "printed", args: []string{"-dry-run"}, environ: []string{"SCHEDULE=rate(5 minutes)"}, stdout: "# HELP aws_ecr_repository_count",
			stderr: "Printed 4 series of 1 repository and 2 images in TIME; nothing was pushed.\n" +
				`A month of 30 days with a push every 5m0s, at the prices of 2026-11-01 in us-east-1:
IDLE_IMAGES                                                           push           never
aws_ecr_repository_count                                                 1               1
aws_ecr_repository_info                                                  1               1
aws_ecr_image_pushed_at_timestamp_seconds                                1               0
aws_ecr_repository_exporter_up                                           1               1
run metrics                                                             44              44
series                                                                  48              47
samples a month                                                    414,720         406,080
AMP ingestion                                                        $0.00           $0.00
AMP storage                                                          $0.00           $0.00
AMP queries of the function                                          $0.00           $0.00
Lambda                                                               $0.01           $0.01
S3                                                                   $0.00           $0.00
SQS                                                                  $0.32           $0.32
CloudWatch metrics                                                   $0.90           $0.90
CloudWatch logs                                                      $0.01           $0.01
total a month                                                        $1.24           $1.24
AMP for the same series scraped every 60 s                           $0.00           $0.00
`,
		},
		{name: "cost", args: []string{"-cost"}, stdout: "A month of 30 days with a push every 2m0s, at the prices of 2026-11-01 in us-east-1:\nIDLE_IMAGES "},
		{name: "cost in brief", args: []string{"-cost", "-brief"}, stdout: "About $1.26 a month for 1 tagged image (70 series, "},
		{name: "no credentials, cost", args: []string{"-cost"}, aws: without, code: 1, stderr: noCredentials},
		{name: "no credentials, push", args: []string{"-once"}, aws: without, code: 1, stderr: noCredentials},
		{name: "no credentials, dry run", args: []string{"-dry-run"}, aws: without, code: 1, stderr: noCredentials},
		{name: "no credentials, state in S3", args: []string{"-dump", "-state", "s3://my-bucket/x"}, aws: without, code: 1, stderr: noCredentials},
		{
			name: "nothing listens", args: []string{"-once"}, url: closed.URL, code: 1,
			stderr: "The first attempt failed, trying again for up to 100ms: remote write of 4 series to URL: dial tcp HOST: connect: connection refused\n" +
				lost + ", N attempts: dial tcp HOST: connect: connection refused\n" +
				"  Nothing can be reached there: correct the host and port of REMOTE_WRITE_URL, or start the endpoint.\n",
		},
		{
			name: "401", args: []string{"-once"}, environ: []string{"REMOTE_WRITE_AUTH=bearer", "REMOTE_WRITE_BEARER_TOKEN=x"}, url: plain.URL + "/401", code: 1,
			stderr: lost + ": HTTP 401 \"the reason\"\n  The token is wrong or has expired: correct REMOTE_WRITE_BEARER_TOKEN.\n",
		},
		{
			name: "401 with a password", args: []string{"-once"}, environ: []string{"REMOTE_WRITE_AUTH=basic", "REMOTE_WRITE_USERNAME=me", "REMOTE_WRITE_PASSWORD=x"}, url: plain.URL + "/401", code: 1,
			stderr: lost + ": HTTP 401 \"the reason\"\n  The user name or password is wrong: correct REMOTE_WRITE_USERNAME and REMOTE_WRITE_PASSWORD.\n",
		},
		{
			name: "403 without authentication", args: []string{"-once"}, environ: []string{"REMOTE_WRITE_AUTH=none"}, url: plain.URL + "/403", code: 1,
			stderr: lost + ": HTTP 403 \"the reason\"\n  Requests are sent without authentication: set REMOTE_WRITE_AUTH to sigv4, or set REMOTE_WRITE_USERNAME and REMOTE_WRITE_PASSWORD, REMOTE_WRITE_BEARER_TOKEN or REMOTE_WRITE_HEADERS.\n",
		},
		{
			name: "403 from AMP", args: []string{"-once"}, url: plain.URL + "/403", code: 1,
			stderr: lost + ": HTTP 403 \"the reason\"\n  The AWS identity needs aps:RemoteWrite on the workspace. Or the requests are signed for another Region than the workspace's: set REMOTE_WRITE_REGION. A workspace of another account needs REMOTE_WRITE_ROLE_ARN or a resource policy.\n",
		},
		{
			name: "404", args: []string{"-once"}, url: plain.URL + "/404", code: 1,
			stderr: lost + ": HTTP 404 \"the reason\"\n  The path of REMOTE_WRITE_URL is wrong: most endpoints have /api/v1/write, AMP /workspaces/ID/api/v1/remote_write.\n",
		},
		{
			name: "untrusted certificate", args: []string{"-once"}, url: untrusted.URL, code: 1,
			stderr: lost + ": tls: failed to verify certificate: x509: certificate signed by unknown authority\n" +
				"  The endpoint's certificate is not trusted: set REMOTE_WRITE_CA to the certificate of its authority (file:PATH), or correct the host in REMOTE_WRITE_URL.\n",
		},
		{
			name: "no client certificate", args: []string{"-once"}, url: mutual.URL, environ: []string{ca}, code: 1,
			stderr: lost + ": remote error: tls: handshake failure\n" +
				"  The endpoint ended the TLS handshake, most often because it requires a client certificate: set REMOTE_WRITE_CLIENT_CERTIFICATE and REMOTE_WRITE_CLIENT_KEY (file:PATH).\n",
		},
		{
			name: "no TLS", args: []string{"-once"}, url: strings.Replace(plain.URL, "http:", "https:", 1), code: 1,
			stderr: lost + ": http: server gave HTTP response to HTTPS client\n  The endpoint does not use TLS: begin REMOTE_WRITE_URL with http://, or correct its port.\n",
		},
		{name: "event", args: []string{"-event", app}, stdout: "{\n", stderr: "Pushed 2 series of app to URL in TIME.\n"},
		{name: "event of a missing repository", args: []string{"-event", other}, stdout: "{\n", stderr: "There is no repository payments/api in the registry.\nNothing was pushed.\n"},
		{
			name: "event of an excluded repository", args: []string{"-event", app}, environ: []string{"REPOSITORIES_EXCLUDE=app"}, stdout: "{\n",
			stderr: leftOut,
		},
		{
			name: "event of another Region", args: []string{"-event", foreign}, stdout: "{\n",
			stderr: "time=WHEN level=WARN msg=\"event of another registry ignored\" repository=payments/api account=123456789012 region=eu-central-1\n" + leftOut,
		},
		{name: "event that changes nothing", args: []string{"-event", failed}, stderr: "The event changes no series: nothing was pushed.\n"},
		{
			name: "misspelt setting", args: []string{"-once"}, environ: []string{"REPOSITORY_INCLUDE=x"}, stdout: "{\n",
			stderr: "time=WHEN level=WARN msg=\"REPOSITORY_INCLUDE is not a setting, and ignored; did you mean REPOSITORIES_INCLUDE?\"\n" +
				"Pushed 4 series of 1 repository and 2 images to URL in TIME.\n",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			for name, value := range c.aws {
				t.Setenv(name, value)
			}
			url := s.receiver.URL.String()
			if c.url != "" {
				url = c.url
			}
			var stdout, stderr bytes.Buffer
			environ := s.environ(append([]string{fewFamilies, "REMOTE_WRITE_PROTOCOL=1.0", "REMOTE_WRITE_URL=" + url}, c.environ...)...)
			if code := run(c.args, environ, &stdout, &stderr); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			got := stderr.String()
			for _, r := range [][2]string{
				{regexp.QuoteMeta(url), "URL"}, {`127\.0\.0\.1:\d+`, "HOST"}, {`in [\d.]+m?s`, "in TIME"}, {`, \d+ attempts`, ", N attempts"}, {`[\d.]+ k?M?B`, "SIZE"}, {`time=\S+`, "time=WHEN"},
			} {
				got = regexp.MustCompile(r[0]).ReplaceAllString(got, r[1])
			}
			if diff := cmp.Diff(c.stderr, got); diff != "" {
				t.Errorf("standard error (-want +got):\n%s", diff)
			}
			if !strings.HasPrefix(stdout.String(), c.stdout) || (c.stdout == "") != (stdout.Len() == 0) {
				t.Errorf("standard output\n%s\nwant %q", &stdout, c.stdout)
			}
		})
	}
	if *untrustedRequests+*mutualRequests > 0 {
		t.Errorf("%d requests without trust, %d without a client certificate", *untrustedRequests, *mutualRequests)
	}
}

// fewFamilies leaves out families of which the numbers of series in these texts would follow.
const fewFamilies = "FAMILIES_EXCLUDE=aws_ecr_repository_(created|images|size|newest|refreshed|findings).*|aws_ecr_registry_.*"

// With TLS 1.3 the alert can be lost in the first attempt, with the connection.
func TestNoClientCertificate(t *testing.T) {
	s := surround(t)
	server, requests := serve(t, func(s *httptest.Server) {
		s.TLS = &tls.Config{ClientAuth: tls.RequireAnyClientCert, MinVersion: tls.VersionTLS13}
		s.StartTLS()
	})
	ca := "REMOTE_WRITE_CA=" + string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	var stdout, stderr bytes.Buffer
	code := run([]string{"-once"}, s.environ(fewFamilies, "REMOTE_WRITE_URL="+server.URL, ca), &stdout, &stderr)
	want := regexp.MustCompile(`remote write of 4 series to \S+(, \d attempts)?: (readLoopPeekFailLocked: )?remote error: tls: certificate required\n  The endpoint ended the TLS handshake, .*\n$`)
	if code != 1 || *requests > 0 || !want.Match(stderr.Bytes()) {
		t.Errorf("exit code %d, %d requests, standard error\n%s", code, *requests, &stderr)
	}
}

// Credentials that AWS refuses: the error, and nothing that hides it.
func TestRefusedCredentials(t *testing.T) {
	s := surround(t)
	s.server.RequireAccessKey("another")
	var stdout, stderr bytes.Buffer
	code := run([]string{"-once"}, s.environ(), &stdout, &stderr)
	if lines := strings.Split(strings.TrimSpace(stderr.String()), "\n"); code != 1 || stdout.Len() > 0 || strings.Contains(stderr.String(), "Pushed") ||
		!strings.HasPrefix(lines[len(lines)-1], "  AWS does not accept the credentials, which may have expired: log in") {
		t.Errorf("exit code %d, standard output\n%s\nstandard error\n%s", code, &stdout, &stderr)
	}
}

// A push of which something was lost has its numbers and the error.
func TestPartlyPushed(t *testing.T) {
	s := surround(t)
	s.receiver.Answer(remotewritetest.Answer{Status: 400, Refuse: func(series remotewritetest.Series) string {
		if series.Labels["__name__"] == "aws_ecr_image_size_in_bytes" {
			return "out of order"
		}
		return ""
	}})
	for i := range 1200 {
		if err := s.registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest(fmt.Sprint(i)), Tags: []string{fmt.Sprint("t", i)}, PushedAt: time.Unix(1, 0), SizeBytes: new(int64(1))}); err != nil {
			t.Fatal(err)
		}
	}
	var stdout, stderr bytes.Buffer
	code := run([]string{"-once"}, s.environ(fewFamilies, "REMOTE_WRITE_PROTOCOL=2.0"), &stdout, &stderr)
	want := regexp.MustCompile(`^Pushed 1,203 of 2,403 series of 1 repository and 1,200 images to http://\S+ in \S+\.\n` +
		`ecr-remote-write: remote write of 1,200 series to http://\S+: HTTP 400, 1,203 of 2,403 samples written\n$`)
	if code != 1 || !want.Match(stderr.Bytes()) || !strings.Contains(stdout.String(), `"refused": 1200`) {
		t.Errorf("exit code %d, standard output\n%s\nstandard error\n%s", code, &stdout, &stderr)
	}
}
