package inventory_test

import (
	"testing"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// What counts as a change that is yet to be shown, and what was there before.
func TestFound(t *testing.T) {
	t.Parallel()
	const at = 1_000_000 // of the listing before, in milliseconds
	image := func(n byte, pushed inventory.Time, scan *inventory.Scan) inventory.Image {
		return inventory.Image{Digest: digest(n), Tags: []string{string('a' + rune(n))}, PushedAt: pushed, Scan: scan}
	}
	scan := func(completed, asked inventory.Time) *inventory.Scan {
		return &inventory.Scan{CompletedAt: completed, AskedAt: asked}
	}
	known := image(1, at-90_000, scan(at-80_000, at-500))
	for name, c := range map[string]struct {
		first  bool // the repository was never listed
		change func(r *inventory.Registry, app *inventory.Repository)
		want   inventory.Found
	}{
		"a cold start": {true, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{known, image(2, at+5000, scan(at+6000, 0))}, at+9000)
		}, inventory.Found{}},
		"nothing new": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{known}, at+9000)
		}, inventory.Found{}},
		"two pushes": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{known, image(2, at+5000, nil), image(3, at+4000, nil)}, at+9000)
		}, inventory.Found{Pushed: at + 4000}},
		"a push in the second of the listing before": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{known, image(2, at-900, nil)}, at+9000)
		}, inventory.Found{Pushed: at - 900}},
		"an old image that was not listed before": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{known, image(2, at-5000, scan(at-4000, 0))}, at+9000)
		}, inventory.Found{}},
		"an image without a tag": {false, func(r *inventory.Registry, app *inventory.Repository) {
			untagged := image(2, at+5000, nil)
			untagged.Tags = nil
			r.SetImages(app, []inventory.Image{known, untagged}, at+9000)
		}, inventory.Found{}},
		"a tag that moved": {false, func(r *inventory.Registry, app *inventory.Repository) {
			moved := known
			moved.Tags = []string{"other"}
			r.SetImages(app, []inventory.Image{moved}, at+9000)
		}, inventory.Found{}},
		"a repository since the list before": {false, func(r *inventory.Registry, _ *inventory.Repository) {
			r.SetRepository(&inventory.Repository{Name: "new", CreatedAt: at + 3000})
			r.SetImages(r.Find("new"), []inventory.Image{image(2, at+5000, nil)}, at+9000)
		}, inventory.Found{Pushed: at + 5000}},
		"an image deleted": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, nil, at+9000)
		}, inventory.Found{Deleted: at}},
		"a repository deleted": {false, func(r *inventory.Registry, _ *inventory.Repository) {
			r.SetRepositories([]*inventory.Repository{{Name: "other", CreatedAt: 1}}, at+9000)
		}, inventory.Found{Deleted: at}},
		"a repository made anew": {false, func(r *inventory.Registry, _ *inventory.Repository) {
			r.SetRepository(&inventory.Repository{Name: "app", CreatedAt: at + 3000})
		}, inventory.Found{Deleted: at}},
		"a new result": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(known.Digest), scan(at+2000, at+3000))
		}, inventory.Found{Scanned: at + 2000}},
		"the same result, read again": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(known.Digest), scan(at-80_000, at+3000))
		}, inventory.Found{}},
		"the same result with the time of another source": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(known.Digest), scan(at+2000, at+2000))
			r.TakeFound(nil)
			r.SetScan(app, app.FindImage(known.Digest), scan(at+2900, at+86_400_000))
		}, inventory.Found{}},
		"a result that the reading before should have had": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(known.Digest), scan(at-7000, at+3000))
		}, inventory.Found{}},
		"a new result in a listing": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{image(1, at-90_000, scan(at+2000, 0))}, at+9000)
		}, inventory.Found{Scanned: at + 2000}},
		"the first result of a new image": {false, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{known, image(2, at+5000, nil)}, at+9000)
			r.SetScan(app, app.FindImage(digest(2)), scan(at+6000, at+9500))
		}, inventory.Found{Pushed: at + 5000, Scanned: at + 6000}},
		"the first result of an old image": {true, func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{image(2, at-5000, nil)}, at+9000)
			r.SetScan(app, app.FindImage(digest(2)), scan(at-4000, at+9500))
		}, inventory.Found{}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := &inventory.Registry{}
			if !c.first {
				r.ListedAt = at
			}
			r.SetRepositories([]*inventory.Repository{{Name: "app", CreatedAt: 1}, {Name: "other", CreatedAt: 1}}, at)
			app := r.Find("app")
			if !c.first {
				r.SetImages(app, []inventory.Image{known}, at)
			}
			r.Pushing(at, inventory.Shape{}, nil)
			r.Pushed(at, inventory.Shape{}, true, nil)
			r.TakeFound(nil)
			c.change(r, r.Find("app"))
			if got := r.TakeFound([]string{"other"}); got != (inventory.Found{}) {
				t.Errorf("of another repository: %+v", got)
			}
			got := r.TakeFound(nil)
			got.Since = 0
			if got != c.want {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if again := r.TakeFound(nil); again != (inventory.Found{}) {
				t.Errorf("a second time: %+v", again)
			}
		})
	}
}
