package metrics_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// What Inspector says of where an image runs, and what else is known of an image. An image
// that ran once and runs no more has a count of 0; one that Inspector never saw run has none.
func TestImageFamilies(t *testing.T) {
	t.Parallel()
	scanned := func(n byte, count int64, last inventory.Time) inventory.Image {
		return inventory.Image{Digest: inventory.Digest{n}, Tags: []string{"v1"}, PulledAt: inventory.Second(n), Scan: &inventory.Scan{InUseCount: int32(count), LastInUseAt: inventory.SecondOf(last)}}
	}
	repositories := []*inventory.Repository{
		{Name: "never", Images: []inventory.Image{scanned(0, 0, 0)}},
		{Name: "once", Images: []inventory.Image{scanned(2, 0, 5999)}},
		{Name: "running", Images: []inventory.Image{scanned(3, 7, 6000)}},
		{Name: "unscanned", Images: []inventory.Image{{Tags: []string{"v1"}, MediaType: inventory.WordOf("m"), ArtifactType: inventory.WordOf("a"), Status: inventory.ImageActive}}},
	}
	r := &inventory.Registry{ListedAt: 1, Repositories: repositories}
	got := map[string]map[string]float64{}
	shape := inventory.Shape{Families: inventory.Filter{Include: "aws_ecr_image_(in_use|last_in_use|last_pulled|info).*"}}
	for s := range table(shape).All(r, metrics.Options{}) {
		if got[s.Family.Name] == nil {
			got[s.Family.Name] = map[string]float64{}
		}
		got[s.Family.Name][value(s, "name")+" "+value(s, "manifest_media_type")+" "+value(s, "artifact_media_type")+" "+value(s, "status")] = s.Value
	}
	want := map[string]map[string]float64{
		"aws_ecr_image_in_use_count":                  {"once   ": 0, "running   ": 7},
		"aws_ecr_image_last_in_use_timestamp_seconds": {"once   ": 5, "running   ": 6},
		"aws_ecr_image_last_pulled_timestamp_seconds": {"once   ": 2, "running   ": 3},
		"aws_ecr_image_info":                          {"never   ": 1, "once   ": 1, "running   ": 1, "unscanned m a ACTIVE": 1},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	for s := range table(inventory.Shape{}).All(r, metrics.Options{}) {
		if s.Family.OptIn {
			t.Errorf("%s is sent without being asked for", s.Family.Name)
		}
	}
}
