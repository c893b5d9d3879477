package exporter_test

import (
	"context"
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecr"
	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// stale says of each series of a tag whether its last sample is a marker.
func (w *world) stale(tag string) (stale, alive int) {
	w.Helper()
	for _, series := range w.receiver.All() {
		if series.Labels["tag"] != tag {
			continue
		}
		for i, sample := range series.Samples {
			if i > 0 && sample.Timestamp <= series.Samples[i-1].Timestamp {
				w.Errorf("%v: samples %v are not in order", series, series.Samples)
			}
		}
		if math.Float64bits(series.Last().Value) == 0x7ff0000000000002 {
			stale++
		} else {
			alive++
		}
	}
	return stale, alive
}

func (w *world) wantStale(tag string, stale, alive int) {
	w.Helper()
	if s, a := w.stale(tag); s != stale || a != alive {
		w.Errorf("tag %s: %d series ended and %d alive, want %d and %d", tag, s, a, stale, alive)
	}
}

func TestMarkers(t *testing.T) {
	t.Parallel()
	bubble(t, "an image is deleted: its series end, once", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(3)...)
		_, err := w.run(time.Minute)
		w.check(err)
		w.check(w.registry.DeleteImage("app", ecrtest.Digest("1")))
		for i, want := range []int{0, 1, 0} {
			time.Sleep(interval / 2)
			summary, err := w.run(time.Minute)
			w.check(err)
			if summary.Ended != want {
				t.Errorf("run %d: %d markers, want %d", i, summary.Ended, want)
			}
		}
		w.wantStale("v1", 1, 0)
		w.wantStale("v2", 0, 1)
	})
	bubble(t, "also across a cold start", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(3)...)
		_, err := w.run(time.Minute)
		w.check(err)
		w.check(w.registry.DeleteImage("app", ecrtest.Digest("1")))
		w.registry.DeleteRepository("nothing")
		time.Sleep(interval)
		w.restart()
		_, err = w.run(time.Minute)
		w.check(err)
		w.wantStale("v1", 1, 0)
	})
	bubble(t, "a push that fails leaves them to the next", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(3)...)
		_, err := w.run(time.Minute)
		w.check(err)
		w.check(w.registry.DeleteImage("app", ecrtest.Digest("1")))
		time.Sleep(interval)
		refused := remotewritetest.Answer{Status: http.StatusForbidden}
		w.receiver.Answer(refused, refused) // the markers and the series, in either order
		if _, err := w.run(time.Minute); err == nil {
			t.Error("no error")
		}
		w.wantStale("v1", 0, 1)
		time.Sleep(2 * time.Minute)
		w.restart()
		summary, err := w.run(time.Minute)
		w.check(err)
		if w.wantStale("v1", 1, 0); summary.Ended != 1 {
			t.Errorf("%d markers", summary.Ended)
		}
	})
	bubble(t, "nothing ends that could not be read", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(3)...)
		w.put("other", images(1)...)
		_, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(interval)
		w.server.Fail(ecrtest.Match{RepositoryName: "app"}, ecrtest.Always, ecrtest.FaultServer)
		summary, err := w.run(2 * time.Minute)
		if err == nil || summary.Ended != 0 {
			t.Errorf("error %v, %d markers", err, summary.Ended)
		}
		w.wantStale("v1", 0, 1)
	})
	bubble(t, "a tag moves: the old image's series end, the new one's are alive", func(t *testing.T) {
		w := newWorld(t)
		w.put("app", images(2)...)
		w.check(w.registry.Tag("app", ecrtest.Digest("0"), "latest"))
		_, err := w.run(time.Minute)
		w.check(err)
		w.check(w.registry.Tag("app", ecrtest.Digest("1"), "latest"))
		time.Sleep(interval)
		_, err = w.run(time.Minute)
		w.check(err)
		w.wantStale("latest", 1, 1)
	})
}

// A changed setting ends what it hides or labels differently, in the first run of the new
// environment, in which nothing is read.
func TestChangedSettings(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*inventory.Shape)
		ended  int // of two infos, six sizes, the count and the liveness gauge
	}{
		"nothing":         {func(*inventory.Shape) {}, 0},
		"external labels": {func(s *inventory.Shape) { s.External = map[string]string{"zone": "z"} }, 10},
		"a family":        {func(s *inventory.Shape) { s.Families.Exclude = "aws_ecr_repository_info" }, 2},
		"tags":            {func(s *inventory.Shape) { s.Tags.Exclude = "v[12]" }, 4},
		"a repository":    {func(s *inventory.Shape) { s.Repositories.Exclude = "app-b" }, 4},
		"the newest":      {func(s *inventory.Shape) { s.NewestImages = 1 }, 4},
		"pushed within":   {func(s *inventory.Shape) { s.PushedWithin = time.Minute }, 6}, // the time is unknown
	} {
		bubble(t, name, func(t *testing.T) {
			w := newWorld(t)
			w.put("app-a", images(3)...)
			w.put("app-b", images(3)...)
			_, err := w.run(time.Minute)
			w.check(err)
			for run, ended := range []int{c.ended, 0} {
				time.Sleep(2 * time.Minute)
				if run == 0 {
					w.restart(shaped(c.change), func(o *exporter.Options) {
						selected, err := selection.New(o.Table.Shape())
						w.check(err)
						o.Refresher = refresh.New(ecr.New(aws.Config{}, ecr.Options{}), refresh.Options{Interval: interval, Includes: selected.Repository, Select: selected.Apply})
					})
				}
				summary, err := w.run(time.Minute)
				w.check(err)
				if summary.Ended != ended || summary.Accepted != summary.Series || len(summary.Calls) > 0 {
					t.Errorf("run %d: %d markers, want %d: %+v", run, summary.Ended, ended, summary)
				}
			}
			all, stale := w.receiver.All(), 0
			for _, series := range all {
				if math.Float64bits(series.Last().Value) == 0x7ff0000000000002 {
					stale++
				}
			}
			if stale != c.ended {
				t.Errorf("%d of %d series have ended, want %d", stale, len(all), c.ended)
			}
		})
	}
}

// An event pushes the series of what it names, and no other.
func TestApply(t *testing.T) {
	t.Parallel()
	bubble(t, "one repository of three", func(t *testing.T) {
		w := newWorld(t)
		for _, name := range []string{"app-a", "app-b", "app-c"} {
			w.put(name, images(3)...)
		}
		_, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(time.Minute)
		w.put("app-b", ecrtest.Image{Digest: ecrtest.Digest("new"), Tags: []string{"new"}, SizeBytes: new(int64)})
		w.check(w.registry.DeleteImage("app-b", ecrtest.Digest("2")))
		w.check(w.registry.DeleteImage("app-c", ecrtest.Digest("2")))
		summary, err := w.exporter.Apply(t.Context(), []refresh.Event{{Repository: "app-b", At: time.Now(), Images: true}})
		w.check(err)
		if summary.Series != 1+3+1 || summary.Ended != 1 || summary.Accepted != 5 {
			t.Errorf("Summary %+v, want info, three images and a marker", summary)
		}
		w.wantStale("new", 0, 1)
		w.wantStale("v2", 1, 2)
		// What else has ended is told when it is refreshed.
		time.Sleep(interval)
		_, err = w.run(time.Minute)
		w.check(err)
		w.wantStale("v2", 2, 1)
	})
	bubble(t, "a repository is deleted", func(t *testing.T) {
		w := newWorld(t)
		w.put("app-a", images(3)...)
		_, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(time.Minute)
		w.registry.DeleteRepository("app-a")
		summary, err := w.exporter.Apply(t.Context(), []refresh.Event{{Repository: "app-a", At: time.Now(), Images: true}})
		w.check(err)
		if summary.Series != 4 || summary.Ended != 4 || summary.Repositories != 0 {
			t.Errorf("Summary %+v", summary)
		}
	})
}

// The whole is saved when a refresh is finished, and otherwise now and then; what changed in
// between is saved before it is pushed.
func TestSaves(t *testing.T) {
	t.Parallel()
	bubble(t, "the whole not more often than the interval", func(t *testing.T) {
		saves := &savesCounted{t: t}
		w := newWorld(t, func(o *exporter.Options) { o.Store, o.SaveInterval = saves, 5*time.Minute }, durable)
		saves.pushed = func() int { return len(w.receiver.Requests()) }
		w.put("app", images(3)...)
		run := func(wholes, changes int, why string) {
			t.Helper()
			_, _ = w.run(time.Minute)
			if saves.wholes != wholes || saves.changes != changes {
				t.Errorf("%s: %d saves of the whole and %d of changes, want %d and %d", why, saves.wholes, saves.changes, wholes, changes)
			}
			saves.wholes, saves.changes = 0, 0
		}
		run(1, 0, "a finished refresh")
		time.Sleep(2 * time.Minute)
		run(0, 0, "nothing changed")
		// A run that leaves something due is not finished.
		w.put("app2", images(1)...)
		w.server.SetLatency("DescribeImages", time.Hour, 0)
		time.Sleep(interval)
		run(1, 0, "the first change in a while")
		time.Sleep(2 * time.Minute)
		run(0, 0, "nothing new in this run")
		w.server.SetLatency("DescribeImages", 0, 0)
		time.Sleep(time.Minute)
		run(1, 0, "finished")
		w.put("app", ecrtest.Image{Digest: ecrtest.Digest("new"), Tags: []string{"new"}, SizeBytes: new(int64)})
		time.Sleep(time.Minute)
		if _, err := w.exporter.Apply(t.Context(), []refresh.Event{{Repository: "app", At: time.Now(), Images: true}}); err != nil || saves.changes != 1 {
			t.Errorf("an event: %d saves of changes, error %v", saves.changes, err)
		}
		if len(w.receiver.Find("aws_ecr_exporter_state_available")) != 1 {
			t.Error("no aws_ecr_exporter_state_available")
		}
	})
	bubble(t, "a store out of reach is a metric", func(t *testing.T) {
		w := newWorld(t, func(o *exporter.Options) { o.Store = brokenStore{} }, durable)
		_, err := w.run(time.Minute)
		w.check(err)
		if s := w.receiver.Find("aws_ecr_exporter_state_available"); len(s) != 1 || s[0].Last().Value != 0 {
			t.Errorf("series %v", s)
		}
		if !strings.Contains(w.log.String(), "level=WARN") {
			t.Errorf("log:\n%s", &w.log)
		}
	})
}

// savesCounted counts saves, each of which must come before its run's first push.
type savesCounted struct {
	t               *testing.T
	registry        *inventory.Registry
	wholes, changes int
	pushed          func() int // requests to the receiver
	before          int
}

func (s *savesCounted) Of(string, string) {}

func (s *savesCounted) Load(context.Context) (*inventory.Registry, error) {
	s.before = s.pushed()
	return s.registry, nil
}

func (s *savesCounted) Save(_ context.Context, registry *inventory.Registry, whole bool) error {
	if s.pushed() != s.before {
		s.t.Error("saved after a push began")
	}
	s.registry = registry
	if whole {
		s.wholes, registry.Unsaved = s.wholes+1, inventory.Unsaved{}
	} else {
		s.changes++
	}
	registry.Unsaved.Any = false
	return nil
}
