package state_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"runtime"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/s3"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/state"
)

// large makes an inventory of n tagged images with a scan, 100 in each repository.
func large(n int) *inventory.Registry {
	rng := rand.New(rand.NewPCG(1, 2))
	registry := &inventory.Registry{ID: "123456789012", ListedAt: 1}
	for i := range n / 100 {
		name := fmt.Sprintf("team-%05d/service", i)
		repository := &inventory.Repository{Name: name, URI: "123456789012.dkr.ecr.eu-west-1.amazonaws.com/" + name, RegistryID: registry.ID, TagMutability: "MUTABLE", EncryptionType: "AES256"}
		images := make([]inventory.Image, 100)
		for j := range images {
			at := inventory.Time(1_700_000_000_000 + rng.Int64N(1e10))
			for k := 0; k < len(inventory.Digest{}); k += 8 {
				binary.LittleEndian.PutUint64(images[j].Digest[k:], rng.Uint64())
			}
			images[j].Tags = []string{fmt.Sprintf("v1.%d.%d-%08x", i, j, rng.Uint32())}
			images[j].SizeBytes, images[j].PushedAt = int64(rng.IntN(1<<30)), at
			images[j].MediaType, images[j].Status = inventory.WordOf("application/vnd.oci.image.manifest.v1+json"), inventory.ImageActive
			images[j].Scan = &inventory.Scan{Status: inventory.WordOf("COMPLETE"), CompletedAt: at, AskedAt: at, Severities: inventory.CountsOf(inventory.Severities{
				{Severity: inventory.WordOf("HIGH"), Count: int32(rng.IntN(20))}, {Severity: inventory.WordOf("LOW"), Count: int32(rng.IntN(100))}, {Severity: inventory.WordOf("MEDIUM"), Count: int32(rng.IntN(50))},
			})}
		}
		registry.SetImages(repository, images, 1)
		registry.Repositories = append(registry.Repositories, repository)
	}
	return registry
}

// BenchmarkS3 saves and loads an inventory of scanned images with Moto on this machine.
// alloc-B/image is the number of bytes allocated for each image; stored-MB is what is
// transferred.
func BenchmarkS3(b *testing.B) {
	for _, images := range []int{100_000, 1_000_000} {
		if images > 100_000 && testing.Short() {
			continue
		}
		bucket := newBucket(b)
		cfg := config(moto.url)
		registry := large(images)
		store := state.NewS3(cfg, bucket.name, key, nil)
		measured := func(name string, do func()) {
			b.Run(fmt.Sprintf("%s/images=%d", name, images), func(b *testing.B) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				for b.Loop() {
					do()
				}
				runtime.ReadMemStats(&after)
				b.ReportMetric(float64(after.TotalAlloc-before.TotalAlloc)/float64(b.N)/float64(images), "alloc-B/image")
				if name == "save" {
					out, err := bucket.client.HeadObject(b.Context(), &s3.HeadObjectInput{Bucket: &bucket.name, Key: new(key)})
					if err != nil {
						b.Fatal(err)
					}
					b.ReportMetric(float64(*out.ContentLength)/1e6, "stored-MB")
				}
			})
		}
		measured("save", func() {
			if err := store.Save(b.Context(), registry, true); err != nil {
				b.Fatal(err)
			}
		})
		measured("load", func() {
			if got, err := state.NewS3(cfg, bucket.name, key, nil).Load(b.Context()); err != nil || len(got.Repositories) != len(registry.Repositories) {
				b.Fatal(got, err)
			}
		})
		measured("load-unchanged", func() {
			if _, err := store.Load(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}
