package inventory_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// Several environments work at once on one stored state, in steps that fall between
// each other's in any order, while the registry changes. Each pushes what it knows, under
// its own filter, to one receiver. When all is quiet, and all have the same filter, the
// receiver holds exactly the series of what that filter selects: whatever else any of them
// pushed has got its marker, and nothing that was deleted came back.
func TestEnvironmentsAtOnce(t *testing.T) {
	t.Parallel()
	const worlds, steps, environments = 90 / fewer, 100, 3
	for seed := range uint64(worlds) {
		synctest.Test(t, func(t *testing.T) {
			w := &world{t: t, rng: rand.New(rand.NewPCG(seed, 0)), repositories: map[string]*inventory.Repository{}, live: map[string]bool{}}
			all := make([]*environment, environments)
			for i := range all {
				// Whether the family table decides what ends at once or later makes no difference.
				registry := &inventory.Registry{}
				if i > 0 {
					derive(registry)
				}
				all[i] = &environment{world: w, registry: registry, gone: map[string]inventory.Time{}}
			}
			for range steps {
				time.Sleep(time.Duration(w.rng.IntN(4000)) * time.Millisecond)
				w.change()
				e := all[w.rng.IntN(len(all))]
				if seed%3 > 0 && w.rng.IntN(10) == 0 {
					e.filter = filter(w.rng.IntN(4))
				}
				e.step()
			}
			if seed%4 > 0 {
				// All but one die, though not before they saved.
				for _, e := range all {
					e.save()
				}
				all = all[:1]
			}
			final := all[0].filter
			for _, e := range all {
				e.filter = final
			}
			// Two rounds: the second tells the first ones what the last ones knew.
			for range 2 {
				for _, e := range all {
					time.Sleep(10 * time.Minute)
					e.quietRun()
				}
			}
			if diff := cmp.Diff(w.series(final), slices.Sorted(maps.Keys(w.live))); diff != "" {
				t.Fatalf("world %d: the receiver's live series (-want +got):\n%s", seed, diff)
			}
			for i, e := range all {
				if len(e.registry.Previous) > 0 {
					t.Errorf("world %d: environment %d still has previous versions:\n%s", seed, i, strings.Join(text(e.registry), "\n"))
				}
				if len(e.registry.DueNames) > 0 {
					t.Errorf("world %d: environment %d still has due names %v", seed, i, e.registry.DueNames)
				}
			}
		})
	}
}

// world is what environments have in common: what there is in ECR, the stored state
// and the receiver.
type world struct {
	t            *testing.T
	rng          *rand.Rand
	repositories map[string]*inventory.Repository
	stored       []byte
	version      int
	live         map[string]bool
}

func now() inventory.Time { return inventory.TimeOf(time.Now()) }

// change lets something happen in ECR.
func (w *world) change() {
	name := string(rune('a' + w.rng.IntN(3)))
	there := w.repositories[name]
	what := w.rng.IntN(8)
	switch {
	case there == nil:
		w.repositories[name] = &inventory.Repository{Name: name, URI: "r/" + name, CreatedAt: now(), TagMutability: "MUTABLE"}
	case what == 0:
		delete(w.repositories, name)
	case what == 1:
		changed := *there
		changed.TagMutability = []string{"MUTABLE", "IMMUTABLE"}[w.rng.IntN(2)]
		w.repositories[name] = &changed
	default:
		changed := *there
		changed.Images = nil
		for d := byte(1); d < 4; d++ {
			if w.rng.IntN(3) == 0 {
				continue
			}
			image := img(d, fmt.Sprintf("v%d", w.rng.IntN(3)*10+int(d)))
			if w.rng.IntN(2) == 0 {
				image.Scan = &inventory.Scan{Status: inventory.WordOf([]string{"COMPLETE", "FAILED"}[w.rng.IntN(2)]), Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf([]string{"HIGH", "LOW"}[w.rng.IntN(2)]), Count: 1}})}
			}
			changed.Images = append(changed.Images, image)
		}
		w.repositories[name] = &changed
	}
}

// described is a repository's record as a listing gives it.
func (w *world) described(name string) *inventory.Repository {
	record := *w.repositories[name]
	record.Images = nil
	return &record
}

// images are a repository's images as a listing gives them, without scans.
func (w *world) images(name string) []inventory.Image {
	list := slices.Clone(w.repositories[name].Images)
	for i := range list {
		list[i].Scan = nil
		list[i].Tags = slices.Clone(list[i].Tags)
	}
	return list
}

// filter excludes nothing, a repository, an image of each, or both, and changes the labels.
type filter int

func (f filter) apply(r *inventory.Registry) {
	for _, repository := range r.Repositories {
		repository.Excluded = f&1 > 0 && repository.Name == "a"
		for i := range repository.Images {
			repository.Images[i].Excluded = f&2 > 0 && repository.Images[i].Digest[0] == 2
		}
	}
}

func (f filter) shape() inventory.Shape {
	return inventory.Shape{External: map[string]string{"filter": fmt.Sprint(int(f))}}
}

func (f filter) table() *metrics.Table {
	table, err := metrics.New(f.shape())
	if err != nil {
		panic(err)
	}
	return table
}

func (f filter) series(r *inventory.Registry) []string {
	return keys(f.table().All(r, metrics.Options{}))
}

// series are the series of what a filter selects.
func (w *world) series(selected filter) []string {
	r := &inventory.Registry{ListedAt: 1}
	for _, name := range slices.Sorted(maps.Keys(w.repositories)) {
		repository := *w.repositories[name]
		repository.Images, repository.ImagesReadAt = slices.Clone(repository.Images), 1
		r.Repositories = append(r.Repositories, &repository)
		r.Summarize(&repository)
	}
	selected.apply(r)
	return selected.series(r)
}

func keys(series func(func(metrics.Series) bool)) []string {
	var list []string
	series(func(s metrics.Series) bool {
		var b strings.Builder
		for _, label := range s.Labels {
			if label.Value == "" {
				continue
			}
			fmt.Fprintf(&b, "%s=%q ", label.Name, label.Value)
		}
		list = append(list, b.String())
		return true
	})
	slices.Sort(list)
	return list
}

// environment makes runs: load, refresh something, push, perhaps save.
type environment struct {
	*world
	registry *inventory.Registry
	known    int // the stored version that it has
	next     int // step of the run
	at       inventory.Time
	filter   filter
	gone     map[string]inventory.Time // when the last one of a name was made that it knows to be gone
}

// checkGone checks that nothing came back.
func (e *environment) checkGone() {
	for name, createdAt := range e.gone {
		if repository := e.registry.Find(name); repository != nil && repository.CreatedAt <= createdAt {
			e.t.Errorf("repository %s of %d came back:\n%s", name, createdAt, strings.Join(text(e.registry), "\n"))
		}
	}
}

func (e *environment) step() {
	switch e.next++; e.next {
	case 1:
		e.at = now()
		e.load()
	case 2:
		if e.rng.IntN(2) == 0 {
			e.list()
		}
	case 3, 4, 5:
		if e.rng.IntN(4) == 0 {
			e.registry.AddDueName(string(rune('a' + e.rng.IntN(5)))) // an event could not be followed up
		}
		if n := len(e.registry.Repositories); n > 0 {
			e.read(e.registry.Repositories[e.rng.IntN(n)].Name)
		}
	case 6:
		e.summarize()
		e.filter.apply(e.registry)
		e.push(e.rng.IntN(3) > 0)
	default:
		e.next = 0
		if e.rng.IntN(2) == 0 {
			e.save()
		}
	}
}

// quietRun is a whole run that nothing stands in the way of.
func (e *environment) quietRun() {
	e.next, e.at = 0, now()
	e.load()
	e.list()
	for _, name := range slices.Sorted(maps.Keys(e.repositories)) {
		e.read(name)
	}
	e.summarize()
	e.filter.apply(e.registry)
	e.push(true)
	e.save()
}

func (e *environment) summarize() {
	for _, repository := range e.registry.Repositories {
		e.registry.Summarize(repository)
	}
}

func (e *environment) load() {
	if e.known == e.version {
		return
	}
	stored, err := inventory.Decode(bytes.NewReader(e.stored))
	if err != nil {
		e.t.Fatal(err)
	}
	e.registry.Merge(stored)
	e.known = e.version
	e.checkGone()
}

// save is a conditional write.
func (e *environment) save() {
	e.load()
	e.stored = encode(e.t, e.registry)
	e.version++
	e.known = e.version
}

func (e *environment) list() {
	var list []*inventory.Repository
	for name := range e.repositories {
		list = append(list, e.described(name))
	}
	for _, old := range e.registry.Repositories {
		if there := e.repositories[old.Name]; there == nil || there.CreatedAt != old.CreatedAt {
			e.gone[old.Name] = old.CreatedAt
		}
	}
	e.registry.SetRepositories(list, e.at)
}

func (e *environment) read(name string) {
	repository := e.registry.Find(name)
	if e.repositories[name] == nil {
		e.gone[name] = repository.CreatedAt
		e.registry.Remove(name)
		return
	}
	if e.repositories[name].CreatedAt != repository.CreatedAt {
		// By name, the images of another repository would be read into this record.
		e.registry.SetRepository(e.described(name))
		repository = e.registry.Find(name)
	}
	e.registry.SetImages(repository, e.images(name), e.at)
	for i := range e.repositories[name].Images {
		there := &e.repositories[name].Images[i]
		var scan *inventory.Scan
		if there.Scan != nil {
			answer := *there.Scan
			answer.AskedAt = now()
			scan = &answer
		}
		e.registry.SetScan(repository, repository.FindImage(there.Digest), scan)
	}
}

// push sends what is known, and markers; if not whole, some of both do not arrive.
func (e *environment) push(whole bool) {
	stale := keys(e.filter.table().Stale(e.registry, metrics.Options{}))
	for _, key := range e.filter.series(e.registry) {
		if whole || e.rng.IntN(2) == 0 {
			e.live[key] = true
		}
	}
	for _, key := range stale {
		if whole || e.rng.IntN(2) == 0 {
			delete(e.live, key)
		}
	}
	e.registry.Pushed(e.at, e.filter.shape(), whole, nil)
}
