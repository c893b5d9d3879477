package cost

import (
	"strconv"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// What a typical registry has for each tagged image, after the simulated registry of the 2026
// profile (docs/performance.md): a tag and, of one image in three, a second one; four
// severities; of one image in twenty a former one that lost its tag and that a pod may run; and
// three images without series, such as those of a platform, of which one has a scan.
const (
	imagesPerRepository = 50
	secondTag           = 3   // of so many images one has it
	lostTag             = 20  // of so many images another one lost it
	daysOfImages        = 730 // over which they were pushed
)

// typical returns a registry of so many tagged images, each with a scan result. Those beyond
// inUse have no series: they are marked Excluded. Its records share what they can and have no
// names and digests of their own, so it is only for counting.
func typical(images, inUse int) *inventory.Registry {
	now := time.Now()
	registry := &inventory.Registry{ID: "0", ListedAt: inventory.TimeOf(now), ScanSource: inventory.ScansFromFindings, ScansOldest: inventory.TimeOf(now)}
	shared := map[[2]int][]inventory.Image{}
	for from := 0; from < images; from += imagesPerRepository {
		size := [2]int{min(images-from, imagesPerRepository), min(max(inUse-from, 0), imagesPerRepository)}
		list, known := shared[size]
		if !known {
			list = typicalImages(size[0], size[1], now)
			shared[size] = list
		}
		registry.Repositories = append(registry.Repositories, &inventory.Repository{
			Name: strconv.Itoa(from), Images: list, CreatedAt: 1, ImagesReadAt: inventory.TimeOf(now),
			Summary: &inventory.Summary{PushedAt: 1, PulledAt: 1, Severities: typicalScan.Severities},
		})
	}
	return registry
}

// typicalScan is the scan of every image.
var typicalScan = &inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: 1, Severities: inventory.Severities{
	{Severity: inventory.WordOf("CRITICAL")}, {Severity: inventory.WordOf("HIGH")}, {Severity: inventory.WordOf("LOW")}, {Severity: inventory.WordOf("MEDIUM")},
}}

// typicalImages are those of one repository, pushed one after the other over two years.
func typicalImages(tagged, inUse int, now time.Time) (list []inventory.Image) {
	for i := range tagged {
		image := inventory.Image{Tags: []string{"a"}, Scan: typicalScan, Mark: inventory.Mark{Excluded: i >= inUse}}
		image.PushedAt = inventory.TimeOf(now.AddDate(0, 0, -i*daysOfImages/imagesPerRepository))
		untagged := image
		untagged.Tags = nil
		if i%secondTag == 0 {
			image.Tags = []string{"a", "b"}
		}
		list = append(list, image)
		if i%lostTag == 0 {
			list = append(list, untagged)
		}
		untagged.Excluded = true
		list = append(list, untagged) // of a platform
		untagged.Scan = nil
		list = append(list, untagged, untagged)
	}
	return list
}
