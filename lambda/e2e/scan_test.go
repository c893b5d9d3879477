package e2e

import (
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// fastScans is the setting of tests about scan results that do not test the rate limit.
const fastScans = "SCAN_REQUESTS_PER_SECOND=10000"

// TestScans checks that after a first run Prometheus has the status, the time and every
// count of each image's scan, as the API reports them for that image, for both kinds of
// scanning.
func TestScans(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, scanning, source string
		partial                bool // Inspector's lists have no counts below MEDIUM
	}{
		{name: "BASIC", scanning: "BASIC", source: "findings"},
		{name: "ENHANCED", scanning: "ENHANCED", source: "inspector"},
		{name: "ENHANCED before 2026", scanning: "ENHANCED", source: "inspector", partial: true},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			registry := ecrtest.NewRegistry(account, region)
			if err := registry.SetScanning(ecrtest.Scanning{Type: test.scanning}); err != nil {
				t.Fatal(err)
			}
			if err := registry.Generate(seed, ecrtest.RealisticShape(20, 400, time.Now().Add(-48*time.Hour))); err != nil {
				t.Fatal(err)
			}
			checkVaried(t, registry)
			server := ecrtest.Start(t, registry)
			if test.partial {
				server.OmitLowCounts()
			}
			prometheus := tsdbtest.Start(t, tsdbtest.Options{})
			f := startFunction(t, server, prometheus.URL(), fastScans)

			first := f.invoke(t, "schedule-rule.json", invocationTimeout)
			checkPushed(t, prometheus, first, expectation{registry: registry, scan: scansAt(registry, time.Now())}.series())
			if first.Scans.Source != test.source || first.Scans.Left+first.Scans.Pending > 0 {
				t.Errorf("scans of %s: %d left, %d pending; want %s, none", first.Scans.Source, first.Scans.Left, first.Scans.Pending, test.source)
			}
			calls := server.Calls()
			if test.source == "inspector" && (calls["DescribeImageScanFindings"] > 0) != test.partial {
				t.Errorf("calls %v", calls)
			}
			second := f.invoke(t, "schedule-rule.json", invocationTimeout)
			checkPushed(t, prometheus, second, expectation{registry: registry, scan: scansAt(registry, time.Now())}.series())
			if len(second.Calls) > 0 {
				t.Errorf("the second run called %v after %v", second.Calls, calls)
			}
		})
	}
}

// checkVaried checks that a generated registry has images with every result of a scan
// that the test is about.
func checkVaried(t *testing.T, registry *ecrtest.Registry) {
	t.Helper()
	var never, clean, partial, other int
	eachTagged(registry, func(repository string, image ecrtest.Image) {
		scan, ok := registry.Scan(repository, image.Digest, time.Now())
		switch {
		case !ok:
			never++
		case scan.Counts == nil:
			other++
		case len(scan.Counts) == 0:
			clean++
		case scan.Counts["LOW"] > 0:
			partial++
		}
	})
	for what, n := range map[string]int{
		"image that was never scanned": never,
		"image with a clean scan":      clean,
		"image with findings below":    partial,
		"image that cannot be scanned": other,
	} {
		if n == 0 {
			t.Errorf("the generated registry has no %s", what)
		}
	}
}
