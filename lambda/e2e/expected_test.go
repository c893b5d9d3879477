package e2e

import (
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/google/go-cmp/cmp"
)

// expectation states which series Prometheus must have of a simulated registry: those
// of the metric contract, and a few of the exporter's own.
type expectation struct {
	registry *ecrtest.Registry
	// scan is the known scan of each image; nil if nothing but DescribeImages is read.
	scan knownScan
	// durable is set if the function keeps its state outside of its memory.
	durable bool
}

// knownScan returns what the function knows of an image's scan, nil for nothing, and
// whether that is final.
type knownScan func(repository string, image ecrtest.Image) (state *ecrtest.ScanState, final bool)

// The families of the exporter that depend on the registry, and are compared too.
const (
	scansPending   = "aws_ecr_exporter_images_scan_pending"
	oldestScan     = "aws_ecr_exporter_scan_oldest_answer_age_seconds"
	stateAvailable = "aws_ecr_exporter_state_available"
)

// compared are the families whose series are compared one by one. A family that is
// added to the function does not concern these tests.
var compared = append([]string{scansPending, oldestScan, stateAvailable}, contracttest.Families...)

// isCompared reports whether a series, given by its key, is of a compared family.
func isCompared(key string) bool {
	family, _, _ := strings.Cut(key, "{")
	return slices.Contains(compared, family)
}

// isCounted reports whether the summary's counts include a series: run metrics are sent
// after everything else and are not counted.
func isCounted(key string) bool {
	return !strings.HasPrefix(key, "aws_ecr_exporter_") || isCompared(key)
}

// wantSeries are the series of a function that reads nothing but lists.
func wantSeries(registry *ecrtest.Registry) tsdbtest.Vector {
	return expectation{registry: registry}.series()
}

// scansAt is the scan of every image as the API reports it at a time.
func scansAt(registry *ecrtest.Registry, at time.Time) knownScan {
	return final(contracttest.ScansAt(registry, at))
}

func final(scans contracttest.Scans) knownScan {
	return func(repository string, image ecrtest.Image) (*ecrtest.ScanState, bool) {
		state, _ := scans(repository, image)
		return &state, true
	}
}

// series are the expected series. The age of the oldest scan result, which depends on
// the duration of calls, is added by withAge.
func (e expectation) series() tsdbtest.Vector {
	want := tsdbtest.Vector{}
	if e.durable {
		want[tsdbtest.KeyOf(stateAvailable, "region", region)] = 1
	}
	pending := 0
	scans := contracttest.ScanSummary
	if e.scan != nil {
		scans = func(repository string, image ecrtest.Image) (ecrtest.ScanState, bool) {
			state, final := e.scan(repository, image)
			if !final {
				pending++
			}
			if state == nil {
				return ecrtest.ScanState{}, false
			}
			return *state, true
		}
	}
	for s := range contracttest.Of(e.registry, scans) {
		want[s.Key()] = s.Value
	}
	if e.scan != nil {
		want[tsdbtest.KeyOf(scansPending, "region", region, "registry_id", e.registry.ID())] = float64(pending)
	}
	return want
}

// samplesOf are the samples of a run, apart from those of run metrics: values and
// staleness markers.
func samplesOf(t *testing.T, prometheus *tsdbtest.Prometheus, s summary) (values, stale tsdbtest.Vector) {
	t.Helper()
	samples, err := prometheus.Samples(t.Context(), everything, s.Timestamp, s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	values, stale = tsdbtest.Vector{}, tsdbtest.Vector{}
	for key, points := range samples {
		switch {
		case !isCounted(key):
		case points[0].Stale:
			stale[key] = 1
		default:
			values[key] = points[0].Value
		}
	}
	return values, stale
}

const everything = `{__name__=~".+"}`

// onlyCompared removes the series that are not compared.
func onlyCompared(v tsdbtest.Vector) tsdbtest.Vector {
	maps.DeleteFunc(v, func(key string, _ float64) bool { return !isCompared(key) })
	return v
}

// checkPushed checks that a run left exactly the wanted series in Prometheus, each with
// a sample of the run's timestamp, and that it sent none twice.
func checkPushed(t *testing.T, prometheus *tsdbtest.Prometheus, s summary, want tsdbtest.Vector) {
	t.Helper()
	got, stale := samplesOf(t, prometheus, s)
	checkCounts(t, s, got, stale)
	want = withAge(t, want, got, s)
	checkVector(t, "the run at "+s.Timestamp.Format(time.TimeOnly), want, onlyCompared(got))
	checkLive(t, prometheus, s, want)
}

// checkCounts checks the summary's counts against what Prometheus stored. Of two samples
// of a series with the same time Prometheus silently drops one, which shows here.
func checkCounts(t *testing.T, s summary, values, stale tsdbtest.Vector) {
	t.Helper()
	if s.Series != len(values)+len(stale) || s.Accepted != s.Series || s.Ended != len(stale) {
		t.Errorf("the summary counts %d series, %d accepted, %d of them ended; Prometheus has %d, of which %d ended",
			s.Series, s.Accepted, s.Ended, len(values)+len(stale), len(stale))
	}
}

// checkLive checks that queries see exactly the wanted series at the time of a run.
func checkLive(t *testing.T, prometheus *tsdbtest.Prometheus, s summary, want tsdbtest.Vector) {
	t.Helper()
	live, err := prometheus.Instant(t.Context(), everything, s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	checkVector(t, "live series", withAge(t, want, live, s), onlyCompared(live))
}

// withAge adds the age of the oldest scan result, as it was pushed, if scans are read
// one by one: it depends on the duration of calls.
func withAge(t *testing.T, want, got tsdbtest.Vector, s summary) tsdbtest.Vector {
	t.Helper()
	if s.Scans.Source != "findings" && s.Scans.Source != "inspector" {
		return want
	}
	key := tsdbtest.KeyOf(oldestScan, "region", region, "registry_id", s.Registry)
	age, ok := got[key]
	// A result that was read during the run is later than the run's timestamp.
	if lifetime := (25 * time.Hour).Seconds(); ok && (age < -lifetime || age > lifetime) {
		t.Errorf("the oldest scan result is %v seconds old", age)
	}
	want = maps.Clone(want)
	want[key] = age
	return want
}

// maxDiffs bounds how many series of a difference are shown.
const maxDiffs = 20

// checkVector compares two vectors that may be too large for a readable diff.
func checkVector(t *testing.T, what string, want, got tsdbtest.Vector) {
	t.Helper()
	wantOnly, gotOnly := tsdbtest.Vector{}, tsdbtest.Vector{}
	differ := 0
	note := func(v tsdbtest.Vector, key string, value float64) {
		if len(v) < maxDiffs {
			v[key] = value
		}
		differ++
	}
	for key, value := range want {
		if g, ok := got[key]; !ok || g != value {
			note(wantOnly, key, value)
		}
	}
	for key, value := range got {
		if w, ok := want[key]; !ok || w != value {
			note(gotOnly, key, value)
		}
	}
	if differ > 0 {
		t.Errorf("%s: %d series differ (want %d, got %d); some of them (-want +got):\n%s",
			what, differ, len(want), len(got), cmp.Diff(wantOnly, gotOnly))
	}
}
