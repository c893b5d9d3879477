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

// While a registry changes, time passes, the configuration changes and execution
// environments come and go, a receiver holds after each whole push exactly what the
// filter says of what there is, and never got a marker of an image, or of a repository,
// of which it held nothing.
func TestReceiverHoldsWhatIsSelected(t *testing.T) {
	t.Parallel()
	const worlds, steps = 100, 60
	for seed := range uint64(worlds) {
		w := &world{T: t, seed: seed, rng: rand.New(rand.NewPCG(seed, 1)), at: now, live: map[string]string{}}
		// The filter of tags stays: what its change ends, the lookback does.
		if seed%2 > 0 {
			w.tag = func(tag string) bool { return !strings.HasPrefix(tag, "pr") }
		}
		w.configure()
		w.known.BeginHidden = true
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

// world is a registry in ECR, what is known of it, and a receiver.
type world struct {
	*testing.T
	seed  uint64
	rng   *rand.Rand
	at    time.Time
	there []*inventory.Repository
	known inventory.Registry
	live  map[string]string // what its series are, and are about

	tag     func(string) bool
	options selection.Options
}

// configure chooses the filters.
func (w *world) configure() {
	w.options = selection.Options{Tag: w.tag}
	if w.rng.IntN(3) == 0 {
		leftOut := fmt.Sprint("repo-", w.rng.IntN(3))
		w.options.Repository = func(name string) bool { return name != leftOut }
	}
	if w.rng.IntN(2) == 0 {
		w.options.NewestImages = 1 + w.rng.IntN(3)
	}
	if w.rng.IntN(2) == 0 {
		w.options.PushedWithin = time.Duration(1+w.rng.IntN(5)) * day
	}
	if w.rng.IntN(2) == 0 {
		w.options.PulledWithin = time.Duration(1+w.rng.IntN(3)) * day
	}
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
	w.known.BeginHidden = true
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
			r.Images[j].PulledAt = inventory.TimeOf(w.at)
		case 3:
			r.Images[j].Status = []string{inventory.ImageActive, inventory.ImageArchived}[w.rng.IntN(2)]
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

// run refreshes all or some, and pushes.
func (w *world) run() {
	s := selection.New(w.options)
	at := inventory.TimeOf(w.at)
	refreshed := w.rng.IntN(4) > 0 // otherwise time alone has passed
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
	s.Apply(&w.known, w.at)
	view := w.visible()
	options := metrics.Options{RepositoriesOnly: true}
	held := map[string]bool{}
	for _, subject := range w.live {
		held[subject] = true
	}
	for key, subject := range keys(metrics.Ended(view, metrics.Families(), options)) {
		// A tag that an image got with what hid it was not held, and does no harm.
		if !held[subject] {
			w.Errorf("world %d: a marker for %s, of which the receiver holds nothing", w.seed, key)
		}
		delete(w.live, key)
	}
	for key, subject := range keys(metrics.All(view, metrics.Families(), options)) {
		w.live[key] = subject
	}
	w.known.Pushed(at, true)
	if refreshed {
		want := maps.Collect(keys(metrics.All(w.selected(), metrics.Families(), options)))
		if !maps.Equal(want, w.live) {
			w.Errorf("world %d: the receiver's live series (-want +got):\n%s", w.seed, gocmp.Diff(want, w.live))
		}
	}
}

func images(r *inventory.Repository) []inventory.Image {
	list := slices.Clone(r.Images)
	for i := range list {
		list[i].Tags = slices.Clone(list[i].Tags)
	}
	return list
}

// visible is what is known without what is hidden, and without tags that are left out.
func (w *world) visible() *inventory.Registry {
	view := &inventory.Registry{}
	for _, r := range w.known.Repositories {
		if !r.Hidden {
			view.Repositories = append(view.Repositories, w.tagged(r, func(image *inventory.Image) bool { return !image.Hidden }))
		}
	}
	for _, former := range w.known.Ended {
		view.Ended = append(view.Ended, w.tagged(former, func(*inventory.Image) bool { return true }))
	}
	return view
}

// tagged is a repository with some of its images, and these with the tags that are let
// through.
func (w *world) tagged(r *inventory.Repository, selected func(*inventory.Image) bool) *inventory.Repository {
	view := *r
	view.Images = nil
	for _, image := range images(r) {
		if selected(&image) {
			image.Tags = slices.DeleteFunc(image.Tags, func(tag string) bool { return w.tag != nil && !w.tag(tag) })
			view.Images = append(view.Images, image)
		}
	}
	return &view
}

// selected is what there is and the filters let through, found in the plainest way.
func (w *world) selected() *inventory.Registry {
	view := &inventory.Registry{}
	for _, there := range w.there {
		if w.options.Repository != nil && !w.options.Repository(there.Name) {
			continue
		}
		r := w.tagged(there, func(*inventory.Image) bool { return true })
		r.Images = slices.DeleteFunc(r.Images, func(image inventory.Image) bool {
			recent := func(t inventory.Time, within time.Duration) bool {
				return within > 0 && !t.IsZero() && w.at.Sub(t.Time()) <= within
			}
			limited := w.options.PushedWithin > 0 || w.options.PulledWithin > 0
			return len(image.Tags) == 0 || !image.Active() ||
				limited && !recent(image.PushedAt, w.options.PushedWithin) && !recent(image.PulledAt, w.options.PulledWithin)
		})
		slices.SortFunc(r.Images, func(a, b inventory.Image) int {
			return cmp.Or(cmp.Compare(b.PushedAt, a.PushedAt), a.Digest.Compare(b.Digest))
		})
		if newest := w.options.NewestImages; newest > 0 && len(r.Images) > newest {
			r.Images = r.Images[:newest]
		}
		view.Repositories = append(view.Repositories, r)
	}
	return view
}

// keys tells series apart, and what they are about: an image or a repository.
func keys(series iter.Seq[metrics.Series]) iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		series(func(s metrics.Series) bool {
			var subject string
			for _, label := range s.Labels {
				if label.Name == "name" || label.Name == "digest" {
					subject += strings.Clone(label.Value) + " "
				}
			}
			return yield(fmt.Sprint(s.Labels), subject)
		})
	}
}
