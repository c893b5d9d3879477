package selection_test

import (
	"bytes"
	"cmp"
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// While a registry changes, time passes, settings change and execution environments come
// and go, a receiver holds after each whole push exactly the series of what the filters
// select, and never got a marker for an image of which it held nothing.
func TestReceiverHoldsWhatIsSelected(t *testing.T) {
	t.Parallel()
	const worlds, steps = 100, 60
	for seed := range uint64(worlds) {
		w := &world{T: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), at: now, live: map[string]string{}}
		w.configure()
		for range steps {
			w.at = w.at.Add(time.Duration(w.rng.IntN(12)) * time.Hour)
			switch w.rng.IntN(12) {
			case 0:
				w.configure()
			case 1:
				w.restart()
			}
			w.change()
			w.run()
			if t.Failed() {
				return
			}
		}
	}
}

// world is a registry in ECR, what is known about it, and a receiver.
type world struct {
	*testing.T
	seed  uint64
	rng   *rand.Rand
	at    time.Time
	there []*inventory.Repository
	known inventory.Registry
	live  map[string]string // what series are about, by their labels
	shape inventory.Shape
}

// configure chooses the settings.
func (w *world) configure() {
	// The use of quotas is of all repositories, selected or not.
	w.shape = inventory.Shape{Families: inventory.Filter{Exclude: ".*_quota_used"}}
	if w.rng.IntN(3) == 0 {
		w.shape.Repositories.Exclude = fmt.Sprint("repo-", w.rng.IntN(3))
	}
	if w.rng.IntN(3) == 0 {
		w.shape.Tags.Exclude = "pr.*"
	}
	if w.rng.IntN(4) == 0 {
		w.shape.Families.Exclude += "|.*_size_in_bytes"
	}
	if w.rng.IntN(4) == 0 {
		w.shape.External = map[string]string{"zone": fmt.Sprint(w.rng.IntN(2))}
	}
	if w.rng.IntN(2) == 0 {
		w.shape.NewestImages = 1 + w.rng.IntN(3)
	}
	if w.rng.IntN(2) == 0 {
		w.shape.PushedWithin = time.Duration(1+w.rng.IntN(5)) * day
	}
	if w.rng.IntN(2) == 0 {
		w.shape.PulledWithin = time.Duration(1+w.rng.IntN(3)) * day
	}
	w.shape.UntaggedImages = w.rng.IntN(3)
	w.shape.UntaggedWithin = time.Duration(w.rng.IntN(3)) * day
}

// restart begins a new execution environment with the stored state.
func (w *world) restart() {
	var stored bytes.Buffer
	if err := inventory.Encode(&stored, &w.known); err != nil {
		w.Fatal(err)
	}
	known, err := inventory.Decode(&stored)
	if err != nil {
		w.Fatal(err)
	}
	w.known = *known
}

// change lets something happen in ECR.
func (w *world) change() {
	name := fmt.Sprint("repo-", w.rng.IntN(3))
	i := slices.IndexFunc(w.there, func(r *inventory.Repository) bool { return r.Name == name })
	if i < 0 {
		w.there = append(w.there, &inventory.Repository{Name: name, URI: "u/" + name, CreatedAt: inventory.TimeOf(w.at)})
		return
	}
	if w.rng.IntN(15) == 0 {
		w.there = slices.Delete(w.there, i, i+1)
		return
	}
	r := w.there[i]
	for n := byte(1); n <= 6; n++ {
		j := slices.IndexFunc(r.Images, func(image inventory.Image) bool { return image.Digest[0] == n })
		if j < 0 {
			if w.rng.IntN(3) == 0 {
				pushed := image(n, 0, w.tags(n)...)
				pushed.PushedAt = inventory.TimeOf(w.at)
				r.Images = append(r.Images, pushed)
			}
			continue
		}
		switch w.rng.IntN(12) {
		case 0:
			r.Images = slices.Delete(r.Images, j, j+1)
		case 1:
			r.Images[j].Tags = w.tags(n)
		case 2:
			r.Images[j].PulledAt = inventory.SecondOf(inventory.TimeOf(w.at))
		case 3:
			r.Images[j].Status = []inventory.Word{inventory.ImageActive, inventory.ImageArchived}[w.rng.IntN(2)]
		}
	}
}

func (w *world) tags(n byte) (tags []string) {
	for _, tag := range []string{"v", "pr"} {
		if w.rng.IntN(2) == 0 {
			tags = append(tags, fmt.Sprint(tag, n))
		}
	}
	return tags
}

// run refreshes all or nothing, and pushes.
func (w *world) run() {
	s, err := selection.New(w.shape)
	if err != nil {
		w.Fatal(err)
	}
	table, err := metrics.New(w.shape)
	if err != nil {
		w.Fatal(err)
	}
	w.known.Ends = table.Ends(&w.known)
	at := inventory.TimeOf(w.at)
	refreshed := w.rng.IntN(4) > 0 // otherwise only time has passed
	if refreshed {
		var list []*inventory.Repository
		for _, r := range w.there {
			list = append(list, &inventory.Repository{Name: r.Name, URI: r.URI, CreatedAt: r.CreatedAt})
		}
		w.known.SetRepositories(list, at)
		for _, r := range w.there {
			if s.Repository(r.Name) {
				w.known.SetImages(w.known.Find(r.Name), images(r), at)
			}
		}
	}
	for _, r := range w.known.Repositories {
		w.known.Summarize(r)
	}
	s.Apply(&w.known, w.at)
	held := map[string]bool{}
	for _, unit := range w.live {
		held[unit] = true
	}
	for key, unit := range keys(table.Stale(&w.known, metrics.Options{})) {
		// A tag that an image got in the run that excludes it was not held, which is harmless.
		if !held[unit] {
			w.Errorf("world %d: a marker for %s, of which the receiver holds nothing", w.seed, key)
		}
		delete(w.live, key)
	}
	for key, unit := range keys(table.All(&w.known, metrics.Options{})) {
		w.live[key] = unit
	}
	w.known.Pushed(at, w.shape, true, nil)
	if refreshed {
		selected := w.selected()
		selected.ListedAt = at
		// The count is of all repositories, selected or not.
		want := maps.Collect(keys(table.All(selected, metrics.Options{})))
		if !maps.Equal(want, w.live) {
			w.Errorf("world %d: the receiver's live series (-want +got):\n%s", w.seed, gocmp.Diff(want, w.live))
		}
	}
}

func images(r *inventory.Repository) []inventory.Image {
	list := slices.Clone(r.Images)
	for i := range list {
		list[i].Tags = slices.Sorted(slices.Values(list[i].Tags))
	}
	return list
}

// selected is what the filters select, found in the plainest way.
func (w *world) selected() *inventory.Registry {
	view := &inventory.Registry{}
	for _, there := range w.there {
		if there.Name == w.shape.Repositories.Exclude {
			continue
		}
		r := *there
		r.Images, r.ImagesReadAt = images(there), 1
		view.Summarize(&r)
		for i := range r.Images {
			r.Images[i].Tags = slices.DeleteFunc(r.Images[i].Tags, func(tag string) bool {
				return w.shape.Tags.Exclude != "" && strings.HasPrefix(tag, "pr")
			})
		}
		recent := func(t inventory.Time, within time.Duration) bool {
			return within > 0 && !t.IsZero() && w.at.Sub(t.Time()) <= within
		}
		untagged := slices.DeleteFunc(images(there), func(image inventory.Image) bool {
			within := w.shape.UntaggedWithin
			return len(image.Tags) > 0 || !image.Active() || within > 0 && !recent(image.PushedAt, within) && !recent(image.PulledAt.Time(), within)
		})
		r.Images = slices.DeleteFunc(r.Images, func(image inventory.Image) bool {
			limited := w.shape.PushedWithin > 0 || w.shape.PulledWithin > 0
			return len(image.Tags) == 0 || !image.Active() ||
				limited && !recent(image.PushedAt, w.shape.PushedWithin) && !recent(image.PulledAt.Time(), w.shape.PulledWithin)
		})
		newestFirst := func(a, b inventory.Image) int {
			return cmp.Or(cmp.Compare(b.PushedAt, a.PushedAt), a.Digest.Compare(b.Digest))
		}
		slices.SortFunc(r.Images, newestFirst)
		slices.SortFunc(untagged, newestFirst)
		if newest := w.shape.NewestImages; newest > 0 && len(r.Images) > newest {
			r.Images = r.Images[:newest]
		}
		r.Images = append(r.Images, untagged[:min(len(untagged), w.shape.UntaggedImages)]...)
		view.Repositories = append(view.Repositories, &r)
	}
	return view
}

// keys are the labels of series, and what they are about: an image, a repository or neither.
func keys(series iter.Seq[metrics.Series]) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		series(func(s metrics.Series) bool {
			unit := ""
			for _, label := range s.Labels {
				if label.Name == "name" || label.Name == "digest" {
					unit += strings.Clone(label.Value) + " "
				}
			}
			return yield(fmt.Sprint(s.Labels), unit)
		})
	}
}
