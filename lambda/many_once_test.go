package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// From a laptop: the registries of TARGETS are listed, one of them is pushed, and all are printed.
func TestManyOnce(t *testing.T) {
	const home, member = "111122223333", "222233334444"
	organisation := ecrtest.NewOrganisation(home, "eu-west-1")
	organisation.AddAccount(member, "eu-west-1", "us-east-1")
	organisation.PutRole(member, ecrtest.Role{Name: "ecr-remote-write", ExternalID: "some-id"})
	for i, at := range [][2]string{{home, "eu-west-1"}, {member, "eu-west-1"}, {member, "us-east-1"}} {
		registry := ecrtest.NewRegistry(at[0], at[1])
		name := fmt.Sprintf("app-%d", i)
		if err := registry.PutRepository(ecrtest.Repository{Name: name}); err != nil {
			t.Fatal(err)
		}
		if err := registry.PutImage(name, ecrtest.Image{Digest: ecrtest.Digest("1"), Tags: []string{"v1"}, PushedAt: time.Unix(1, 0)}); err != nil {
			t.Fatal(err)
		}
		organisation.AddRegistry(registry)
	}
	ecrtest.StartOrganisation(t, organisation)
	receiver := remotewritetest.NewServer(t, remotewritetest.Options{})
	key, folder := organisation.NewKey(), t.TempDir()
	for name, value := range map[string]string{
		"AWS_ACCESS_KEY_ID": key.AccessKeyID, "AWS_SECRET_ACCESS_KEY": key.SecretAccessKey, "AWS_SESSION_TOKEN": key.SessionToken,
		"AWS_REGION": "eu-west-1", "AWS_ENDPOINT_URL": organisation.URL(), "AWS_CONFIG_FILE": filepath.Join(folder, "none"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(folder, "none"),
		"TARGETS": home + ":eu-west-1," + member + ":*", "TARGET_EXTERNAL_ID": "some-id",
		"STATE_URL": "file://" + folder + "/inventory", "REMOTE_WRITE_URL": receiver.URL.String(),
	} {
		t.Setenv(name, value)
	}
	do := func(code int, args ...string) (stdout, stderr string) {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(args, os.Environ(), &out, &errs); got != code {
			t.Errorf("%v: exit code %d, want %d: %s", args, got, code, &errs)
		}
		return out.String(), errs.String()
	}
	_, stderr := do(exitFailed, "-once")
	if !strings.Contains(stderr, "say which with -target ACCOUNT/REGION") {
		t.Errorf("without -target: %s", stderr)
	}
	_, stderr = do(exitFailed, "-once", "-target", member+"/eu-north-1")
	if !strings.Contains(stderr, "222233334444/eu-north-1 is none of the 3 registries of TARGETS") {
		t.Errorf("a registry that is not there: %s", stderr)
	}
	_, stderr = do(0, "-once", "-target", member+"/us-east-1")
	if !strings.Contains(stderr, "1 repository and 1 image") {
		t.Errorf("one registry: %s", stderr)
	}
	stdout, _ := do(0, "-targets")
	stdout = regexp.MustCompile(`20\d\d-\S+Z`).ReplaceAllString(stdout, "2026-12-01T03:00:00Z")
	const want = `REGISTRY                NAME  EVERY  ROLE                                             LAST SUCCESS          TAGGED IMAGES  A MONTH
111122223333/eu-west-1        2m0s   the function's own                               never                                
222233334444/eu-west-1        2m0s   arn:aws:iam::222233334444:role/ecr-remote-write  never                                
222233334444/us-east-1        2m0s   arn:aws:iam::222233334444:role/ecr-remote-write  2026-12-01T03:00:00Z  1              $0.06
`
	if stdout != want {
		t.Errorf("-targets\n%swant\n%s", stdout, want)
	}
	stdout, stderr = do(0, "-dry-run")
	seen := map[string]bool{}
	for line := range strings.Lines(stdout) {
		if series, _, _ := strings.Cut(line, "} "); !strings.HasPrefix(line, "#") {
			if seen[series] || !strings.Contains(series, `region="`) || !strings.Contains(series, `registry_id="`) {
				t.Errorf("a series of two registries, or without region or registry_id: %s", line)
			}
			seen[series] = true
		}
	}
	if !strings.Contains(stderr, fmt.Sprintf("Printed %d series of 3 registries in ", len(seen))) || !strings.Contains(stderr, " a month for ") {
		t.Errorf("-dry-run of %d series: %s", len(seen), stderr)
	}
	stdout, _ = do(0, "-dry-run", "-target", home+"/eu-west-1")
	if strings.Contains(stdout, member) || !strings.Contains(stdout, home) {
		t.Errorf("-dry-run of one registry:\n%s", stdout)
	}
	t.Setenv("TARGETS", home+":eu-west-1,"+member+":eu-west-1,"+member+":us-east-1")
	organisation.DeleteRole(member, "ecr-remote-write")
	_, stderr = do(exitFailed, "-dry-run")
	t.Setenv("TARGETS", "")
	for _, args := range [][]string{{"-targets"}, {"-once", "-target", home + "/eu-west-1"}} {
		if stdout, stderr := do(exitUsage, args...); stdout != "" || !strings.Contains(stderr, "TARGETS: required with") {
			t.Errorf("%v without TARGETS: %.200s%s", args, stdout, stderr)
		}
	}
	if !strings.Contains(stderr, "ecr-remote-write: 2 of 3 registries failed") || !strings.Contains(stderr, member+"/eu-west-1: ") {
		t.Errorf("without the role: %s", stderr)
	}
}
