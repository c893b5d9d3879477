package selection_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// index makes an image an index that lists these digests.
func index(children ...byte) func(*inventory.Image) {
	return func(i *inventory.Image) {
		i.MediaType, i.Index = inventory.OCIIndex, &inventory.Index{Others: []inventory.Digest{{200}}}
		for _, n := range children {
			i.Index.Children = append(i.Index.Children, inventory.Child{Digest: inventory.Digest{n}})
		}
	}
}

func unread(i *inventory.Image) { i.MediaType = inventory.DockerList }

func TestUntagged(t *testing.T) {
	t.Parallel()
	inUse := func(i *inventory.Image) { i.Scan = &inventory.Scan{InUseCount: 2} }
	artifact := func(mediaType string) func(*inventory.Image) {
		return func(i *inventory.Image) { i.ArtifactType = inventory.WordOf(mediaType) }
	}
	month := inventory.Shape{UntaggedImages: 3, UntaggedWithin: 30 * day}
	for _, c := range []struct {
		name   string
		shape  inventory.Shape
		images []inventory.Image
		want   string
	}{
		{"none", inventory.Shape{}, []inventory.Image{image(1, day)}, ""},
		{"the newest", inventory.Shape{UntaggedImages: 2}, []inventory.Image{image(1, day), image(2, 9*day), image(3, 2*day), image(4, 0, "v4"), with(image(5, 0), neverPushed)}, "1 3"},
		{"pushed or pulled within", month, []inventory.Image{image(1, 30*day), image(2, 31*day), with(image(3, 99*day), pulled(day)), with(image(4, 0), neverPushed)}, "1 3"},
		{"archived", month, []inventory.Image{with(image(1, day), archived), image(2, day)}, "2"},
		{
			"what no container runs", month,
			[]inventory.Image{
				with(image(1, day), func(i *inventory.Image) { i.HasSubject = true }), with(image(2, day), artifact("application/vnd.in-toto+json")),
				with(image(3, day), artifact("application/vnd.oci.image.config.v1+json")), with(image(4, day), artifact("application/vnd.docker.container.image.v1+json")),
			}, "3 4",
		},
		{"children and attestations of indexes", month, []inventory.Image{with(image(1, 0, "v1"), index(2, 3, 77)), image(2, 0), image(3, 0), image(4, 0), image(200, 0)}, "4"},
		{"a child that runs", month, []inventory.Image{with(image(1, 0, "v1"), index(2, 3)), with(image(2, 0), inUse), image(3, 0)}, "2"},
		{"an index that lost its tag", month, []inventory.Image{with(image(1, day), index(2)), image(2, day), with(image(3, 0, "v1"), index(4)), image(4, 0)}, "1"},
		{"an index that is not read", month, []inventory.Image{with(image(1, 0, "v1"), unread), image(2, 0), with(image(3, 0), index(4))}, ""},
		{"an index that is not read and has no tag", month, []inventory.Image{with(image(1, 99*day), unread), image(2, 0)}, ""},
		{"an archived index", month, []inventory.Image{with(with(image(1, 0, "v1"), unread), archived), image(2, 0)}, "2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := registry(repository("a", c.images...))
			for range 2 {
				apply(t, c.shape, r, now)
				var got []string
				for _, image := range r.Repositories[0].Images {
					if !image.Excluded && len(image.Tags) == 0 {
						got = append(got, fmt.Sprint(image.Digest[0]))
					}
				}
				if text := strings.Join(got, " "); text != c.want {
					t.Errorf("selected: %q, want %q", text, c.want)
				}
			}
		})
	}
}
