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

func hidden(i *inventory.Image)   { i.Hidden = true }
func archived(i *inventory.Image) { i.Status = inventory.ImageArchived }
func neverPushed(i *inventory.Image) {
	i.PushedAt = 0
}

func pulled(d time.Duration) func(*inventory.Image) {
	return func(i *inventory.Image) { i.PulledAt = ago(d) }
}

func repository(name string, images ...inventory.Image) *inventory.Repository {
	return &inventory.Repository{Name: name, URI: "u/" + name, ImagesReadAt: ago(time.Hour), Images: images}
}

// registry is one of which a push has told.
func registry(repositories ...*inventory.Repository) *inventory.Registry {
	return &inventory.Registry{ID: "123456789012", ListedAt: ago(time.Hour), PushedAt: ago(time.Minute), Repositories: repositories}
}

// text names what is shown, and after a line what has ended.
func text(r *inventory.Registry) string {
	var words []string
	list := func(repositories []*inventory.Repository) {
		for _, repository := range repositories {
			if repository.Hidden {
				continue
			}
			words = append(words, repository.Name)
			for _, image := range repository.Images {
				if !image.Hidden && len(image.Tags) > 0 && image.Active() {
					words = append(words, fmt.Sprint(image.Digest[0]))
				}
			}
		}
	}
	list(r.Repositories)
	if len(r.Ended) > 0 {
		words = append(words, "|")
		list(r.Ended)
	}
	return strings.Join(words, " ")
}

const day = 24 * time.Hour

func TestApply(t *testing.T) {
	t.Parallel()
	not := func(word string) func(string) bool {
		return func(name string) bool { return !strings.HasPrefix(name, word) }
	}
	for _, c := range []struct {
		name    string
		options selection.Options
		images  []inventory.Image
		want    string // of repository a, which has the images, and b, which has an untagged one
	}{
		{"everything", selection.Options{}, []inventory.Image{image(1, day, "v1"), image(2, 0, "v2")}, "a 1 2 b"},
		{
			"what an earlier configuration hid is shown again",
			selection.Options{},
			[]inventory.Image{with(image(1, day, "v1"), hidden), image(2, 0, "v2")},
			"a 1 2 b",
		},
		{
			"a repository",
			selection.Options{Repository: not("a")},
			[]inventory.Image{image(1, day, "v1"), with(image(2, 0, "v2"), hidden)},
			"b | a 1",
		},
		{
			"images by their tags: one that is let through is enough",
			selection.Options{Tag: not("pr-")},
			[]inventory.Image{image(1, 0, "pr-1", "pr-2"), image(2, 0, "pr-3", "v3"), image(3, 0, "v4"), image(4, 0), with(image(5, 0, "pr-5"), hidden)},
			"a 2 3 b | a 1",
		},
		{
			"pushed within",
			selection.Options{PushedWithin: day},
			[]inventory.Image{
				image(1, day, "v1"), image(2, day+time.Millisecond, "v2"), image(3, -time.Hour, "v3"), with(image(4, 0, "v4"), neverPushed),
				with(image(5, 2*day, "v5"), pulled(0)),
			},
			"a 1 3 b | a 2 4 5",
		},
		{
			"a time that is not known is never within",
			selection.Options{PushedWithin: 100 * 365 * day},
			[]inventory.Image{image(1, day, "v1"), with(image(2, 0, "v2"), neverPushed)},
			"a 1 b | a 2",
		},
		{
			"pulled within",
			selection.Options{PulledWithin: day},
			[]inventory.Image{image(1, 0, "v1"), with(image(2, 9*day, "v2"), pulled(day)), with(image(3, 0, "v3"), pulled(day+time.Millisecond))},
			"a 2 b | a 1 3",
		},
		{
			"pushed or pulled within",
			selection.Options{PushedWithin: day, PulledWithin: 2 * day},
			[]inventory.Image{image(1, 0, "v1"), with(image(2, 9*day, "v2"), pulled(2*day)), with(image(3, 2*day, "v3"), pulled(3*day)), image(4, 2*day, "v4")},
			"a 1 2 b | a 3 4",
		},
		{
			"the newest, of two pushed at once the lower digest, and last what has no time",
			selection.Options{NewestImages: 3},
			[]inventory.Image{with(image(1, 0, "v1"), neverPushed), image(2, 3, "v2"), image(3, 2*time.Hour, "v3"), image(4, time.Hour, "v4"), image(5, 2*time.Hour, "v5")},
			"a 2 3 4 b | a 1 5",
		},
		{
			"fewer than the newest",
			selection.Options{NewestImages: 3},
			[]inventory.Image{with(image(1, 0, "v1"), neverPushed), with(image(2, 0, "v2"), hidden)},
			"a 1 2 b",
		},
		{
			"the newest of those that have series and are let through",
			selection.Options{NewestImages: 1, Tag: not("pr-"), PulledWithin: day},
			[]inventory.Image{
				with(image(1, 0), pulled(0)), with(with(image(2, 0, "v2"), archived), pulled(0)), with(image(3, 0, "pr-3"), pulled(0)),
				image(4, 0, "v4"), with(image(5, 2*day, "v5"), pulled(0)), with(image(6, 3*day, "v6"), pulled(0)),
			},
			"a 5 b | a 3 4 6",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := registry(repository("a", c.images...), repository("b", image(9, 0)))
			before := text(r)
			s := selection.New(c.options)
			flags := func() (list []bool) {
				for _, repository := range r.Repositories {
					list = append(list, repository.Hidden)
					for _, image := range repository.Images {
						list = append(list, image.Hidden)
					}
				}
				return list
			}
			was := flags()
			changed := s.Apply(r, now)
			if got := text(r); got != c.want {
				t.Errorf("before %q, after %q, want %q", before, got, c.want)
			}
			if want := !slices.Equal(was, flags()); changed != want {
				t.Errorf("changed is %v", changed)
			}
			if s.Apply(r, now) || text(r) != c.want {
				t.Errorf("applied again: %q", text(r))
			}
			// And everything comes back.
			r.Pushed(inventory.TimeOf(now), true)
			selection.New(selection.Options{}).Apply(r, now)
			if slices.Contains(flags(), true) || len(r.Ended) > 0 {
				t.Errorf("without a filter: %q", text(r))
			}
		})
	}
}

// Before the first push nothing has begun that could end.
func TestApplyBeforeTheFirstPush(t *testing.T) {
	t.Parallel()
	r := registry(repository("a", image(1, 0, "v1"), image(2, 0, "v2")))
	r.PushedAt = 0
	selection.New(selection.Options{NewestImages: 1}).Apply(r, now)
	if got := text(r); got != "a 1" {
		t.Errorf("shown and ended: %q", got)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	is := func(want string) func(string) bool { return func(name string) bool { return name == want } }
	all, some := selection.New(selection.Options{}), selection.New(selection.Options{Repository: is("a"), Tag: is("v1")})
	for _, c := range []struct {
		name      string
		got, want bool
	}{
		{"any repository", all.Repository("x"), true},
		{"any tag", all.Tag("x"), true},
		{"a repository let through", some.Repository("a"), true},
		{"another", some.Repository("v1"), false},
		{"a tag let through", some.Tag("v1"), true},
		{"another", some.Tag("a"), false},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v", c.name, c.got)
		}
	}
}

// Time alone ends what is shown: in the first run after the limit, once.
func TestAgesOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := selection.New(selection.Options{PushedWithin: 7 * day, PulledWithin: day})
		begun := inventory.TimeOf(time.Now())
		pushed := inventory.Image{Digest: inventory.Digest{1}, Tags: []string{"v1"}, PushedAt: begun}
		used := inventory.Image{Digest: inventory.Digest{2}, Tags: []string{"v2"}, PushedAt: begun, PulledAt: begun}
		r := &inventory.Registry{BeginHidden: true, Repositories: []*inventory.Repository{{Name: "a"}}}
		r.SetImages(r.Repositories[0], []inventory.Image{pushed, used}, begun)
		run := func(want string) {
			t.Helper()
			s.Apply(r, time.Now())
			if got := text(r); got != want {
				t.Errorf("after %v: %q, want %q", time.Since(begun.Time()), got, want)
			}
			r.Pushed(inventory.TimeOf(time.Now()), true)
		}
		run("a 1 2")
		time.Sleep(7*day - time.Minute)
		run("a 1 2")
		used.PulledAt = inventory.TimeOf(time.Now())
		r.SetImages(r.Repositories[0], []inventory.Image{pushed, used}, used.PulledAt)
		time.Sleep(2 * time.Minute)
		run("a 2 | a 1")
		time.Sleep(2 * time.Minute)
		run("a 2")
		time.Sleep(day)
		run("a | a 2")
		run("a")
		// It is pulled again: it shows, and ends when it is deleted.
		used.PulledAt = inventory.TimeOf(time.Now())
		r.SetImages(r.Repositories[0], []inventory.Image{pushed, used}, used.PulledAt)
		run("a 2")
		r.SetImages(r.Repositories[0], nil, used.PulledAt)
		run("a | a 2")
	})
}

// The images of a repository that is left out for long are forgotten.
func TestForgets(t *testing.T) {
	t.Parallel()
	s := selection.New(selection.Options{Repository: func(name string) bool { return name == "kept" }})
	r := registry(repository("a", image(1, 0, "v1")), repository("kept", image(2, 0, "v2")))
	s.Apply(r, now)
	r.Pushed(inventory.TimeOf(now), true)
	for _, c := range []struct {
		after   time.Duration
		changed bool
		images  int
		readAt  inventory.Time
	}{
		{23 * time.Hour, false, 1, ago(time.Hour)},
		{23*time.Hour + time.Millisecond, true, 0, 0},
		{48 * time.Hour, false, 0, 0},
	} {
		changed := s.Apply(r, now.Add(c.after))
		if a := r.Find("a"); changed != c.changed || len(a.Images) != c.images || a.ImagesReadAt != c.readAt {
			t.Errorf("after %v: changed %v, %d images read at %d", c.after, changed, len(a.Images), a.ImagesReadAt)
		}
		if kept := r.Find("kept"); len(kept.Images) != 1 || kept.ImagesReadAt != ago(time.Hour) {
			t.Errorf("after %v: what is shown has %d images read at %d", c.after, len(kept.Images), kept.ImagesReadAt)
		}
	}
	if len(r.Ended) > 0 {
		t.Errorf("ended: %q", text(r))
	}
}

// Without a filter Apply costs no memory.
func TestNoAllocation(t *testing.T) {
	r := registry(repository("a", image(1, 0, "v1"), image(2, 0, "v2")), repository("b", image(3, 0, "v3")))
	s := selection.New(selection.Options{})
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
		selection.New(selection.Options{NewestImages: newest}).Apply(r, now)
		var got, want []byte
		for _, image := range r.Repositories[0].Images {
			if !image.Hidden {
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
