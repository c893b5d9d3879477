package selection

import (
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Admit withholds images that are not shown yet beyond a number of series, those in use being
// admitted first, and returns how many it withholds. series counts those of an image.
func (s *Selection) Admit(registry *inventory.Registry, at time.Time, room int, series func(*inventory.Repository, *inventory.Image) int) (withheld int) {
	use := s.use(registry, at, false)
	use.all = false
	for _, inUse := range []bool{true, false} {
		for _, repository := range registry.Repositories {
			for i := range repository.Images {
				image := &repository.Images[i]
				if repository.Excluded || !image.HasSeries() || image.Shown || use.has(repository, image) != inUse {
					continue
				}
				if n := series(repository, image); n <= room {
					room -= n
				} else {
					image.Withheld = true
					withheld++
				}
			}
		}
	}
	return withheld
}
