package e2e

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/lambdatest"
)

// BenchmarkEventRun measures the run for an event about a new image in a repository of 1,000
// images, among many others, in a warm environment: until it is pushed and the changes are
// saved. "sec-max/event" is the longest.
func BenchmarkEventRun(b *testing.B) {
	sizes := []int{100_000}
	if os.Getenv(millionImages) != "" {
		sizes = append(sizes, 1_000_000)
	}
	for _, images := range sizes {
		b.Run(fmt.Sprintf("images=%d", images), func(b *testing.B) {
			path := filepath.Join(b.TempDir(), "state")
			saveInventory(b, path, images)
			registry := ecrtest.NewRegistry(account, region)
			addRepository(b, registry, inventoryRepository(0), 1000) // no other is read
			server := ecrtest.Start(b, registry)
			f := startFunction(b, server, startNullReceiver(b), "LOG_LEVEL=INFO", "CACHE_REFRESH_INTERVAL=168h", "REMOTE_WRITE_PROTOCOL=1.0",
				"STATE_URL=file://"+path, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=4096")
			if s := f.invoke(b, "schedule-rule.json", 14*time.Minute); s.Due > 0 || s.Images != images || s.Accepted != s.Series {
				b.Fatalf("%d of %d series were accepted, of %d images, and %d repositories were due", s.Accepted, s.Series, s.Images, s.Due)
			}
			n, longest := 1000, time.Duration(0)
			event := func() {
				addImage(b, registry, inventoryRepository(0), n)
				tag := fmt.Sprint("v", n)
				n++
				began := time.Now()
				s := f.deliver(b, registry.PushEvent(inventoryRepository(0), ecrtest.Digest(inventoryRepository(0)+":"+tag), tag, began))
				longest = max(longest, time.Since(began))
				if s.Refreshed != 1 || s.Accepted != s.Series || s.Series < 1000 {
					b.Fatalf("%d repositories were refreshed, %d of %d series accepted", s.Refreshed, s.Accepted, s.Series)
				}
			}
			event() // its listing replaces all images of the repository
			whole, longest := modified(b, path), 0*longest
			for b.Loop() {
				event()
			}
			b.ReportMetric(longest.Seconds(), "sec-max/event")
			if modified(b, path) != whole {
				b.Error("the whole state was saved, want only the changes")
			}
		})
	}
}

func modified(b *testing.B, path string) time.Time {
	b.Helper()
	info, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return info.ModTime()
}

func inventoryRepository(n int) string { return fmt.Sprintf("team-%04d/service", n) }

// saveInventory writes a state of tagged and scanned images, 1,000 in a repository, of which
// nothing is due.
func saveInventory(b *testing.B, path string, images int) {
	b.Helper()
	rng, now := rand.New(rand.NewPCG(1, 2)), inventory.TimeOf(time.Now())
	registry := &inventory.Registry{ID: account, ListedAt: now, ScanSource: inventory.ScansFromFindings, Whole: "generated"}
	scan := &inventory.Scan{
		Status: inventory.WordOf("COMPLETE"), CompletedAt: now, AskedAt: now,
		Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("CRITICAL"), Count: 1}, {Severity: inventory.WordOf("HIGH"), Count: 2}, {Severity: inventory.WordOf("LOW"), Count: 9}}),
	}
	for n := range images / 1000 {
		name := inventoryRepository(n)
		repository := &inventory.Repository{
			Name: name, URI: account + ".dkr.ecr." + region + ".amazonaws.com/" + name, RegistryID: account,
			TagMutability: "MUTABLE", EncryptionType: "AES256", ImagesReadAt: now, TriedAt: now,
		}
		list := make([]inventory.Image, 1000)
		for i := range list {
			image := inventory.Image{Tags: []string{fmt.Sprint("v", i)}, SizeBytes: 1 + rng.Int64N(1e9), PushedAt: now, Status: inventory.ImageActive, Scan: scan}
			for k := 0; k < len(image.Digest); k += 8 {
				binary.LittleEndian.PutUint64(image.Digest[k:], rng.Uint64())
			}
			list[i] = image
		}
		registry.SetImages(repository, list, now)
		registry.Repositories = append(registry.Repositories, repository)
	}
	file, err := os.Create(path)
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	if err := inventory.Encode(file, registry); err != nil {
		b.Fatal(err)
	}
}

// bootstrapVariable is the path of another build of the function to measure.
const bootstrapVariable = "E2E_BOOTSTRAP"

// BenchmarkPushCPU measures the user CPU time of a scheduled run in a warm environment with
// nothing due, which only pushes: "user-sec/run". Two builds are compared by running them in
// turn, see docs/performance.md.
func BenchmarkPushCPU(b *testing.B) {
	const runs = 50
	program := os.Getenv(bootstrapVariable)
	if program == "" {
		program = bootstrap(b)
	}
	registry := registryOf(b, ecrtest.PlainShape(200, 10_000, generatedAt))
	server := ecrtest.Start(b, registry)
	receiver := startNullReceiver(b)
	state := filepath.Join(b.TempDir(), "state")
	var series int
	process := func(runs int) time.Duration {
		f := &function{log: newLogLines()}
		var err error
		f.Environment, err = lambdatest.Start(b.Context(), lambdatest.Function{
			Path: program, Region: region, MemoryMB: 1024, Output: f.log,
			Env: []string{
				"AWS_ENDPOINT_URL=" + server.URL(), "REMOTE_WRITE_URL=" + receiver, "REMOTE_WRITE_PROTOCOL=1.0", scansFromSummary,
				"CACHE_REFRESH_INTERVAL=168h", "STATE_URL=file://" + state, "ECR_REQUESTS_PER_SECOND=10000",
			},
		})
		if err != nil {
			b.Fatal(err)
		}
		for range runs {
			s := f.invoke(b, "schedule-rule.json", invocationTimeout)
			if series = s.Series; s.Accepted != series || s.Left > 0 {
				b.Fatalf("%d of %d series were accepted, %d repositories are left", s.Accepted, s.Series, s.Left)
			}
		}
		exit, err := f.Close()
		if err != nil {
			b.Fatal(err)
		}
		return exit.State.UserTime()
	}
	process(1) // reads the registry and saves it
	var total time.Duration
	for b.Loop() {
		total += process(runs)
	}
	b.ReportMetric(0, "ns/op") // other processes of the machine count there
	b.ReportMetric(total.Seconds()/float64(b.N*runs), "user-sec/run")
	b.ReportMetric(float64(series), "series")
}
