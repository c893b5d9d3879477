package refresh

import (
	"maps"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Of the unfinished listings the longest are kept, up to a number of images, and one
// always.
func TestBoundUnfinished(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		images map[string]int
		want   []string
	}{
		"all fit":         {map[string]int{"a": maxUnfinished / 2, "b": maxUnfinished / 2}, []string{"a", "b"}},
		"some fit":        {map[string]int{"a": 1, "b": maxUnfinished / 2, "c": maxUnfinished/2 + 1}, []string{"a", "c"}},
		"the longest not": {map[string]int{"a": 1, "b": 2 * maxUnfinished}, []string{"b"}},
	} {
		r := New(nil, Options{})
		for repository, n := range c.images {
			r.unfinished[repository] = &listing{repository: repository, images: make([]inventory.Image, n)}
		}
		r.boundUnfinished()
		if diff := cmp.Diff(c.want, slices.Sorted(maps.Keys(r.unfinished))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}
