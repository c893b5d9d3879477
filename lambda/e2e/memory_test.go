package e2e

import (
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// TestPeakMemory checks that 50,000 tagged images fit into the smallest function of
// Lambda: when it lists and pushes them, and when it lists them again while it has the
// previous records.
func TestPeakMemory(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("the peak of resident memory is taken from /proc, which is Linux's")
	}
	if testing.Short() {
		t.Skip("a large registry takes some seconds")
	}
	t.Parallel()
	const (
		tagged = 50_000
		limit  = 128 << 20
	)
	registry := ecrtest.NewRegistry(account, region)
	if err := registry.Generate(seed, ecrtest.PlainShape(500, tagged, generatedAt)); err != nil {
		t.Fatal(err)
	}
	want := 0
	for range contracttest.Of(registry, contracttest.ScanSummary) {
		want++
	}
	server := ecrtest.Start(t, registry)
	receiver := startNullReceiver(t)
	run := func(t *testing.T, f *function, refreshed bool) summary {
		t.Helper()
		s := f.invoke(t, "schedule-rule.json", invocationTimeout)
		if s.Series < want || s.Accepted != s.Series {
			t.Fatalf("%d of %d series were accepted, want all of at least %d", s.Accepted, s.Series, want)
		}
		if refreshed != (s.Refreshed == 500) || s.Left > 0 {
			t.Fatalf("the run refreshed %d of %d repositories, %d are left; want all refreshed: %t", s.Refreshed, s.Due, s.Left, refreshed)
		}
		return s
	}
	check := func(t *testing.T, f *function) {
		t.Helper()
		peak := f.stop(t)
		t.Logf("peak of resident memory: %.1f MB", float64(peak)/(1<<20))
		if peak <= 0 || peak > limit {
			t.Errorf("peak of resident memory: %d bytes, want at most %d", peak, limit)
		}
	}
	// Every record that is older than this is due.
	const due = "CACHE_REFRESH_INTERVAL=1s"
	// As deployed: the log lines of level DEBUG take memory.
	const info = "LOG_LEVEL=INFO"

	t.Run("memory state", func(t *testing.T) {
		f := startFunction(t, server, receiver, scansFromSummary, info, due)
		s := run(t, f, true)
		waitUntilDue(s, time.Second)
		run(t, f, true)
		check(t, f)
	})
	t.Run("file state", func(t *testing.T) {
		state := "STATE_URL=file://" + filepath.Join(t.TempDir(), "state")
		filling := startFunction(t, server, receiver, scansFromSummary, info, state)
		run(t, filling, true)
		run(t, filling, false)
		check(t, filling)

		cold := startFunction(t, server, receiver, scansFromSummary, info, state)
		s := run(t, cold, false)
		check(t, cold)

		waitUntilDue(s, time.Second)
		refreshing := startFunction(t, server, receiver, scansFromSummary, info, state, due)
		run(t, refreshing, true)
		check(t, refreshing)
	})
}
