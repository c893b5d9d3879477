package ecrtest_test

import (
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// The children of an index are kept as they were given, and nothing changes them from
// outside.
func TestChildren(t *testing.T) {
	t.Parallel()
	reg := ecrtest.NewRegistry(account, region)
	if err := reg.PutRepository(ecrtest.Repository{Name: "web/app"}); err != nil {
		t.Fatal(err)
	}
	digest, image := ecrtest.Digest("index"), ecrtest.Digest("amd64")
	children := func() []ecrtest.Child {
		return []ecrtest.Child{
			{Digest: image, MediaType: "a", Platform: "linux/arm/v7"},
			ecrtest.Attestation(ecrtest.Digest("provenance"), image),
			{Digest: ecrtest.Digest("old"), Annotations: map[string]string{"a": "b"}},
		}
	}
	given := children()
	if err := reg.PutImage("web/app", ecrtest.Image{Digest: digest, Children: given}); err != nil {
		t.Fatal(err)
	}
	given[2].Annotations["a"] = "c"
	if err := reg.Tag("web/app", digest, "v1"); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		got, _ := reg.Image("web/app", "v1")
		if diff := gocmp.Diff(children(), got.Children); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		got.Children[2].Annotations["a"] = "d"
	}
	var attests []bool
	for _, child := range children() {
		attests = append(attests, child.Attests())
	}
	if diff := gocmp.Diff([]bool{false, true, false}, attests); diff != "" {
		t.Errorf("attestations (-want +got):\n%s", diff)
	}
	if err := reg.PutImage("web/app", ecrtest.Image{Digest: digest, Children: []ecrtest.Child{{Digest: "v1"}}}); err == nil {
		t.Error("a child without a digest: no error")
	}
}

// checkIndex checks that the children of an index are images of its repository, and that a
// generated index of buildx has an attestation of each.
func checkIndex(t *testing.T, reg *ecrtest.Registry, repository string, index ecrtest.Image) {
	t.Helper()
	if isIndex(index) != (len(index.Children) > 0) {
		t.Errorf("%s@%s: %s with %d children", repository, index.Digest, index.ManifestMediaType, len(index.Children))
	}
	attested := map[string]bool{}
	images := 0
	for _, child := range index.Children {
		img, ok := reg.Image(repository, child.Digest)
		if !ok || isIndex(img) || len(img.Tags) > 0 || img.Attestation != child.Attests() || img.ManifestMediaType != child.MediaType {
			t.Errorf("%s@%s: child %+v is the image %+v", repository, index.Digest, child, img)
		}
		if !child.Attests() {
			images++
			continue
		}
		subject := child.Annotations["vnd.docker.reference.digest"]
		if !slices.ContainsFunc(index.Children, func(c ecrtest.Child) bool { return c.Digest == subject && !c.Attests() }) || attested[subject] {
			t.Errorf("%s@%s: attestation of %s", repository, index.Digest, subject)
		}
		attested[subject] = true
	}
	if images > 3 || len(attested) == 0 && images == 1 || len(attested) > 0 && len(attested) != images {
		t.Errorf("%s@%s: %d platforms with %d attestations", repository, index.Digest, images, len(attested))
	}
}
