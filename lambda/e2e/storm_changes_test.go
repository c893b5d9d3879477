package e2e

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

// stormRepositories are those that can exist.
var stormRepositories = []string{"app", "team/api", "team/web", "base"}

// change makes a random change of the registry. Most changes of images send an event, and all
// results of scans do: nothing else reports them within a day.
func (s *storm) change() {
	name := pick(s.rng, stormRepositories...)
	if _, exists := s.registry.Repository(name); !exists {
		s.put(name)
		s.push(name)
		return
	}
	images := s.registry.Images(name)
	p := s.rng.IntN(100)
	if len(images) == 0 || p < 35 {
		s.push(name)
		return
	}
	image := pick(s.rng, images...)
	switch {
	case p < 50:
		s.logf("deleted %s %.15s", name, image.Digest)
		s.must(s.registry.DeleteImage(name, image.Digest))
		s.event(s.registry.DeleteEvent(name, image.Digest, "", time.Now()))
	case p < 65:
		s.logf("tagged %s:latest, now %.15s", name, image.Digest)
		s.must(s.registry.Tag(name, image.Digest, "latest"))
		s.event(s.registry.PushEvent(name, image.Digest, "latest", time.Now()))
	case p < 95:
		s.rescan(name, image.Digest)
	default:
		s.logf("deleted repository %s", name)
		s.registry.DeleteRepository(name)
	}
}

func (s *storm) must(err error) {
	if err != nil {
		panic(err)
	}
}

func (s *storm) put(name string) {
	s.logf("created repository %s", name)
	s.must(s.registry.PutRepository(ecrtest.Repository{
		Name: name, CreatedAt: time.Now(), TagMutability: "MUTABLE", ScanOnPush: new(s.rng.IntN(2) == 0), Encryption: &ecrtest.Encryption{Type: "AES256"},
	}))
}

// push pushes an image with a tag of its own and sometimes the tag latest. Mostly it is
// scanned at once.
func (s *storm) push(name string) {
	s.images++
	tags := []string{fmt.Sprint("v", s.images)}
	if s.rng.IntN(2) == 0 {
		tags = append([]string{"latest"}, tags...)
	}
	digest := ecrtest.Digest(tags[len(tags)-1])
	s.logf("pushed %s %.15s %v", name, digest, tags)
	s.must(s.registry.PutImage(name, ecrtest.Image{Digest: digest, Tags: tags, SizeBytes: new(1 + s.rng.Int64N(1e9)), PushedAt: time.Now(), Status: "ACTIVE"}))
	s.event(s.registry.PushEvent(name, digest, tags[len(tags)-1], time.Now()))
	if s.rng.IntN(4) > 0 {
		s.rescan(name, digest)
	}
}

func (s *storm) rescan(name, digest string) {
	counts := map[string]int32{}
	for _, severity := range []string{"CRITICAL", "HIGH", "LOW"} {
		if s.rng.IntN(3) > 0 {
			counts[severity] = 1 + s.rng.Int32N(50)
		}
	}
	now := time.Now()
	if s.registry.Rescan(name, digest, ecrtest.ScanState{At: now, CompletedAt: now, Counts: counts}) != nil {
		return // two in a millisecond
	}
	s.logf("scanned %s %.15s: %v", name, digest, counts)
	event, err := s.registry.ScanEvent(name, digest, now)
	s.must(err)
	s.queue = append(s.queue, event)
}

// event sends an event, except for some that are lost.
func (s *storm) event(event json.RawMessage) {
	s.counts.Events++
	if s.rng.IntN(4) == 0 {
		s.logf("  without an event")
		return
	}
	s.queue = append(s.queue, event)
}
