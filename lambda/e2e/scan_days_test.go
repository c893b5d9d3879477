package e2e

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// TestScansOverDays covers registries whose scans cannot all be asked for in one
// invocation. Over virtual days every image's scan comes to be known after as many
// runs as the calls take, stays known, and is not asked for again before it is due;
// every push has all that is known by then.
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

// scannedImages is the number of tagged images: fewer under the race detector, which
// makes a call ten times as dear. The numbers of runs are derived from it.
func scannedImages() int {
	if raceDetector || testing.Short() {
		return 1_600
	}
	return 20_000
}

// scannedRegistry is a registry whose scans were all done days ago.
func scannedRegistry(t *testing.T, scanning string, repositories, images int, now time.Time) *ecrtest.Registry {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	if err := registry.SetScanning(ecrtest.Scanning{Type: scanning}); err != nil {
		t.Fatal(err)
	}
	shape := ecrtest.RealisticShape(repositories, images, now.Add(-72*time.Hour))
	// A call for an image that was never scanned is a call as well, and spares the
	// pushes some series.
	shape.Scanned, shape.MoreTags, shape.Untagged = 0.25, 0, 0
	if err := registry.Generate(seed, shape); err != nil {
		t.Fatal(err)
	}
	return registry
}

// eachTagged calls a function for each image that has series.
func eachTagged(registry *ecrtest.Registry, do func(repository string, image ecrtest.Image)) {
	for _, repository := range registry.Repositories() {
		for _, image := range registry.Images(repository.Name) {
			if image.Status == "ACTIVE" && len(image.Tags) > 0 {
				do(repository.Name, image)
			}
		}
	}
}

// rescan gives one in twenty of the images that have a result another one, and
// returns their repository@digest.
func rescan(t *testing.T, registry *ecrtest.Registry, at time.Time) map[string]bool {
	t.Helper()
	rescanned := map[string]bool{}
	n := 0
	eachTagged(registry, func(repository string, image ecrtest.Image) {
		scan, ok := registry.Scan(repository, image.Digest, at)
		if n++; !ok || n%20 != 0 || len(scan.Counts) == 0 {
			return
		}
		// One severity more, one with another count, one gone.
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

// checkRuns checks how many runs so many calls took. A run makes 10 calls a second
// for 30 seconds, and a second's worth more of each operation at once:
//
//	calls / (10·30 + 10·operations) ≤ runs ≤ calls / (10·30), both rounded up
func checkRuns(t *testing.T, what string, runs, calls, operations int) {
	t.Helper()
	steady := scansPerSecond * int(refreshTime.Seconds())
	up := func(a, b int) int { return (a + b - 1) / b }
	least, most := up(calls, steady+burst*operations), up(calls, steady)
	t.Logf("%s: %d calls in %d runs, want %d to %d", what, calls, runs, least, most)
	if runs < least || runs > most {
		t.Errorf("%s: %d calls took %d runs, want %d to %d", what, calls, runs, least, most)
	}
}

// answered is what is known of the images that were asked for one by one: what the
// API said when it was last asked.
func (v *virtualLambda) requestedScans(repository string, image ecrtest.Image) (*ecrtest.ScanState, bool) {
	asked := v.requested.times(repository, image.Digest)
	if len(asked) == 0 {
		return nil, false
	}
	return scansAt(v.registry, asked[len(asked)-1])(repository, image)
}

// check compares what Prometheus has of a run that was delivered.
func (v *virtualLambda) check(s summary, scan knownScan) {
	v.Helper()
	want := expectation{registry: v.registry, scan: scan, durable: true}.series()
	checkLive(v.T, v.prometheus, s, want)
	values, stale := samplesOf(v.T, v.prometheus, s)
	checkCounts(v.T, s, values, stale)
}

// untilComplete invokes the function every two minutes until nothing is left, and
// returns how many runs it took and how many calls they made. Each run pushes all that
// is known, and no less than fewest, which is what a run before it pushed.
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

	// What is known is pushed from the first run on.
	first := v.invoke(true)
	v.check(first, v.requestedScans)
	time.Sleep(time.Until(begun.Add(invocationEvery)))
	runs, calls := v.untilComplete(first.Accepted)
	checkRuns(t, "the first time", runs+1, calls+first.Scans.Answered, 1)
	v.check(v.invoke(true), scansAt(v.registry, time.Now()))

	// Then there is nothing to ask for until the first answers are a day old, also not
	// after a cold start, although some images have been scanned again.
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

	// A day after each run of the first day there is as much to ask for again.
	again, once := 0, 0
	for n := range 5 {
		time.Sleep(time.Until(due.Add(refreshTime + time.Duration(n)*invocationEvery)))
		s := v.invoke(n == 4)
		if again += s.Scans.Answered; n == 0 {
			once = s.Scans.Answered
		}
		// Calls that the end of the time cuts off are made again by the next run.
		if s.Scans.Left > cutOff {
			t.Errorf("the second day, run %d: %d scans are left of %d due", n+1, s.Scans.Left, s.Scans.Due)
		}
		if n == 4 {
			v.check(s, v.requestedScans)
		}
	}
	if abs(first.Scans.Answered-once) > cutOff || abs(again-5*once) > cutOff {
		t.Errorf("the first run asked for %d scans, and a day later %d, in five runs %d", first.Scans.Answered, once, again)
	}
	twice := 0
	v.eachRequested(func(image string, asked []time.Time) {
		switch {
		case len(asked) == 2 && asked[1].Sub(asked[0]) >= basicInterval:
			twice++
		case len(asked) != 1:
			t.Errorf("%s was asked for at %v, want once a day", image, asked)
		}
	})
	if twice != again {
		t.Errorf("%d scans were asked for twice, want %d", twice, again)
	}
}

func abs(n int) int { return max(n, -n) }

func daysOfEnhancedScans(t *testing.T) {
	v := newVirtualLambda(t, scannedRegistry(t, "ENHANCED", 40, scannedImages(), time.Now()))
	begun := time.Now()

	// What Inspector's lists tell is known from the run on that read them to the end;
	// the split of what is below MEDIUM comes with a call for each image.
	plan := enhancedPlanOf(v.registry)
	first := v.invoke(true)
	v.check(first, v.listedScans)
	time.Sleep(time.Until(begun.Add(invocationEvery)))
	runs, calls := v.untilComplete(first.Accepted)
	for _, n := range first.Calls {
		calls += n
	}
	// Beside them: the registry's configuration, its repositories and their images.
	lists := 2 + len(v.registry.Repositories())
	if want := plan.pages + plan.asks; calls < want || calls > want+3*lists {
		t.Errorf("the first time: %d calls, want %d pages, %d images and some lists", calls, plan.pages, plan.asks)
	}
	checkRuns(t, "the first time", runs+1, plan.pages+plan.asks, 3)
	v.check(v.invoke(true), scansAt(v.registry, time.Now()))

	// Every six hours the lists are read again, and only what changed is asked for.
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
	v.eachRequested(func(image string, asked []time.Time) {
		if len(asked) > 1 && (len(asked) > 2 || !rescanned[image]) {
			t.Errorf("%s was asked for at %v, want once, and again after another result", image, asked)
		}
	})
}

// listed is what is known once Inspector's lists were read: of images that were not
// asked for, the status, the last scan, and the counts of MEDIUM and above.
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

// splitMissing reports whether a scan has findings that Inspector's lists count in
// their sum only.
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

// enhancedPlan is what there is to be asked for in an enhanced registry.
type enhancedPlan struct {
	pages int // of Inspector's two lists
	asks  int // for single images
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
			plan.asks++
		}
	})
	plan.pages = (covered+199)/200 + (counted+99)/100
	return plan
}
