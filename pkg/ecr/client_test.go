package ecr_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const account, region = "123456789012", "eu-west-1"

func newClient(server *ecrtest.Server, options ecr.Options) *ecr.Client {
	return ecr.New(config(server), options)
}

func config(server *ecrtest.Server) aws.Config {
	return aws.Config{
		Region:       region,
		BaseEndpoint: aws.String(server.URL()),
		HTTPClient:   server.Client(),
		Credentials:  credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "planted-secret-key", ""),
	}
}

// start serves a registry with one repository, app, that has images 0 and so on.
func start(t *testing.T, images int) (*ecrtest.Registry, *ecrtest.Server) {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	check(t, registry.PutRepository(ecrtest.Repository{Name: "app"}))
	for i := range images {
		check(t, registry.PutImage("app", ecrtest.Image{Digest: ecrtest.Digest(fmt.Sprint(i)), Tags: []string{fmt.Sprint("v", i)}}))
	}
	return registry, ecrtest.StartPipe(t, registry)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// all reads every page of a repository's images.
func all(ctx context.Context, client *ecr.Client, repository string) ([]inventory.Image, error) {
	var list []inventory.Image
	for token := ""; ; {
		images, next, err := client.Images(ctx, repository, token)
		if err != nil {
			return nil, err
		}
		list = append(list, images...)
		if token = next; token == "" {
			return list, nil
		}
	}
}

func TestPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 2500)
		images, err := all(t.Context(), newClient(server, ecr.Options{}), "app")
		check(t, err)
		distinct := map[inventory.Digest]bool{}
		for _, image := range images {
			distinct[image.Digest] = true
		}
		if len(images) != 2500 || len(distinct) != 2500 {
			t.Errorf("%d images, %d distinct, want 2500", len(images), len(distinct))
		}
		for _, request := range server.Requests() {
			if request.MaxResults != 1000 {
				t.Errorf("maxResults %d, want 1000", request.MaxResults)
			}
		}
		if n := server.Calls()["DescribeImages"]; n != 3 {
			t.Errorf("%d calls, want 3", n)
		}
	})
}

func TestRepositoryPages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 0)
		for i := range 1999 {
			check(t, registry.PutRepository(ecrtest.Repository{Name: fmt.Sprintf("team/%d", i)}))
		}
		list, err := newClient(server, ecr.Options{}).Repositories(t.Context())
		check(t, err)
		if n := server.Calls()["DescribeRepositories"]; len(list) != 2000 || n != 2 {
			t.Errorf("%d repositories in %d calls, want 2000 in 2", len(list), n)
		}
	})
}

func TestRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry := ecrtest.NewRegistry(account, region)
		at := time.Unix(1_700_000_000, 5e8)
		check(t, registry.PutRepository(ecrtest.Repository{
			Name: "full", CreatedAt: at, TagMutability: "IMMUTABLE_WITH_EXCLUSION", ExclusionFilters: []string{"dev-*"},
			Encryption: &ecrtest.Encryption{Type: "KMS", KMSKey: "arn:aws:kms:eu-west-1:123456789012:key/1"}, ScanOnPush: aws.Bool(false),
		}))
		check(t, registry.PutRepository(ecrtest.Repository{Name: "bare"}))
		check(t, registry.PutImage("full", ecrtest.Image{
			Digest: ecrtest.Digest("a"), Tags: []string{"v2", "v1"}, SizeBytes: aws.Int64(0), PushedAt: at, PulledAt: at.Add(time.Hour),
			ManifestMediaType: "application/vnd.oci.image.index.v1+json", ArtifactMediaType: "x/y", Status: "ARCHIVED",
			Scan: &ecrtest.ScanSummary{CompletedAt: at, Counts: map[string]int32{"UNTRIAGED": 2, "CRITICAL": 1}}, ScanStatus: &ecrtest.ScanStatus{Status: "COMPLETE"},
		}))
		check(t, registry.PutImage("full", ecrtest.Image{Digest: ecrtest.Digest("b"), Scan: &ecrtest.ScanSummary{Counts: map[string]int32{}}}))
		check(t, registry.PutImage("full", ecrtest.Image{Digest: ecrtest.Digest("c"), ScanStatus: &ecrtest.ScanStatus{Status: "FAILED"}}))
		check(t, registry.PutImage("full", ecrtest.Image{Digest: ecrtest.Digest("d")}))
		client := newClient(ecrtest.StartPipe(t, registry), ecr.Options{})

		repositories, err := client.Repositories(t.Context())
		check(t, err)
		const uri, arn = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/", "arn:aws:ecr:eu-west-1:123456789012:repository/"
		want := []*inventory.Repository{
			{Name: "bare", URI: uri + "bare", ARN: arn + "bare", RegistryID: account},
			{
				Name: "full", URI: uri + "full", ARN: arn + "full", RegistryID: account, CreatedAt: inventory.TimeOf(at),
				TagMutability: "IMMUTABLE_WITH_EXCLUSION", EncryptionType: "KMS", KMSKey: "arn:aws:kms:eu-west-1:123456789012:key/1", ScanOnPush: aws.Bool(false),
			},
		}
		if diff := cmp.Diff(want, repositories); diff != "" {
			t.Errorf("repositories (-want +got):\n%s", diff)
		}

		images, err := all(t.Context(), client, "full")
		check(t, err)
		got := map[string]inventory.Image{}
		for _, image := range images {
			got[image.Digest.String()] = image
		}
		digest := func(s string) inventory.Digest {
			d, err := inventory.ParseDigest(ecrtest.Digest(s))
			check(t, err)
			return d
		}
		wantImages := map[string]inventory.Image{
			ecrtest.Digest("a"): {
				Digest: digest("a"), Tags: []string{"v1", "v2"}, SizeBytes: 0, PushedAt: inventory.TimeOf(at), PulledAt: inventory.SecondOf(inventory.TimeOf(at.Add(time.Hour))),
				MediaType: inventory.WordOf("application/vnd.oci.image.index.v1+json"), ArtifactType: inventory.WordOf("x/y"), Status: inventory.WordOf("ARCHIVED"),
				Scan: &inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: inventory.TimeOf(at), Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("CRITICAL"), Count: 1}, {Severity: inventory.WordOf("UNTRIAGED"), Count: 2}})},
			},
			ecrtest.Digest("b"): {Digest: digest("b"), SizeBytes: -1, Scan: &inventory.Scan{Severities: inventory.CountsOf(inventory.Severities{})}},
			ecrtest.Digest("c"): {Digest: digest("c"), SizeBytes: -1, Scan: &inventory.Scan{Status: inventory.WordOf("FAILED")}},
			ecrtest.Digest("d"): {Digest: digest("d"), SizeBytes: -1},
		}
		if diff := cmp.Diff(wantImages, got); diff != "" {
			t.Errorf("images (-want +got):\n%s", diff)
		}
	})
}

func TestErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		registry, server := start(t, 3)
		check(t, registry.PutRepository(ecrtest.Repository{Name: "secret"}))
		allow(t, server, `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`, `{"Effect":"Deny","Action":"ecr:DescribeImages","Resource":"`+registry.ARN("secret")+`"}`)
		client := newClient(server, ecr.Options{})
		for _, c := range []struct {
			repository, token string
			want              error
			text              string
		}{
			{"nothing", "", awsapi.ErrGone, "listing images of repository nothing"},
			{"secret", "", awsapi.ErrDenied, "not authorized to perform: ecr:DescribeImages"},
			{"app", "no-token-of-ours", awsapi.ErrInvalidToken, "listing images of repository app"},
		} {
			_, _, err := client.Images(t.Context(), c.repository, c.token)
			if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: error %v, want %v and %q", c.repository, err, c.want, c.text)
			}
		}
		if n := server.Calls()["DescribeImages"]; n != 3 {
			t.Errorf("%d calls, want no retries", n)
		}
	})
}

// statements allow each of the permissions.
func statements(permissions []awsapi.Permission) []string {
	var list []string
	for _, p := range permissions {
		resource := strings.NewReplacer("REGION", region, "ACCOUNT", account).Replace(p.Resource)
		list = append(list, fmt.Sprintf(`{"Effect":"Allow","Action":%q,"Resource":%q}`, p.Action, resource))
	}
	return list
}

// without returns a list without its i-th element.
func without(list []string, i int) []string { return slices.Delete(slices.Clone(list), i, i+1) }

// allow sets the caller's policy.
func allow(t *testing.T, server *ecrtest.Server, statements ...string) {
	t.Helper()
	policy, err := ecrtest.ParsePolicy([]byte(`{"Statement":[` + strings.Join(statements, ",") + `]}`))
	check(t, err)
	server.SetPolicy(policy)
}

// The declared permissions are sufficient and necessary.
func TestPermissions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 3)
		every := func(ctx context.Context) error {
			client := newClient(server, ecr.Options{})
			_, err1 := client.RegistryID(ctx)
			_, err2 := client.Repositories(ctx)
			_, err3 := client.Repository(ctx, "app")
			_, err4 := all(ctx, client, "app")
			return errors.Join(err1, err2, err3, err4)
		}
		statements := statements(ecr.Permissions)
		allow(t, server, statements...)
		check(t, every(t.Context()))
		for i, p := range ecr.Permissions {
			allow(t, server, without(statements, i)...)
			if err := every(t.Context()); !errors.Is(err, awsapi.ErrDenied) {
				t.Errorf("without %s: error %v, want ErrDenied", p.Action, err)
			}
		}
	})
}

func TestRegistryID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, server := start(t, 0)
		other := ecrtest.NewRegistry("222222222222", region)
		check(t, other.PutRepository(ecrtest.Repository{Name: "theirs"}))
		server.AddRegistry(other)

		own := newClient(server, ecr.Options{})
		id, err := own.RegistryID(t.Context())
		check(t, err)
		client := newClient(server, ecr.Options{RegistryID: "222222222222"})
		configured, err := client.RegistryID(t.Context())
		check(t, err)
		if id != account || configured != "222222222222" || server.Calls()["DescribeRegistry"] != 1 {
			t.Errorf("registry %s, configured %s, calls %v", id, configured, server.Calls())
		}
		list, err := client.Repositories(t.Context())
		check(t, err)
		if len(list) != 1 || list[0].Name != "theirs" {
			t.Errorf("repositories %+v", list)
		}
		_, err = all(t.Context(), client, "theirs")
		check(t, err)
	})
}
