package e2e

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// TestScansOverDays covers registries with more scan results than one invocation can
// read, over virtual days. Every result is read after as many runs as the rate limit
// requires, is kept, and is not read again before it is due; every push has all results
// that are known by then.
func TestScansOverDays(t *testing.T) {
	t.Parallel()
	t.Run("BASIC", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, daysOfBasicScans)
	})
	t.Run("ENHANCED", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, daysOfEnhancedScans)
	})
}

// scannedImages is the number of tagged images: fewer with the race detector, which makes
// a call ten times as slow. The expected numbers of runs depend on it.
func scannedImages() int {
	if raceDetector || testing.Short() {
		return 1_600
	}
	return 20_000
}

// scannedRegistry is a registry whose scans were completed days ago.
func scannedRegistry(t *testing.T, scanning string, repositories, images int, now time.Time) *ecrtest.Registry {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	if err := registry.SetScanning(ecrtest.Scanning{Type: scanning}); err != nil {
		t.Fatal(err)
	}
	shape := ecrtest.PlainShape(repositories, images, now.Add(-72*time.Hour))
	// An image that was never scanned takes a call too, and makes the pushes smaller.
	shape.Scanned, shape.MoreTags, shape.Untagged = 0.25, 0, 0
	if err := registry.Generate(seed, shape); err != nil {
		t.Fatal(err)
	}
	return registry
}

// eachTagged calls a function for each image that has series.
func eachTagged(registry *ecrtest.Registry, do func(repository string, image ecrtest.Image)) {
	for _, repository := range registry.Repositories() {
		for image := range contracttest.Shown(registry, repository.Name) {
			do(repository.Name, image)
		}
	}
}

// rescan changes the result of one in twenty images that have one.
func rescan(t *testing.T, registry *ecrtest.Registry, at time.Time) {
	t.Helper()
	n, rescanned := 0, 0
	eachTagged(registry, func(repository string, image ecrtest.Image) {
		scan, ok := registry.Scan(repository, image.Digest, at)
		if n++; !ok || n%20 != 0 || len(scan.Counts) == 0 {
			return
		}
		// A new severity, another count, a missing severity.
		counts := maps.Clone(scan.Counts)
		counts["CRITICAL"]++
		if counts["LOW"] > 0 {
			delete(counts, "LOW")
		} else {
			counts["LOW"] = 1
		}
		err := registry.Rescan(repository, image.Digest, ecrtest.ScanState{At: at, CompletedAt: at, Counts: counts})
		if err != nil {
			t.Fatal(err)
		}
		rescanned++
	})
	if rescanned == 0 {
		t.Fatal("no image was scanned again")
	}
}

// checkRuns checks the number of runs for a number of calls. A run makes 10 calls a
// second for 30 seconds, and initially 10 more:
//
//	calls / (10·30 + 10) ≤ runs ≤ calls / (10·30), both rounded up
func checkRuns(t *testing.T, what string, runs, calls int) {
	t.Helper()
	steady := scansPerSecond * int(refreshTime.Seconds())
	divide := func(a, b int) int { return (a + b - 1) / b } // rounded up
	least, most := divide(calls, steady+burst), divide(calls, steady)
	t.Logf("%s: %d calls in %d runs, want %d to %d", what, calls, runs, least, most)
	if runs < least || runs > most {
		t.Errorf("%s: %d calls took %d runs, want %d to %d", what, calls, runs, least, most)
	}
}

// requestedScans is the known scan if images are requested one by one: that of the
// last response.
func (v *virtualLambda) requestedScans(repository string, image ecrtest.Image) (*ecrtest.ScanState, bool) {
	at := v.requested.times(repository, image.Digest)
	if len(at) == 0 {
		return nil, false
	}
	return scansAt(v.registry, at[len(at)-1])(repository, image)
}

// check compares what Prometheus has with the expectation, after a run whose push was
// delivered.
func (v *virtualLambda) check(s summary, scan knownScan) {
	v.Helper()
	want := expectation{registry: v.registry, scan: scan, durable: true}.series()
	checkLive(v.T, v.prometheus, s, want)
	values, stale := samplesOf(v.T, v.prometheus, s)
	checkCounts(v.T, s, values, stale)
}

// untilComplete invokes the function every two minutes until no result is left to
// read, and returns the numbers of runs and calls. Each run must push at least fewest
// series, the number of the previous run.
func (v *virtualLambda) untilComplete(fewest int) (runs, calls int) {
	v.Helper()
	for runs = 1; ; runs++ {
		s := v.invoke(false)
		for _, n := range s.Calls {
			calls += n
		}
		if s.Accepted < fewest || s.Accepted != s.Series {
			v.Errorf("%d of %d series were accepted, after %d in the run before", s.Accepted, s.Series, fewest)
		}
		if s.Scans.Left == 0 {
			return runs, calls
		}
		if fewest > 0 {
			fewest = s.Accepted
		}
		if runs > scannedImages() {
			v.Fatalf("%d scans are still left after %d runs", s.Scans.Left, runs)
		}
		time.Sleep(time.Until(s.Timestamp.Add(invocationEvery)))
	}
}

func daysOfBasicScans(t *testing.T) {
	images := scannedImages()
	v := newVirtualLambda(t, scannedRegistry(t, "BASIC", 40, images, time.Now()))
	begun := time.Now()

	// Known results are pushed from the first run on.
	first := v.invoke(true)
	v.check(first, v.requestedScans)
	time.Sleep(time.Until(begun.Add(invocationEvery)))
	runs, calls := v.untilComplete(first.Accepted)
	checkRuns(t, "the first time", runs+1, calls+first.Scans.Answered)
	v.check(v.invoke(true), scansAt(v.registry, time.Now()))

	// Until the first results are a day old nothing is due, not even after a cold start,
	// although some images have been scanned again.
	time.Sleep(saveInterval)
	v.invoke(false)
	rescan(t, v.registry, begun.Add(basicInterval/2))
	due := begun.Add(basicInterval)
	for _, at := range []time.Time{begun.Add(4 * time.Hour), begun.Add(16 * time.Hour), due.Add(-time.Second)} {
		time.Sleep(time.Until(at))
		v.coldStart()
		if s := v.invoke(false); s.Scans.Due > 0 || len(s.Calls) > 0 {
			t.Errorf("after %s %d scans are due, and the calls are %v", time.Since(begun), s.Scans.Due, s.Calls)
		}
	}

	// A day after each run of the first day, the same number of results is due.
	again, once := 0, 0
	for n := range 5 {
		time.Sleep(time.Until(due.Add(refreshTime + time.Duration(n)*invocationEvery)))
		s := v.invoke(n == 4)
		if again += s.Scans.Answered; n == 0 {
			once = s.Scans.Answered
		}
		// Calls that were in progress at the end of the time are made again by the next run.
		if s.Scans.Left > cutOff {
			t.Errorf("the second day, run %d: %d scans are left of %d due", n+1, s.Scans.Left, s.Scans.Due)
		}
		if n == 4 {
			v.check(s, v.requestedScans)
		}
	}
	if abs(first.Scans.Answered-once) > cutOff || abs(again-5*once) > cutOff {
		t.Errorf("the first run read %d scans, the first a day later %d, five runs %d", first.Scans.Answered, once, again)
	}
	twice := 0
	v.eachRequested(func(image string, at []time.Time) {
		switch {
		case len(at) == 2 && at[1].Sub(at[0]) >= basicInterval:
			twice++
		case len(at) != 1:
			t.Errorf("%s was requested at %v, want once a day", image, at)
		}
	})
	if twice != again {
		t.Errorf("%d scans were requested twice, want %d", twice, again)
	}
}

func abs(n int) int { return max(n, -n) }

func daysOfEnhancedScans(t *testing.T) {
	v := newVirtualLambda(t, scannedRegistry(t, "ENHANCED", 40, scannedImages(), time.Now()))
	begun := time.Now()

	// The first run reads all pages of Inspector's lists, which have all counts.
	first := v.invoke(true)
	v.check(first, scansAt(v.registry, time.Now()))
	calls := 0
	for _, n := range first.Calls {
		calls += n
	}
	// Also: the registry's configuration, its repositories and their images.
	lists := 2 + len(v.registry.Repositories())
	if want := inspectorPages(v.registry); calls < want || calls > want+3*lists {
		t.Errorf("the first time: %d calls, want %d pages and some lists", calls, want)
	}

	// Every six hours the lists are read again, in one run.
	time.Sleep(saveInterval)
	v.invoke(false)
	for elapsed := enhancedInterval; elapsed <= 48*time.Hour; elapsed += enhancedInterval {
		time.Sleep(time.Until(begun.Add(elapsed - time.Second)))
		if s := v.invoke(false); len(s.Calls) > 0 {
			t.Errorf("%s later: calls a second too early: %v", elapsed, s.Calls)
		}
		if elapsed == 18*time.Hour {
			rescan(t, v.registry, time.Now())
		}
		if elapsed == 30*time.Hour {
			v.coldStart()
		}
		time.Sleep(time.Until(begun.Add(elapsed + refreshTime)))
		begun = time.Now().Add(-elapsed)
		runs, calls := v.untilComplete(0)
		if want := inspectorPages(v.registry); runs != 1 || calls != want {
			t.Errorf("%s later: %d calls in %d runs, want %d pages", elapsed, calls, runs, want)
		}
	}
	v.check(v.invoke(true), scansAt(v.registry, time.Now()))
	v.eachRequested(func(image string, at []time.Time) {
		t.Errorf("%s was requested at %v, although it is in the lists", image, at)
	})
}

// inspectorPages is the number of pages of Inspector's two lists.
func inspectorPages(registry *ecrtest.Registry) int {
	covered, counted := 0, 0
	now := scansAt(registry, time.Now())
	for _, repository := range registry.Repositories() {
		for _, image := range registry.Images(repository.Name) {
			scan, _ := now(repository.Name, image)
			if scan.Status != "SCAN_NOT_FOUND" {
				covered++
			}
			if len(scan.Counts) > 0 {
				counted++
			}
		}
	}
	return (covered+199)/200 + (counted+99)/100
}
