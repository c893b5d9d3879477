package metrics_test

import (
	"fmt"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// several is a registry of some repositories, the second of which was not sent.
func several() *inventory.Registry {
	r := &inventory.Registry{ID: "1", ListedAt: 1, ScanSource: inventory.ScansFromFindings}
	for i := range 3 {
		name := fmt.Sprint("app", i)
		r.Repositories = append(r.Repositories, &inventory.Repository{
			Name: name, URI: "u/" + name, RegistryID: "1", Unsent: i == 1,
			Images: []inventory.Image{
				with(image(1, "v1", "v2"), scanned("COMPLETE", "HIGH", "LOW")),
				image(2, "v3"),
				image(3),
			},
		})
	}
	return r
}

// identities are the series without their values, each once, in their order.
func identities(t *testing.T, series iter.Seq[metrics.Series]) []string {
	t.Helper()
	var all []string
	for s := range series {
		var b strings.Builder
		for _, l := range s.Labels {
			fmt.Fprintf(&b, "%s=%q ", l.Name, l.Value)
		}
		if slices.Contains(all, b.String()) {
			t.Errorf("twice: %s", b.String())
		}
		all = append(all, b.String())
	}
	return all
}

func value(s metrics.Series, name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return strings.Clone(l.Value)
		}
	}
	return ""
}

func TestByRepository(t *testing.T) {
	t.Parallel()
	for _, only := range []bool{false, true} {
		up := true
		options := metrics.Options{RepositoriesOnly: only, StateAvailable: &up}
		want := slices.Sorted(slices.Values(identities(t, metrics.All(several(), metrics.Families(), options))))
		got := slices.Sorted(slices.Values(identities(t, metrics.ByRepository(several(), metrics.Families(), options))))
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("series (-All +ByRepository):\n%s", diff)
		}
	}
	// What is about a repository, image or tag is in one piece each, and what no push
	// came to is first.
	var places []string
	for s := range metrics.ByRepository(several(), metrics.Families(), metrics.Options{}) {
		place := value(s, "name") + " " + value(s, "tag")
		if len(places) == 0 || places[len(places)-1] != place {
			places = append(places, place)
		}
	}
	want := []string{
		" ",
		"app1 ", "app1 v1", "app1 v2", "app1 v3",
		"app0 ", "app0 v1", "app0 v2", "app0 v3",
		"app2 ", "app2 v1", "app2 v2", "app2 v3",
	}
	if diff := cmp.Diff(want, places); diff != "" {
		t.Errorf("order (-want +got):\n%s", diff)
	}
}

func TestByRepositoryStops(t *testing.T) {
	t.Parallel()
	all := len(identities(t, metrics.ByRepository(several(), metrics.Families(), metrics.Options{})))
	for stop := range all {
		n := 0
		for range metrics.ByRepository(several(), metrics.Families(), metrics.Options{}) {
			if n++; n > stop {
				break
			}
		}
		if n != stop+1 {
			t.Errorf("stopped after %d series, want %d", n, stop+1)
		}
	}
}

// TestHidden: what is hidden has no series, and still counts.
func TestHidden(t *testing.T) {
	t.Parallel()
	count := func(r *inventory.Registry, options metrics.Options) map[string]int {
		t.Helper()
		n := map[string]int{}
		orders := []iter.Seq[metrics.Series]{metrics.All(r, metrics.Families(), options), metrics.ByRepository(r, metrics.Families(), options)}
		if a, b := len(identities(t, orders[0])), len(identities(t, orders[1])); a != b {
			t.Errorf("%d series in the order of the text, %d in that of a push", a, b)
		}
		for s := range orders[1] {
			n[s.Family.Name]++
			if s.Family.Name == "aws_ecr_repository_count" && s.Value != 3 {
				t.Errorf("%v repositories", s.Value)
			}
		}
		return n
	}
	const info, size = "aws_ecr_repository_info", "aws_ecr_image_size_in_bytes"
	r := several()
	if n := count(r, metrics.Options{}); n[info] != 3 || n[size] != 9 {
		t.Errorf("nothing hidden: %v", n)
	}
	r.Repositories[1].Hidden = true
	if n := count(r, metrics.Options{}); n[info] != 2 || n[size] != 6 {
		t.Errorf("a repository hidden: %v", n)
	}
	r.Repositories[0].Images[0].Hidden = true
	if n := count(r, metrics.Options{}); n[info] != 2 || n[size] != 4 {
		t.Errorf("an image hidden: %v", n)
	}
	if n := count(r, metrics.Options{Tag: func(tag string) bool { return tag != "v3" }}); n[info] != 2 || n[size] != 2 {
		t.Errorf("a tag left out: %v", n)
	}
}

// TestEndedHidden: what is hidden now and was not has ended; what was hidden then
// has not begun.
func TestEndedHidden(t *testing.T) {
	t.Parallel()
	registry, repo := pushed(image(1, "v1"), image(2, "v2"))
	former := *repo
	former.Images = slices.Clone(repo.Images)
	repo.Images[0].Hidden = true
	registry.Ended = []*inventory.Repository{&former}
	if diff := cmp.Diff(both(1, "v1"), ended(t, registry)); diff != "" {
		t.Errorf("an image is hidden now (-want +got):\n%s", diff)
	}
	repo.Hidden = true
	if got := ended(t, registry); len(got) != 5 {
		t.Errorf("the repository is hidden now: markers %v, want those of both images and its own", got)
	}
	former.Images[0].Hidden = true
	if got := ended(t, registry); len(got) != 3 {
		t.Errorf("an image was hidden: markers %v", got)
	}
	former.Hidden = true
	if got := ended(t, registry); len(got) != 0 {
		t.Errorf("the repository was hidden: markers %v", got)
	}
}

// TestEndedTag: a tag that is left out counts as not shown.
func TestEndedTag(t *testing.T) {
	t.Parallel()
	registry, _ := pushed(image(1, "v1", "v2"))
	registry.SetImages(registry.Repositories[0], nil, 3000)
	options := metrics.Options{Tag: func(tag string) bool { return tag != "v2" }}
	n := 0
	for s := range metrics.Ended(registry, metrics.Families(), options) {
		if n++; value(s, "tag") != "v1" || math.Float64bits(s.Value) != math.Float64bits(metrics.StaleMarker) {
			t.Errorf("marker of tag %q with value %v", value(s, "tag"), s.Value)
		}
	}
	if n != 2 {
		t.Errorf("%d markers, want both of tag v1", n)
	}
}

func BenchmarkByRepository(b *testing.B) {
	r := registry()
	for range 999 {
		r.Repositories = append(r.Repositories, r.Repositories[0])
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		for range metrics.ByRepository(r, metrics.Families(), metrics.Options{}) {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/series")
}
