package e2e

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/google/go-cmp/cmp"
)

// trackedRegistry is a registry with the scans that the function knows.
type trackedRegistry struct {
	*ecrtest.Registry
	known map[string]*ecrtest.ScanState // by repository@digest
}

const (
	busyRepository = "payments/api"
	// busyImages is the number of images that a page of a listing has.
	busyImages = 1_000
)

// newTrackedRegistry makes a registry with a busy repository of a number of scanned images and
// two small ones.
func newTrackedRegistry(t testing.TB, scanning string, images int) *trackedRegistry {
	t.Helper()
	r := &trackedRegistry{ecrtest.NewRegistry(account, region), map[string]*ecrtest.ScanState{}}
	if err := r.SetScanning(ecrtest.Scanning{Type: scanning}); err != nil {
		t.Fatal(err)
	}
	addRepository(t, r.Registry, busyRepository, images)
	for _, name := range []string{"payments/worker", "web/frontend"} {
		addRepository(t, r.Registry, name, 20)
	}
	eachTagged(r.Registry, func(repository string, image ecrtest.Image) {
		r.scan(t, repository, image.Digest, time.Hour, map[string]int32{"CRITICAL": 1, "LOW": 7})
		r.track(repository, image.Digest)
	})
	return r
}

// scan gives an image a result with an age, in whole seconds as events have them.
func (r *trackedRegistry) scan(t testing.TB, repository, digest string, ago time.Duration, counts map[string]int32) {
	t.Helper()
	at := time.Now().Add(-ago)
	err := r.Rescan(repository, digest, ecrtest.ScanState{At: at, CompletedAt: at.Truncate(time.Second), Counts: counts})
	if err != nil {
		t.Fatal(err)
	}
}

// track records that the function knows the present scan of an image.
func (r *trackedRegistry) track(repository, digest string) {
	if state, ok := r.Scan(repository, digest, time.Now()); ok {
		r.known[repository+"@"+digest] = &state
	}
}

// scanned gives an image a new result and returns its event.
func (r *trackedRegistry) scanned(t testing.TB, repository, digest string, counts map[string]int32) json.RawMessage {
	t.Helper()
	r.scan(t, repository, digest, 0, counts)
	r.track(repository, digest)
	event, err := r.ScanEvent(repository, digest, r.known[repository+"@"+digest].At)
	if err != nil {
		t.Fatal(err)
	}
	return event
}

// push pushes an image with a tag, which other images may have had.
func (r *trackedRegistry) push(t testing.TB, repository, tag string) (digest string) {
	t.Helper()
	digest = ecrtest.Digest(repository + tag + time.Now().String())
	err := r.PutImage(repository, ecrtest.Image{
		Digest: digest, Tags: []string{tag}, SizeBytes: new(int64(12_345)), PushedAt: time.Now(), Status: "ACTIVE",
		ManifestMediaType: "application/vnd.oci.image.manifest.v1+json",
	})
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// series are the expected ones, given the known scans.
func (r *trackedRegistry) series() tsdbtest.Vector {
	return expectation{registry: r.Registry, scan: func(repository string, image ecrtest.Image) (*ecrtest.ScanState, bool) {
		state, ok := r.known[repository+"@"+image.Digest]
		return state, ok
	}}.series()
}

// of selects the series of some repositories.
func of(all tsdbtest.Vector, repositories ...string) tsdbtest.Vector {
	selected := tsdbtest.Vector{}
	for key, value := range all {
		if slices.ContainsFunc(repositories, func(name string) bool { return strings.Contains(key, `name="`+name+`"`) }) {
			selected[key] = value
		}
	}
	return selected
}

// checkOnly checks that a run for events pushed only the series of some repositories, that
// ended series have markers, and that queries see the new state of these repositories.
func checkOnly(t *testing.T, prometheus *tsdbtest.Prometheus, s summary, before, want tsdbtest.Vector, repositories ...string) {
	t.Helper()
	before, want = of(before, repositories...), of(want, repositories...)
	got, ended := samplesOf(t, prometheus, s)
	checkCounts(t, s, got, ended)
	wantEnded := tsdbtest.Vector{}
	for key := range before {
		if _, still := want[key]; !still {
			wantEnded[key] = 1
		}
	}
	checkVector(t, "pushed series", want, onlyCompared(got))
	checkVector(t, "ended series", wantEnded, onlyCompared(ended))
	live, err := prometheus.Instant(t.Context(), everything, s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	checkVector(t, "live series", want, of(onlyCompared(live), repositories...))
	if s.Events == nil || !slices.Equal(s.Events.Repositories, repositories) {
		t.Errorf("the summary reports %+v, want %v", s.Events, repositories)
	}
}

// change is a change of a registry and its event.
type change struct {
	name string
	// apply returns the event, and records in r what the function learns from it.
	apply func(t *testing.T, r *trackedRegistry) json.RawMessage
	// repositories are those in the event.
	repositories []string
}

// tagged is the digest of the image that has a tag.
func tagged(t testing.TB, r *trackedRegistry, repository, tag string) string {
	t.Helper()
	image, ok := r.Image(repository, tag)
	if !ok {
		t.Fatalf("no image %s:%s", repository, tag)
	}
	return image.Digest
}

func changes() []change {
	busy := []string{busyRepository}
	must := func(t *testing.T, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	return []change{
		{"an image is pushed, and a tag moves to it", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			return r.PushEvent(busyRepository, r.push(t, busyRepository, "v7"), "v7", time.Now())
		}, busy},
		{"its scan is finished", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			digest := tagged(t, r, busyRepository, "v7")
			return r.scanned(t, busyRepository, digest, map[string]int32{"HIGH": 3})
		}, busy},
		{"another image is scanned again, and a severity is gone", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			digest := tagged(t, r, busyRepository, "v8")
			return r.scanned(t, busyRepository, digest, map[string]int32{"CRITICAL": 2})
		}, busy},
		{"an image is deleted", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			digest := tagged(t, r, busyRepository, "v9")
			must(t, r.DeleteImage(busyRepository, digest))
			return r.DeleteEvent(busyRepository, digest, "v9", time.Now())
		}, busy},
		{"an image is archived", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			digest := tagged(t, r, busyRepository, "v10")
			must(t, r.Archive(busyRepository, digest, time.Now()))
			event, err := r.StorageClassEvent(busyRepository, digest, time.Now())
			must(t, err)
			return event
		}, busy},
		{"and restored", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			var archived string
			for _, image := range r.Images(busyRepository) {
				if image.Status == "ARCHIVED" {
					archived = image.Digest
				}
			}
			must(t, r.Restore(busyRepository, archived, time.Now()))
			event, err := r.StorageClassEvent(busyRepository, archived, time.Now())
			must(t, err)
			return event
		}, busy},
		{"an image comes from another Region", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			digest := r.push(t, busyRepository, "replica")
			return r.ReplicationEvent(busyRepository, digest, "replica", ecrtest.NewRegistry(account, "us-west-2"), time.Now())
		}, busy},
		{"an image comes through the cache, in a new repository", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			must(t, r.PutRepository(ecrtest.Repository{Name: "public/alpine", TagMutability: "MUTABLE", CreatedAt: time.Now()}))
			digest := r.push(t, "public/alpine", "3")
			return r.PullThroughCacheEvent("public/alpine", digest, "3", "public.ecr.aws", time.Now())
		}, []string{"public/alpine"}},
		{"repositories are scanned at another frequency", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			repository, _ := r.Repository("web/frontend")
			repository.ScanOnPush = new(false)
			must(t, r.PutRepository(repository))
			previous := r.Scanning()
			must(t, r.SetScanning(ecrtest.Scanning{Type: previous.Type, Rules: []ecrtest.ScanningRule{{Frequency: "SCAN_ON_PUSH", Filters: []string{"web/frontend"}}}}))
			return r.ScanResourceChangeEvent(previous, time.Now())
		}, []string{"web/frontend"}},
		{"a repository is deleted with its images", func(t *testing.T, r *trackedRegistry) json.RawMessage {
			digest := tagged(t, r, "payments/worker", "v1")
			r.DeleteRepository("payments/worker")
			return r.DeleteEvent("payments/worker", digest, "v1", time.Now())
		}, []string{"payments/worker"}},
	}
}

// TestEvents checks that each event changes query results at once, and that only the
// series of its repository are pushed.
func TestEvents(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name    string
		images  int // of the busy repository
		payload func(t *testing.T, event json.RawMessage) []byte
	}{
		{"from EventBridge", busyImages, func(_ *testing.T, event json.RawMessage) []byte { return event }},
		{"in a batch of SQS", 100, func(t *testing.T, event json.RawMessage) []byte { return sqsBatch(t, event, event) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newTrackedRegistry(t, "BASIC", test.images)
			server := ecrtest.Start(t, r.Registry)
			prometheus := tsdbtest.Start(t, tsdbtest.Options{})
			f := startFunction(t, server, prometheus.URL(), fastScans)
			checkPushed(t, prometheus, f.invoke(t, "schedule-rule.json", invocationTimeout), r.series())

			for _, h := range changes() {
				before := r.series()
				event := h.apply(t, r)
				payload := test.payload(t, event)
				server.ResetObserved()
				begun := time.Now()
				s, failure := f.send(t, payload, invocationTimeout)
				took := time.Since(begun)
				if failure != nil {
					t.Fatalf("%s: %v", h.name, failure)
				}
				checkOnly(t, prometheus, s, before, r.series(), h.repositories...)
				t.Logf("%s: pushed %d series, %d of them markers, in %s with %v", h.name, s.Series, s.Ended, took.Round(time.Millisecond), server.Calls())
				if t.Failed() {
					t.Fatalf("%s: failed", h.name)
				}
			}
		})
	}
}

// TestInspectorEvent checks that the counts of an image's first enhanced scan are
// pushed at once, and completed by the next run.
func TestInspectorEvent(t *testing.T) {
	t.Parallel()
	r := newTrackedRegistry(t, "ENHANCED", 100)
	server := ecrtest.Start(t, r.Registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	f := startFunction(t, server, prometheus.URL(), fastScans)
	checkPushed(t, prometheus, f.invoke(t, "schedule-rule.json", invocationTimeout), r.series())

	digest := r.push(t, busyRepository, "new")
	before := r.series()
	event := r.scanned(t, busyRepository, digest, map[string]int32{"CRITICAL": 2, "MEDIUM": 1, "LOW": 9})
	whole := r.known[busyRepository+"@"+digest]
	partial := *whole
	partial.Counts = map[string]int32{"CRITICAL": 2, "MEDIUM": 1}
	r.known[busyRepository+"@"+digest] = &partial
	checkOnly(t, prometheus, f.deliver(t, event), before, r.series(), busyRepository)

	r.known[busyRepository+"@"+digest] = whole
	checkPushed(t, prometheus, f.invoke(t, "schedule-rule.json", invocationTimeout), r.series())
}

// TestBurst checks that many events of one repository, most of which arrive while the
// first are processed, cost two listings: one for the first, and one for all that arrived
// in the meantime.
func TestBurst(t *testing.T) {
	t.Parallel()
	const repository, burst = "web/frontend", 50
	r := newTrackedRegistry(t, "BASIC", 100)
	server := ecrtest.Start(t, r.Registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	f := startFunction(t, server, prometheus.URL(), fastScans)
	f.invoke(t, "schedule-rule.json", invocationTimeout)

	before := r.series()
	var events []json.RawMessage
	for n := range burst {
		digest := r.push(t, repository, "latest")
		events = append(events, r.PushEvent(repository, digest, "latest", time.Now()))
		if n%2 == 0 {
			if err := r.DeleteImage(repository, digest); err != nil {
				t.Fatal(err)
			}
		}
	}
	// About the latency of ECR for a page of a thousand images.
	server.SetLatency(describeImages.Operation, 1100*time.Millisecond, 0)
	var first, last summary
	ignored, listings := 0, 0
	for batch := range slices.Chunk(events, 10) { // the most of a FIFO queue
		last = f.deliver(t, batch...)
		if first.Timestamp.IsZero() {
			first = last
		}
		ignored += last.Events.Ignored
		listings += last.Refreshed
	}
	checkOnly(t, prometheus, first, before, r.series(), repository)
	checkOnly(t, prometheus, last, r.series(), r.series(), repository)
	if listings > 2 {
		t.Errorf("%d events cost %d listings, want at most 2", burst, listings)
	}
	if ignored < burst-20 {
		t.Errorf("%d of %d events were ignored, want all but two batches", ignored, burst)
	}
}

// TestMovedTagEvent checks that the queries that join on the label image work right after
// the event of a tag that moved to another image: the old one's series have ended.
func TestMovedTagEvent(t *testing.T) {
	t.Parallel()
	registry := generatedRegistry(t, 100, 1_000)
	w := workloadOf(t, registry)
	server := ecrtest.Start(t, registry)
	prometheus := tsdbtest.Start(t, tsdbtest.Options{})
	f := startFunction(t, server, prometheus.URL(), scansFromSummary)
	first := f.invoke(t, "schedule-rule.json", invocationTimeout)
	scrape(t, prometheus, first.Timestamp, scrapeKubeStateMetrics(t, w))
	checkQueries(t, prometheus, first.Timestamp, w.queryResults())

	moved, _ := registry.Image(w.Running.Name, w.Running.Digest)
	moved.Digest = ecrtest.Digest("the next build")
	moved.Tags, moved.PushedAt = []string{w.Running.Tag}, time.Now()
	moved.Scan = &ecrtest.ScanSummary{CompletedAt: time.Now(), Counts: maps.Clone(moved.Scan.Counts)}
	moved.Scan.Counts["CRITICAL"] += 5
	if err := registry.PutImage(w.Running.Name, moved); err != nil {
		t.Fatal(err)
	}
	s := f.deliver(t, registry.PushEvent(w.Running.Name, moved.Digest, w.Running.Tag, time.Now()))
	w.Running.Critical += 5
	checkQueries(t, prometheus, s.Timestamp, w.resultsByImage())
	checkLive(t, prometheus, s, wantSeries(registry))
}

// BenchmarkEventToAnswer measures the time from the delivery of an event to the first
// correct query result, for a repository of 1,000 images: "ms/event".
func BenchmarkEventToAnswer(b *testing.B) {
	r := newTrackedRegistry(b, "BASIC", busyImages)
	server := ecrtest.Start(b, r.Registry)
	prometheus := tsdbtest.Start(b, tsdbtest.Options{})
	f := startFunction(b, server, prometheus.URL(), fastScans)
	f.invoke(b, "schedule-rule.json", invocationTimeout)
	for b.Loop() {
		b.StopTimer()
		digest := r.push(b, busyRepository, "latest")
		event := r.PushEvent(busyRepository, digest, "latest", time.Now())
		b.StartTimer()
		s := f.deliver(b, event)
		got, err := prometheus.Instant(b.Context(), `count by (digest) (aws_ecr_image_size_in_bytes{name="`+busyRepository+`", tag="latest"})`, s.Timestamp)
		if err != nil {
			b.Fatal(err)
		}
		if diff := cmp.Diff(tsdbtest.Vector{tsdbtest.KeyOf("", "digest", digest): 1}, got); diff != "" {
			b.Fatalf("the result (-want +got):\n%s", diff)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/event")
}
