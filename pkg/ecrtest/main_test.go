package ecrtest_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	account = "123456789012"
	region  = "eu-west-1"
	key     = "AKIDEXAMPLE"
)

var now = time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)

// newClient returns the SDK's own client.
func newClient(srv *ecrtest.Server, change ...func(*ecr.Options)) *ecr.Client {
	return ecr.NewFromConfig(newConfig(srv), change...)
}

// newConfig configures clients that try once: what the server answers is to be seen,
// not what retries make of it.
func newConfig(srv *ecrtest.Server) aws.Config {
	return aws.Config{
		Region:           region,
		BaseEndpoint:     aws.String(srv.URL()),
		HTTPClient:       srv.Client(),
		RetryMaxAttempts: 1,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: key, SecretAccessKey: "planted-secret-key"}, nil
		}),
	}
}

// start serves a registry in which the given repositories exist.
func start(t *testing.T, names ...string) (*ecrtest.Registry, *ecrtest.Server, *ecr.Client) {
	t.Helper()
	reg := ecrtest.NewRegistry(account, region)
	for _, name := range names {
		putRepository(t, reg, ecrtest.Repository{Name: name})
	}
	srv := ecrtest.Start(t, reg)
	return reg, srv, newClient(srv)
}

func putRepository(t *testing.T, reg *ecrtest.Registry, repo ecrtest.Repository) {
	t.Helper()
	if err := reg.PutRepository(repo); err != nil {
		t.Fatal(err)
	}
}

func putImage(t *testing.T, reg *ecrtest.Registry, repository string, img ecrtest.Image) string {
	t.Helper()
	if err := reg.PutImage(repository, img); err != nil {
		t.Fatal(err)
	}
	return img.Digest
}

// putImages puts n images tagged t0000, t0001, … and returns their digests in the
// order of the tags.
func putImages(t *testing.T, reg *ecrtest.Registry, repository string, n int) []string {
	t.Helper()
	digests := make([]string, n)
	for i := range digests {
		tag := fmt.Sprintf("t%04d", i)
		digests[i] = putImage(t, reg, repository, ecrtest.Image{
			Digest: ecrtest.Digest(repository + ":" + tag), Tags: []string{tag}, Status: "ACTIVE",
		})
	}
	return digests
}
