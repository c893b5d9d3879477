package inventory_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// What is hidden ends if it was shown, and what changes or goes while it is hidden has
// nothing that could end.
func TestHidden(t *testing.T) {
	t.Parallel()
	const shown, other = "app read 10; 1[v1]; 2[v2] hidden; 3[]", "other read 10 hidden; 1[v1] hidden"
	for _, c := range []struct {
		name   string
		change func(r *inventory.Registry, app, other *inventory.Repository)
		want   []string
	}{
		{"nothing", func(*inventory.Registry, *inventory.Repository, *inventory.Repository) {}, []string{shown, other}},
		{"an image is hidden", func(r *inventory.Registry, app, _ *inventory.Repository) {
			for _, changed := range []bool{true, false} {
				if r.SetImageHidden(app, &app.Images[0], true) != changed {
					t.Errorf("changed is not %v", changed)
				}
			}
		}, []string{"app read 10; 1[v1] hidden; 2[v2] hidden; 3[]", other, "ended app; 1[v1]"}},
		{"one that has no series is hidden", func(r *inventory.Registry, app, _ *inventory.Repository) {
			r.SetImageHidden(app, &app.Images[2], true)
		}, []string{"app read 10; 1[v1]; 2[v2] hidden; 3[] hidden", other}},
		{"one is shown again", func(r *inventory.Registry, app, _ *inventory.Repository) {
			for _, changed := range []bool{true, false} {
				if r.SetImageHidden(app, &app.Images[1], false) != changed {
					t.Errorf("changed is not %v", changed)
				}
			}
		}, []string{"app read 10; 1[v1]; 2[v2]; 3[]", other}},
		{"shown and hidden again", func(r *inventory.Registry, app, _ *inventory.Repository) {
			r.SetImageHidden(app, &app.Images[1], false)
			r.SetImageHidden(app, &app.Images[1], true)
		}, []string{shown, other, "ended app; 2[v2]"}},
		{"a repository is hidden", func(r *inventory.Registry, app, _ *inventory.Repository) {
			for _, changed := range []bool{true, false} {
				if r.SetHidden(app, true) != changed {
					t.Errorf("changed is not %v", changed)
				}
			}
		}, []string{"app read 10 hidden; 1[v1] hidden; 2[v2] hidden; 3[] hidden", other, "ended app; 1[v1]"}},
		{"one is shown again, its images not yet", func(r *inventory.Registry, _, other *inventory.Repository) {
			r.SetHidden(other, false)
		}, []string{shown, "other read 10; 1[v1] hidden"}},
		{"the same listing", func(r *inventory.Registry, app, _ *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2, "v2"), img(3)}, 10*minute)
		}, []string{shown, other}},
		{"hidden images have other tags, or go", func(r *inventory.Registry, app, other *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2, "w2"), img(3)}, 10*minute)
			r.SetImages(other, nil, 10*minute)
		}, []string{"app read 10; 1[v1]; 2[w2] hidden; 3[]", "other read 10 hidden"}},
		{"a hidden image loses its tag and gets another", func(r *inventory.Registry, app, _ *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2), img(3)}, 10*minute)
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2, "w2"), img(3)}, 10*minute)
		}, []string{"app read 10; 1[v1]; 2[w2] hidden; 3[]", other}},
		{"the scan of a hidden image is another", func(r *inventory.Registry, app, _ *inventory.Repository) {
			r.SetScan(app, &app.Images[1], &inventory.Scan{Status: "COMPLETE"})
			r.SetScan(app, &app.Images[1], nil)
		}, []string{shown, other}},
		{"a new image of a hidden repository", func(r *inventory.Registry, _, other *inventory.Repository) {
			r.SetImages(other, []inventory.Image{img(1, "v1"), img(2, "v2")}, 10*minute)
		}, []string{shown, "other read 10 hidden; 1[v1] hidden; 2[v2] hidden"}},
		{"new and other settings", func(r *inventory.Registry, _, _ *inventory.Repository) {
			hidden := repo("other", 0)
			hidden.TagMutability = "IMMUTABLE"
			r.SetRepositories([]*inventory.Repository{repo("app", 0), hidden}, 10*minute)
		}, []string{shown, "other read 10 IMMUTABLE hidden; 1[v1] hidden"}},
		{"repositories go", func(r *inventory.Registry, _, _ *inventory.Repository) {
			r.SetRepositories(nil, 10*minute)
		}, []string{"ended app; 1[v1]"}},
		{"a hidden one goes", func(r *inventory.Registry, _, _ *inventory.Repository) { r.Remove("other") }, []string{shown}},
		{"a hidden one is made again", func(r *inventory.Registry, _, _ *inventory.Repository) {
			r.SetRepository(remade("other", 2*minute, 0))
		}, []string{shown, "other of 2 read 0"}},
		{"what is new begins shown", func(r *inventory.Registry, app, _ *inventory.Repository) {
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2, "v2"), img(3, "v3"), img(4, "v4")}, 10*minute)
			r.SetRepository(repo("new", 0))
		}, []string{"app read 10; 1[v1]; 2[v2] hidden; 3[v3]; 4[v4]", "new read 0", other}},
		{"or hidden", func(r *inventory.Registry, app, _ *inventory.Repository) {
			r.BeginHidden = true
			r.SetImages(app, []inventory.Image{img(1, "v1"), img(2, "v2"), img(3, "v3"), img(4, "v4")}, 10*minute)
			r.SetRepository(repo("new", 0))
			r.SetRepository(remade("other", 2*minute, 0))
		}, []string{"app read 10; 1[v1]; 2[v2] hidden; 3[v3] hidden; 4[v4] hidden", "new read 0 hidden", "other of 2 read 0 hidden"}},
		{"a shown image stays shown, whatever its tag", func(r *inventory.Registry, app, _ *inventory.Repository) {
			r.BeginHidden = true
			r.SetImages(app, []inventory.Image{img(1, "w1"), img(2, "v2"), img(3)}, 10*minute)
		}, []string{"app read 10; 1[w1]; 2[v2] hidden; 3[] hidden", other, "ended app; 1[v1]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			app := repo("app", 10*minute, img(1, "v1"), hide(img(2, "v2")), img(3))
			hidden := hideAll(repo("other", 10*minute, img(1, "v1")))
			r := inv(10*minute, 12*minute, app, hidden)
			c.change(r, app, hidden)
			if diff := cmp.Diff(c.want, text(r)[1:]); diff != "" {
				t.Errorf("records (-want +got):\n%s", diff)
			}
		})
	}
}

// A former record had series, so it is not hidden, nor has it anything to send.
func TestFormerRecordsAreNotHidden(t *testing.T) {
	t.Parallel()
	app := repo("app", 10*minute, img(1, "v1"))
	app.Unsent = true
	r := inv(10*minute, 12*minute, app)
	r.SetHidden(app, true)
	if former := r.Ended[0]; former.Hidden || former.Unsent || former.Images[0].Hidden {
		t.Errorf("former record %+v", former)
	}
}

// A listing tells nothing of what became of the series.
func TestSetRepositoryKeepsUnsent(t *testing.T) {
	t.Parallel()
	app := repo("app", 10*minute)
	app.Unsent = true
	r := inv(10*minute, 12*minute, app)
	r.SetRepositories([]*inventory.Repository{repo("app", 0)}, 20*minute)
	if !r.Find("app").Unsent {
		t.Error("no longer unsent")
	}
	r.SetRepository(remade("app", 15*minute, 0))
	if r.Find("app").Unsent {
		t.Error("another repository has nothing unsent")
	}
}

func TestCountsLeaveOutHidden(t *testing.T) {
	t.Parallel()
	r := inv(10*minute, 0, repo("app", 8*minute, img(1, "v1"), hide(img(2, "v2")), img(3)), hideAll(repo("left out", 0, img(1, "v1"))))
	if all, tagged := r.ImageCount(); all != 4 || tagged != 1 {
		t.Errorf("%d images, %d tagged, want 4 and 1", all, tagged)
	}
	if oldest := r.OldestRead(); oldest != 8*minute {
		t.Errorf("oldest listing of minute %d, want 8", oldest/minute)
	}
	r.Find("left out").Hidden = false
	if oldest := r.OldestRead(); oldest != 0 {
		t.Errorf("oldest listing of minute %d, want none", oldest/minute)
	}
}
