package inventory_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// minute is a span of inventory.Time: removals hold for five of them.
const minute = inventory.Time(60_000)

// repo makes a repository that was made in minute 1 and whose images were read at a
// moment; zero means never.
func repo(name string, readAt inventory.Time, images ...inventory.Image) *inventory.Repository {
	return &inventory.Repository{Name: name, URI: "r/" + name, CreatedAt: minute, ImagesReadAt: readAt, TriedAt: readAt, Images: images}
}

// remade is repo for a repository that was deleted and made again.
func remade(name string, createdAt, readAt inventory.Time, images ...inventory.Image) *inventory.Repository {
	r := repo(name, readAt, images...)
	r.CreatedAt = createdAt
	return r
}

// img makes an image with tags.
func img(b byte, tags ...string) inventory.Image {
	return inventory.Image{Digest: digest(b), Tags: tags, SizeBytes: 1, PushedAt: minute}
}

// scanned is img with a scan that was asked for at a moment.
func scanned(b byte, tag string, askedAt inventory.Time, status string, severities ...string) inventory.Image {
	image := img(b, tag)
	image.Scan = &inventory.Scan{Status: inventory.WordOf(status), AskedAt: askedAt}
	for _, severity := range severities {
		image.Scan.Severities = inventory.CountsOf(append(image.Scan.Severities.List(), inventory.SeverityCount{Severity: inventory.WordOf(severity), Count: int32(askedAt / minute)}))
	}
	return image
}

// unshown clears that images, or a whole repository, were pushed.
func unshown(images ...inventory.Image) []inventory.Image {
	for i := range images {
		images[i].MediaType = inventory.WordOf("unshown") // inv reads it
	}
	return images
}

// completed sets when an image's scan was completed.
func completed(image inventory.Image, at inventory.Time) inventory.Image {
	image.Scan.CompletedAt = at
	return image
}

// inv makes an inventory that was listed and pushed at moments; zero means never. What was
// pushed is shown, but for what has the media type "unshown".
func inv(listedAt, pushedAt inventory.Time, repositories ...*inventory.Repository) *inventory.Registry {
	r := &inventory.Registry{ID: "123456789012", ListedAt: listedAt, PushedAt: pushedAt, Repositories: repositories}
	for _, repository := range repositories {
		repository.Shown = pushedAt > 0 && repository.ARN != "unshown"
		repository.ARN = ""
		for i := range repository.Images {
			image := &repository.Images[i]
			image.Shown = pushedAt > 0 && image.MediaType != inventory.WordOf("unshown")
			image.MediaType = inventory.WordOf("")
		}
	}
	return derive(r)
}

// derive lets the family table decide what ends.
func derive(r *inventory.Registry) *inventory.Registry {
	table, err := metrics.New(inventory.Shape{})
	if err != nil {
		panic(err)
	}
	r.Ends = table.Ends(r)
	return r
}

// text is an inventory in words, in an order of its own.
func text(r *inventory.Registry) []string {
	lines := []string{fmt.Sprintf("listed %d pushed %d", r.ListedAt/minute, r.PushedAt/minute)}
	for _, e := range r.Repositories {
		lines = append(lines, repositoryText("", e, r.PushedAt > 0))
	}
	var previous []string
	for _, e := range r.Previous {
		previous = append(previous, repositoryText("previous ", e, true))
	}
	slices.Sort(previous)
	return append(lines, previous...)
}

func repositoryText(prefix string, e *inventory.Repository, pushed bool) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s%s", prefix, e.Name)
	if prefix != "" && e.Shown {
		b.WriteString(" itself")
	}
	if e.CreatedAt != minute {
		fmt.Fprintf(&b, " of %d", e.CreatedAt/minute)
	}
	if prefix == "" {
		fmt.Fprintf(&b, " read %d", e.ImagesReadAt/minute)
	}
	if e.TagMutability != "" {
		fmt.Fprintf(&b, " %s", e.TagMutability)
	}
	for _, flag := range []struct {
		name string
		set  bool
	}{{" due", e.Due}, {" denied", e.Denied}, {" unshown", prefix == "" && pushed && !e.Shown}} {
		if flag.set {
			b.WriteString(flag.name)
		}
	}
	var images []string
	for _, image := range e.Images {
		t := fmt.Sprintf("%d%v", image.Digest[0], image.Tags)
		if s := image.Scan; s != nil {
			t += fmt.Sprintf(" %s@%d%v", s.Status, s.AskedAt/minute, s.Severities)
		}
		if pushed && !image.Shown {
			t += " unshown"
		}
		images = append(images, t)
	}
	if prefix != "" {
		slices.Sort(images)
	}
	for _, t := range images {
		b.WriteString("; " + t)
	}
	return b.String()
}

// clone is a copy as another environment has it: through the stored form.
func clone(tb testing.TB, r *inventory.Registry) *inventory.Registry {
	tb.Helper()
	c, err := inventory.Decode(bytes.NewReader(encode(tb, r)))
	if err != nil {
		tb.Fatal(err)
	}
	return derive(c)
}

func TestMerge(t *testing.T) {
	t.Parallel()
	described := func(r *inventory.Repository, mutability string) *inventory.Repository {
		r.TagMutability = mutability
		return r
	}
	readAlone := func(r *inventory.Repository, at inventory.Time) *inventory.Repository {
		r.ReadAt = at
		return r
	}
	tried := func(r *inventory.Repository, at inventory.Time, denied bool) *inventory.Repository {
		r.TriedAt, r.Denied = at, denied
		return r
	}
	due := func(r *inventory.Repository) *inventory.Repository {
		r.Due = true
		return r
	}
	hidden := func(r *inventory.Repository) *inventory.Repository {
		unshown(r.Images...)
		r.ARN = "unshown"
		return r
	}
	removed := func(r *inventory.Registry, removals ...inventory.Removal) *inventory.Registry {
		r.Removed = removals
		return r
	}
	previous := func(r *inventory.Registry, versions ...*inventory.Repository) *inventory.Registry {
		r.Previous = versions
		for _, version := range versions {
			version.Shown = true
			for i := range version.Images {
				version.Images[i].Shown = true
			}
		}
		return r
	}
	for _, c := range []struct {
		name string
		a, b *inventory.Registry
		want []string
	}{
		{
			"nothing with something",
			&inventory.Registry{}, inv(10*minute, 10*minute, repo("app", 10*minute, img(1, "v1"))),
			[]string{"listed 10 pushed 10", "app read 10; 1[v1]"},
		},
		{
			"of each repository the images read last",
			inv(10*minute, 0, repo("a", 11*minute, img(1, "new")), repo("b", 12*minute, img(2, "old"))),
			inv(10*minute, 0, repo("a", 10*minute, img(1, "old")), repo("b", 13*minute, img(2, "new"))),
			[]string{"listed 10 pushed 0", "a read 11; 1[new]", "b read 13; 2[new]"},
		},
		{
			"what either pushed and the result does not have, ends",
			inv(10*minute, 13*minute, repo("a", 11*minute, img(1, "new"), img(2, "kept")), repo("b", 12*minute, img(3, "old"))),
			inv(10*minute, 14*minute, repo("a", 10*minute, img(1, "old"), img(2, "kept")), repo("b", 13*minute, img(4, "new"))),
			[]string{"listed 10 pushed 14", "a read 11; 1[new]; 2[kept]", "b read 13; 4[new]", "previous a; 1[old]", "previous b; 3[old]"},
		},
		{
			"what was never pushed does not end",
			inv(10*minute, 0, repo("a", 10*minute, img(1, "old")), repo("gone", 10*minute, img(9, "v"))),
			inv(20*minute, 20*minute, repo("a", 20*minute, img(1, "new"))),
			[]string{"listed 20 pushed 20", "a read 20; 1[new]"},
		},
		{
			"of each scan the result read last, whichever listing is newer",
			inv(10*minute, 0, repo("a", 12*minute, scanned(1, "v1", 20*minute, "COMPLETE", "HIGH"), scanned(2, "v2", 11*minute, "PENDING"))),
			inv(10*minute, 0, repo("a", 11*minute, scanned(1, "v1", 15*minute, "COMPLETE", "LOW"), scanned(2, "v2", 16*minute, "COMPLETE", "LOW"))),
			[]string{"listed 10 pushed 0", "a read 12; 1[v1] COMPLETE@20[{HIGH 20}]; 2[v2] COMPLETE@16[{LOW 16}]"},
		},
		{
			"what a scan no longer has, ends",
			inv(10*minute, 20*minute, repo("a", 12*minute, scanned(1, "v1", 20*minute, "COMPLETE", "HIGH"), scanned(2, "v2", 11*minute, "PENDING"))),
			inv(10*minute, 20*minute, repo("a", 11*minute, scanned(1, "v1", 15*minute, "COMPLETE", "LOW"), scanned(2, "v2", 16*minute, "COMPLETE", "LOW"))),
			[]string{
				"listed 10 pushed 20", "a read 12; 1[v1] COMPLETE@20[{HIGH 20}]; 2[v2] COMPLETE@16[{LOW 16}]",
				"previous a; 1[v1] COMPLETE@15[{LOW 15}]; 2[v2] PENDING@11[]",
			},
		},
		{
			"a new image has the scan of whoever read it",
			inv(10*minute, 0, repo("a", 12*minute, img(1, "v1"))),
			inv(10*minute, 0, repo("a", 11*minute, scanned(1, "v1", 15*minute, "COMPLETE", "LOW"))),
			[]string{"listed 10 pushed 0", "a read 12; 1[v1] COMPLETE@15[{LOW 15}]"},
		},
		{
			"what listings say about scans: the newer one's",
			inv(10*minute, 0, repo("a", 12*minute, scanned(1, "v1", 0, "FAILED"))),
			inv(10*minute, 0, repo("a", 11*minute, scanned(1, "v1", 0, "COMPLETE", "LOW"))),
			[]string{"listed 10 pushed 0", "a read 12; 1[v1] FAILED@0[]"},
		},
		{
			"a result that was requested stands, unless a listing reports a later scan",
			inv(10*minute, 0, repo("a", 12*minute, completed(scanned(1, "v1", 0, "TOLD"), 9*minute), completed(scanned(2, "v2", 0, "TOLD"), 11*minute))),
			inv(10*minute, 0, repo("a", 11*minute, completed(scanned(1, "v1", 10*minute, "ASKED"), 9*minute), completed(scanned(2, "v2", 10*minute, "ASKED"), 9*minute))),
			[]string{"listed 10 pushed 0", "a read 12; 1[v1] ASKED@10[]; 2[v2] TOLD@0[]"},
		},
		{
			"so it does if the listing is the older one",
			inv(10*minute, 0, repo("a", 11*minute, completed(scanned(1, "v1", 0, "TOLD"), 9*minute), completed(scanned(2, "v2", 0, "TOLD"), 11*minute))),
			inv(10*minute, 0, repo("a", 12*minute, completed(scanned(1, "v1", 10*minute, "ASKED"), 9*minute), completed(scanned(2, "v2", 10*minute, "ASKED"), 9*minute))),
			[]string{"listed 10 pushed 0", "a read 12; 1[v1] ASKED@10[]; 2[v2] TOLD@0[]"},
		},
		{
			"a repository that is not in a newer list is gone",
			inv(10*minute, 11*minute, repo("a", 10*minute, img(1, "v1")), repo("gone", 10*minute, img(2, "v2"), img(3))),
			inv(20*minute, 0, repo("a", 10*minute, img(1, "v1"))),
			[]string{"listed 20 pushed 11", "a read 10; 1[v1]", "previous gone itself; 2[v2]"},
		},
		{
			"a repository that only the newer list has is new",
			inv(10*minute, 0),
			inv(20*minute, 0, repo("new", 0)),
			[]string{"listed 20 pushed 0", "new read 0"},
		},
		{
			"one that was read after the newer list is there",
			inv(10*minute, 0, repo("event", 21*minute, img(1, "v1"))),
			inv(20*minute, 0),
			[]string{"listed 20 pushed 0", "event read 21; 1[v1]"},
		},
		{
			"one that was made after the newer list and not read yet is there too",
			inv(10*minute, 0, remade("event", 21*minute, 0)),
			inv(20*minute, 0),
			[]string{"listed 20 pushed 0", "event of 21 read 0"},
		},
		{
			"a deleted repository does not come back, though it was read after the list",
			removed(inv(10*minute, 13*minute), inventory.Removal{Name: "gone", CreatedAt: minute, At: 13 * minute}),
			inv(10*minute, 12*minute, repo("gone", 12*minute, img(1, "v1"))),
			[]string{"listed 10 pushed 13", "previous gone itself; 1[v1]"},
		},
		{
			"nor though it was listed since",
			removed(inv(10*minute, 13*minute), inventory.Removal{Name: "gone", CreatedAt: minute, At: 13 * minute}),
			inv(12*minute, 12*minute, repo("gone", 12*minute, img(1, "v1"))),
			[]string{"listed 12 pushed 13", "previous gone itself; 1[v1]"},
		},
		{
			"nor with a listing whose clock is ahead",
			removed(inv(10*minute, 0), inventory.Removal{Name: "gone", CreatedAt: minute, At: 13 * minute}),
			inv(10*minute, 0, repo("gone", 17*minute, img(1, "v1"))),
			[]string{"listed 10 pushed 0"},
		},
		{
			"one of the same name that was made later is another",
			removed(inv(10*minute, 0), inventory.Removal{Name: "again", CreatedAt: minute, At: 13 * minute}),
			inv(10*minute, 0, remade("again", 13*minute, 13*minute, img(2, "v2"))),
			[]string{"listed 10 pushed 0", "again of 13 read 13; 2[v2]"},
		},
		{
			"and it wins, whichever list is newer",
			inv(20*minute, 20*minute, repo("again", 10*minute, img(1, "v1"))),
			inv(10*minute, 20*minute, remade("again", 13*minute, 13*minute, img(2, "v2"))),
			[]string{"listed 20 pushed 20", "again of 13 read 13; 2[v2]", "previous again itself; 1[v1]"},
		},
		{
			"but images that were listed since are those of the later one",
			inv(20*minute, 20*minute, repo("again", 14*minute, scanned(1, "v1", 15*minute, "COMPLETE", "LOW"))),
			inv(10*minute, 20*minute, remade("again", 13*minute, 13*minute, img(1, "v1"), img(2, "v2"))),
			[]string{"listed 20 pushed 20", "again of 13 read 14; 1[v1] COMPLETE@15[{LOW 15}]", "previous again of 13; 2[v2]"},
		},
		{
			"a repository's record is the newer list's; its own series end, its images' do not",
			inv(20*minute, 20*minute, described(repo("a", 10*minute, img(1, "v1")), "IMMUTABLE")),
			inv(10*minute, 20*minute, described(repo("a", 11*minute, img(1, "v1")), "MUTABLE")),
			[]string{"listed 20 pushed 20", "a read 11 IMMUTABLE; 1[v1]", "previous a itself MUTABLE"},
		},
		{
			"unless the other one was read alone since",
			inv(20*minute, 20*minute, described(repo("a", 10*minute, img(1, "v1")), "IMMUTABLE")),
			inv(0, 21*minute, readAlone(described(repo("a", 11*minute, img(1, "v1")), "MUTABLE"), 21*minute)),
			[]string{"listed 20 pushed 21", "a read 11 MUTABLE; 1[v1]", "previous a itself IMMUTABLE"},
		},
		{
			"one that was read alone after the newer list is there",
			inv(10*minute, 0, readAlone(repo("event", 0), 21*minute)),
			inv(20*minute, 0),
			[]string{"listed 20 pushed 0", "event read 0"},
		},
		{
			"a repository that the newer list has and nobody read is not ended",
			inv(20*minute, 20*minute, repo("a", 0)),
			inv(10*minute, 20*minute, repo("a", 11*minute, img(1, "v1"))),
			[]string{"listed 20 pushed 20", "a read 11; 1[v1]"},
		},
		{
			"the last try decides whether it is denied",
			inv(10*minute, 0, tried(repo("a", 10*minute, img(1, "v1")), 15*minute, true)),
			inv(10*minute, 0, tried(repo("a", 11*minute, img(1, "v1")), 11*minute, false)),
			[]string{"listed 10 pushed 0", "a read 11 denied; 1[v1]"},
		},
		{
			"what is due to one is due",
			inv(10*minute, 0, due(repo("a", 10*minute))),
			inv(10*minute, 0, repo("a", 11*minute)),
			[]string{"listed 10 pushed 0", "a read 11 due"},
		},
		{
			"what either shows is shown, whoever read last",
			inv(10*minute, 10*minute, repo("a", 11*minute, unshown(img(1, "v1"))[0], img(2, "v2"), unshown(img(3, "v3"))[0])),
			inv(10*minute, 10*minute, repo("a", 10*minute, img(1, "v1"), unshown(img(2, "v2"))[0], unshown(img(3, "v3"))[0])),
			[]string{"listed 10 pushed 10", "a read 11; 1[v1]; 2[v2]; 3[v3] unshown"},
		},
		{
			"what one alone knows stays unshown",
			inv(10*minute, 10*minute, repo("a", 11*minute, unshown(img(1, "v1"))[0]), hidden(repo("b", 11*minute, img(2, "v2")))),
			inv(10*minute, 10*minute, repo("a", 10*minute)),
			[]string{"listed 10 pushed 10", "a read 11; 1[v1] unshown", "b read 11 unshown; 2[v2] unshown"},
		},
		{
			"a repository that either shows is shown, with those images that are",
			inv(20*minute, 20*minute, hidden(repo("a", 11*minute, img(1, "v1"), img(2, "v2"), img(3, "v3")))),
			inv(10*minute, 20*minute, repo("a", 10*minute, img(1, "v1"), unshown(img(2, "v2"))[0])),
			[]string{"listed 20 pushed 20", "a read 11; 1[v1]; 2[v2] unshown; 3[v3] unshown"},
		},
		{
			"one that neither shows is not shown, and nothing of it ends",
			inv(20*minute, 20*minute, hidden(repo("a", 11*minute, img(1, "v1")))),
			inv(10*minute, 20*minute, hidden(described(repo("a", 10*minute, img(1, "w1"), img(2, "v2")), "MUTABLE"))),
			[]string{"listed 20 pushed 20", "a read 11 unshown; 1[v1] unshown"},
		},
		{
			"what was not shown does not end, the rest does",
			inv(10*minute, 20*minute, repo("a", 10*minute, unshown(img(1, "v1"))[0], img(2, "v2")), hidden(repo("b", 10*minute, img(3, "v3"))), repo("c", 10*minute, unshown(img(4, "v4"))[0])),
			inv(20*minute, 20*minute, repo("a", 20*minute)),
			[]string{"listed 20 pushed 20", "a read 20", "previous a; 2[v2]", "previous c itself"},
		},
		{
			"another tag of an image that one does not show",
			inv(10*minute, 20*minute, repo("a", 10*minute, img(1, "v1"))),
			inv(20*minute, 20*minute, repo("a", 20*minute, unshown(img(1, "w1"))[0])),
			[]string{"listed 20 pushed 20", "a read 20; 1[w1] unshown", "previous a; 1[v1]"},
		},
		{
			"previous versions of both are kept, each once",
			previous(inv(10*minute, 10*minute), repo("x", 0, img(1, "v1"), img(2, "v2"))),
			previous(inv(10*minute, 10*minute), repo("x", 0, img(1, "v1"), img(2, "w2")), repo("y", 0)),
			[]string{"listed 10 pushed 10", "previous x itself; 1[v1]; 2[v2]; 2[w2]", "previous y itself"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, order := range []struct {
				name         string
				ours, theirs *inventory.Registry
			}{{"a.Merge(b)", c.a, c.b}, {"b.Merge(a)", c.b, c.a}} {
				got := clone(t, order.ours)
				if !got.Merge(clone(t, order.theirs)) {
					t.Errorf("%s: not merged", order.name)
				}
				if diff := cmp.Diff(c.want, text(got)); diff != "" {
					t.Errorf("%s (-want +got):\n%s", order.name, diff)
				}
				once := encode(t, got)
				for _, again := range []*inventory.Registry{order.ours, order.theirs, got} {
					got.Merge(clone(t, again))
				}
				if diff := cmp.Diff(c.want, text(got)); diff != "" {
					t.Errorf("%s, and the same again (-want +got):\n%s", order.name, diff)
				}
				if !bytes.Equal(once, encode(t, got)) {
					t.Errorf("%s: merging the same again changed what is stored", order.name)
				}
			}
		})
	}
}

// What belongs to the registry as a whole.
// TestMergeBeforePush: what another environment has pushed is shown, whatever becomes of the
// push under way.
func TestMergeBeforePush(t *testing.T) {
	t.Parallel()
	for _, at := range []inventory.Time{9, 10, 11} {
		r := inv(10*minute, 0, repo("app", 10*minute, img(1, "v1"), img(2, "v2")))
		r.Pushing(12*minute, inventory.Shape{}, nil)
		r.Repositories[0].Excluded, r.Repositories[0].Images[0].Excluded = true, true // as this run selected
		r.Merge(inv(at*minute, at*minute, repo("app", at*minute, img(1, "v1"), unshown(img(2, "v2"))[0])))
		app := r.Repositories[0]
		if app.Pending || app.Images[0].Pending || !app.Images[1].Pending {
			t.Errorf("read at %d: pending %t, images %t %t", at, app.Pending, app.Images[0].Pending, app.Images[1].Pending)
		}
		if !app.Excluded || !app.Images[0].Excluded || app.Images[1].Excluded {
			t.Errorf("read at %d: excluded %t, images %t %t", at, app.Excluded, app.Images[0].Excluded, app.Images[1].Excluded)
		}
		r.NotPushed()
		read := max(10, at)
		want := []string{fmt.Sprintf("listed %d pushed 12", read), fmt.Sprintf("app read %d; 1[v1]; 2[v2] unshown", read)}
		if diff := cmp.Diff(want, text(r)); diff != "" {
			t.Errorf("read at %d (-want +got):\n%s", at, diff)
		}
	}
}

func TestMergeRegistry(t *testing.T) {
	t.Parallel()
	ours := &inventory.Registry{
		ListedAt: 10 * minute, PushedAt: 30, ScanSource: inventory.ScansFromFindings, ScansListedAt: 5, ScansPending: 7, ScansOldest: 9,
		SucceededAt: 30, Protocols: map[string]string{"https://a": "1.0"},
		Removed: []inventory.Removal{{Name: "x", CreatedAt: 1, At: minute}, {Name: "y", CreatedAt: 1, At: 19 * minute}},
	}
	theirs := &inventory.Registry{
		ID: "123456789012", ListedAt: 20 * minute, PushedAt: 20, ScanSource: inventory.ScansFromInspector, ScansListedAt: 4, ScansPending: 8, ScansOldest: 10,
		SucceededAt: 20, Protocols: map[string]string{"https://b": "2.0"},
		Removed: []inventory.Removal{{Name: "y", CreatedAt: 1, At: 18 * minute}, {Name: "z", CreatedAt: 1, At: 18 * minute}},
	}
	want := &inventory.Registry{
		ID: "123456789012", ListedAt: 20 * minute, PushedAt: 30, ScanSource: inventory.ScansFromInspector, ScansListedAt: 5, ScansPending: 8, ScansOldest: 10,
		SucceededAt: 30, Protocols: map[string]string{"https://a": "1.0", "https://b": "2.0"},
		// x went so long before the newer list that this one tells it too.
		Removed: []inventory.Removal{{Name: "y", CreatedAt: 1, At: 19 * minute}, {Name: "z", CreatedAt: 1, At: 18 * minute}},
	}
	got := clone(t, ours)
	got.Ends = nil
	want.Unsaved = inventory.Unsaved{Any: true, All: true}
	if !got.Merge(clone(t, theirs)) || !cmp.Equal(want, got) {
		t.Errorf("ours.Merge(theirs) (-want +got):\n%s", cmp.Diff(want, got))
	}
	got = clone(t, theirs)
	got.Ends = nil
	if !got.Merge(clone(t, ours)) || !cmp.Equal(want, got) {
		t.Errorf("theirs.Merge(ours) (-want +got):\n%s", cmp.Diff(want, got))
	}
}

// What an environment found an endpoint to speak it goes on with, whatever another
// one found.
func TestMergeProtocols(t *testing.T) {
	t.Parallel()
	type protocols = map[string]string
	for _, c := range []struct{ ours, theirs, want protocols }{
		{nil, nil, nil},
		{protocols{"a": "1.0"}, nil, protocols{"a": "1.0"}},
		{nil, protocols{"a": "2.0"}, protocols{"a": "2.0"}},
		{protocols{"a": "1.0", "b": "2.0"}, protocols{"a": "2.0", "c": "1.0"}, protocols{"a": "1.0", "b": "2.0", "c": "1.0"}},
	} {
		ours := &inventory.Registry{Protocols: c.ours}
		ours.Merge(&inventory.Registry{Protocols: c.theirs})
		if diff := cmp.Diff(c.want, ours.Protocols); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

func TestMergeOfAnotherRegistry(t *testing.T) {
	t.Parallel()
	ours, theirs := inv(10*minute, 0, repo("a", 10*minute)), inv(20*minute, 0, repo("b", 20*minute))
	theirs.ID = "210987654321"
	want := text(ours)
	if ours.Merge(theirs) {
		t.Error("merged")
	}
	if diff := cmp.Diff(want, text(ours)); diff != "" {
		t.Errorf("changed (-want +got):\n%s", diff)
	}
}
