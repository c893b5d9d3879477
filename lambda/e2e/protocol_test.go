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

// spoken notes in which versions of the protocol requests come.
type spoken struct {
	mu       sync.Mutex
	versions []string
}

func (s *spoken) note(r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	version := strings.TrimSuffix(r.Header.Get("X-Prometheus-Remote-Write-Version"), ".0.0")
	if version == "0.1.0" { // that of 1.0
		version = "1"
	}
	s.versions = append(s.versions, version)
}

// take returns the versions that were spoken since it was last called, "1" or "2",
// those of neighbours that are the same as one.
func (s *spoken) take() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	versions := slices.Compact(s.versions)
	s.versions = nil
	return strings.Join(versions, " ")
}

// TestProtocols pushes to Prometheus in each version of remote write, and in the one
// that turns out to be the right one. What turned out is kept in the state: a new
// execution environment does not try again.
func TestProtocols(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		setting string
		options tsdbtest.Options
		// What is spoken in the first run and in later ones.
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
			writes, heard := startProxy(t, prometheus.URL()), &spoken{}
			writes.watch(heard.note, nil)
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
					if got := heard.take(); got != versions || s.Protocol != tt.summary {
						t.Errorf("%s run of the %s environment: spoke %q and says %q, want %q and %q", run, environment, got, s.Protocol, versions, tt.summary)
					}
				}
				f.stop(t)
			}
		})
	}
}

// TestVictoriaMetrics pushes to a store that answers 204 to Remote-Write 2.0, and
// stores nothing of it: every series has to arrive as 1.0.
func TestVictoriaMetrics(t *testing.T) {
	t.Parallel()
	store := startVictoriaMetrics(t)
	registry := generatedRegistry(t, 20, 200)
	server := ecrtest.Start(t, registry)
	writes, heard := startProxy(t, store.url+"/api/v1/write"), &spoken{}
	writes.watch(heard.note, nil)
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
		if got := heard.take(); got != versions {
			t.Errorf("spoke %q, want %q", got, versions)
		}
	}
}
