package metrics_test

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

func image(n byte, tags ...string) inventory.Image {
	return inventory.Image{Digest: inventory.Digest{n}, Tags: tags, SizeBytes: int64(n), PushedAt: inventory.Time(n) * 1000}
}

func with(image inventory.Image, change func(*inventory.Image)) inventory.Image {
	change(&image)
	return image
}

func scanned(status string, severities ...string) func(*inventory.Image) {
	return func(i *inventory.Image) {
		i.Scan = &inventory.Scan{Status: status, CompletedAt: 5000}
		for _, severity := range severities {
			i.Scan.Severities = append(i.Scan.Severities, inventory.SeverityCount{Severity: severity, Count: 1})
		}
	}
}

// ended returns the markers that are due.
func ended(t *testing.T, registry *inventory.Registry) []string {
	t.Helper()
	var series []metrics.Series
	for s := range metrics.Ended(registry, metrics.Families(), metrics.Options{}) {
		if math.Float64bits(s.Value) != 0x7ff0000000000002 {
			t.Errorf("%v has no marker's value", s)
		}
		s = s.Clone()
		s.Value = 0
		series = append(series, s)
	}
	lines := samples(text(t, slices.Values(series)))
	slices.Sort(lines)
	return lines
}

// pushed is a registry of one repository, of which a push has told.
func pushed(images ...inventory.Image) (*inventory.Registry, *inventory.Repository) {
	repo := &inventory.Repository{Name: "app", URI: "u/app", RegistryID: "1", TagMutability: "MUTABLE"}
	registry := &inventory.Registry{ID: "1", ListedAt: 1, Repositories: []*inventory.Repository{repo}}
	registry.SetImages(repo, images, 1000)
	registry.Pushed(2000, true)
	return registry, repo
}

func line(family string, n byte, tag, rest string) string {
	return family + `{digest="` + (inventory.Digest{n}).String() + `",image="u/app:` + tag + `",name="app",registry_id="1",` + rest + `} 0`
}

func both(n byte, tag string) []string {
	return []string{
		line("aws_ecr_image_pushed_at_timestamp_seconds", n, tag, `tag="`+tag+`"`),
		line("aws_ecr_image_size_in_bytes", n, tag, `tag="`+tag+`"`),
	}
}

func TestEnded(t *testing.T) {
	t.Parallel()
	severity := func(n byte, tag, word string) string {
		return line("aws_ecr_image_scan_severity_count", n, tag, `severity="`+word+`",tag="`+tag+`"`)
	}
	status := func(n byte, tag, word string) string {
		return line("aws_ecr_image_scan_status", n, tag, `status="`+word+`",tag="`+tag+`"`)
	}
	completed := func(n byte, tag string) string {
		return line("aws_ecr_image_scan_completed_at_timestamp_seconds", n, tag, `tag="`+tag+`"`)
	}
	for _, c := range []struct {
		name        string
		before, now []inventory.Image
		want        []string
	}{
		{"nothing changed", []inventory.Image{image(1, "v1")}, []inventory.Image{image(1, "v1")}, nil},
		{"an image is new", nil, []inventory.Image{image(1, "v1")}, nil},
		{"an image is gone", []inventory.Image{image(1, "v1"), image(2, "v2")}, []inventory.Image{image(1, "v1")}, both(2, "v2")},
		{
			"a tag moved",
			[]inventory.Image{image(1, "latest", "v1")},
			[]inventory.Image{image(1, "v1"), image(2, "latest", "v2")},
			both(1, "latest"),
		},
		{"a size is missing now", []inventory.Image{image(1, "v1")}, []inventory.Image{with(image(1, "v1"), func(i *inventory.Image) { i.SizeBytes = -1 })}, both(1, "v1")[1:]},
		{"archived", []inventory.Image{image(1, "v1")}, []inventory.Image{with(image(1, "v1"), func(i *inventory.Image) { i.Status = inventory.ImageArchived })}, both(1, "v1")},
		{"an untagged image is gone", []inventory.Image{image(1)}, nil, nil},
		{
			"a value changed",
			[]inventory.Image{image(1, "v1")},
			[]inventory.Image{with(image(1, "v1"), func(i *inventory.Image) { i.SizeBytes = 99 })},
			nil,
		},
		{
			"a severity is no longer found",
			[]inventory.Image{with(image(1, "v1"), scanned("COMPLETE", "CRITICAL", "LOW"))},
			[]inventory.Image{with(image(1, "v1"), scanned("COMPLETE", "LOW"))},
			[]string{severity(1, "v1", "CRITICAL")},
		},
		{
			"a status changed",
			[]inventory.Image{with(image(1, "v1"), scanned("IN_PROGRESS"))},
			[]inventory.Image{with(image(1, "v1"), scanned("COMPLETE", "LOW"))},
			[]string{status(1, "v1", "IN_PROGRESS")},
		},
		{
			"a scanned image is gone",
			[]inventory.Image{with(image(1, "v1"), scanned("COMPLETE", "LOW"))}, nil,
			append([]string{completed(1, "v1"), severity(1, "v1", "LOW"), status(1, "v1", "COMPLETE")}, both(1, "v1")...),
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			registry, repo := pushed(c.before...)
			registry.SetImages(repo, c.now, 3000)
			want := slices.Sorted(slices.Values(c.want))
			if diff := cmp.Diff(want, ended(t, registry), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("markers (-want +got):\n%s", diff)
			}
			registry.Pushed(4000, false)
			if diff := cmp.Diff(want, ended(t, registry), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("after a push that failed in part (-want +got):\n%s", diff)
			}
			registry.Pushed(5000, true)
			if got := ended(t, registry); len(got) != 0 {
				t.Errorf("after a whole push: %v", got)
			}
		})
	}
}

func TestEndedRepositories(t *testing.T) {
	t.Parallel()
	const info = `aws_ecr_repository_info{encryption_type="",name="app",registry_id="1",repository_uri="u/app",scan_on_push="",tag_mutability="MUTABLE"} 0`
	t.Run("gone", func(t *testing.T) {
		t.Parallel()
		registry, _ := pushed(image(1, "v1"))
		registry.Remove("app")
		if diff := cmp.Diff(append(both(1, "v1"), info), ended(t, registry)); diff != "" {
			t.Errorf("markers (-want +got):\n%s", diff)
		}
	})
	t.Run("settings changed", func(t *testing.T) {
		t.Parallel()
		registry, _ := pushed(image(1, "v1"))
		registry.SetRepositories([]*inventory.Repository{{Name: "app", URI: "u/app", RegistryID: "1", TagMutability: "IMMUTABLE"}}, 3000)
		if diff := cmp.Diff([]string{info}, ended(t, registry)); diff != "" {
			t.Errorf("markers (-want +got):\n%s", diff)
		}
	})
	t.Run("made anew with the same image", func(t *testing.T) {
		t.Parallel()
		registry, _ := pushed(image(1, "v1"))
		registry.SetRepositories([]*inventory.Repository{{Name: "app", URI: "u/app", RegistryID: "1", TagMutability: "MUTABLE", CreatedAt: 9}}, 3000)
		if got := ended(t, registry); len(got) != 2 {
			t.Errorf("markers %v, want the image's, until it is listed again", got)
		}
		registry.SetImages(registry.Find("app"), []inventory.Image{image(1, "v1")}, 3000)
		if got := ended(t, registry); len(got) != 0 {
			t.Errorf("markers %v of series that are alive", got)
		}
	})
	t.Run("before the first push nothing has begun", func(t *testing.T) {
		t.Parallel()
		registry := &inventory.Registry{Repositories: []*inventory.Repository{{Name: "app", Images: []inventory.Image{image(1, "v1")}}}}
		registry.Remove("app")
		if got := ended(t, registry); len(got) != 0 {
			t.Errorf("markers %v", got)
		}
	})
	t.Run("two changes while pushes fail", func(t *testing.T) {
		t.Parallel()
		registry, repo := pushed(image(1, "a"))
		registry.SetImages(repo, []inventory.Image{image(1, "b")}, 3000)
		registry.SetImages(repo, []inventory.Image{image(1, "c")}, 4000)
		if got := ended(t, registry); len(got) != 4 {
			t.Errorf("markers %v, want those of both a and b, which may have arrived", got)
		}
		registry.SetImages(repo, []inventory.Image{image(1, "a")}, 5000)
		for _, marker := range ended(t, registry) {
			if slices.Contains(both(1, "a"), marker) {
				t.Errorf("marker %s of a series that is alive again", marker)
			}
		}
	})
	t.Run("some", func(t *testing.T) {
		t.Parallel()
		registry, _ := pushed(image(1, "v1"))
		registry.Remove("app")
		if got := ended(t, metrics.Some(registry, []string{"other"})); len(got) != 0 {
			t.Errorf("markers %v of a repository that was not asked for", got)
		}
		if got := ended(t, metrics.Some(registry, []string{"app"})); len(got) != 3 {
			t.Errorf("markers %v", got)
		}
	})
}

// The families that are about the exporter's own view.
func TestFurtherFamilies(t *testing.T) {
	t.Parallel()
	registry, _ := pushed(with(image(1, "v1"), scanned("ACTIVE")))
	registry.ScanSource, registry.ScansPending, registry.ScansOldest = inventory.ScansFromFindings, 7, 6000
	up := true
	all := samples(text(t, metrics.All(registry, metrics.Families(), metrics.Options{At: time.UnixMilli(8500), StateAvailable: &up})))
	want := []string{
		line("aws_ecr_image_scan_status", 1, "v1", `status="ACTIVE",tag="v1"`)[:len(line("aws_ecr_image_scan_status", 1, "v1", `status="ACTIVE",tag="v1"`))-1] + "1",
		`aws_ecr_exporter_images_scan_pending{registry_id="1"} 7`,
		`aws_ecr_exporter_scan_oldest_answer_age_seconds{registry_id="1"} 2.5`,
		`aws_ecr_exporter_state_available 1`,
	}
	if diff := cmp.Diff(want, all[len(all)-len(want):]); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
	some := samples(text(t, metrics.All(registry, metrics.Families(), metrics.Options{RepositoriesOnly: true, StateAvailable: &up})))
	if len(some) != len(all)-5 {
		t.Errorf("%d series of repositories, of %d in all:\n%v", len(some), len(all), some)
	}
	registry.ScanSource = inventory.ScansFromNowhere
	for _, s := range samples(text(t, metrics.All(registry, metrics.Families(), metrics.Options{}))) {
		if s[:len("aws_ecr_exporter")] == "aws_ecr_exporter" {
			t.Errorf("%s where no scans are asked for and there is no state", s)
		}
	}
}
