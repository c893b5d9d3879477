//go:build unix

package localtest

import (
	"iter"
	"time"
)

// The registry of a World is small enough for graphs that show single builds.
const (
	worldRepositories = 40
	worldTaggedImages = 600
)

// The pushes of a World's hour, at the interval of the template's schedule.
const (
	hourPushes   = 30
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
	begin := end.Add(-hourPushes * pushInterval)
	var err error
	if w.Registry, err = NewRegistry(begin, worldRepositories, worldTaggedImages); err != nil {
		return nil, err
	}
	w.Cluster, err = w.Registry.AddCluster(begin)
	return w, err
}

// Hour makes the changes of the hour. It yields the times of the pushes; at each, the
// registry and the cluster are as they were then.
func (w *World) Hour() iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		for n := hourPushes; n > 0; n-- {
			at := w.end.Add(-time.Duration(n) * pushInterval)
			w.Registry.Age(at)
			if !yield(at) {
				return
			}
		}
	}
}
