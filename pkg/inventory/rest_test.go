package inventory_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
)

// Of the images without a tag those are kept that can be shown or that an index lists; the
// others are counted.
func TestKeeps(t *testing.T) {
	t.Parallel()
	const mib = 1 << 20
	index := func(children, others []byte) *inventory.Index {
		var index inventory.Index
		for _, n := range children {
			index.Children = append(index.Children, inventory.Child{Digest: inventory.Digest{n}, Platform: "linux/amd64"})
		}
		for _, n := range others {
			index.Others = append(index.Others, inventory.Digest{n})
		}
		return &index
	}
	// A new listing has them all again, and knows of no index what it lists.
	list := func() []inventory.Image {
		return []inventory.Image{
			{Digest: inventory.Digest{1}, Tags: []string{"v1"}, SizeBytes: mib, PushedAt: 1},
			{Digest: inventory.Digest{2}, Tags: []string{"v2"}, SizeBytes: 2 * mib, PushedAt: 1, MediaType: inventory.OCIIndex},
			{Digest: inventory.Digest{3}, SizeBytes: 3 * mib, PushedAt: 1},                                                // child of 2
			{Digest: inventory.Digest{4}, SizeBytes: 4 * mib, PushedAt: 9},                                                // attestation in 2, recent
			{Digest: inventory.Digest{5}, SizeBytes: 5 * mib, PushedAt: 1},                                                // old
			{Digest: inventory.Digest{6}, SizeBytes: -1, PushedAt: 1},                                                     // old, of unknown size
			{Digest: inventory.Digest{7}, SizeBytes: 7 * mib, PushedAt: 9},                                                // recent
			{Digest: inventory.Digest{8}, SizeBytes: 8 * mib, PushedAt: 9, HasSubject: true},                              // signature
			{Digest: inventory.Digest{9}, SizeBytes: 9 * mib, PushedAt: 9, Status: inventory.ImageArchived},               // archived
			{Digest: inventory.Digest{10}, PushedAt: 1, MediaType: inventory.DockerList, Status: inventory.ImageArchived}, // archived index
			{Digest: inventory.Digest{11}, Tags: []string{"old"}, SizeBytes: mib, PushedAt: 1, Status: inventory.ImageArchived},
		}
	}
	r := &inventory.Registry{Keeps: func(image *inventory.Image) bool { return image.PushedAt >= 9 }}
	repository := &inventory.Repository{Name: "app", URI: "u/app"}
	r.SetRepository(repository)
	check := func(when string, kept string, rest inventory.Rest) {
		t.Helper()
		var got []string
		for i := range repository.Images {
			got = append(got, fmt.Sprint(repository.Images[i].Digest[0]))
		}
		if strings.Join(got, " ") != kept {
			t.Errorf("%s: images %s are kept, want %s", when, got, kept)
		}
		if diff := cmp.Diff(rest, repository.Rest); diff != "" {
			t.Errorf("%s: the rest (-want +got):\n%s", when, diff)
		}
		if all, tagged := r.ImageCount(); all != 11 || tagged != 2 {
			t.Errorf("%s: %d images, %d tagged", when, all, tagged)
		}
	}
	undecided := inventory.Rest{Untagged: inventory.Total{Images: 1, Bytes: 8 * mib}, Archived: inventory.Total{Images: 1, Bytes: 9 * mib}, PushedAt: 9}
	decided := inventory.Rest{Untagged: inventory.Total{Images: 4, Bytes: 17 * mib}, Archived: undecided.Archived, PushedAt: 9}

	r.SetImages(repository, list(), 10)
	check("while an index is unread", "1 2 3 4 5 6 7 10 11", undecided)

	r.SetIndex(repository, repository.FindImage(inventory.Digest{2}), index([]byte{3}, []byte{4}))
	r.ForgetRest(repository)
	check("after it was read", "1 2 3 7 10 11", decided)
	r.ForgetRest(repository)
	check("once more", "1 2 3 7 10 11", decided)

	r.SetImages(repository, list(), 20)
	check("after the next listing", "1 2 3 7 10 11", decided)

	// An index that lists what was not kept is pushed.
	pushed := append(list(), inventory.Image{Digest: inventory.Digest{12}, Tags: []string{"v3"}, PushedAt: 21, MediaType: inventory.OCIIndex})
	r.SetImages(repository, pushed, 22)
	if repository.FindImage(inventory.Digest{5}) == nil {
		t.Error("an image is missing that the new index may list")
	}
	r.SetIndex(repository, repository.FindImage(inventory.Digest{12}), index([]byte{5}, nil))
	r.ForgetRest(repository)
	if repository.FindImage(inventory.Digest{5}) == nil || repository.FindImage(inventory.Digest{6}) != nil {
		t.Error("of the old images the one is kept that the new index lists")
	}

	// Without the index its children are images like others.
	r.SetImages(repository, list()[2:], 30)
	if repository.FindImage(inventory.Digest{3}) != nil || repository.FindImage(inventory.Digest{4}) == nil {
		t.Error("after their index was deleted, images are kept by their age alone")
	}
}

// What was shown and is not kept any more ends.
func TestForgottenEnds(t *testing.T) {
	t.Parallel()
	r := &inventory.Registry{}
	repository := &inventory.Repository{Name: "app", URI: "u/app"}
	r.SetRepository(repository)
	r.SetImages(repository, []inventory.Image{{Digest: inventory.Digest{1}, PushedAt: 1}, {Digest: inventory.Digest{2}, PushedAt: 2}}, 10)
	r.Pushed(11, inventory.Shape{}, true, nil)
	r.Keeps = func(image *inventory.Image) bool { return image.PushedAt > 1 }
	r.ForgetRest(repository)
	if len(r.Previous) != 1 || len(r.Previous[0].Images) != 1 || r.Previous[0].Images[0].Digest != (inventory.Digest{1}) {
		t.Errorf("previous versions: %v, want the forgotten image", r.Previous)
	}
}
