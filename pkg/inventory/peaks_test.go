package inventory_test

import (
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// The last of the peaks is that of pushes half an hour ago and more, of 90 minutes at most.
func TestPeaks(t *testing.T) {
	t.Parallel()
	const minute = hour / 60
	r := &inventory.Registry{}
	for _, c := range []struct {
		at     inventory.Time
		series int
		want   [3]int
		save   bool
	}{
		{600 * minute, 5, [3]int{5}, true},
		{600 * minute, 4, [3]int{5}, false},
		{629 * minute, 6, [3]int{6}, true},
		{630 * minute, 3, [3]int{3, 6}, true},
		{659 * minute, 8, [3]int{8, 6}, true},
		{660 * minute, 2, [3]int{2, 8, 6}, true},
		{739 * minute, 1, [3]int{1, 0, 2}, true}, // nothing in between
		{900 * minute, 1, [3]int{1}, true},
	} {
		r.Unsaved.Any = false
		if r.NotePeak(c.at, c.series); r.Peaks.Series != c.want || r.Unsaved.Any != c.save {
			t.Errorf("at minute %d: %v, to be saved %v; want %v, %v", c.at/minute, r.Peaks, r.Unsaved.Any, c.want, c.save)
		}
	}
}
