package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/lambda/e2e/tsdbtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/contracttest"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// errCrash is the error of an invocation that was killed on purpose.
var errCrash = errors.New("killed")

// crashSetup is a registry, a state and a Prometheus for a function that is killed.
type crashSetup struct {
	registry   *ecrtest.Registry
	server     *ecrtest.Server
	prometheus *tsdbtest.Prometheus
	writes     *proxy
	state      *proxy // to S3; nil for a state in a file
	folder     string // of the file
	env        []string
}

// crashPoint is a moment in a run.
type crashPoint struct {
	name string
	// arm arranges for crash to be called at that moment. crash returns when the process
	// has ended.
	arm func(w *crashSetup, crash func())
	// file is set if the state is in a file instead of S3.
	file bool
}

// nthTime returns a function whose n-th call calls do.
func nthTime(n int, do func()) func() {
	var mu sync.Mutex
	return func() {
		mu.Lock()
		defer mu.Unlock()
		if n--; n == 0 {
			do()
		}
	}
}

// onCall crashes before the n-th call of an operation of ECR.
func onCall(operation string, n int) func(*crashSetup, func()) {
	return func(w *crashSetup, crash func()) {
		now := nthTime(n, crash)
		w.server.Before(ecrtest.Match{Operation: operation}, ecrtest.Always, func(ecrtest.Request) { now() })
	}
}

// onState crashes before or after a request to the stored state.
func onState(method string, after bool) func(*crashSetup, func()) {
	return func(w *crashSetup, crash func()) {
		now := func(r *http.Request) {
			if r.Method == method {
				crash()
			}
		}
		if after {
			w.state.watch(nil, now)
		} else {
			w.state.watch(now, nil)
		}
	}
}

// onWrite crashes before or after the n-th batch of a push.
func onWrite(n int, after bool) func(*crashSetup, func()) {
	return func(w *crashSetup, crash func()) {
		now := nthTime(n, crash)
		do := func(*http.Request) { now() }
		if after {
			w.writes.watch(nil, do)
		} else {
			w.writes.watch(do, nil)
		}
	}
}

// halfSaved crashes after half of the state was sent.
func halfSaved(w *crashSetup, crash func()) {
	w.state.watch(func(r *http.Request) {
		if r.Method == http.MethodPut {
			half := make([]byte, r.ContentLength/2)
			_, _ = r.Body.Read(half) // how much of it does not matter
			crash()
		}
	}, nil)
}

// whileWriting crashes as soon as the new file exists under its temporary name. The file
// may then be empty, incomplete or complete, or have replaced the old one already.
func whileWriting(w *crashSetup, crash func()) {
	go func() {
		for range 1_000_000 {
			found, err := filepath.Glob(filepath.Join(w.folder, "*.tmp"))
			if err != nil || len(found) > 0 {
				crash()
				return
			}
			if _, err := os.Stat(w.folder); err != nil {
				return // the test is over
			}
			time.Sleep(20 * time.Microsecond)
		}
	}()
}

// newCrashSetup makes a registry with scans of both kinds: findings, and the summaries of
// DescribeImages.
func newCrashSetup(t *testing.T, s3 *moto, file bool) *crashSetup {
	t.Helper()
	registry := ecrtest.NewRegistry(account, region)
	addRepository(t, registry, "payments/api", 30)
	addRepository(t, registry, "web/frontend", 10)
	addRepository(t, registry, "web/gone", 5)
	addRepository(t, registry, "legacy/app", 6)
	for _, image := range registry.Images("payments/api") {
		at := time.Now().Add(-time.Hour)
		err := registry.SetScan("payments/api", image.Digest, ecrtest.Scan{States: []ecrtest.ScanState{
			{At: at, CompletedAt: at.Truncate(time.Second), Counts: map[string]int32{"CRITICAL": 3, "LOW": 2}},
		}})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, image := range registry.Images("legacy/app") {
		err := registry.UpdateImage("legacy/app", image.Digest, func(image *ecrtest.Image) {
			image.Scan = &ecrtest.ScanSummary{CompletedAt: generatedAt, Counts: map[string]int32{"HIGH": 1, "MEDIUM": 4}}
			image.ScanStatus = &ecrtest.ScanStatus{Status: "COMPLETE"}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w := &crashSetup{
		registry: registry, server: ecrtest.Start(t, registry), prometheus: tsdbtest.Start(t, tsdbtest.Options{}),
		env: []string{fastScans, "ECR_CONCURRENCY=2", "REMOTE_WRITE_MAX_SERIES=50", "REMOTE_WRITE_CONCURRENCY=1"},
	}
	w.writes = startProxy(t, w.prometheus.URL())
	if file {
		w.folder = t.TempDir()
		w.env = append(w.env, "STATE_URL=file://"+filepath.Join(w.folder, "state"))
		return w
	}
	bucket := strings.ToLower(notInName.Replace(filepath.Base(t.Name())))
	bucket = "b-" + bucket[:min(len(bucket), 40)] + fmt.Sprint(time.Now().UnixNano()%1e9)
	w.state = s3.bucket(t, bucket)
	w.env = append(w.env, "AWS_ENDPOINT_URL_S3="+w.state.url, "STATE_URL=s3://"+bucket+"/state")
	return w
}

var notInName = strings.NewReplacer("_", "-", ",", "", "'", "", "(", "", ")", "", ":", "")

// series are those of the registry as it is.
func (w *crashSetup) series() tsdbtest.Vector {
	now, summaries := scansAt(w.registry, time.Now()), final(contracttest.ScanSummary)
	return expectation{registry: w.registry, durable: true, scan: func(repository string, image ecrtest.Image) (*ecrtest.ScanState, bool) {
		if repository == "legacy/app" {
			return summaries(repository, image)
		}
		return now(repository, image)
	}}.series()
}

// change deletes an image, moves a tag and pushes an image whose scan is complete. It
// returns the events.
func (w *crashSetup) change(t *testing.T) []json.RawMessage {
	t.Helper()
	const name = "payments/api"
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	deleted := ecrtest.Digest(name + ":v1")
	must(w.registry.DeleteImage(name, deleted))
	events := []json.RawMessage{w.registry.DeleteEvent(name, deleted, "v1", time.Now())}

	must(w.registry.Tag(name, ecrtest.Digest(name+":v3"), "v2"))
	events = append(events, w.registry.PushEvent(name, ecrtest.Digest(name+":v3"), "v2", time.Now()))

	addImage(t, w.registry, name, 99)
	rescan := func(tag string, counts map[string]int32) {
		t.Helper()
		digest, at := ecrtest.Digest(name+":"+tag), time.Now()
		must(w.registry.Rescan(name, digest, ecrtest.ScanState{At: at, CompletedAt: at.Truncate(time.Second), Counts: counts}))
		event, err := w.registry.ScanEvent(name, digest, at)
		must(err)
		events = append(events, event)
	}
	events = append(events, w.registry.PushEvent(name, ecrtest.Digest(name+":v99"), "v99", time.Now()))
	rescan("v99", map[string]int32{"HIGH": 1})
	return events
}

// changeMore makes changes without events: a setting, a severity that is missing in a new
// summary, and a deleted repository.
func (w *crashSetup) changeMore(t *testing.T) {
	t.Helper()
	repository, _ := w.registry.Repository("web/frontend")
	repository.TagMutability, repository.ScanOnPush = "IMMUTABLE", new(false)
	if err := w.registry.PutRepository(repository); err != nil {
		t.Fatal(err)
	}
	err := w.registry.UpdateImage("legacy/app", ecrtest.Digest("legacy/app:v0"), func(image *ecrtest.Image) {
		image.Scan = &ecrtest.ScanSummary{CompletedAt: generatedAt.Add(time.Hour), Counts: map[string]int32{"MEDIUM": 5}}
	})
	if err != nil {
		t.Fatal(err)
	}
	w.registry.DeleteRepository("web/gone")
}

// severityGone scans an image again, without a severity that it had, and returns the event.
func (w *crashSetup) severityGone(t *testing.T) json.RawMessage {
	t.Helper()
	const name = "payments/api"
	digest, at := ecrtest.Digest(name+":v5"), time.Now()
	err := w.registry.Rescan(name, digest, ecrtest.ScanState{At: at, CompletedAt: at.Truncate(time.Second), Counts: map[string]int32{"LOW": 2}})
	if err != nil {
		t.Fatal(err)
	}
	event, err := w.registry.ScanEvent(name, digest, at)
	if err != nil {
		t.Fatal(err)
	}
	return event
}

func (w *crashSetup) start(t *testing.T, more ...string) *function {
	t.Helper()
	return startFunction(t, w.server, w.writes.url, append(w.env, more...)...)
}

// kill starts a run and kills the function during it.
func (w *crashSetup) kill(t *testing.T, point crashPoint, payload []byte, more ...string) {
	t.Helper()
	f := w.start(t, more...)
	ctx, kill := context.WithCancelCause(t.Context())
	defer kill(nil)
	point.arm(w, func() {
		kill(errCrash)
		<-f.Exited()
	})
	_, err := f.Invoke(ctx, payload, invocationTimeout)
	w.server.ClearFaults()
	w.writes.watch(nil, nil)
	if w.state != nil {
		w.state.watch(nil, nil)
	}
	switch {
	case err == nil && point.file:
		t.Log("the run was over before it could be killed")
	case !errors.Is(err, errCrash):
		t.Fatalf("the invocation ended with %v, want it killed", err)
	}
}

// checkRecovered checks that queries see exactly the wanted series, and that every other
// series of before has a marker as its last sample.
func (w *crashSetup) checkRecovered(t *testing.T, s summary, before, want tsdbtest.Vector) {
	t.Helper()
	checkLive(t, w.prometheus, s, want)
	samples, err := w.prometheus.Samples(t.Context(), everything, s.Timestamp.Add(-time.Hour), s.Timestamp)
	if err != nil {
		t.Fatal(err)
	}
	ended := 0
	for key := range before {
		if _, still := want[key]; still {
			continue
		}
		ended++
		points := samples[key]
		if len(points) < 2 || points[0].Stale || !points[len(points)-1].Stale {
			t.Errorf("%s has the samples %v, want the last to be a staleness marker", key, points)
		}
	}
	if ended == 0 {
		t.Error("no series ended: the test tests nothing")
	}
}

// TestCrash kills the function at every step of a run. The next run, in a new environment,
// leaves exactly the right series alive.
func TestCrash(t *testing.T) {
	t.Parallel()
	s3 := &moto{url: startMoto(t)}
	for name, test := range map[string]func(*testing.T, *moto){"of the schedule": crashOfSchedule, "of events": crashOfEvents} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			test(t, s3)
		})
	}
}

func crashOfSchedule(t *testing.T, s3 *moto) {
	const schedule = `{}`
	points := []crashPoint{
		{name: "before the state is loaded", arm: onState(http.MethodGet, false)},
		{name: "as the state is received", arm: onState(http.MethodGet, true)},
		{name: "before repositories are listed", arm: onCall("DescribeRepositories", 1)},
		{name: "before images are listed", arm: onCall("DescribeImages", 1)},
		{name: "among the lists of images", arm: onCall("DescribeImages", 3)},
		{name: "as a scan is requested", arm: onCall("DescribeImageScanFindings", 1)},
		{name: "before the push", arm: onWrite(1, false)},
		{name: "after the first batch", arm: onWrite(1, true)},
		{name: "in the middle of the push", arm: onWrite(3, false)},
		{name: "before the last batch, of markers", arm: onWrite(6, false)},
		{name: "between push and save", arm: onState(http.MethodPut, false)},
		{name: "half saved", arm: halfSaved},
		{name: "after the save", arm: onState(http.MethodPut, true)},
		{name: "while a file is written", arm: whileWriting, file: true},
	}
	for _, point := range points {
		t.Run(point.name, func(t *testing.T) {
			t.Parallel()
			w := newCrashSetup(t, s3, point.file)
			// In every run everything is due but the scans.
			const due = "CACHE_REFRESH_INTERVAL=1s"
			warm := w.start(t, due)
			first := warm.invoke(t, "schedule-rule.json", invocationTimeout)
			before := w.series()
			checkPushed(t, w.prometheus, first, before)
			warm.stop(t)

			w.change(t)
			w.changeMore(t)
			waitUntilDue(first, time.Second)
			w.kill(t, point, []byte(schedule), due)

			cold := w.start(t, due)
			time.Sleep(time.Second) // until what the killed run saved is due
			w.checkRecovered(t, cold.invoke(t, "schedule-rule.json", invocationTimeout), before, w.series())
		})
	}
}

// crashOfEvents is for a batch of events, which SQS delivers again.
func crashOfEvents(t *testing.T, s3 *moto) {
	points := []crashPoint{
		{name: "before the state is loaded", arm: onState(http.MethodGet, false)},
		{name: "before images are listed", arm: onCall("DescribeImages", 1)},
		{name: "before the push", arm: onWrite(1, false)},
		{name: "in the middle of the push", arm: onWrite(3, false)},
		{name: "between push and save", arm: onState(http.MethodPut, false)},
		{name: "half saved", arm: halfSaved},
		{name: "after the save", arm: onState(http.MethodPut, true)},
	}
	for _, point := range points {
		t.Run(point.name, func(t *testing.T) {
			t.Parallel()
			w := newCrashSetup(t, s3, point.file)
			warm := w.start(t)
			first := warm.invoke(t, "schedule-rule.json", invocationTimeout)
			before := w.series()
			checkPushed(t, w.prometheus, first, before)
			warm.stop(t)

			batch := sqsBatch(t, append(w.change(t), w.severityGone(t))...)
			w.kill(t, point, batch)
			want := w.series()

			cold := w.start(t)
			s, failure := cold.send(t, batch, invocationTimeout)
			if failure != nil {
				t.Fatal(failure)
			}
			w.checkRecovered(t, s, before, want)
			// The next scheduled run has nothing to correct.
			s = cold.invoke(t, "schedule-rule.json", invocationTimeout)
			checkPushed(t, w.prometheus, s, want)
			if s.Ended > 0 {
				t.Errorf("the next scheduled run ended %d series", s.Ended)
			}
		})
	}
}
