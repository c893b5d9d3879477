package selection_test

import (
	"strings"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// What is in use is admitted first, and what is shown, excluded or idle takes no room.
func TestAdmit(t *testing.T) {
	t.Parallel()
	shown := func(i *inventory.Image) { i.Shown = true }
	for _, c := range []struct {
		name  string
		shape inventory.Shape
		room  int
		want  string // withheld
	}{
		{"no room", inventory.Shape{}, -5, "1 3 4 5"},
		{"some", inventory.Shape{}, 3, "1 4"},
		{"most", inventory.Shape{}, 5, "4"},
		{"all", inventory.Shape{}, 7, ""},
		{"not those excluded", inventory.Shape{Tags: inventory.Filter{Exclude: "[vw][34]"}}, 0, "1 5"},
		{"not those idle", inventory.Shape{InUseWithin: 90 * day}, 1, "1 3 4"}, // 1 and 4 are idle
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := registry(repository("a", image(1, 99*day, "v1"), with(image(2, 99*day, "v2"), shown), image(3, day, "v3"), image(4, 99*day, "v4", "w4"), image(5, day, "v5"), image(6, day)))
			r.RunningAnswered(inventory.TimeOf(now))
			r.SawRunning("u/a:v2", inventory.TimeOf(now))
			apply(t, c.shape, r, now)
			before := withheld(r)
			s, err := selection.New(c.shape)
			if err != nil {
				t.Fatal(err)
			}
			n := s.Admit(r, now, c.room, func(_ *inventory.Repository, image *inventory.Image) int {
				return map[byte]int{1: 2, 3: 2, 4: 2, 5: 1}[image.Digest[0]]
			})
			if got := withheld(r); got != c.want || n != len(strings.Fields(got))-len(strings.Fields(before)) {
				t.Errorf("%d withheld: %q, before %q, want %q", n, got, before, c.want)
			}
		})
	}
}
