package inventory_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// digest returns a digest that begins with b.
func digest(b byte) (d inventory.Digest) {
	d[0] = b
	return d
}

func TestParseDigest(t *testing.T) {
	t.Parallel()
	const good = "sha256:00ff000000000000000000000000000000000000000000000000000000000001"
	d, err := inventory.ParseDigest(good)
	if err != nil || d.String() != good {
		t.Errorf("ParseDigest(%s) = %s, %v", good, d, err)
	}
	if len(good) != inventory.DigestLen {
		t.Errorf("DigestLen = %d, want %d", inventory.DigestLen, len(good))
	}
	for _, bad := range []string{"", "sha256:", "sha512:" + good[7:], good + "0", good[:70], good[:70] + "g", good[7:]} {
		if d, err := inventory.ParseDigest(bad); err == nil {
			t.Errorf("ParseDigest(%q) = %s, want an error", bad, d)
		}
	}
}

func TestTime(t *testing.T) {
	t.Parallel()
	if got := inventory.TimeOf(time.Time{}); !got.IsZero() || !got.Time().IsZero() {
		t.Errorf("the zero time became %d, and %v again", got, got.Time())
	}
	at := inventory.TimeOf(time.Unix(1_700_000_000, 999_000_000))
	if at.Seconds() != 1_700_000_000 {
		t.Errorf("Seconds() = %d, want whole seconds, not rounded ones", at.Seconds())
	}
}

func TestSetImages(t *testing.T) {
	t.Parallel()
	scan := &inventory.Scan{Status: inventory.WordOf("COMPLETE")}
	known := []inventory.Image{
		{Digest: digest(1), Tags: []string{"v1"}, PushedAt: 10, Scan: scan},
		{Digest: digest(2), PushedAt: 20, Scan: scan},
	}
	for _, c := range []struct {
		name    string
		listing []inventory.Image
		want    []inventory.Image
	}{
		{
			"sorted by digest, tags sorted",
			[]inventory.Image{{Digest: digest(9)}, {Digest: digest(8), Tags: []string{"b", "a"}}},
			[]inventory.Image{{Digest: digest(8), Tags: []string{"a", "b"}}, {Digest: digest(9)}},
		},
		{
			"a known image keeps its scan, one that is not listed is gone",
			[]inventory.Image{{Digest: digest(1), PushedAt: 10}},
			[]inventory.Image{{Digest: digest(1), PushedAt: 10, Scan: scan}},
		},
		{
			"a scan in the listing wins",
			[]inventory.Image{{Digest: digest(1), Scan: &inventory.Scan{Status: inventory.WordOf("FAILED")}}},
			[]inventory.Image{{Digest: digest(1), Scan: &inventory.Scan{Status: inventory.WordOf("FAILED")}}},
		},
		{
			"a tag on two images stays with the newest push",
			[]inventory.Image{
				{Digest: digest(7), Tags: []string{"latest", "v7"}, PushedAt: 70},
				{Digest: digest(8), Tags: []string{"latest"}, PushedAt: 80},
				{Digest: digest(9), Tags: []string{"latest"}, PushedAt: 60},
			},
			[]inventory.Image{
				{Digest: digest(7), Tags: []string{"v7"}, PushedAt: 70},
				{Digest: digest(8), Tags: []string{"latest"}, PushedAt: 80},
				{Digest: digest(9), Tags: []string{}, PushedAt: 60},
			},
		},
		{
			"an archived image does not hold a tag that an active one has",
			[]inventory.Image{
				{Digest: digest(7), Tags: []string{"v"}, PushedAt: 70, Status: inventory.ImageArchived},
				{Digest: digest(8), Tags: []string{"v"}, PushedAt: 10, Status: inventory.ImageActive},
			},
			[]inventory.Image{
				{Digest: digest(7), Tags: []string{}, PushedAt: 70, Status: inventory.ImageArchived},
				{Digest: digest(8), Tags: []string{"v"}, PushedAt: 10, Status: inventory.ImageActive},
			},
		},
		{
			"an image on two pages counts once",
			[]inventory.Image{{Digest: digest(5), Tags: []string{"a", "a"}}, {Digest: digest(5), Tags: []string{"a"}}},
			[]inventory.Image{{Digest: digest(5), Tags: []string{"a"}}},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			repo := &inventory.Repository{Images: known, TriedAt: 5, Denied: true}
			(&inventory.Registry{}).SetImages(repo, c.listing, 100)
			if diff := cmp.Diff(c.want, repo.Images); diff != "" {
				t.Errorf("images (-want +got):\n%s", diff)
			}
			if repo.ImagesReadAt != 100 || repo.TriedAt != 100 || repo.Denied {
				t.Errorf("freshness %d, %d, denied %v", repo.ImagesReadAt, repo.TriedAt, repo.Denied)
			}
		})
	}
}

func TestSetRepositories(t *testing.T) {
	t.Parallel()
	images := []inventory.Image{{Digest: digest(1)}}
	known := func(name string) *inventory.Repository {
		return &inventory.Repository{Name: name, URI: "1/" + name, CreatedAt: 1, ImagesReadAt: 50, TriedAt: 60, Images: images}
	}
	registry := &inventory.Registry{Repositories: []*inventory.Repository{known("gone"), known("kept"), known("moved"), known("remade"), known("remade and listed")}}
	registry.SetRepositories([]*inventory.Repository{
		{Name: "remade", URI: "1/remade", CreatedAt: 51},
		{Name: "remade and listed", URI: "1/remade and listed", CreatedAt: 49},
		{Name: "new", URI: "1/new", RegistryID: "123456789012"},
		{Name: "kept", URI: "1/kept", CreatedAt: 1, TagMutability: "before"},
		{Name: "kept", URI: "1/kept", CreatedAt: 1, TagMutability: "after"},
		{Name: "moved", URI: "2/moved", CreatedAt: 1},
	}, 100)
	want := &inventory.Registry{
		ID: "123456789012", ListedAt: 100, Removed: []inventory.Removal{{Name: "gone", CreatedAt: 1, At: 100}},
		Repositories: []*inventory.Repository{
			{Name: "kept", URI: "1/kept", CreatedAt: 1, TagMutability: "after", ImagesReadAt: 50, TriedAt: 60, Images: images},
			{Name: "moved", URI: "2/moved", CreatedAt: 1},
			{Name: "new", URI: "1/new", RegistryID: "123456789012"},
			{Name: "remade", URI: "1/remade", CreatedAt: 51},
			{Name: "remade and listed", URI: "1/remade and listed", CreatedAt: 49, ImagesReadAt: 50, TriedAt: 60, Images: images},
		},
	}
	registry.Unsaved, registry.Found = inventory.Unsaved{}, nil // see TestChanges and TestFound
	if diff := cmp.Diff(want, registry); diff != "" {
		t.Errorf("registry (-want +got):\n%s", diff)
	}
	if registry.OldestRead() != 0 {
		t.Error("OldestRead: want zero while a repository was never read")
	}
	registry.Remove("moved")
	registry.Remove("nothing")
	if registry.Find("moved") != nil || registry.Find("new") == nil || len(registry.Repositories) != 4 {
		t.Errorf("after Remove: %v", registry.Repositories)
	}
}
