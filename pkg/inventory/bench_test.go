package inventory_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// generate makes an inventory of n tagged images, 100 a repository.
func generate(n int) *inventory.Registry {
	rng := rand.New(rand.NewPCG(1, 2))
	registry := &inventory.Registry{ID: "123456789012", ListedAt: 1}
	for i := range n / 100 {
		name := fmt.Sprintf("team-%05d/service", i)
		repo := &inventory.Repository{Name: name, URI: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/" + name, RegistryID: registry.ID, TagMutability: "MUTABLE", EncryptionType: "AES256"}
		images := make([]inventory.Image, 100)
		for j := range images {
			for k := 0; k < len(inventory.Digest{}); k += 8 {
				binary.LittleEndian.PutUint64(images[j].Digest[k:], rng.Uint64())
			}
			images[j].Tags = []string{fmt.Sprintf("v1.%d.%d-%08x", i, j, rng.Uint32())}
			images[j].SizeBytes = int64(rng.IntN(1 << 30))
			images[j].PushedAt = inventory.Time(1_700_000_000_000 + rng.Int64N(1e10))
			images[j].MediaType, images[j].Status = inventory.WordOf("application/vnd.oci.image.manifest.v1+json"), inventory.ImageActive
		}
		registry.SetImages(repo, images, 1)
		registry.Repositories = append(registry.Repositories, repo)
	}
	return registry
}

// atSizes runs a benchmark for 100,000 images and, unless -short, for 1,000,000.
func atSizes(b *testing.B, run func(b *testing.B, registry *inventory.Registry, images int)) {
	for _, images := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprintf("images=%d", images), func(b *testing.B) {
			if images > 100_000 && testing.Short() {
				b.Skip("-short")
			}
			registry := generate(images)
			b.ReportAllocs()
			run(b, registry, images)
		})
	}
}

func perImage(b *testing.B, images int) {
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(images), "ns/image")
}

// BenchmarkDecode shows time and memory of loading an inventory: heap-B/image is
// what a loaded one takes, stored-B/image what its stored form does.
func BenchmarkDecode(b *testing.B) {
	atSizes(b, func(b *testing.B, registry *inventory.Registry, images int) {
		text := encode(b, registry)
		registry = nil
		for b.Loop() {
			var err error
			if registry, err = inventory.Decode(bytes.NewReader(text)); err != nil {
				b.Fatal(err)
			}
		}
		perImage(b, images)
		held := heap()
		runtime.KeepAlive(registry) // and no longer
		b.ReportMetric((held-heap())/float64(images), "heap-B/image")
		b.ReportMetric(float64(len(text))/float64(images), "stored-B/image")
	})
}

// heap is what is in use, in bytes.
func heap() float64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return float64(stats.HeapAlloc)
}

// BenchmarkEncode shows by alloc-B/image, all that is allocated on the way, that
// there is no second copy of the inventory: this is the most that memory can grow by.
func BenchmarkEncode(b *testing.B) {
	atSizes(b, func(b *testing.B, registry *inventory.Registry, images int) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for b.Loop() {
			if err := inventory.Encode(io.Discard, registry); err != nil {
				b.Fatal(err)
			}
		}
		runtime.ReadMemStats(&after)
		perImage(b, images)
		b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(images), "alloc-B/image")
	})
}

// BenchmarkMerge merges a copy in which every second repository was read later.
func BenchmarkMerge(b *testing.B) {
	atSizes(b, func(b *testing.B, registry *inventory.Registry, images int) {
		registry.Pushed(1, inventory.Shape{}, true, nil)
		derive(registry)
		text := encode(b, registry)
		for b.Loop() {
			b.StopTimer()
			other, err := inventory.Decode(bytes.NewReader(text))
			if err != nil {
				b.Fatal(err)
			}
			for i, repository := range other.Repositories {
				repository.ImagesReadAt = registry.Repositories[i].ImagesReadAt + inventory.Time(i%2)
			}
			b.StartTimer()
			registry.Merge(other)
		}
		perImage(b, images)
	})
}
