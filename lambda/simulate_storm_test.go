package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/remotewritetest"
)

// simulation is one storm in virtual time: the registry, the queue, the stored objects and
// the receiver, which outlive every execution environment of the function, and what was
// observed of it.
type simulation struct {
	*plan
	begin time.Time
	rng   *rand.Rand // of changes to the registry

	registry *ecrtest.Registry
	aws      *ecrtest.Server
	s3       *objectStore
	receiver *remotewritetest.Receiver
	queue    *fifo

	// mu guards what follows: the registry changes while the function runs, and with more
	// than one connection several requests are served at once.
	mu          sync.Mutex
	calm        bool // no more faults
	settings    settings
	stateFile   string
	environment *environment
	invocation  *invocation
	environs    int
	invocations int
	pushes      int // images so far, for digests and tags
	later       int // actions that were delayed so far
	tracks      map[string]*track
	truth       map[string]time.Time // of each series that must be there: since when
	changes     []*change
	listings    map[string]listed    // the last one of each repository's images
	denied      map[string]time.Time // when an image listing of a repository was last denied
	// deniedScans are the repositories with a scan that was denied, emptiedScans those with
	// one whose response was {}.
	deniedScans, emptiedScans map[string]bool
	emptied                   bool  // the last DescribeRepositories got an empty list
	saidNothing               bool  // some response was empty
	unsaved                   []int // invocations since the last save whose save failed
	// forgotten are the invocations of which nothing was saved before their environment died.
	forgotten map[int]bool
	// savedAfter is the last invocation that saved; lost are the invocations, after the first
	// and up to the second number, whose knowledge an environment took with it.
	savedAfter int
	lost       [][2]int
	allowed    map[string]int
	findings   []finding
	trace      strings.Builder
	totals     totals
	watch      *watch // of TestGoldenPromises
}

// listed is the begin of the invocation that listed a repository's images, and the number of
// its environment.
type listed struct {
	at          time.Time
	environment int
	alone       bool // it may not know the state, which may name the repository as due
}

// simulate makes the storm of a seed and the calm after it, and checks. It has to be called
// in a synctest bubble.
func simulate(seed uint64, limits queueLimits, stateFile string) *simulation {
	rng := rand.New(rand.NewPCG(seed, 11))
	s := newSimulation(newPlan(seed, rng), rng, limits, stateFile)
	s.storms()
	s.check()
	return s
}

// newSimulation makes the registry, and the services around the function.
func newSimulation(p *plan, rng *rand.Rand, limits queueLimits, stateFile string) *simulation {
	s := &simulation{
		plan: p, begin: time.Now(), rng: rng, stateFile: stateFile,
		registry: ecrtest.NewRegistry(account, region),
		s3:       &objectStore{objects: map[string][]byte{}},
		queue:    &fifo{limits: limits, arrived: make(chan struct{}, 1)},
		tracks:   map[string]*track{}, truth: map[string]time.Time{}, listings: map[string]listed{},
		denied: map[string]time.Time{}, deniedScans: map[string]bool{}, emptiedScans: map[string]bool{}, allowed: map[string]int{}, forgotten: map[int]bool{},
	}
	s.settings = s.plan.settings
	s.aws = ecrtest.New(s.registry)
	must(s.registry.SetPullTimeExclusions("arn:aws:iam::" + account + ":role/ecr-remote-write"))
	s.receiver = remotewritetest.New(remotewritetest.Options{Protocols: s.protocols, Unaware: s.unaware, MaxSeries: s.receiverMaxSeries})
	if s.enhanced {
		must(s.registry.SetScanning(ecrtest.Scanning{Type: "ENHANCED", Rules: []ecrtest.ScanningRule{{Frequency: "CONTINUOUS_SCAN", Filters: []string{"*"}}}}))
	}
	s.mu.Lock()
	s.describe()
	for _, name := range repositoryNames[:1+rng.IntN(3)] {
		s.create(name)
		for range rng.IntN(4) {
			s.push(name)
		}
	}
	s.observe()
	s.mu.Unlock()
	return s
}

// storms makes the storm.
func (s *simulation) storms() {
	var world sync.WaitGroup
	world.Go(s.change)
	s.serve(s.begin.Add(s.storm))
	world.Wait()
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// logf adds a line to the schedule, with the time unless it is about the invocation in
// progress and begins with a space. The caller holds the lock.
func (s *simulation) logf(format string, args ...any) {
	if !strings.HasPrefix(format, " ") {
		fmt.Fprintf(&s.trace, "%s  ", moment(time.Now(), s.begin))
	} else {
		s.trace.WriteString("          ")
	}
	fmt.Fprintf(&s.trace, format, args...)
	s.trace.WriteByte('\n')
}

func (s *simulation) describe() {
	s.logf("storm of %v, killed %.2f, dies %.2f, enhanced scanning %t, indexes %t, events %t, receiver of %v (unaware %t, at most %d series)",
		s.storm, s.killed, s.dies, s.enhanced, s.indexes, s.events, s.protocols, s.unaware, s.receiverMaxSeries)
	s.logf("settings %v", &s.plan.settings)
	if s.changedAt > 0 {
		s.logf("settings from %v: %v", s.changedAt, &s.changed)
	}
	for _, w := range s.windows {
		s.logf("faults: %v", w)
	}
}

// change changes the registry as planned.
func (s *simulation) change() {
	for _, at := range s.mutations {
		time.Sleep(time.Until(s.begin.Add(at)))
		s.mu.Lock()
		s.mutate()
		s.observe()
		s.mu.Unlock()
	}
}

// mutate makes one random change.
func (s *simulation) mutate() {
	name := pick(s.rng, repositoryNames...)
	if _, exists := s.registry.Repository(name); !exists {
		s.create(name)
		s.push(name)
		return
	}
	images := s.registry.Images(name)
	var image ecrtest.Image
	if len(images) > 0 {
		image = pick(s.rng, images...)
	}
	switch p := s.rng.IntN(100); {
	case p < 30 || len(images) == 0:
		s.push(name)
	case p < 45:
		s.logf("deleted %s %.15s %v", name, image.Digest, image.Tags)
		must(s.registry.DeleteImage(name, image.Digest))
		s.report(s.registry.DeleteEvent(name, image.Digest, "", time.Now()), &change{repository: name, digest: image.Digest})
	case p < 60 && len(image.Tags) > 0:
		tag := pick(s.rng, image.Tags...)
		if s.rng.IntN(2) == 0 {
			s.logf("untagged %s:%s", name, tag)
			must(s.registry.Untag(name, tag))
			s.report(s.registry.DeleteEvent(name, image.Digest, tag, time.Now()), &change{repository: name, digest: image.Digest})
			return
		}
		to := pick(s.rng, images...)
		if to.Digest == image.Digest {
			tag = s.nextTag()
		}
		s.logf("tagged %s:%s, now %.15s", name, tag, to.Digest)
		must(s.registry.Tag(name, to.Digest, tag))
		s.report(s.registry.PushEvent(name, to.Digest, tag, time.Now()), &change{repository: name, digest: to.Digest})
	case p < 80 && s.reliable && len(image.Tags) == 0: // an untagged image: no series has the time of its scan
	case p < 80:
		s.rescan(name, image.Digest)
	case p < 85:
		s.logf("deleted repository %s", name)
		s.registry.DeleteRepository(name)
		s.report(nil, &change{repository: name})
	case p < 90:
		repository, _ := s.registry.Repository(name)
		repository.TagMutability = pick(s.rng, "MUTABLE", "IMMUTABLE")
		s.logf("%s is %s", name, repository.TagMutability)
		must(s.registry.PutRepository(repository))
	default:
		archived := image.Status != "ARCHIVED"
		s.logf("archived %t: %s %.15s", archived, name, image.Digest)
		if archived {
			must(s.registry.Archive(name, image.Digest, time.Now()))
		} else {
			must(s.registry.Restore(name, image.Digest, time.Now()))
		}
		event, err := s.registry.StorageClassEvent(name, image.Digest, time.Now())
		must(err)
		s.report(event, &change{repository: name, digest: image.Digest})
	}
}

func (s *simulation) create(name string) {
	s.logf("created repository %s", name)
	onPush := s.rng.IntN(2) == 0
	must(s.registry.PutRepository(ecrtest.Repository{
		Name: name, CreatedAt: time.Now(), TagMutability: "MUTABLE", ScanOnPush: &onPush,
		Encryption: &ecrtest.Encryption{Type: "AES256"},
	}))
}

func (s *simulation) nextTag() string {
	s.pushes++
	return fmt.Sprint("v", s.pushes)
}

// push pushes an image with a tag of its own and, mostly, the tag latest.
func (s *simulation) push(name string) {
	tags := []string{s.nextTag()}
	if s.rng.IntN(3) > 0 {
		tags = append([]string{"latest"}, tags...)
	}
	size := int64(1 + s.rng.IntN(1e9))
	image := ecrtest.Image{Digest: ecrtest.Digest(fmt.Sprint(s.seed, "/", s.pushes)), Tags: tags, SizeBytes: &size, PushedAt: time.Now()}
	var children []string
	if s.indexes {
		children = s.makeIndex(name, &image)
	}
	s.logf("pushed %s %.15s %v %.15s", name, image.Digest, tags, children)
	must(s.registry.PutImage(name, image))
	s.report(s.registry.PushEvent(name, image.Digest, tags[len(tags)-1], time.Now()), &change{repository: name, digest: image.Digest})
	if s.rng.IntN(4) > 0 {
		for _, child := range children {
			s.rescan(name, child)
		}
		if !s.indexes {
			s.rescan(name, image.Digest)
		}
	}
}

// makeIndex makes an image an index of two images, which it pushes, and returns their digests.
func (s *simulation) makeIndex(name string, image *ecrtest.Image) (children []string) {
	for _, platform := range []string{"linux/amd64", "linux/arm64"} {
		child := ecrtest.Image{Digest: ecrtest.Digest(image.Digest + platform), SizeBytes: image.SizeBytes, PushedAt: image.PushedAt}
		must(s.registry.PutImage(name, child))
		image.Children = append(image.Children, ecrtest.Child{Digest: child.Digest, Platform: platform})
		children = append(children, child.Digest)
	}
	image.ManifestMediaType = inventory.OCIIndex.String()
	return children
}

// rescan scans an image: with basic scanning for a while, and sometimes twice in the same
// second.
func (s *simulation) rescan(name, digest string) {
	now := time.Now()
	counts := func() map[string]int32 {
		counts := map[string]int32{}
		for _, severity := range []string{"CRITICAL", "HIGH", "MEDIUM", "LOW"} {
			if s.rng.IntN(3) > 0 {
				counts[severity] = 1 + int32(s.rng.IntN(50))
			}
		}
		return counts
	}
	var states []ecrtest.ScanState
	done := now.Add(time.Duration(5+s.rng.IntN(90)) * time.Second)
	if s.enhanced {
		done = now.Add(time.Millisecond)
	} else {
		states = append(states, ecrtest.ScanState{At: now, Status: "IN_PROGRESS"})
	}
	states = append(states, ecrtest.ScanState{At: done, CompletedAt: done, Counts: counts()})
	if !s.enhanced && s.rng.IntN(8) == 0 {
		done = done.Truncate(time.Second).Add(100 * time.Millisecond)
		states[len(states)-1].At, states[len(states)-1].CompletedAt = done, done
		done = done.Add(300 * time.Millisecond)
		states = append(states, ecrtest.ScanState{At: done, CompletedAt: done, Counts: counts()})
	}
	if s.registry.Rescan(name, digest, states...) != nil {
		return // another scan is in progress
	}
	s.logf("scan of %s %.15s: %d states until %s", name, digest, len(states), moment(done, s.begin))
	for i, state := range states {
		reported := state.Counts != nil
		about := &change{repository: name, digest: digest, scan: true, at: state.At}
		if reported {
			s.changes = append(s.changes, about)
			about.lost = !s.events || s.enhanced && i == 0 && s.scanned(name, digest, now) // Inspector reports only the first result
		}
		order := s.nextOrder()
		go func() {
			time.Sleep(time.Until(state.At) + order)
			s.mu.Lock()
			defer s.mu.Unlock()
			s.observe()
			if event, err := s.registry.ScanEvent(name, digest, state.At); err == nil && reported && !about.lost {
				s.send(string(event), about)
			} else if reported {
				about.lost = true
			}
		}()
	}
}

// nextOrder returns a delay of some microseconds that is different each time: nothing that
// is sent later happens at the same time as something else.
func (s *simulation) nextOrder() time.Duration {
	s.later++
	return time.Duration(s.later%1000) * time.Microsecond
}

func (s *simulation) scanned(name, digest string, at time.Time) bool {
	_, ok := s.registry.Scan(name, digest, at)
	return ok
}

// report records a change of images and sends its event, nil if there is none, except for a
// few that are lost before the queue.
func (s *simulation) report(event []byte, about *change) {
	about.at = time.Now()
	s.changes = append(s.changes, about)
	if about.lost = event == nil || !s.events || s.rng.IntN(12) == 0 && !s.reliable; about.lost {
		return
	}
	delay := time.Duration(s.rng.IntN(4000))*time.Millisecond + s.nextOrder()
	go func() {
		time.Sleep(delay)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.send(string(event), about)
	}()
}

func (s *simulation) send(body string, about *change) {
	s.queue.n++
	s.totals.messages++
	s.queue.send(fmt.Sprint("m", s.queue.n), body, about)
}
