package selection_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// generate makes an inventory of 100,000 tagged images.
func generate(repositories int) *inventory.Registry {
	rng := rand.New(rand.NewPCG(1, 2))
	r := registry()
	for i := range repositories {
		repository := repository(fmt.Sprintf("team-%05d/service", i))
		images := make([]inventory.Image, 100_000/repositories)
		for j := range images {
			for k := 0; k < len(inventory.Digest{}); k += 8 {
				binary.LittleEndian.PutUint64(images[j].Digest[k:], rng.Uint64())
			}
			images[j].Tags = []string{fmt.Sprintf("v1.%d.%d-%08x", i, j, rng.Uint32())}
			images[j].PushedAt = ago(time.Duration(rng.Int64N(int64(100 * day))))
		}
		r.SetImages(repository, images, 1)
		r.Repositories = append(r.Repositories, repository)
	}
	return r
}

// BenchmarkApply shows what 100,000 images cost a run in which nothing changes,
// with each filter and with none.
func BenchmarkApply(b *testing.B) {
	tag := inventory.Filter{Include: `v1\..*`}
	for _, c := range []struct {
		name  string
		shape inventory.Shape
	}{
		{"none", inventory.Shape{}},
		{"repository", inventory.Shape{Repositories: inventory.Filter{Include: "team-.*"}}},
		{"tag", inventory.Shape{Tags: tag}},
		{"within", inventory.Shape{PushedWithin: 30 * day}},
		{"newest", inventory.Shape{NewestImages: 10}},
		{"in use", inventory.Shape{InUseWithin: 2 * day}},
		{"all", inventory.Shape{Tags: tag, PushedWithin: 30 * day, NewestImages: 10}},
	} {
		for _, repositories := range []int{1000, 1} {
			b.Run(fmt.Sprintf("filter=%s/repositories=%d", c.name, repositories), func(b *testing.B) {
				r := generate(repositories)
				s, err := selection.New(c.shape)
				if err != nil {
					b.Fatal(err)
				}
				for i := range 4000 { // run
					repository := r.Repositories[i%repositories]
					image := &repository.Images[i%len(repository.Images)]
					r.SawRunning("u@"+image.Digest.String(), inventory.TimeOf(now))
					r.SawRunning(repository.URI+":"+image.Tags[0], inventory.TimeOf(now))
				}
				r.RunningAnswered(inventory.TimeOf(now))
				s.Apply(r, now)
				b.ReportAllocs()
				for b.Loop() {
					if s.Apply(r, now) {
						b.Fatal("something changed")
					}
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100_000, "ns/image")
			})
		}
	}
}
