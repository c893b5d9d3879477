package inventory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// result is a scan; counts alternates severities and numbers.
func result(status string, completedAt inventory.Time, counts ...any) *inventory.Scan {
	scan := &inventory.Scan{Status: inventory.WordOf(status), CompletedAt: completedAt, AskedAt: 9 * minute}
	for i := 0; i < len(counts); i += 2 {
		scan.Severities = inventory.CountsOf(append(scan.Severities.List(), inventory.SeverityCount{Severity: inventory.WordOf(counts[i].(string)), Count: int32(counts[i+1].(int))}))
	}
	return scan
}

func TestSumIndexes(t *testing.T) {
	t.Parallel()
	type m = []*inventory.Scan
	for _, c := range []struct {
		name string
		// children are the scans of the index's children, nil for an unknown one.
		children m
		change   func(*inventory.Repository)
		want     *inventory.Scan
	}{
		{"one platform", m{result("COMPLETE", 5, "HIGH", 2)}, nil, result("COMPLETE", 5, "HIGH", 2)},
		{"the highest of each severity, the least recent completion", m{result("COMPLETE", 7, "HIGH", 2, "LOW", 1), result("COMPLETE", 5, "CRITICAL", 1, "HIGH", 3, "LOW", 0)}, nil,
			result("COMPLETE", 5, "CRITICAL", 1, "HIGH", 3, "LOW", 1)},
		{"clean", m{result("COMPLETE", 7), result("COMPLETE", 5)}, nil, result("COMPLETE", 5)},
		{"scanned continuously", m{result("COMPLETE", 7), result("ACTIVE", 5)}, nil, result("ACTIVE", 5)},
		{"nothing known", m{nil, nil}, nil, nil},
		{"one unknown", m{result("COMPLETE", 7, "HIGH", 2), nil}, nil, result("", 0, "HIGH", 2)},
		{"one never scanned", m{result("COMPLETE", 7, "HIGH", 2), result("SCAN_NOT_FOUND", 0)}, nil, result("SCAN_NOT_FOUND", 0, "HIGH", 2)},
		{"one scanned again", m{result("COMPLETE", 7), result("IN_PROGRESS", 5, "HIGH", 2)}, nil, result("IN_PROGRESS", 5, "HIGH", 2)},
		{"the worst status", m{result("PENDING", 0), result("FAILED", 0), result("LIMIT_EXCEEDED", 0)}, nil, result("FAILED", 0)},
		{"a status of the future", m{result("COMPLETE", 7), result("NEW", 5)}, nil, result("NEW", 5)},
		{"one without a status", m{result("", 7), result("COMPLETE", 5)}, nil, result("COMPLETE", 5)},
		{"one unsupported", m{result("UNSUPPORTED_IMAGE", 0), result("COMPLETE", 5, "HIGH", 2)}, nil, result("COMPLETE", 5, "HIGH", 2)},
		{"all unsupported", m{result("UNSUPPORTED_IMAGE", 0), result("UNSUPPORTED_IMAGE", 0)}, nil, result("UNSUPPORTED_IMAGE", 0)},
		{"one unsupported, the other unknown", m{result("UNSUPPORTED_IMAGE", 0), nil}, nil, nil},
		{"attestations only", m{}, nil, result("UNSUPPORTED_IMAGE", 0)},
		{"one not there any more", m{result("IMAGE_NOT_FOUND", 0), result("COMPLETE", 5, "HIGH", 2)}, nil, result("COMPLETE", 5, "HIGH", 2)},
		{"one archived since", m{result("IMAGE_ARCHIVED", 0), result("COMPLETE", 5, "HIGH", 2)}, nil, result("COMPLETE", 5, "HIGH", 2)},
		{"one deleted", m{result("COMPLETE", 4, "HIGH", 9), result("COMPLETE", 5, "HIGH", 2)}, func(r *inventory.Repository) { r.Images = r.Images[1:] },
			result("COMPLETE", 5, "HIGH", 2)},
		{"one archived", m{result("COMPLETE", 4, "HIGH", 9), result("COMPLETE", 5, "HIGH", 2)}, func(r *inventory.Repository) { r.Images[0].Status = inventory.ImageArchived },
			result("COMPLETE", 5, "HIGH", 2)},
		{"one that the listing may have missed", m{result("COMPLETE", 4, "HIGH", 9), result("COMPLETE", 5, "HIGH", 2)},
			func(r *inventory.Repository) { r.Images, r.ImagesReadAt = r.Images[1:], minute }, result("", 0, "HIGH", 2)},
		{"all deleted", m{result("COMPLETE", 4, "HIGH", 9)}, func(r *inventory.Repository) { r.Images = r.Images[1:] }, result("UNSUPPORTED_IMAGE", 0)},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			repository := repo("app", 2*minute)
			index := img(100, "v1")
			index.Scan, index.Index = result("UNSUPPORTED_IMAGE", 0), &inventory.Index{}
			for i, scan := range c.children {
				child := img(byte(i))
				child.Scan = scan
				repository.Images = append(repository.Images, child)
				index.Index.Children = append(index.Index.Children, inventory.Child{Digest: child.Digest, Platform: "linux/amd64"})
			}
			repository.Images = append(repository.Images, index)
			if c.change != nil {
				c.change(repository)
			}
			registry := inv(2*minute, 2*minute, repository)
			registry.Unsaved = inventory.Unsaved{}
			registry.SumIndexes(repository, false)
			got := repository.FindImage(index.Digest).Scan
			if c.want != nil {
				c.want.AskedAt = 0
			}
			if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("scan of the index (-want +got):\n%s", diff)
			}
			if named := registry.Unsaved.Repositories["app"]; named == nil || len(named.Images) != 1 {
				t.Errorf("unsaved %+v, want the index", registry.Unsaved)
			}
			registry.Unsaved = inventory.Unsaved{}
			registry.SumIndexes(repository, false)
			if registry.Unsaved.Any || repository.FindImage(index.Digest).Scan != got {
				t.Error("the same sum is a change")
			}
		})
	}
}

func TestSumOfPlatforms(t *testing.T) {
	t.Parallel()
	repository := repo("app", 2*minute)
	index := img(100, "v1")
	index.Index = &inventory.Index{}
	for i, child := range []struct {
		platform string
		scan     *inventory.Scan
	}{
		{"windows/amd64", result("COMPLETE", 5, "LOW", 4)},
		{"linux/arm64", result("COMPLETE", 5)},
		{"linux/amd64", result("COMPLETE", 5, "HIGH", 3)},
		{"windows/amd64", result("COMPLETE", 5, "HIGH", 1, "LOW", 2)},
		{"linux/s390x", nil},
		{"linux/386", result("UNSUPPORTED_IMAGE", 0)},
	} {
		image := img(byte(i))
		image.Scan = child.scan
		repository.Images = append(repository.Images, image)
		index.Index.Children = append(index.Index.Children, inventory.Child{Digest: image.Digest, Platform: child.platform})
	}
	repository.Images = append(repository.Images, index)
	registry := inv(2*minute, 2*minute, repository)
	registry.SumIndexes(repository, true)
	count := func(severity string, n int32) inventory.SeverityCount {
		return inventory.SeverityCount{Severity: inventory.WordOf(severity), Count: n}
	}
	want := []inventory.PlatformFindings{
		{Platform: "linux/amd64", Severities: inventory.Severities{count("HIGH", 3)}},
		{Platform: "linux/arm64"},
		{Platform: "windows/amd64", Severities: inventory.Severities{count("HIGH", 1), count("LOW", 4)}},
	}
	at := repository.FindImage(index.Digest)
	if diff := cmp.Diff(want, at.Index.Platforms, cmpopts.EquateEmpty()); diff != "" {
		t.Errorf("platforms (-want +got):\n%s", diff)
	}
	before := at.Index
	if registry.SumIndexes(repository, true); at.Index != before {
		t.Error("the same sum is a change")
	}
	if registry.SumIndexes(repository, false); at.Index.Platforms != nil || len(at.Index.Children) != 6 {
		t.Errorf("no family shows platforms: %+v", at.Index)
	}
}

// What is known of an index's children stays with it, whatever the listings and other copies
// say, which do not have it.
func TestIndexStays(t *testing.T) {
	t.Parallel()
	index := func(known *inventory.Index) inventory.Image {
		image := img(1, "v1")
		image.MediaType, image.Index = inventory.OCIIndex, known
		return image
	}
	known := &inventory.Index{Children: []inventory.Child{{Digest: digest(2), Platform: "linux/amd64"}}}
	for name, change := range map[string]func(r *inventory.Registry){
		"listed again": func(r *inventory.Registry) {
			r.SetImages(r.Find("app"), []inventory.Image{index(nil), img(2)}, 3*minute)
		},
		"an older copy":    func(r *inventory.Registry) { r.Merge(inv(minute, minute, repo("app", minute, index(nil)))) },
		"a newer copy":     func(r *inventory.Registry) { r.Merge(inv(3*minute, 3*minute, repo("app", 3*minute, index(nil)))) },
		"a repository set": func(r *inventory.Registry) { r.SetRepository(repo("app", 0)) },
	} {
		r := inv(2*minute, 2*minute, repo("app", 2*minute, index(known), img(2)))
		change(r)
		if got := r.Find("app").FindImage(digest(1)); got.Index != known {
			t.Errorf("%s: index %+v", name, got.Index)
		}
	}
}
