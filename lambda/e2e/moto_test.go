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

// TestDryRunOnMoto lists a registry that a foreign fake of AWS simulates: what was
// put there through the SDK, and nothing more, is printed. Moto knows neither
// pages nor filters nor scans; it is a second opinion on the rest.
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
	want := tsdbtest.Vector{"aws_ecr_repository_exporter_up": 1}
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
	for i := range repositories {
		in := &repositories[i]
		created, err := client.CreateRepository(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		r := motoRepository{client, created.Repository}
		want[tsdbtest.KeyOf("aws_ecr_repository_info",
			"encryption_type", string(in.EncryptionConfiguration.EncryptionType),
			"name", *in.RepositoryName,
			"registry_id", *r.RegistryId,
			"repository_uri", *r.RepositoryUri,
			"scan_on_push", fmt.Sprint(in.ImageScanningConfiguration.ScanOnPush),
			"tag_mutability", string(in.ImageTagMutability))] = 1
		want[tsdbtest.KeyOf("aws_ecr_repository_count", "registry_id", *r.RegistryId)] = float64(len(repositories))
		for name, tags := range images[*in.RepositoryName] {
			r.put(t, want, name, tags)
		}
	}

	series, err := tsdbtest.ParseText(dryRun(t, endpoint))
	if err != nil {
		t.Fatal(err)
	}
	checkVector(t, "the dry run", want, tsdbtest.VectorOf(series))
}

// motoRepository is a repository in Moto.
type motoRepository struct {
	client *ecr.Client
	*types.Repository
}

// put puts an image with its tags and adds the series that it must give.
func (r motoRepository) put(t *testing.T, want tsdbtest.Vector, name string, tags []string) {
	t.Helper()
	manifest := fmt.Sprintf(`{"schemaVersion": 2, "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
		"config": {"mediaType": "application/vnd.docker.container.image.v1+json", "size": 7023, "digest": %q},
		"layers": [{"mediaType": "application/vnd.docker.image.rootfs.diff.tar.gzip", "size": 32654, "digest": %q}]}`,
		ecrtest.Digest("config of "+name), ecrtest.Digest("layer of "+name))
	in := &ecr.PutImageInput{RepositoryName: r.RepositoryName, ImageManifest: aws.String(manifest)}
	var digest *string
	for n := range max(1, len(tags)) {
		if n < len(tags) {
			in.ImageTag = aws.String(tags[n])
		}
		put, err := r.client.PutImage(t.Context(), in)
		if err != nil {
			t.Fatal(err)
		}
		digest = put.Image.ImageId.ImageDigest
	}

	// When it was pushed and how large it is, Moto decides.
	described, err := r.client.DescribeImages(t.Context(), &ecr.DescribeImagesInput{
		RepositoryName: r.RepositoryName,
		ImageIds:       []types.ImageIdentifier{{ImageDigest: digest}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(described.ImageDetails) != 1 {
		t.Fatalf("Moto has %d images of digest %s", len(described.ImageDetails), *digest)
	}
	detail := described.ImageDetails[0]
	for _, tag := range tags {
		ls := []string{
			"digest", *digest, "image", *r.RepositoryUri + ":" + tag,
			"name", *r.RepositoryName, "registry_id", *r.RegistryId, "tag", tag,
		}
		want[tsdbtest.KeyOf("aws_ecr_image_size_in_bytes", ls...)] = float64(*detail.ImageSizeInBytes)
		want[tsdbtest.KeyOf("aws_ecr_image_pushed_at_timestamp_seconds", ls...)] = float64(detail.ImagePushedAt.Unix())
	}
}

// dryRun is what the function prints when a user starts it by hand.
func dryRun(t *testing.T, endpoint string) []byte {
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
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, &stderr)
	}
	return stdout.Bytes()
}

// motoAddress is how Moto's server tells where it listens.
var motoAddress = regexp.MustCompile(`Running on (http://127\.0\.0\.1:\d+)`)

// startMoto starts Moto's server on a free port and returns its address. Without
// Moto the test is skipped, but not in CI, where it has to be installed.
func startMoto(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("moto_server")
	if err != nil {
		// Where the CI script installs it.
		path, err = exec.LookPath(filepath.Join("..", "..", ".build", "venv", "bin", "moto_server"))
	}
	if err != nil {
		const missing = "no moto_server in PATH or .build/venv/bin: pip install 'moto[server]'"
		if os.Getenv("CI") != "" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}

	out := newLogLines()
	cmd := exec.Command(path, "-H", "127.0.0.1", "-p", "0")
	cmd.Stdout, cmd.Stderr = out, out
	// What is in PATH may be a script in front of the server: a group of its own
	// lets both be stopped.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start Moto: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL); err != nil {
			t.Errorf("stop Moto: %v", err)
		}
		_ = cmd.Wait() // it was killed, and says so
	})
	address := ""
	found := out.wait(60*time.Second, func(text []byte) bool {
		match := motoAddress.FindSubmatch(text)
		if match != nil {
			address = string(match[1])
		}
		return match != nil
	})
	if !found {
		t.Fatalf("Moto does not say where it listens:\n%s", out)
	}
	return address
}
