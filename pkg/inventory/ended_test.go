package inventory_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Each change keeps the former record of what ends by it, and of nothing else.
func TestEnded(t *testing.T) {
	t.Parallel()
	with := func(image inventory.Image, change func(*inventory.Image)) inventory.Image {
		change(&image)
		return image
	}
	on := true
	for _, c := range []struct {
		name   string
		change func(r *inventory.Registry, app *inventory.Repository)
		want   []string
	}{
		{"nothing", func(*inventory.Registry, *inventory.Repository) {}, nil},
		{"the same listing", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{scanned(1, "v1", minute, "COMPLETE", "HIGH"), img(2, "v2"), img(3)}, 20*minute)
		}, nil},
		{"a listing that failed", func(_ *inventory.Registry, app *inventory.Repository) {
			app.TriedAt, app.Denied = 20*minute, true
		}, nil},
		{"an image more, a size and a time other than before", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{
				img(1, "v1"), img(4, "v4"), img(3),
				with(img(2, "v2"), func(i *inventory.Image) { i.SizeBytes, i.PushedAt = 99, 99 }),
			}, 20*minute)
		}, nil},
		{"an image deleted", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(2, "v2")}, 20*minute)
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]"}},
		{"another status of an untagged image, which has no series", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(digest(3)), &inventory.Scan{Status: "COMPLETE"})
			r.SetScan(app, app.FindImage(digest(3)), nil)
		}, nil},
		{"an untagged image deleted, which has no series", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2, "v2")}, 20*minute)
		}, nil},
		{"a tag moved", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(1), img(2, "v1", "v2"), img(3)}, 20*minute)
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]"}},
		{"an image archived", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(1, "v1"), with(img(2, "v2"), func(i *inventory.Image) { i.Status = inventory.ImageArchived }), img(3)}, 20*minute)
		}, []string{"ended app; 2[v2]"}},
		{"a size and a push time that are no longer told", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{
				with(img(1, "v1"), func(i *inventory.Image) { i.SizeBytes = -1 }), with(img(2, "v2"), func(i *inventory.Image) { i.PushedAt = 0 }), img(3),
			}, 20*minute)
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]; 2[v2]"}},
		{"other counts of the same severities", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(digest(1)), &inventory.Scan{Status: "COMPLETE", Severities: []inventory.SeverityCount{{Severity: "HIGH", Count: 99}, {Severity: "LOW"}}})
		}, nil},
		{"a first scan", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(digest(2)), &inventory.Scan{Status: "COMPLETE", CompletedAt: 1})
		}, nil},
		{"a severity that is no more", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(digest(1)), &inventory.Scan{Status: "COMPLETE", Severities: []inventory.SeverityCount{{Severity: "LOW", Count: 1}}})
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]"}},
		{"another status", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(digest(1)), &inventory.Scan{Status: "ACTIVE", Severities: []inventory.SeverityCount{{Severity: "HIGH", Count: 1}}})
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]"}},
		{"a scan forgotten", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetScan(app, app.FindImage(digest(1)), nil)
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]"}},
		{"the repositories as before", func(r *inventory.Registry, _ *inventory.Repository) {
			r.SetRepositories([]*inventory.Repository{repo("app", 0), repo("other", 0)}, 20*minute)
		}, nil},
		{"a repository deleted, another not read yet", func(r *inventory.Registry, _ *inventory.Repository) {
			r.SetRepositories([]*inventory.Repository{repo("other", 0), repo("new", 0)}, 20*minute)
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]; 2[v2]"}},
		{"a repository found gone", func(r *inventory.Registry, _ *inventory.Repository) {
			r.Remove("app")
			r.Remove("app")
			r.Remove("never was")
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]; 2[v2]"}},
		{"a setting changed: its images go on", func(r *inventory.Registry, _ *inventory.Repository) {
			changed := repo("app", 0)
			changed.ScanOnPush = &on
			r.SetRepository(changed)
		}, []string{"ended app"}},
		{"made again", func(r *inventory.Registry, _ *inventory.Repository) {
			r.SetRepository(remade("app", 15*minute, 0))
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]; 2[v2]"}},
		{"in another registry's name", func(r *inventory.Registry, _ *inventory.Repository) {
			moved := repo("app", 0)
			moved.RegistryID = "210987654321"
			r.SetRepository(moved)
		}, []string{"ended app; 1[v1] COMPLETE@1[{HIGH 1}]; 2[v2]"}},
		{"two changes before a push tells of the first", func(r *inventory.Registry, app *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2, "w2")}, 20*minute)
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2, "x2")}, 21*minute)
		}, []string{"ended app; 2[v2]; 2[w2]"}},
		{"two records of a repository", func(r *inventory.Registry, _ *inventory.Repository) {
			for _, mutability := range []string{"IMMUTABLE", "MUTABLE"} {
				changed := repo("app", 0)
				changed.TagMutability = mutability
				r.SetRepository(changed)
			}
		}, []string{"ended app", "ended app IMMUTABLE"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, pushedAt := range []inventory.Time{0, 12 * minute} {
				app := repo("app", 10*minute, scanned(1, "v1", minute, "COMPLETE", "HIGH"), img(2, "v2"), img(3))
				r := inv(10*minute, pushedAt, app, repo("other", 10*minute, img(1, "v1")))
				c.change(r, app)
				want := c.want
				if pushedAt == 0 {
					want = nil // nothing has begun that could end
				}
				if diff := cmp.Diff(want, text(r)[1+len(r.Repositories):], cmpopts.EquateEmpty()); diff != "" {
					t.Errorf("pushed at %d: former records (-want +got):\n%s", pushedAt, diff)
				}
			}
		})
	}
}

// What a push has told of is kept until a whole one has.
func TestPushed(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		push func(r *inventory.Registry)
		want []string
	}{
		{"in part", func(r *inventory.Registry) { r.Pushed(20*minute, false) }, []string{"ended a; 1[v]", "ended b; 2[v]"}},
		{"whole", func(r *inventory.Registry) { r.Pushed(20*minute, true) }, []string{}},
		{"some, in part", func(r *inventory.Registry) { r.PushedRepositories(20*minute, false, "a") }, []string{"ended a; 1[v]", "ended b; 2[v]"}},
		{"some, whole", func(r *inventory.Registry) { r.PushedRepositories(20*minute, true, "a", "z") }, []string{"ended b; 2[v]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := inv(10*minute, 12*minute, repo("a", 10*minute, img(1, "v")), repo("b", 10*minute, img(2, "v")))
			r.Remove("a")
			r.Remove("b")
			c.push(r)
			if diff := cmp.Diff(append([]string{"listed 10 pushed 20"}, c.want...), text(r)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			c.push(r)
			r.Pushed(15*minute, false)
			if r.PushedAt != 20*minute {
				t.Errorf("the time of the last push went back to %s", fmt.Sprint(r.PushedAt/minute))
			}
		})
	}
}
