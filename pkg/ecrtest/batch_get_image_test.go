package ecrtest_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

const (
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	dockerList  = "application/vnd.docker.distribution.manifest.list.v2+json"
)

func getImages(t *testing.T, client *ecr.Client, repository string, ids ...types.ImageIdentifier) *ecr.BatchGetImageOutput {
	t.Helper()
	out, err := client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: &repository, ImageIds: ids})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func byDigest(digest string) types.ImageIdentifier {
	return types.ImageIdentifier{ImageDigest: &digest}
}

func byTag(tag string) types.ImageIdentifier { return types.ImageIdentifier{ImageTag: &tag} }

// The manifests are those of the image specification.
func TestBatchGetImageManifests(t *testing.T) {
	t.Parallel()
	amd, arm, provenance := ecrtest.Digest("amd"), ecrtest.Digest("arm"), ecrtest.Digest("provenance")
	reg, _, client := start(t, "app")
	for _, tc := range []struct {
		name  string
		image ecrtest.Image
		want  string
	}{
		{"an index", ecrtest.Image{ManifestMediaType: ociIndex, Children: []ecrtest.Child{
			{Digest: amd, Platform: "linux/amd64"}, {Digest: arm, Platform: "linux/arm64/v8"}, ecrtest.Attestation(provenance, amd),
		}}, `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` +
			`{"mediaType":"` + ociManifest + `","digest":"` + amd + `","size":1234,"platform":{"architecture":"amd64","os":"linux"}},` +
			`{"mediaType":"` + ociManifest + `","digest":"` + arm + `","size":1234,"platform":{"architecture":"arm64","os":"linux","variant":"v8"}},` +
			`{"mediaType":"` + ociManifest + `","digest":"` + provenance + `","size":1234,"platform":{"architecture":"unknown","os":"unknown"},` +
			`"annotations":{"vnd.docker.reference.digest":"` + amd + `","vnd.docker.reference.type":"attestation-manifest"}}]}`},
		{"an index of an index", ecrtest.Image{ManifestMediaType: dockerList, Children: []ecrtest.Child{{Digest: amd}, {Digest: arm, MediaType: dockerList}}},
			`{"schemaVersion":2,"mediaType":"` + dockerList + `","manifests":[` +
				`{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"` + amd + `","size":1234},` +
				`{"mediaType":"` + dockerList + `","digest":"` + arm + `","size":1234}]}`},
		{"an index without entries", ecrtest.Image{ManifestMediaType: ociIndex}, `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[]}`},
		{"a signature", ecrtest.Image{ManifestMediaType: ociManifest, ArtifactMediaType: "application/vnd.example", SubjectDigest: amd}, `{"schemaVersion":2,"mediaType":"` + ociManifest +
			`","config":{"mediaType":"application/vnd.example","digest":"` + ecrtest.Digest("config "+ecrtest.Digest("a signature")) + `","size":1234},` +
			`"layers":[{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + ecrtest.Digest("layer "+ecrtest.Digest("a signature")) + `","size":0}],` +
			`"subject":{"mediaType":"` + ociManifest + `","digest":"` + amd + `","size":1234}}`},
		{"what was set", ecrtest.Image{ManifestMediaType: ociIndex, Manifest: "no JSON", Children: []ecrtest.Child{{Digest: amd}}}, "no JSON"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			tc.image.Digest, tc.image.Tags = ecrtest.Digest(tc.name), []string{strings.ReplaceAll(tc.name, " ", "-")}
			putImage(t, reg, "app", tc.image)
			for _, id := range []types.ImageIdentifier{byDigest(tc.image.Digest), byTag(tc.image.Tags[0])} {
				out := getImages(t, client, "app", id)
				want := types.Image{
					RegistryId: aws.String(account), RepositoryName: aws.String("app"), ImageManifest: &tc.want, ImageManifestMediaType: &tc.image.ManifestMediaType,
					ImageId: &types.ImageIdentifier{ImageDigest: &tc.image.Digest, ImageTag: id.ImageTag},
				}
				if diff := cmp.Diff([]types.Image{want}, out.Images, cmp.AllowUnexported(types.Image{}, types.ImageIdentifier{})); diff != "" || len(out.Failures) > 0 {
					t.Errorf("failures %v, images:\n%s", out.Failures, diff)
				}
			}
		})
	}
}

// What cannot be returned is a failure beside the images.
func TestBatchGetImageFailures(t *testing.T) {
	t.Parallel()
	reg, _, client := start(t, "app")
	digests := putImages(t, reg, "app", 3)
	if err := reg.Archive("app", digests[2], now); err != nil {
		t.Fatal(err)
	}
	out := getImages(t, client, "app",
		byDigest(digests[0]), byDigest(ecrtest.Digest("none")), byDigest("sha256:xyz"), byTag("none"), byTag("a/b"), types.ImageIdentifier{},
		types.ImageIdentifier{ImageDigest: &digests[0], ImageTag: aws.String("t0001")}, byDigest(digests[2]), byTag("t0001"),
	)
	var got []string
	for _, image := range out.Images {
		got = append(got, *image.ImageId.ImageDigest)
	}
	for _, failure := range out.Failures {
		got = append(got, string(failure.FailureCode))
		if aws.ToString(failure.FailureReason) == "" || failure.ImageId == nil {
			t.Errorf("no reason or id: %+v", failure)
		}
	}
	want := []string{
		digests[0], digests[1],
		"ImageNotFound", "InvalidImageDigest", "ImageNotFound", "InvalidImageTag", "MissingDigestAndTag", "ImageTagDoesNotMatchDigest", "ImageInaccessible",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestBatchGetImageErrors(t *testing.T) {
	t.Parallel()
	_, srv, client := start(t, "app")
	many := slices.Repeat([]types.ImageIdentifier{byTag("a")}, 101)
	for _, tc := range []struct {
		name string
		in   ecr.BatchGetImageInput
		want string
	}{
		{"no id", ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: many[:0]}, "InvalidParameterException"},
		{"too many ids", ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: many}, "InvalidParameterException"},
		{"no media type", ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: many[:1], AcceptedMediaTypes: []string{}}, "InvalidParameterException"},
		{"no repository", ecr.BatchGetImageInput{RepositoryName: aws.String("other"), ImageIds: many[:1]}, "RepositoryNotFoundException"},
		{"another account", ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: many[:1], RegistryId: aws.String("999999999999")}, "AccessDeniedException"},
	} {
		_, err := client.BatchGetImage(t.Context(), &tc.in)
		if code := codeOf(err); code != tc.want {
			t.Errorf("%s: %v", tc.name, err)
		}
	}
	srv.SetPolicy(parsePolicy(t, `{"Statement":{"Effect":"Allow","Action":"ecr:Describe*","Resource":"*"}}`))
	_, err := client.BatchGetImage(t.Context(), &ecr.BatchGetImageInput{RepositoryName: aws.String("app"), ImageIds: many[:1]})
	if code := codeOf(err); code != "AccessDeniedException" || !strings.Contains(err.Error(), "ecr:BatchGetImage") {
		t.Error(err)
	}
}

// A pull moves the pull times of the images in the response, unless the caller is excluded:
// roles and users compare by account and name, whatever their paths.
func TestPullTimes(t *testing.T) {
	t.Parallel()
	const role = "arn:aws:sts::123456789012:assumed-role/reader/session"
	for _, tc := range []struct {
		name, caller string
		exclusions   []string
		moves        bool
	}{
		{"nobody excluded", role, nil, true},
		{"the role", role, []string{"arn:aws:iam::123456789012:role/reader"}, false},
		{"the role, with a path", role, []string{"arn:aws:iam::123456789012:role/x", "arn:aws:iam::123456789012:role/a/b/reader"}, false},
		{"a user of that name", role, []string{"arn:aws:iam::123456789012:user/reader"}, true},
		{"a role of another account", role, []string{"arn:aws:iam::210987654321:role/reader"}, true},
		{"a role of another partition", role, []string{"arn:aws-cn:iam::123456789012:role/reader"}, true},
		{"a role named like the session", role, []string{"arn:aws:iam::123456789012:role/session"}, true},
		{"a user", "arn:aws:iam::123456789012:user/a/reader", []string{"arn:aws:iam::123456789012:user/reader"}, false},
		{"the root user", "arn:aws:iam::123456789012:root", []string{"arn:aws:iam::123456789012:user/root"}, true},
		{"the default caller", "", []string{"arn:aws:iam::123456789012:role/ecr-remote-write"}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			reg, srv, client := start(t, "app")
			digests := putImages(t, reg, "app", 2)
			srv.SetCaller(tc.caller)
			srv.SetClock(func() time.Time { return now })
			if err := reg.SetPullTimeExclusions(tc.exclusions...); err != nil {
				t.Fatal(err)
			}
			getImages(t, client, "app", byDigest(digests[0]))
			want := time.Time{}
			if tc.moves {
				want = now
			}
			if image, _ := reg.Image("app", digests[0]); !image.PulledAt.Equal(want) {
				t.Errorf("pulled at %v, want %v", image.PulledAt, want)
			}
			if image, _ := reg.Image("app", digests[1]); !image.PulledAt.IsZero() {
				t.Error("the other image was pulled too")
			}
		})
	}
}

// Generated indexes list untagged images of their repository, and so do those that Mutate
// pushes.
func TestGeneratedChildren(t *testing.T) {
	t.Parallel()
	reg := ecrtest.NewRegistry(account, region)
	shape := ecrtest.RealisticShape(20, 200, now)
	if err := reg.Generate(1, shape); err != nil {
		t.Fatal(err)
	}
	srv := ecrtest.Start(t, reg)
	client := newClient(srv)
	indexes, children := 0, 0
	for _, repo := range reg.Repositories() {
		for _, image := range reg.Images(repo.Name) {
			if image.ManifestMediaType != ociIndex && image.ManifestMediaType != dockerList {
				if image.Children != nil {
					t.Errorf("%s has children", image.ManifestMediaType)
				}
				continue
			}
			indexes++
			var manifest struct {
				Manifests []struct{ Digest, MediaType string }
			}
			if err := json.Unmarshal([]byte(*getImages(t, client, repo.Name, byDigest(image.Digest)).Images[0].ImageManifest), &manifest); err != nil {
				t.Fatal(err)
			}
			for _, entry := range manifest.Manifests {
				children++
				if child, ok := reg.Image(repo.Name, entry.Digest); !ok || child.ManifestMediaType != entry.MediaType || len(child.Tags) > 0 {
					t.Errorf("%s of %s: not an untagged image of that media type: %+v", entry.Digest, image.Digest, child)
				}
			}
		}
	}
	if indexes < 30 || children < 2*indexes || children > 6*indexes {
		t.Errorf("%d indexes with %d children", indexes, children)
	}
}

func TestChildrenRefused(t *testing.T) {
	t.Parallel()
	reg, _, _ := start(t, "app")
	for i, child := range []ecrtest.Child{
		{Digest: "sha256:1"}, {Digest: ecrtest.Digest("a"), Platform: "linux"}, {Digest: ecrtest.Digest("a"), Platform: "a/b/c/d"},
	} {
		img := ecrtest.Image{Digest: ecrtest.Digest(fmt.Sprint(i)), ManifestMediaType: ociIndex, Children: []ecrtest.Child{child}}
		if err := reg.PutImage("app", img); err == nil {
			t.Errorf("%+v: no error", child)
		}
	}
}
