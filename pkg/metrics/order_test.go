package metrics_test

import (
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/inventory"
	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// several is a registry of three repositories.
func several() *inventory.Registry {
	r := &inventory.Registry{ID: "1", ListedAt: 1, ScanSource: inventory.ScansFromFindings, ScansOldest: 1}
	for i := range 3 {
		name := fmt.Sprint("app", i)
		r.Repositories = append(r.Repositories, &inventory.Repository{
			Name: name, URI: "u/" + name, RegistryID: "1",
			Images: []inventory.Image{
				with(image(1, "v1", "v2"), scanned("COMPLETE", "HIGH", "LOW")),
				image(2, "v3"),
				image(3),
			},
		})
	}
	return r
}

func image(n byte, tags ...string) inventory.Image {
	return inventory.Image{Digest: inventory.Digest{n}, Tags: tags, SizeBytes: int64(n), PushedAt: inventory.Time(n) * 1000}
}

func with(image inventory.Image, change func(*inventory.Image)) inventory.Image {
	change(&image)
	return image
}

func scanned(status string, severities ...string) func(*inventory.Image) {
	return func(i *inventory.Image) {
		i.Scan = &inventory.Scan{Status: inventory.WordOf(status), CompletedAt: 5000}
		for _, severity := range severities {
			i.Scan.Severities = inventory.CountsOf(append(i.Scan.Severities.List(), inventory.SeverityCount{Severity: inventory.WordOf(severity), Count: 1}))
		}
	}
}

// identities are the series without their values, in their order; each must be there once.
func identities(t *testing.T, series iter.Seq[metrics.Series]) []string {
	t.Helper()
	var all []string
	known := map[string]bool{}
	for s := range series {
		var b strings.Builder
		for _, l := range s.Labels {
			if l.Value != "" {
				fmt.Fprintf(&b, "%s=%q ", l.Name, l.Value)
			}
		}
		if known[b.String()] {
			t.Errorf("twice: %s", b.String())
		}
		known[b.String()] = true
		all = append(all, b.String())
	}
	return all
}

func sorted(list []string) []string { return slices.Sorted(slices.Values(list)) }

func TestByRepository(t *testing.T) {
	t.Parallel()
	families := table(inventory.Shape{Durable: true})
	for _, only := range [][]string{nil, {}, {"app1", "unknown"}} {
		options := metrics.Options{Only: only}
		all := identities(t, families.All(several(), options))
		if diff := cmp.Diff(sorted(all), sorted(identities(t, families.ByRepository(several(), options)))); diff != "" {
			t.Errorf("series of %v (-All +ByRepository):\n%s", only, diff)
		}
		if about := strings.Count(strings.Join(all, "\n"), `name="app1"`); only != nil && len(all) != about {
			t.Errorf("only %v: %d series, %d of them about app1", only, len(all), about)
		}
	}
	// What is about a repository, image or tag is in one piece each, and each push
	// begins at another repository.
	firsts := map[string]bool{}
	for minute := range 30 {
		var places []string
		for s := range families.ByRepository(several(), metrics.Options{At: time.Unix(int64(minute)*120, 0)}) {
			place := value(s, "name") + " " + value(s, "tag")
			if len(places) == 0 || places[len(places)-1] != place {
				places = append(places, place)
			}
		}
		firsts[places[1]] = true
		want := sorted(places)
		if len(slices.Compact(want)) != 1+3*4 || len(places) != 1+3*4 || places[0] != " " {
			t.Errorf("order: %q", places)
		}
	}
	if len(firsts) != 3 {
		t.Errorf("30 pushes begin at %v only", firsts)
	}
}

func value(s metrics.Series, name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return strings.Clone(l.Value)
		}
	}
	return ""
}

func TestByRepositoryStops(t *testing.T) {
	t.Parallel()
	all := len(identities(t, table(inventory.Shape{}).ByRepository(several(), metrics.Options{})))
	for stop := range all {
		n := 0
		for range table(inventory.Shape{}).ByRepository(several(), metrics.Options{}) {
			if n++; n > stop {
				break
			}
		}
		if n != stop+1 {
			t.Errorf("stopped after %d series, want %d", n, stop+1)
		}
	}
}

// The findings by platform are shown only if a setting includes the family by name.
func TestOptIn(t *testing.T) {
	t.Parallel()
	const family = "aws_ecr_image_platform_scan_severity_count"
	r := &inventory.Registry{ListedAt: 1, Repositories: []*inventory.Repository{{Name: "a", Images: []inventory.Image{with(image(1, "v1"), platforms)}}}}
	for include, want := range map[string]int{"": 0, "aws_ecr_repository_.*": 0, family: 4, ".*": 4} {
		table := table(inventory.Shape{Families: inventory.Filter{Include: include}})
		if n := count(table, r, family); n != want || table.ShowsPlatforms() != (want > 0) {
			t.Errorf("with %q included: %d series, want %d", include, n, want)
		}
	}
}

// What is excluded has no series, but counts as a repository.
func TestExcluded(t *testing.T) {
	t.Parallel()
	count := func(r *inventory.Registry, shape inventory.Shape) map[string]int {
		t.Helper()
		n := map[string]int{}
		orders := []iter.Seq[metrics.Series]{table(shape).All(r, metrics.Options{}), table(shape).ByRepository(r, metrics.Options{})}
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
	if n := count(r, inventory.Shape{}); n[info] != 3 || n[size] != 9 {
		t.Errorf("nothing excluded: %v", n)
	}
	r.Repositories[1].Excluded = true
	if n := count(r, inventory.Shape{}); n[info] != 2 || n[size] != 6 {
		t.Errorf("a repository excluded: %v", n)
	}
	r.Repositories[0].Images[0].Excluded = true
	if n := count(r, inventory.Shape{}); n[info] != 2 || n[size] != 4 {
		t.Errorf("an image excluded: %v", n)
	}
	if n := count(r, inventory.Shape{Tags: inventory.Filter{Exclude: "v3"}}); n[info] != 2 || n[size] != 2 {
		t.Errorf("a tag excluded: %v", n)
	}
	if n := count(r, inventory.Shape{Families: inventory.Filter{Include: info}}); len(n) != 1 || n[info] != 2 {
		t.Errorf("one family: %v", n)
	}
}

// platforms makes an image an index of two platforms.
func platforms(i *inventory.Image) {
	scanned("COMPLETE", "HIGH", "LOW")(i)
	i.Index = &inventory.Index{Platforms: []inventory.PlatformFindings{
		{Platform: "linux/amd64", Severities: i.Scan.Severities.List()}, {Platform: "linux/arm64", Severities: i.Scan.Severities.List()},
	}}
}

// The labels of a family name what its series are about, so that the series of two
// repositories, images or tags never coincide: pkg/remotewrite and Stale rest on it.
func TestSeriesAreDistinct(t *testing.T) {
	t.Parallel()
	r := everything()
	r.ListedAt, r.ScansOldest, r.Repositories = 1, 1, nil
	for i, name := range []string{"a", "b"} { // which have all else in common
		repository := everything().Repositories[i]
		repository.Name, repository.URI = name, "u"
		repository.Images = []inventory.Image{with(image(1, "v1", "v2"), platforms), with(image(2, "v1"), platforms), with(image(3), platforms)}
		repository.Images[0].PulledAt, repository.Images[0].Scan.InUseCount, repository.Images[0].Scan.LastInUseAt = 1, 1, 1
		r.Repositories = append(r.Repositories, repository)
	}
	// External labels must not hide a label that tells series apart.
	shape := inventory.Shape{
		Durable: true, Families: inventory.Filter{Include: ".*"}, UntaggedImages: 1, RepositoryTags: []string{"team"}, LifecyclePolicies: true, RegistryDetails: true,
		External: map[string]string{"name": "x", "digest": "x", "tag": "x", "severity": "x", "registry_id": "x", "platform": "x"},
	}
	identities(t, table(shape).All(r, metrics.Options{})) // which fails if one is there twice
	for _, f := range metrics.Families() {
		if n := count(table(shape), r, f.Name); n == 0 {
			t.Errorf("%s: no series, so nothing is shown of it", f.Name)
		}
	}
}

func count(table *metrics.Table, r *inventory.Registry, family string) (n int) {
	for s := range table.All(r, metrics.Options{}) {
		if s.Family.Name == family {
			n++
		}
	}
	return n
}

// Distinct inputs stay distinct: listings with doubled images, tags and severities.
func TestListingsAreMadeDistinct(t *testing.T) {
	t.Parallel()
	r := &inventory.Registry{ID: "1", ListedAt: 1}
	r.SetRepositories([]*inventory.Repository{{Name: "a", URI: "u"}, {Name: "a", URI: "u"}}, 1)
	r.SetImages(r.Find("a"), []inventory.Image{image(1, "v1", "v1", "v2"), image(1, "v1"), image(2, "v2", "v1")}, 1)
	identities(t, table(inventory.Shape{}).All(r, metrics.Options{}))
}

func BenchmarkByRepository(b *testing.B) {
	r, families := registry(), table(inventory.Shape{})
	for range 999 {
		r.Repositories = append(r.Repositories, r.Repositories[0])
	}
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		n = 0
		for range families.ByRepository(r, metrics.Options{}) {
			n++
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/series")
}
