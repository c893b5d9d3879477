package e2e

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// millionImages is a variable that adds a registry of a million images to the benchmark,
// which takes some minutes and some GB.
const millionImages = "E2E_MILLION_IMAGES"

// BenchmarkPeakMemory measures the peak resident memory of the function while it lists a
// registry, reads its scans from Inspector's lists, and pushes, twice and until all scans
// are read: "MB-peak". With a state in a file, "MB-peak-cold" is the peak of a new environment that loads the state.
// Images are tagged ones; a plain registry has more than as many untagged ones, one of 2026
// five times as many.
func BenchmarkPeakMemory(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("the peak of resident memory is taken from /proc, which is Linux's")
	}
	sizes := []int{100_000}
	if os.Getenv(millionImages) != "" {
		sizes = append(sizes, 1_000_000)
	}
	profiles := map[string]func(repositories, taggedImages int, now time.Time) ecrtest.Shape{
		"plain": ecrtest.PlainShape, "2026": ecrtest.RealisticShape,
	}
	for _, images := range sizes {
		for _, profile := range slices.Backward(slices.Sorted(maps.Keys(profiles))) {
			b.Run(fmt.Sprintf("profile=%s/images=%d", profile, images), func(b *testing.B) {
				benchmarkPeakMemory(b, profiles[profile](1_000, images, time.Now().Add(-48*time.Hour)))
			})
		}
	}
}

func benchmarkPeakMemory(b *testing.B, shape ecrtest.Shape) {
	b.Helper()
	images := shape.TaggedImages
	registry := ecrtest.NewRegistry(account, region)
	if err := registry.SetScanning(ecrtest.Scanning{Type: "ENHANCED"}); err != nil {
		b.Fatal(err)
	}
	if err := registry.Generate(seed, shape); err != nil {
		b.Fatal(err)
	}
	if err := registry.SetPullTimeExclusions(functionRole); err != nil {
		b.Fatal(err)
	}
	server := ecrtest.Start(b, registry)
	receiver := startNullReceiver(b)
	env := []string{fastScans, "LOG_LEVEL=INFO", "REFRESH_BUDGET=" + (time.Duration(images) * 200 * time.Microsecond).String()}
	if images > 100_000 { // the garbage collector's limit is 80 % of it: 460 MB
		env = append(env, "AWS_LAMBDA_FUNCTION_MEMORY_SIZE=576")
	}
	b.Run("state=memory", func(b *testing.B) {
		for b.Loop() {
			measurePeak(b, "MB-peak", startFunction(b, server, receiver, env...), 2)
		}
	})
	b.Run("state=file", func(b *testing.B) {
		for b.Loop() {
			path := filepath.Join(b.TempDir(), fmt.Sprint(time.Now().UnixNano()))
			env := append(env, "STATE_URL=file://"+path)
			measurePeak(b, "MB-peak", startFunction(b, server, receiver, env...), 2)
			if info, err := os.Stat(path); err != nil {
				b.Fatal(err)
			} else {
				b.ReportMetric(float64(info.Size())/float64(images), "B-stored/image")
			}
			measurePeak(b, "MB-peak-cold", startFunction(b, server, receiver, env...), 1)
		}
	})
}

// measurePeak makes runs, at least so many and until no scan is pending, stops the function
// and reports its peak memory.
func measurePeak(b *testing.B, unit string, f *function, runs int) {
	b.Helper()
	pending := 0
	const most = 40
	for made := 0; made < runs || pending > 0; made++ {
		s := f.invoke(b, "schedule-rule.json", 14*time.Minute)
		b.Logf("%d of %d repositories, %d images, %d scans pending, %d series", s.Repositories-s.Left, s.Repositories, s.Images, s.Scans.Pending, s.Accepted)
		if s.Left > 0 || s.Scans.Source != "inspector" {
			b.Errorf("%d repositories are left, scans are of %s", s.Left, s.Scans.Source)
		}
		if pending = s.Scans.Pending; made == most {
			b.Fatalf("%d scans are pending after %d runs", pending, made)
		}
	}
	b.ReportMetric(float64(f.stop(b))/(1<<20), unit)
}

// startNullReceiver starts a receiver that discards what it receives, and returns its
// URL.
func startNullReceiver(tb testing.TB) string {
	tb.Helper()
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			tb.Errorf("read what was sent: %v", err)
		}
		w.WriteHeader(http.StatusNoContent)
	}))
	tb.Cleanup(receiver.Close)
	return receiver.URL
}
