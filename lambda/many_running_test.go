package main

import (
	"maps"
	"math"
	"testing"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
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
