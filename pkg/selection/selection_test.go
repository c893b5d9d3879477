package selection_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/selection"
)

var now = time.Date(2026, 7, 1, 12, 0, 0, 0, time.UTC)

func ago(d time.Duration) inventory.Time { return inventory.TimeOf(now.Add(-d)) }

// image makes an image that was pushed so long before now.
func image(n byte, pushed time.Duration, tags ...string) inventory.Image {
	return inventory.Image{Digest: inventory.Digest{n}, Tags: tags, PushedAt: ago(pushed)}
}

func with(image inventory.Image, change func(*inventory.Image)) inventory.Image {
	change(&image)
	return image
}

func excluded(i *inventory.Image) { i.Excluded = true }
func archived(i *inventory.Image) { i.Status = inventory.ImageArchived }
func neverPushed(i *inventory.Image) {
	i.PushedAt = 0
}

func pulled(d time.Duration) func(*inventory.Image) {
	return func(i *inventory.Image) { i.PulledAt = inventory.SecondOf(ago(d)) }
}

func repository(name string, images ...inventory.Image) *inventory.Repository {
	return &inventory.Repository{Name: name, URI: "u/" + name, ImagesReadAt: ago(time.Hour), Images: images}
}

// registry is one that was pushed.
func registry(repositories ...*inventory.Repository) *inventory.Registry {
	return &inventory.Registry{ID: "123456789012", ListedAt: ago(time.Hour), PushedAt: ago(time.Minute), Repositories: repositories}
}

// text names the repositories and images that are selected.
func text(r *inventory.Registry) string {
	var words []string
	for _, repository := range r.Repositories {
		if repository.Excluded {
			continue
		}
		words = append(words, repository.Name)
		for _, image := range repository.Images {
			if !image.Excluded && image.Tagged() {
				words = append(words, fmt.Sprint(image.Digest[0]))
			}
		}
	}
	return strings.Join(words, " ")
}

func apply(t *testing.T, shape inventory.Shape, r *inventory.Registry, at time.Time) (changed bool) {
	t.Helper()
	s, err := selection.New(shape)
	if err != nil {
		t.Fatal(err)
	}
	return s.Apply(r, at)
}

const day = 24 * time.Hour

func TestApply(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		shape  inventory.Shape
		images []inventory.Image
		want   string // of repository a, which has the images, and b, which has an untagged one
	}{
		{"everything", inventory.Shape{}, []inventory.Image{image(1, day, "v1"), image(2, 0, "v2")}, "a 1 2 b"},
		{
			"what an earlier setting excluded is selected again",
			inventory.Shape{},
			[]inventory.Image{with(image(1, day, "v1"), excluded), image(2, 0, "v2")},
			"a 1 2 b",
		},
		{
			"a repository",
			inventory.Shape{Repositories: inventory.Filter{Exclude: "a"}},
			[]inventory.Image{image(1, day, "v1"), with(image(2, 0, "v2"), excluded)},
			"b",
		},
		{
			"images by their tags: one that is let through is enough",
			inventory.Shape{Tags: inventory.Filter{Exclude: "pr-.*"}},
			[]inventory.Image{image(1, 0, "pr-1", "pr-2"), image(2, 0, "pr-3", "v3"), image(3, 0, "v4"), image(4, 0), with(image(5, 0, "pr-5"), excluded)},
			"a 2 3 b",
		},
		{
			"pushed within",
			inventory.Shape{PushedWithin: day},
			[]inventory.Image{
				image(1, day, "v1"), image(2, day+time.Millisecond, "v2"), image(3, -time.Hour, "v3"), with(image(4, 0, "v4"), neverPushed),
				with(image(5, 2*day, "v5"), pulled(0)),
			},
			"a 1 3 b",
		},
		{
			"a time that is not known is never within",
			inventory.Shape{PushedWithin: 100 * 365 * day},
			[]inventory.Image{image(1, day, "v1"), with(image(2, 0, "v2"), neverPushed)},
			"a 1 b",
		},
		{
			"pulled within",
			inventory.Shape{PulledWithin: day},
			[]inventory.Image{image(1, 0, "v1"), with(image(2, 9*day, "v2"), pulled(day)), with(image(3, 0, "v3"), pulled(day+time.Millisecond))},
			"a 2 b",
		},
		{
			"pushed or pulled within",
			inventory.Shape{PushedWithin: day, PulledWithin: 2 * day},
			[]inventory.Image{image(1, 0, "v1"), with(image(2, 9*day, "v2"), pulled(2*day)), with(image(3, 2*day, "v3"), pulled(3*day)), image(4, 2*day, "v4")},
			"a 1 2 b",
		},
		{
			"the newest, of two pushed at once the lower digest, and last what has no time",
			inventory.Shape{NewestImages: 3},
			[]inventory.Image{with(image(1, 0, "v1"), neverPushed), image(2, 3, "v2"), image(3, 2*time.Hour, "v3"), image(4, time.Hour, "v4"), image(5, 2*time.Hour, "v5")},
			"a 2 3 4 b",
		},
		{
			"fewer than the newest",
			inventory.Shape{NewestImages: 3},
			[]inventory.Image{with(image(1, 0, "v1"), neverPushed), with(image(2, 0, "v2"), excluded)},
			"a 1 2 b",
		},
		{
			"the newest of those that have series and are let through",
			inventory.Shape{NewestImages: 1, Tags: inventory.Filter{Exclude: "pr-.*"}, PulledWithin: day},
			[]inventory.Image{
				with(image(1, 0), pulled(0)), with(with(image(2, 0, "v2"), archived), pulled(0)), with(image(3, 0, "pr-3"), pulled(0)),
				image(4, 0, "v4"), with(image(5, 2*day, "v5"), pulled(0)), with(image(6, 3*day, "v6"), pulled(0)),
			},
			"a 5 b",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := registry(repository("a", c.images...), repository("b", image(9, 0)))
			for range 2 {
				if apply(t, c.shape, r, now); text(r) != c.want {
					t.Errorf("selected: %q, want %q", text(r), c.want)
				}
			}
			if apply(t, inventory.Shape{}, r, now); r.Repositories[0].Excluded || slices.ContainsFunc(r.Repositories[0].Images, func(i inventory.Image) bool { return i.Excluded && i.Tagged() }) {
				t.Errorf("without filters: %q", text(r))
			}
		})
	}
}

func TestRepository(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter inventory.Filter
		name   string
		want   bool
	}{
		{inventory.Filter{}, "x", true},
		{inventory.Filter{Include: "a|b"}, "a", true},
		{inventory.Filter{Include: "a|b"}, "ab", false},
		{inventory.Filter{Include: "a|b", Exclude: "b"}, "b", false},
		{inventory.Filter{Exclude: "b"}, "bb", true},
	} {
		s, err := selection.New(inventory.Shape{Repositories: c.filter})
		if err != nil || s.Repository(c.name) != c.want {
			t.Errorf("%+v selects %s: %v, error %v", c.filter, c.name, !c.want, err)
		}
	}
	for _, shape := range []inventory.Shape{{Repositories: inventory.Filter{Include: "("}}, {Tags: inventory.Filter{Exclude: "a)|(b"}}} {
		if _, err := selection.New(shape); err == nil {
			t.Errorf("%+v: no error", shape)
		}
	}
}

// Time alone excludes: in the first run after the limit.
func TestAgesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		shape := inventory.Shape{PushedWithin: 7 * day, PulledWithin: day}
		begun := inventory.TimeOf(time.Now())
		pushed := inventory.Image{Digest: inventory.Digest{1}, Tags: []string{"v1"}, PushedAt: begun}
		used := inventory.Image{Digest: inventory.Digest{2}, Tags: []string{"v2"}, PushedAt: begun, PulledAt: inventory.SecondOf(begun)}
		r := &inventory.Registry{Repositories: []*inventory.Repository{{Name: "a"}}}
		r.SetImages(r.Repositories[0], []inventory.Image{pushed, used}, begun)
		run := func(want string) {
			t.Helper()
			apply(t, shape, r, time.Now())
			if got := text(r); got != want {
				t.Errorf("after %v: %q, want %q", time.Since(begun.Time()), got, want)
			}
		}
		run("a 1 2")
		time.Sleep(7*day - time.Minute)
		run("a 1 2")
		used.PulledAt = inventory.SecondOf(inventory.TimeOf(time.Now()))
		r.SetImages(r.Repositories[0], []inventory.Image{pushed, used}, used.PulledAt.Time())
		time.Sleep(2 * time.Minute)
		run("a 2")
		time.Sleep(day)
		run("a")
		// It is pulled again.
		used.PulledAt = inventory.SecondOf(inventory.TimeOf(time.Now()))
		r.SetImages(r.Repositories[0], []inventory.Image{pushed, used}, used.PulledAt.Time())
		run("a 2")
	})
}

// A repository that is excluded is due as soon as it is not, and after a day without it its
// images are forgotten, unless their series still have to be ended.
func TestForgets(t *testing.T) {
	t.Parallel()
	shape := inventory.Shape{Repositories: inventory.Filter{Include: "kept"}}
	r := registry(repository("a", image(1, 0, "v1")), repository("kept", image(2, 0, "v2")))
	for _, c := range []struct {
		after   time.Duration
		shown   bool
		changed bool
		images  int
		readAt  inventory.Time
	}{
		{0, true, true, 1, ago(time.Hour)},
		{23 * time.Hour, true, false, 1, ago(time.Hour)},
		{30 * time.Hour, true, false, 1, ago(time.Hour)},
		{23 * time.Hour, false, false, 1, ago(time.Hour)},
		{23*time.Hour + time.Millisecond, false, true, 0, 0},
		{48 * time.Hour, false, false, 0, 0},
	} {
		a := r.Find("a")
		for i := range a.Images {
			a.Images[i].Shown = c.shown
		}
		changed := apply(t, shape, r, now.Add(c.after))
		if changed != c.changed || !a.Due || len(a.Images) != c.images || a.ImagesReadAt != c.readAt {
			t.Errorf("after %v: changed %v, due %v, %d images read at %d", c.after, changed, a.Due, len(a.Images), a.ImagesReadAt)
		}
		if kept := r.Find("kept"); kept.Due || len(kept.Images) != 1 || kept.ImagesReadAt != ago(time.Hour) {
			t.Errorf("after %v: the selected one is due %v and has %d images read at %d", c.after, kept.Due, len(kept.Images), kept.ImagesReadAt)
		}
	}
}

// Without a filter Apply costs no memory.
func TestNoAllocation(t *testing.T) {
	r := registry(repository("a", image(1, 0, "v1"), image(2, 0, "v2")), repository("b", image(3, 0, "v3")))
	s, err := selection.New(inventory.Shape{})
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { s.Apply(r, now) }); n > 0 {
		t.Errorf("%v allocations without a filter", n)
	}
}

func TestMany(t *testing.T) {
	t.Parallel()
	var images []inventory.Image
	for n := range 200 {
		images = append(images, image(byte(n), time.Duration(n*7919%200)*time.Minute, "v"))
	}
	ranked := slices.Clone(images)
	slices.SortFunc(ranked, func(a, b inventory.Image) int { return int(b.PushedAt - a.PushedAt) })
	for _, newest := range []int{1, 2, 50, 199, 200, 201} {
		r := registry(repository("a", slices.Clone(images)...))
		apply(t, inventory.Shape{NewestImages: newest}, r, now)
		var got, want []byte
		for _, image := range r.Repositories[0].Images {
			if !image.Excluded {
				got = append(got, image.Digest[0])
			}
		}
		for _, image := range ranked[:min(newest, len(ranked))] {
			want = append(want, image.Digest[0])
		}
		slices.Sort(want)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("the newest %d (-want +got):\n%s", newest, diff)
		}
	}
}
