package e2e

import (
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// versionLog records the versions of the protocol that requests use.
type versionLog struct {
	mu       sync.Mutex
	versions []string
}

func (s *versionLog) record(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := strings.TrimSuffix(r.Header.Get("X-Prometheus-Remote-Write-Version"), ".0.0")
	if version == "0.1.0" { // which version 1.0 sends
		version = "1"
	}
	s.versions = append(s.versions, version)
}

// take returns the versions of the requests since it was last called, "1" or "2",
// without repetitions.
func (s *versionLog) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions := slices.Compact(s.versions)
	s.versions = nil
	return strings.Join(versions, " ")
}

// TestProtocols pushes to Prometheus in each version of remote write, and in the version
// that the function detects. The detected version is kept in the state: a new execution
// environment does not try again.
func TestProtocols(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		setting string
		options tsdbtest.Options
		// The versions that the first run uses, and later ones.
		first, later string
		summary      string
	}{
		"1.0":               {setting: "1.0", first: "1", later: "1", summary: "1.0"},
		"2.0":               {setting: "2.0", first: "2", later: "2", summary: "2.0"},
		"auto":              {setting: "auto", first: "2", later: "2", summary: "2.0"},
		"auto, without 2.0": {setting: "auto", options: tsdbtest.Options{Only1: true}, first: "2 1", later: "1", summary: "1.0"},
		"the default":       {options: tsdbtest.Options{Only1: true}, first: "2 1", later: "1", summary: "1.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			registry := generatedRegistry(t, 20, 200)
			server := ecrtest.Start(t, registry)
			prometheus := tsdbtest.Start(t, tt.options)
			writes, seen := startProxy(t, prometheus.URL()), &versionLog{}
			writes.watch(seen.record, nil)
			want := expectation{registry: registry, durable: true}.series()
			env := []string{
				scansFromSummary, "STATE_URL=file://" + filepath.Join(t.TempDir(), "state"), "REMOTE_WRITE_PROTOCOL=" + tt.setting,
				"REMOTE_WRITE_MAX_SERIES=200",
			}
			for _, environment := range []string{"first", "cold"} {
				f := startFunction(t, server, writes.url, env...)
				for _, run := range []string{"first", "second"} {
					s := f.invoke(t, "schedule-rule.json", invocationTimeout)
					checkPushed(t, prometheus, s, want)
					versions := tt.later
					if environment == "first" && run == "first" {
						versions = tt.first
					}
					if got := seen.take(); got != versions || s.Protocol != tt.summary {
						t.Errorf("%s run of the %s environment: used version %q and reports %q, want %q and %q", run, environment, got, s.Protocol, versions, tt.summary)
					}
				}
				f.stop(t)
			}
		})
	}
}

// TestVictoriaMetrics pushes to a store that responds to Remote-Write 2.0 with 204 and
// stores nothing: every series has to arrive as 1.0.
func TestVictoriaMetrics(t *testing.T) {
	t.Parallel()
	store := startVictoriaMetrics(t)
	registry := generatedRegistry(t, 20, 200)
	server := ecrtest.Start(t, registry)
	writes, seen := startProxy(t, store.url+"/api/v1/write"), &versionLog{}
	writes.watch(seen.record, nil)
	f := startFunction(t, server, writes.url, scansFromSummary, "REMOTE_WRITE_PROTOCOL=auto", "REMOTE_WRITE_MAX_SERIES=200")
	want := wantSeries(registry)
	for _, versions := range []string{"2 1", "1"} {
		s := f.invoke(t, "schedule-rule.json", invocationTimeout)
		got := store.series(t, s.Timestamp)
		maps.DeleteFunc(got, func(key string, _ float64) bool { return !isCounted(key) })
		checkCounts(t, s, got, nil)
		checkVector(t, "the run at "+s.Timestamp.String(), want, onlyCompared(got))
		if s.Protocol != "1.0" {
			t.Errorf("the summary reports protocol %q, want 1.0", s.Protocol)
		}
		if got := seen.take(); got != versions {
			t.Errorf("used version %q, want %q", got, versions)
		}
	}
}
