//go:build unix

package localtest

import (
	"encoding/json"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// The registry of a World is small enough for graphs that show single builds.
const (
	worldRepositories = 40
	worldTaggedImages = 600
)

// HourPushes is the number of pushes of a World's hour, at the interval of the template's
// schedule.
const (
	HourPushes   = 30
	pushInterval = 2 * time.Minute
)

// World is a registry and a cluster with an hour of past up to a time, the end. The same end
// gives the same world: so one process can run the function in the past, in virtual time,
// and another have the registry as it is afterwards.
type World struct {
	Registry *Registry
	Cluster  *Cluster
	end      time.Time
}

// NewWorld returns the world as it was when its hour began.
func NewWorld(end time.Time) (*World, error) {
	// The API's times are whole milliseconds.
	end = end.Truncate(time.Millisecond)
	w := &World{end: end}
	begin := end.Add(-HourPushes * pushInterval)
	var err error
	if w.Registry, err = NewRegistry(begin, worldRepositories, worldTaggedImages); err != nil {
		return nil, err
	}
	if w.Cluster, err = w.Registry.AddCluster(begin); err != nil {
		return nil, err
	}
	w.Cluster.rollout = begin
	return w, nil
}

// Step makes the changes before a push of the hour, from 0 to HourPushes - 1. It returns the
// time of the push, and the events of ECR since the previous one.
func (w *World) Step(n int) (at time.Time, events []json.RawMessage, err error) {
	at = w.end.Add(-time.Duration(HourPushes-n) * pushInterval)
	w.Registry.Age(at)
	r, ok := rescans[n]
	if !ok {
		return at, nil, nil
	}
	image, _ := w.Registry.Image(r.repository, r.tag)
	counts := map[string]int32{"HIGH": r.high}
	if r.critical > 0 {
		counts["CRITICAL"] = r.critical
	}
	if err := w.Registry.Rescan(r.repository, image.Digest, ecrtest.ScanState{At: at, CompletedAt: at, Counts: counts}); err != nil {
		return at, nil, err
	}
	event, err := w.Registry.ScanEvent(r.repository, image.Digest, at)
	return at, []json.RawMessage{event}, err
}

// rescans are of images that pods run, before some of the pushes: more is known about them, or
// less is left after a fix.
var rescans = map[int]struct {
	repository, tag string
	critical, high  int32
}{
	6:  {"shop/app", "v1", 5, 14},
	11: {"copies/nginx", "1.29", 6, 20},
	17: {"docker-hub/library/redis", "8", 0, 9},
	23: {"shop/app", "v1", 9, 16},
}
