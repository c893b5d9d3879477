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

// rescan changes the result of one in twenty images that have one, and returns their
// repository@digest.
func rescan(t *testing.T, registry *ecrtest.Registry, at time.Time) map[string]bool {
	t.Helper()
	rescanned := map[string]bool{}
	n := 0
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
		rescanned[repository+"@"+image.Digest] = true
	})
	if len(rescanned) == 0 {
		t.Fatal("no image was scanned again")
	}
	return rescanned
}

// checkRuns checks the number of runs for a number of calls. A run makes 10 calls a
// second for 30 seconds, and initially 10 more of each operation:
//
//	calls / (10·30 + 10·operations) ≤ runs ≤ calls / (10·30), both rounded up
func checkRuns(t *testing.T, what string, runs, calls, operations int) {
	t.Helper()
	steady := scansPerSecond * int(refreshTime.Seconds())
	divide := func(a, b int) int { return (a + b - 1) / b } // rounded up
	least, most := divide(calls, steady+burst*operations), divide(calls, steady)
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
	checkRuns(t, "the first time", runs+1, calls+first.Scans.Answered, 1)
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

	// What Inspector's lists contain is known after the run that read their last page; the
	// counts of severities below MEDIUM take a call for each image.
	plan := enhancedPlanOf(v.registry)
	first := v.invoke(true)
	v.check(first, v.listedScans)
	time.Sleep(time.Until(begun.Add(invocationEvery)))
	runs, calls := v.untilComplete(first.Accepted)
	for _, n := range first.Calls {
		calls += n
	}
	// Also: the registry's configuration, its repositories and their images.
	lists := 2 + len(v.registry.Repositories())
	if want := plan.pages + plan.images; calls < want || calls > want+3*lists {
		t.Errorf("the first time: %d calls, want %d pages, %d images and some lists", calls, plan.pages, plan.images)
	}
	checkRuns(t, "the first time", runs+1, plan.pages+plan.images, 3)
	v.check(v.invoke(true), scansAt(v.registry, time.Now()))

	// Every six hours the lists are read again, and only changed images are requested.
	var rescanned map[string]bool
	time.Sleep(saveInterval)
	v.invoke(false)
	for elapsed := enhancedInterval; elapsed <= 48*time.Hour; elapsed += enhancedInterval {
		time.Sleep(time.Until(begun.Add(elapsed - time.Second)))
		if s := v.invoke(false); len(s.Calls) > 0 {
			t.Errorf("%s later: calls a second too early: %v", elapsed, s.Calls)
		}
		if elapsed == 18*time.Hour {
			rescanned = rescan(t, v.registry, time.Now())
		}
		if elapsed == 30*time.Hour {
			v.coldStart()
		}
		time.Sleep(time.Until(begun.Add(elapsed + refreshTime)))
		begun = time.Now().Add(-elapsed)
		runs, calls := v.untilComplete(0)
		pages := enhancedPlanOf(v.registry).pages
		want := pages
		if elapsed == 18*time.Hour {
			want += len(rescanned)
		}
		if calls < pages || calls > want {
			t.Errorf("%s later: %d calls, want %d pages and at most %d images", elapsed, calls, pages, want-pages)
		}
		checkRuns(t, elapsed.String()+" later", runs, calls, 3)
	}
	v.check(v.invoke(true), scansAt(v.registry, time.Now()))
	v.eachRequested(func(image string, at []time.Time) {
		if len(at) > 1 && (len(at) > 2 || !rescanned[image]) {
			t.Errorf("%s was requested at %v, want once, and again after another result", image, at)
		}
	})
}

// listedScans is the known scan once Inspector's lists were read: of images that were not
// requested, the status, the last scan, and the counts of MEDIUM and above.
func (v *virtualLambda) listedScans(repository string, image ecrtest.Image) (*ecrtest.ScanState, bool) {
	scan, _ := scansAt(v.registry, time.Now())(repository, image)
	switch {
	case len(v.requested.times(repository, image.Digest)) > 0:
		return scan, true
	case scan.Status == "SCAN_NOT_FOUND":
		return nil, false // in no list
	case !splitMissing(scan):
		return scan, true
	}
	maps.DeleteFunc(scan.Counts, func(severity string, _ int32) bool { return !listedSeverity(severity) })
	return scan, false
}

// splitMissing reports whether a scan has findings that Inspector's lists only count in
// their total.
func splitMissing(scan *ecrtest.ScanState) bool {
	for severity, n := range scan.Counts {
		if n > 0 && !listedSeverity(severity) {
			return true
		}
	}
	return false
}

func listedSeverity(severity string) bool {
	return severity == "CRITICAL" || severity == "HIGH" || severity == "MEDIUM"
}

// enhancedPlan is the number of calls that an enhanced registry takes.
type enhancedPlan struct {
	pages  int // of Inspector's two lists
	images int // with a call of their own
}

func enhancedPlanOf(registry *ecrtest.Registry) enhancedPlan {
	var plan enhancedPlan
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
	eachTagged(registry, func(repository string, image ecrtest.Image) {
		if scan, _ := now(repository, image); splitMissing(scan) || scan.Status == "SCAN_NOT_FOUND" {
			plan.images++
		}
	})
	plan.pages = (covered+199)/200 + (counted+99)/100
	return plan
}
