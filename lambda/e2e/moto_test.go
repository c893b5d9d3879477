package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
)

// TestDryRunOnMoto checks the output of a dry run on Moto, a simulator of AWS that is
// not ours: exactly what was put there through the SDK is printed. Moto implements
// neither pages nor filters nor scans; it is a second opinion on the rest.
func TestDryRunOnMoto(t *testing.T) {
	t.Parallel()
	endpoint := startMoto(t)
	client := ecr.New(ecr.Options{
		Region:       region,
		BaseEndpoint: aws.String(endpoint),
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "test", SecretAccessKey: "test"}, nil
		}),
	})
	repositories := []ecr.CreateRepositoryInput{
		{
			RepositoryName:             aws.String("payments/api"),
			ImageTagMutability:         types.ImageTagMutabilityImmutable,
			ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: true},
			EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeKms},
		},
		{
			RepositoryName:             aws.String("web/frontend"),
			ImageTagMutability:         types.ImageTagMutabilityMutable,
			ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: false},
			EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
		},
		{
			RepositoryName:             aws.String("web/empty"),
			ImageTagMutability:         types.ImageTagMutabilityMutable,
			ImageScanningConfiguration: &types.ImageScanningConfiguration{ScanOnPush: false},
			EncryptionConfiguration:    &types.EncryptionConfiguration{EncryptionType: types.EncryptionTypeAes256},
		},
	}
	images := map[string]map[string][]string{ // tags by what names the manifest
		"payments/api": {"first": {"v1.0.0", "stable"}, "second": {"v1.1.0"}},
		"web/frontend": {"first": {"latest"}, "untagged": nil},
	}
	registry := ecrtest.NewRegistry(motoAccount, region) // the same, for the expectation
	for i := range repositories {
		in := &repositories[i]
		created, err := client.CreateRepository(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		err = registry.PutRepository(ecrtest.Repository{
			Name: *in.RepositoryName, TagMutability: string(in.ImageTagMutability),
			Encryption: &ecrtest.Encryption{Type: string(in.EncryptionConfiguration.EncryptionType)},
			ScanOnPush: &in.ImageScanningConfiguration.ScanOnPush,
		})
		if err != nil {
			t.Fatal(err)
		}
		for name, tags := range images[*in.RepositoryName] {
			image := putInMoto(t, client, created.Repository, name, tags)
			if err := registry.PutImage(*in.RepositoryName, image); err != nil {
				t.Fatal(err)
			}
		}
	}

	_, err := client.PutLifecyclePolicy(t.Context(), &ecr.PutLifecyclePolicyInput{
		RepositoryName: aws.String("payments/api"), LifecyclePolicyText: aws.String(`{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"imageCountMoreThan","countNumber":9},"action":{"type":"expire"}}]}`),
	})
	if err != nil {
		t.Fatal(err)
	}
	_, err = client.TagResource(t.Context(), &ecr.TagResourceInput{
		ResourceArn: aws.String(registry.ARN("payments/api")), Tags: []types.Tag{{Key: aws.String("team"), Value: aws.String("payments")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	// What Moto does not know of the registry's details is a warning.
	series, err := tsdbtest.ParseText(dryRun(t, endpoint, "REPOSITORY_TAGS=team", "LIFECYCLE_POLICIES=true", "REGISTRY_DETAILS=true"))
	if err != nil {
		t.Fatal(err)
	}
	got := tsdbtest.VectorOf(series)
	for _, repository := range repositories {
		name, policy, team := *repository.RepositoryName, 0.0, ""
		if name == "payments/api" {
			policy, team = 1, "payments"
		}
		labels := []string{"name", name, "registry_id", motoAccount}
		there, known := got[tsdbtest.KeyOf("aws_ecr_repository_lifecycle_policy", labels...)]
		tagged := got[tsdbtest.KeyOf("aws_ecr_repository_tags_info", append(labels, "tag_team", team)...)]
		if !known || there != policy || tagged != 1 {
			t.Errorf("%s: lifecycle policy %v (known: %v), want %v; its tags have %v series with team %q", name, there, known, policy, tagged, team)
		}
	}
	checkVector(t, "the dry run", wantSeries(registry), onlyCompared(got))
}

// motoAccount is the account whose registry Moto simulates.
const motoAccount = "123456789012"

// putInMoto puts an image with its tags into a repository and returns it as Moto
// describes it.
func putInMoto(t *testing.T, client *ecr.Client, repository *types.Repository, name string, tags []string) ecrtest.Image {
	t.Helper()
	manifest := fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
		"config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7023, "digest": %q},
		"layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 32654, "digest": %q}]}`,
		ecrtest.Digest("config of "+name), ecrtest.Digest("layer of "+name))
	in := &ecr.PutImageInput{RepositoryName: repository.RepositoryName, ImageManifest: aws.String(manifest)}
	var digest *string
	for n := range max(1, len(tags)) {
		if n < len(tags) {
			in.ImageTag = aws.String(tags[n])
		}
		put, err := client.PutImage(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		digest = put.Image.ImageId.ImageDigest
	}

	// Moto decides on the time of the push and the size.
	described, err := client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{
		RepositoryName: repository.RepositoryName,
		ImageIds:       []types.ImageIdentifier{{ImageDigest: digest}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(described.ImageDetails) != 1 {
		t.Fatalf("Moto has %d images of digest %s", len(described.ImageDetails), *digest)
	}
	detail := described.ImageDetails[0]
	return ecrtest.Image{Digest: *digest, Tags: tags, SizeBytes: detail.ImageSizeInBytes, PushedAt: *detail.ImagePushedAt}
}

// dryRun returns what the function prints when a user runs it with -dry-run.
func dryRun(t *testing.T, endpoint string, settings ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), bootstrap(t), "-dry-run")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.Env = []string{
		"HOME=" + t.TempDir(), // without a user's AWS configuration
		"AWS_ENDPOINT_URL=" + endpoint,
		"AWS_REGION=" + region,
		"AWS_ACCESS_KEY_ID=test",
		"AWS_SECRET_ACCESS_KEY=test",
		"AWS_EC2_METADATA_DISABLED=true",
		scansFromSummary,
	}
	cmd.Env = append(cmd.Env, settings...)
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	return stdout.Bytes()
}

// motoAddress matches the address that Moto's server logs.
var motoAddress = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// startMoto starts Moto's server on a free port and returns its address. Without
// Moto the test is skipped, but not in CI, where it has to be installed.
func startMoto(t *testing.T) string {
	t.Helper()
	path := venvProgram(t, "moto_server")
	return startServer(t, exec.Command(path, "-H", "127.0.0.1", "-p", "0"), motoAddress)
}

// venvProgram returns the path of a program that the CI script installs. Without it the test is
// skipped, but not in CI.
func venvProgram(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("..", "..", ".build", "venv", "bin", name))
	}
	if err != nil {
		missing := "no " + name + " in PATH or .build/venv/bin: pip install -r .ci/requirements.txt"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	return path
}

// startServer starts a server until the test ends, and returns the address that it logs.
func startServer(t *testing.T, cmd *exec.Cmd, address *regexp.Regexp) string {
	t.Helper()
	out := newLogLines()
	cmd.Stdout, cmd.Stderr = out, out
	// The program may be a script that starts the server: with a process group of their
	// own, both can be stopped.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd, err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Errorf("stop %s: %v", cmd, err)
		}
		_ = cmd.Wait() // it was killed, which is the error
	})
	url := ""
	found := out.wait(60*time.Second, func(text []byte) bool {
		match := address.FindSubmatch(text)
		if match != nil {
			url = string(match[1])
		}
		return match != nil
	})
	if !found {
		t.Fatalf("%s did not log its address:\n%s", cmd, out)
	}
	return url
}
