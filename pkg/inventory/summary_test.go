package inventory_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// (Not parallel: it counts allocations.)
func TestSummarize(t *testing.T) {
	scan := func(count int32) *inventory.Scan {
		return &inventory.Scan{Severities: inventory.CountsOf(inventory.Severities{{Severity: inventory.WordOf("HIGH"), Count: count}})}
	}
	attachment := "sha256-" + strings.Repeat("0", 64)
	r := &inventory.Registry{}
	repository := &inventory.Repository{Name: "app"}
	r.SetRepository(repository)
	if r.Summarize(repository); repository.Summary != nil {
		t.Error("a summary of images that were never listed")
	}
	r.SetImages(repository, []inventory.Image{
		{Digest: digest(1), Tags: []string{"old"}, SizeBytes: 1, PushedAt: 1000, PulledAt: 9, Scan: scan(1)},
		{Digest: digest(2), Tags: []string{"a", "b", "c"}, SizeBytes: 2, PushedAt: 2000, Scan: scan(2)},
		{Digest: digest(3), Tags: []string{attachment + ".sig"}, SizeBytes: 4, PushedAt: 3000, Scan: scan(3)},
		{Digest: digest(4), Tags: []string{"chart"}, SizeBytes: 8, PushedAt: 4000, ArtifactType: inventory.WordOf("application/vnd.cncf.helm.config.v1+json"), Scan: scan(4)},
		{Digest: digest(5), SizeBytes: 16, PushedAt: 8000, Scan: scan(5)},
		{Digest: digest(6), SizeBytes: -1},
		{Digest: digest(7), Tags: []string{"multi"}, MediaType: inventory.OCIIndex, SizeBytes: 32, PushedAt: 1500},
		{Digest: digest(8), Tags: []string{"x"}, Status: inventory.ImageArchived, SizeBytes: 64, PushedAt: 7000, Scan: scan(8)},
		{Digest: digest(9), MediaType: inventory.DockerList, Status: inventory.ImageArchived, SizeBytes: 128},
	}, 10_000)
	r.Unsaved = inventory.Unsaved{}
	r.Summarize(repository)
	want := &inventory.Summary{
		Archived: inventory.Total{Images: 2, Bytes: 64}, Index: inventory.Total{Images: 1}, Tagged: inventory.Total{Images: 4, Bytes: 15}, Untagged: inventory.Total{Images: 2, Bytes: 16},
		PushedAt: 8000, PulledAt: 9000, MostTags: 3, Severities: scan(2).Severities.List(),
	}
	if diff := cmp.Diff(want, repository.Summary); diff != "" || want.Count() != 9 {
		t.Errorf("-want +got:\n%s", diff)
	}
	if r.Unsaved.Repositories["app"] == nil {
		t.Error("it is not saved with the changes")
	}
	r.Unsaved = inventory.Unsaved{}
	known := repository.Summary
	if r.Summarize(repository); repository.Summary != known || r.Unsaved.Any {
		t.Error("an unchanged summary is replaced")
	}
	if n := testing.AllocsPerRun(10, func() { r.Summarize(repository) }); n > 2 {
		t.Errorf("%v allocations for an unchanged summary", n)
	}
	r.SetScan(repository, repository.FindImage(digest(2)), scan(7))
	if r.Summarize(repository); repository.Summary.Severities[0].Count != 7 {
		t.Errorf("findings %v after another scan", repository.Summary.Severities)
	}
	// A listing of repositories keeps it, and what was read about the repository; one made
	// anew has neither.
	r.SetDetails(repository, func(d *inventory.RepositoryDetails) { d.LifecyclePolicy, d.LifecycleReadAt = true, 1 })
	r.SetRepositories([]*inventory.Repository{{Name: "app"}}, 11_000)
	if got := r.Find("app"); got.Summary == nil || got.Details == nil {
		t.Error("lost by a listing of repositories")
	}
	r.SetRepositories([]*inventory.Repository{{Name: "app", CreatedAt: 12_000}}, 13_000)
	if got := r.Find("app"); got.Summary != nil || got.Details != nil {
		t.Error("kept for a repository that was made anew")
	}
}

// Of what was read one by one, two copies' newest parts win.
func TestMergeDetails(t *testing.T) {
	t.Parallel()
	read := func(lifecycle, tags, registry inventory.Time) *inventory.Registry {
		r := &inventory.Registry{ListedAt: 1, ScanType: "BASIC", Details: &inventory.RegistryDetails{ReadAt: registry, MaxImages: int64(registry)}}
		r.Repositories = []*inventory.Repository{{Name: "app", Details: &inventory.RepositoryDetails{
			LifecyclePolicy: lifecycle > 5, LifecycleReadAt: lifecycle, TagsReadAt: tags, Tags: []inventory.ResourceTag{{Key: "at", Value: tags.Time().String()}},
		}}}
		return r
	}
	for _, swapped := range []bool{false, true} {
		a, b := read(1, 9, 3), read(6, 2, 4)
		if swapped {
			a, b = b, a
		}
		a.Merge(b)
		want := read(6, 9, 4)
		if diff := cmp.Diff(want.Repositories[0].Details, a.Repositories[0].Details); diff != "" || a.Details.MaxImages != 4 || a.ScanType != "BASIC" {
			t.Errorf("swapped %v: %+v, -want +got:\n%s", swapped, a.Details, diff)
		}
	}
}
