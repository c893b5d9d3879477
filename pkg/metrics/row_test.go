package metrics

import (
	"slices"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// A family from known data takes one edit: its row. Its labels, its series, what ends and
// its documentation follow. (Not parallel: it changes the table.)
func TestOneRowIsAFamily(t *testing.T) {
	before := further
	t.Cleanup(func() { further = before })
	further = append(slices.Clone(further), Family{
		Name: "aws_ecr_image_media_type", Help: "The media type of an image", Type: gauge, Unit: "always 1",
		per: perTag, labels: with(tagLabels, label{"media_type", func(s *subject) string { return s.image.MediaType }}),
		value: always,
	})
	table, err := New(inventory.Shape{})
	if err != nil {
		t.Fatal(err)
	}
	image := func(mediaType string) inventory.Image {
		return inventory.Image{Tags: []string{"v1"}, SizeBytes: 1, MediaType: mediaType}
	}
	repository := &inventory.Repository{Name: "app", Images: []inventory.Image{image("a")}}
	r := &inventory.Registry{ListedAt: 1, Repositories: []*inventory.Repository{repository}}
	r.Ends = table.Ends(r)
	r.Pushed(1, inventory.Shape{}, true, nil)
	r.SetImages(repository, []inventory.Image{image("b")}, 2)
	find := func(series func(func(Series) bool)) (values []string) {
		series(func(s Series) bool {
			if s.Family.Name == "aws_ecr_image_media_type" {
				i := slices.IndexFunc(s.Labels, func(l Label) bool { return l.Name == "media_type" })
				values = append(values, strings.Clone(s.Labels[i].Value))
			}
			return true
		})
		return values
	}
	if alive := find(table.All(r, Options{})); !slices.Equal(alive, []string{"b"}) {
		t.Errorf("series with the media types %v, want b", alive)
	}
	if stale := find(table.Stale(r, Options{})); !slices.Equal(stale, []string{"a"}) {
		t.Errorf("markers of the media types %v, want a", stale)
	}
	last := Families()[len(contract)+len(further)-1]
	if want := []string{"digest", "image", "media_type", "name", "registry_id", "tag"}; !slices.Equal(last.Labels, want) {
		t.Errorf("documented labels %v, want %v", last.Labels, want)
	}
}
