package exporter_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/exporter"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/refresh"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewrite"
)

// withLags also sends how late changes are shown, through a gate.
func (w *world) withLags(g *gate) func(*exporter.Options) {
	return func(o *exporter.Options) {
		w.through(g, remotewrite.V1)(o)
		shaped(func(s *inventory.Shape) { s.Families.Include = contract + "|aws_ecr_exporter_lag_seconds" })(o)
	}
}

// lags are all that was exported, by the kind of change.
func (w *world) lags() map[string][]float64 {
	all := map[string][]float64{}
	for _, series := range w.receiver.Find("aws_ecr_exporter_lag_seconds") {
		for _, sample := range series.Samples {
			all[series.Labels["change"]] = append(all[series.Labels["change"]], sample.Value)
		}
	}
	return all
}

func (w *world) pushNow(tag string) {
	w.put("app", ecrtest.Image{Digest: ecrtest.Digest(tag), Tags: []string{tag}, SizeBytes: new(int64), PushedAt: time.Now()})
}

func (w *world) wantLags(want map[string][]float64) {
	w.Helper()
	if diff := cmp.Diff(want, w.lags()); diff != "" {
		w.Errorf("lags (-want +got):\n%s", diff)
	}
}

func TestLags(t *testing.T) {
	t.Parallel()
	bubble(t, "each change counts once, in the run that shows it", func(t *testing.T) {
		w := newWorld(t)
		w.restart(w.withLags(&gate{left: -1}))
		w.put("app", images(3)...)
		w.put("other", images(1)...)
		_, err := w.run(time.Minute)
		w.check(err)
		w.wantLags(map[string][]float64{}) // of a cold start

		time.Sleep(time.Minute)
		w.pushNow("a")
		time.Sleep(2500 * time.Millisecond)
		_, err = w.exporter.Apply(t.Context(), []refresh.Event{{Repository: "app", At: time.Now(), Images: true}})
		w.check(err)
		w.wantLags(map[string][]float64{"push": {3}})

		time.Sleep(time.Minute)
		w.check(w.registry.DeleteImage("app", ecrtest.Digest("a")))
		_, err = w.exporter.Apply(t.Context(), []refresh.Event{{Repository: "other", At: time.Now(), Images: true}})
		w.check(err)
		w.wantLags(map[string][]float64{"push": {3}})
		time.Sleep(interval)
		_, err = w.run(time.Minute)
		w.check(err)
		// It was seen by the listing of the event.
		want := map[string][]float64{"push": {3}, "delete": {(interval + time.Minute).Seconds()}}
		w.wantLags(want)
		_, err = w.run(time.Minute)
		w.check(err)
		w.wantLags(want)
	})
	bubble(t, "what a push does not show waits for the next one", func(t *testing.T) {
		w := newWorld(t)
		g := &gate{left: -1}
		w.restart(w.withLags(g))
		w.put("app", images(25)...)
		_, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(time.Minute)
		w.pushNow("a")
		pushed := time.Now()
		event := []refresh.Event{{Repository: "app", At: time.Now(), Images: true}}
		for _, left := range []int{0, 1} { // nothing, then a part of the series
			g.left = left
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if _, err := w.exporter.Apply(ctx, event); err == nil {
				t.Error("a push without a network succeeded")
			}
			cancel()
			w.wantLags(map[string][]float64{})
			time.Sleep(time.Minute)
			event[0].At = time.Now()
		}
		g.left = -1
		_, err = w.run(time.Minute)
		w.check(err)
		w.wantLags(map[string][]float64{"push": {math.Ceil(time.Since(pushed).Seconds())}})
	})
	bubble(t, "a run for events does not fail for it", func(t *testing.T) {
		w := newWorld(t)
		g := &gate{left: -1}
		w.restart(w.withLags(g))
		w.put("app", images(1)...)
		_, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(time.Minute)
		w.pushNow("a")
		g.left = 1 // the series
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		summary, err := w.exporter.Apply(ctx, []refresh.Event{{Repository: "app", At: time.Now(), Images: true}})
		if err != nil || summary.Accepted == 0 || summary.Errors["report"] == "" || !strings.Contains(w.log.String(), "how late changes were shown") {
			t.Errorf("error %v, Summary %+v", err, summary)
		}
	})
	bubble(t, "no request for an excluded family", func(t *testing.T) {
		w := newWorld(t)
		g := &gate{left: -1}
		w.restart(w.through(g, remotewrite.V1))
		w.put("app", images(1)...)
		_, err := w.run(time.Minute)
		w.check(err)
		time.Sleep(time.Minute)
		w.pushNow("a")
		g.left = 1
		_, err = w.exporter.Apply(t.Context(), []refresh.Event{{Repository: "app", At: time.Now(), Images: true}})
		w.check(err)
		if g.left != 0 {
			t.Error("the series were not pushed: the test tests nothing")
		}
	})
}
