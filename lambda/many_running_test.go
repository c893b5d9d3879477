package main

import (
	"context"
	"maps"
	"math"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
	"github.com/aws-exporters/ecr-remote-write/pkg/targets"
)

// What runs is asked once by the planner, for all registries.
func TestWorkRunning(t *testing.T) {
	settings := []string{"IDLE_IMAGES=never", "QUERY_URL=https://" + hostReceiver + queryPath}
	inWorkers(t, remotewritetest.Options{}, settings, func(w *workers) {
		w.runs = workerMember + ".dkr.ecr.us-east-1.amazonaws.com/app@" + ecrtest.Digest(workerMember+"us-east-1app")
		time.Sleep(100 * 24 * time.Hour) // all images are idle but for what runs
		all := [][2]string{{workerHome, "eu-west-1"}, {workerMember, "eu-west-1"}, {workerMember, "us-east-1"}}
		turn := func() map[string]float64 {
			at := time.Now()
			for _, place := range all {
				w.deliver(w.work(place[0], place[1]), 0)
			}
			return w.pushed(imageFamily, at)
		}
		if got := turn(); len(got) != 6 || w.asked != 0 {
			t.Errorf("before the first plan: pushed %v, asked %d times; want all, as it is not known what runs", got, w.asked)
		}
		time.Sleep(slotInterval)
		w.plan()
		got := turn()
		maps.DeleteFunc(got, func(_ string, value float64) bool { return math.IsNaN(value) }) // markers
		if _, runs := got[workerMember+"/us-east-1 app"]; !runs || len(got) != 1 || w.asked != 1 {
			t.Errorf("pushed %v, asked %d times; want what runs, asked once", got, w.asked)
		}
	})
}

// The rate of a message slows its two pushes, of the registry and of the run, each within the
// first half of its time.
func TestWorkRate(t *testing.T) {
	inWorkers(t, remotewritetest.Options{}, []string{"REMOTE_WRITE_MAX_SERIES=5", "REMOTE_WRITE_CONCURRENCY=1"}, func(w *workers) {
		for _, c := range []struct {
			rate    float64
			slow    bool
			exceeds float64
		}{{0, false, 0}, {1, true, 0}, {0.001, true, 1}, {0, false, 0}} {
			at := time.Now()
			ctx, cancel := context.WithTimeout(w.t.Context(), runTimeout)
			w.ctx = ctx
			w.deliver(w.work(workerHome, "eu-west-1", func(work *targets.Work) { work.Rate = c.rate }), 0)
			cancel()
			took := time.Since(at)
			if exceeded := w.pushed("aws_ecr_exporter_target_rate_exceeded", at)[workerHome+"/eu-west-1 "]; (took >= 5*time.Second) != c.slow || took > runTimeout*3/4 || exceeded != c.exceeds {
				t.Errorf("at %v samples a second: %s, exceeded is %v", c.rate, took, exceeded)
			}
			time.Sleep(time.Until(at.Add(slotInterval)))
		}
	})
}
