package main

import (
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/auth"
	"github.com/aws-exporters/ecr-remote-write/pkg/config"
	"github.com/aws-exporters/ecr-remote-write/pkg/secret"
)

// References that are good settings are good references, so that a bad one is found
// before anything runs.
func TestSettingsReferences(t *testing.T) {
	t.Parallel()
	const arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:team/x_+=.@-a1B2c3"
	accepted := 0
	for _, text := range []string{
		"secretsmanager:" + arn, "secretsmanager:" + arn + "#key", "secretsmanager:" + arn + "#a b", "secretsmanager:" + arn + "#a#b", "secretsmanager:" + arn + "#",
		"secretsmanager:arn:aws-cn:secretsmanager:cn-north-1:111122223333:secret:x", "secretsmanager:name", "secretsmanager:",
		"ssm:name", "ssm:/a/b.c_d-e", "ssm:/a:3", "ssm:a:label", "ssm:a b", "ssm:", "file:/a b", "file:a", "file:", "file:a\x00",
	} {
		if _, err := config.Load([]string{"REMOTE_WRITE_BEARER_TOKEN=" + text}, config.ToPrint); err != nil {
			continue
		}
		accepted++
		if r, err := secret.Parse(text); err != nil || r.Literal() {
			t.Errorf("%q is accepted as a setting, and as a reference it is %v, %v", text, r, err)
		}
	}
	if accepted < 8 {
		t.Errorf("%d were accepted, want 8 at least", accepted)
	}
}

// Headers that cannot be set are refused as settings.
func TestSettingsHeaders(t *testing.T) {
	t.Parallel()
	reserved := 0
	for _, name := range []string{
		"Host", "User-Agent", "Accept-Encoding", "Expect", "Date", "Connection", "Keep-Alive", "TE", "Trailer", "Transfer-Encoding", "Upgrade", "HTTP2-Settings",
		"Content-Type", "Content-Encoding", "X-Prometheus-Remote-Write-Version", "X-Amz-Date", "X-Amzn-Trace-Id", "Proxy-Authorization", "X-Scope-OrgID", "Thanos-Tenant",
	} {
		_, err := config.Load([]string{"REMOTE_WRITE_HEADERS=" + name + "=x"}, config.ToPrint)
		if auth.ReservedHeader(name) != (err != nil) {
			t.Errorf("%s: reserved %v, as a setting %v", name, auth.ReservedHeader(name), err)
		}
		if err != nil {
			reserved++
		}
	}
	if reserved < 18 {
		t.Errorf("%d are refused", reserved)
	}
}
