package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/localtest"
)

// TestUpgrade runs the program of the previous release, this one over its state, and back and
// forth once more, while events change the registry. What one knew the next one goes on with:
// it calls no API, has the same series, ends none, and the state stays where it is.
func TestUpgrade(t *testing.T) {
	t.Parallel()
	previous := previousBootstrap(t)
	for _, scanning := range []string{"BASIC", "ENHANCED"} {
		t.Run(scanning, func(t *testing.T) {
			t.Parallel()
			r := newTrackedRegistry(t, scanning, 30)
			server := ecrtest.Start(t, r.Registry)
			prometheus := tsdbtest.Start(t, tsdbtest.Options{})
			folder := t.TempDir()
			all := changes()
			// One that ends series is not the last: a cold start right after it ends them again.
			scanned := change{apply: func(t *testing.T, r *trackedRegistry) json.RawMessage {
				return r.scanned(t, busyRepository, tagged(t, r, busyRepository, "v7"), map[string]int32{"HIGH": 4})
			}}
			events := [][]change{{all[0], all[1]}, {all[3], scanned}, {all[4], all[5]}, nil}
			var before tsdbtest.Vector
			for i, path := range []string{previous, bootstrap(t), previous, bootstrap(t)} {
				server.ResetObserved()
				f := startProgram(t, path, server, prometheus.URL(), fastScans, "STATE_URL=file://"+filepath.Join(folder, "state"))
				s := f.invoke(t, "schedule-rule.json", invocationTimeout)
				checkPushed(t, prometheus, s, withState(r.series()))
				if calls := server.Calls(); i > 0 && len(calls) > 0 {
					t.Errorf("program %d: it called %v", i, calls)
				}
				after := keysAt(t, prometheus, s.Timestamp)
				if i > 0 {
					checkContinued(t, fmt.Sprintf("program %d", i), before, after)
				}
				// What it learns then is for the next one.
				for _, event := range events[i] {
					f.deliver(t, event.apply(t, r))
				}
				s = f.invoke(t, "schedule-rule.json", invocationTimeout)
				checkPushed(t, prometheus, s, withState(r.series()))
				before = keysAt(t, prometheus, s.Timestamp)
				f.stop(t)
			}
			files, err := filepath.Glob(filepath.Join(folder, "*"))
			if want := []string{filepath.Join(folder, "state"), filepath.Join(folder, "state.changes")}; err != nil || !slices.Equal(files, want) {
				t.Errorf("the state's folder has %v, want %v; %v", files, want, err)
			}
		})
	}
}

// withState adds the series of a function with a durable state.
func withState(want tsdbtest.Vector) tsdbtest.Vector {
	want[tsdbtest.KeyOf(stateAvailable, "region", region)] = 1
	return want
}

// keysAt are the keys of all series that were sent at a time, without the label of the
// version: 1 for samples, 0 for staleness markers.
func keysAt(t *testing.T, prometheus *tsdbtest.Prometheus, at time.Time) tsdbtest.Vector {
	t.Helper()
	samples, err := prometheus.Samples(t.Context(), everything, at, at)
	if err != nil {
		t.Fatal(err)
	}
	keys := tsdbtest.Vector{}
	for key, points := range samples {
		key = versionLabel.ReplaceAllString(key, "")
		if keys[key] = 1; points[0].Stale {
			keys[key] = 0
		}
	}
	return keys
}

var versionLabel = regexp.MustCompile(`,?version="[^"]*"`)

// checkContinued checks that of the families that two programs have, the second one's series
// are the first one's, and that it ended none.
func checkContinued(t *testing.T, what string, before, after tsdbtest.Vector) {
	t.Helper()
	families := func(keys tsdbtest.Vector) map[string]bool {
		all := map[string]bool{}
		for key := range keys {
			family, _, _ := strings.Cut(key, "{")
			all[family] = true
		}
		return all
	}
	common := func(keys tsdbtest.Vector, of map[string]bool) tsdbtest.Vector {
		some := tsdbtest.Vector{}
		for key, value := range keys {
			if family, _, _ := strings.Cut(key, "{"); value == 0 || of[family] {
				some[key] = value
			}
		}
		return some
	}
	checkVector(t, what+": series of families that both programs have", common(before, families(after)), common(after, families(before)))
}

// previousBootstrap builds the program of the previous release.
func previousBootstrap(t *testing.T) string {
	t.Helper()
	previous, err := localtest.FindPrevious(t.Context(), filepath.Join("..", ".."))
	if err != nil {
		t.Skip(err)
	}
	source, path := t.TempDir(), filepath.Join(t.TempDir(), "bootstrap")
	if err := previous.Extract(t.Context(), source); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", "lambda.norpc", "-ldflags", "-s -w -X main.version="+previous.Version, "-o", path, "./lambda")
	cmd.Dir, cmd.Env = source, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build %s: %v\n%s", previous.Version, err, out)
	}
	return path
}
