package e2e

import (
	"strconv"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// account is the owner of the simulated registries.
const account = "112233445566"

// generatedAt is the time up to which generated registries have a history.
var generatedAt = time.Date(2026, time.November, 2, 9, 0, 0, 0, time.UTC)

// seed makes every generated registry the same in every run.
const seed = 20261102

// generatedRegistry is a registry of a realistic shape. Some images also have scan
// summaries in DescribeImages.
func generatedRegistry(t testing.TB, repositories, taggedImages int) *ecrtest.Registry {
	t.Helper()
	return registryOf(t, ecrtest.RealisticShape(repositories, taggedImages, generatedAt))
}

// registryOf returns a registry of a shape, in which four of ten images are scanned.
func registryOf(t testing.TB, shape ecrtest.Shape) *ecrtest.Registry {
	t.Helper()
	shape.Scans = 0.4
	registry := ecrtest.NewRegistry(account, region)
	if err := registry.Generate(seed, shape); err != nil {
		t.Fatal(err)
	}
	return registry
}

// addRepository adds a repository of plain tagged images, each tagged "v" and its
// number.
func addRepository(t testing.TB, registry *ecrtest.Registry, name string, images int) {
	t.Helper()
	err := registry.PutRepository(ecrtest.Repository{
		Name:          name,
		TagMutability: "MUTABLE",
		Encryption:    &ecrtest.Encryption{Type: "AES256"},
		ScanOnPush:    new(true),
	})
	if err != nil {
		t.Fatal(err)
	}
	for n := range images {
		addImage(t, registry, name, n)
	}
}

// addImage adds the n-th image of a repository.
func addImage(t testing.TB, registry *ecrtest.Registry, name string, n int) {
	t.Helper()
	tag := "v" + strconv.Itoa(n)
	err := registry.PutImage(name, ecrtest.Image{
		Digest:            ecrtest.Digest(name + ":" + tag),
		Tags:              []string{tag},
		SizeBytes:         new(int64(1_000_000 + n)),
		PushedAt:          generatedAt.Add(time.Duration(n) * time.Minute),
		ManifestMediaType: "application/vnd.oci.image.manifest.v1+json",
		Status:            "ACTIVE",
	})
	if err != nil {
		t.Fatal(err)
	}
}

// workloadOf chooses an image of a generated registry for each field of a workload. It
// changes one image, because the generator makes none with CRITICAL reported as 0.
func workloadOf(t *testing.T, registry *ecrtest.Registry) workload {
	t.Helper()
	var w workload
	critical := []*image{&w.Running, &w.Finished, &w.Waiting, &w.Sidecar}
	harmless := []*image{&w.Harmless, &w.Zero}
	clean, unscanned := []*image{&w.Clean}, []*image{&w.Unscanned}
	fill := func(parts *[]*image, i image) {
		if len(*parts) > 0 {
			*(*parts)[0], *parts = i, (*parts)[1:]
		}
	}
	for _, repository := range registry.Repositories() {
		for _, listed := range registry.Images(repository.Name) {
			if len(listed.Tags) == 0 || listed.Status != "ACTIVE" {
				continue
			}
			i := image{
				Name: repository.Name, URI: registry.URI(repository.Name),
				Tag: listed.Tags[len(listed.Tags)-1], Digest: listed.Digest,
			}
			switch scan := listed.Scan; {
			case scan == nil:
				fill(&unscanned, i)
			case scan.Counts["CRITICAL"] > 0:
				i.Critical = float64(scan.Counts["CRITICAL"])
				fill(&critical, i)
			case len(scan.Counts) > 0:
				fill(&harmless, i)
			default:
				fill(&clean, i)
			}
		}
	}
	if len(critical)+len(harmless)+len(clean)+len(unscanned) > 0 {
		t.Fatalf("the generated registry lacks images for the workload: %+v", w)
	}
	err := registry.UpdateImage(w.Zero.Name, w.Zero.Digest, func(i *ecrtest.Image) { i.Scan.Counts["CRITICAL"] = 0 })
	if err != nil {
		t.Fatal(err)
	}
	return w
}
