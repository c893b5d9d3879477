package ecrtest_test

import (
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
