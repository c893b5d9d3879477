package selection_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

// withheld names the images that are selected and have no series.
func withheld(r *inventory.Registry) string {
	var words []string
	for _, repository := range r.Repositories {
		for _, image := range repository.Images {
			if image.Withheld {
				words = append(words, fmt.Sprint(image.Digest[0]))
			}
		}
	}
	return strings.Join(words, " ")
}

// digestOf is the text of an image's digest.
func digestOf(n byte) string { return inventory.Digest{n}.String() }

func TestInUse(t *testing.T) {
	t.Parallel()
	never := inventory.Shape{InUseWithin: 90 * day, UntaggedImages: 1, UntaggedWithin: 30 * day}
	old := func(n byte, tags ...string) inventory.Image { return image(n, 91*day, tags...) }
	counted := func(i *inventory.Image) { i.Scan = &inventory.Scan{InUseCount: 1} }
	for _, c := range []struct {
		name   string
		shape  inventory.Shape
		images []inventory.Image
		seen   []string // running
		want   string   // withheld
		text   string   // selected, if it matters
	}{
		{name: "all are shown", shape: inventory.Shape{}, images: []inventory.Image{old(1, "v1")}},
		{name: "pushed", shape: never, images: []inventory.Image{image(1, 90*day, "v1"), old(2, "v2"), with(old(3, "v3"), neverPushed)}, want: "2 3"},
		{name: "pulled", shape: never, images: []inventory.Image{with(old(1, "v1"), pulled(90*day)), with(old(2, "v2"), pulled(91*day))}, want: "2"},
		{name: "counted by Inspector", shape: never, images: []inventory.Image{with(old(1, "v1"), counted), with(old(2, "v2"), func(i *inventory.Image) { i.Scan = &inventory.Scan{} })}, want: "2"},
		{name: "by image_id", shape: never, images: []inventory.Image{old(1, "v1"), old(2, "v2")}, seen: []string{"u/a@" + digestOf(1)}, want: "2"},
		{name: "by image_id of Docker, and of a mirror", shape: never, images: []inventory.Image{old(1, "v1"), old(2, "v2")}, seen: []string{"docker-pullable://u/a@" + digestOf(1), "docker.io/b@" + digestOf(2)}},
		{name: "by tag", shape: never, images: []inventory.Image{old(1, "v1"), old(2, "v2", "w2"), old(3, "v3")}, seen: []string{"u/a:v1", "u/a:w2", "u/b:v3", "x/u/a:v3", "u/a:v33"}, want: "3"},
		{name: "by the tag that is meant where none is named", shape: never, images: []inventory.Image{old(1, "latest"), old(2, "v2")}, seen: []string{"u/a"}, want: "2"},
		{name: "by tag and digest the digest counts", shape: never, images: []inventory.Image{old(1, "v1"), old(2, "v2")}, seen: []string{"u/a:v1@" + digestOf(2)}, want: "1"},
		{name: "a configuration is none", shape: never, images: []inventory.Image{old(1, "v1")}, seen: []string{digestOf(1), "", "u/a@", "u/a@sha256:x"}, want: "1"},
		{
			name: "an index by an image of it", shape: never,
			images: []inventory.Image{with(old(1, "v1"), index(7)), with(old(2, "v2"), index(8)), with(old(3, "v3"), index(9)), with(old(9), counted)},
			seen:   []string{"u/a@" + digestOf(7)}, want: "2",
		},
		{
			name: "untagged ones that run are shown, whatever their age, rank and index", shape: never,
			images: []inventory.Image{with(image(1, 0, "v1"), index(4)), old(2), old(3), old(4), image(5, day), image(6, 2*day)},
			seen:   []string{"u/a@" + digestOf(2), "u/a@" + digestOf(4)}, text: "2 4 5",
		},
		{name: "what settings exclude is not withheld", shape: inventory.Shape{InUseWithin: day, Tags: inventory.Filter{Exclude: "v2"}}, images: []inventory.Image{old(1, "v1"), old(2, "v2"), with(old(3, "v3"), archived)}, want: "1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := registry(repository("a", c.images...))
			apply(t, c.shape, r, now)
			if got := withheld(r); got != "" {
				t.Errorf("before the store has answered: withheld %q", got)
			}
			for _, text := range c.seen {
				r.SawRunning(text, inventory.TimeOf(now))
			}
			r.RunningAnswered(inventory.TimeOf(now))
			for range 2 {
				if apply(t, c.shape, r, now); withheld(r) != c.want {
					t.Errorf("withheld %q, want %q", withheld(r), c.want)
				}
			}
			var untagged []string
			for _, image := range r.Repositories[0].Images {
				if image.HasSeries() && len(image.Tags) == 0 {
					untagged = append(untagged, fmt.Sprint(image.Digest[0]))
				}
			}
			if text := strings.Join(untagged, " "); c.text != "" && text != c.text {
				t.Errorf("untagged %q, want %q", text, c.text)
			}
			// As -cost asks, without a store.
			r.Running.AnsweredAt = 0
			s, err := selection.New(c.shape)
			if err != nil {
				t.Fatal(err)
			}
			if s.Apply(r, now); c.shape.InUseWithin > 0 {
				s.Withhold(r, now, true)
			}
			if got := withheld(r); got != c.want {
				t.Errorf("as if the store had answered: withheld %q, want %q", got, c.want)
			}
			if apply(t, inventory.Shape{}, r, now); withheld(r) != "" {
				t.Errorf("with idle images: withheld %q", withheld(r))
			}
		})
	}
}

// What runs is remembered for a day after it was last seen, and after a day without an answer
// nothing is idle.
func TestInUseFades(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		at := func() inventory.Time { return inventory.TimeOf(time.Now()) }
		r := registry(repository("a", inventory.Image{Digest: inventory.Digest{1}, Tags: []string{"v1"}}, inventory.Image{Digest: inventory.Digest{2}, Tags: []string{"v2"}}))
		run := func(answers bool, want string) {
			t.Helper()
			if answers {
				r.RunningAnswered(at())
			}
			r.ForgetRunning(at())
			if apply(t, inventory.Shape{InUseWithin: day}, r, time.Now()); withheld(r) != want {
				t.Errorf("at %v: withheld %q, want %q", time.Now(), withheld(r), want)
			}
		}
		run(false, "")
		r.SawRunning("u/a:v1", at())
		run(true, "2")
		time.Sleep(24 * time.Hour)
		run(false, "2")
		time.Sleep(time.Minute)
		run(false, "")
		run(true, "2") // kept to the full hour
		time.Sleep(time.Hour)
		run(true, "1 2")
		if len(r.Running.Seen) > 0 {
			t.Errorf("still known: %v", r.Running.Seen)
		}
	})
}
