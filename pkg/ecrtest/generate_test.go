package ecrtest_test

import (
	"cmp"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/aws-exporters/ecr-remote-write/pkg/ecrtest"
)

func generate(tb testing.TB, seed uint64, shape ecrtest.Shape) *ecrtest.Registry {
	tb.Helper()
	reg := ecrtest.NewRegistry(account, region)
	if err := reg.Generate(seed, shape); err != nil {
		tb.Fatal(err)
	}
	return reg
}

// contents is all of a registry, for comparisons.
type contents struct {
	Repositories []ecrtest.Repository
	Images       map[string][]ecrtest.Image
}

func contentsOf(reg *ecrtest.Registry) contents {
	c := contents{Repositories: reg.Repositories(), Images: make(map[string][]ecrtest.Image)}
	for _, repo := range c.Repositories {
		c.Images[repo.Name] = reg.Images(repo.Name)
	}
	return c
}

func TestGenerateExactTotals(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ repositories, tagged int }{
		{0, 0}, {1, 0}, {1, 1}, {1, 1_000}, {3, 2}, {10, 10}, {40, 41}, {300, 2_000}, {200, 1},
	} {
		for _, shape := range []ecrtest.Shape{
			ecrtest.RealisticShape(tc.repositories, tc.tagged, now),
			{Repositories: tc.repositories, TaggedImages: tc.tagged, Now: now},
			{Repositories: tc.repositories, TaggedImages: tc.tagged, Now: now, Indexes: 1, MoreTags: 1, Archived: 1, Untagged: 1},
		} {
			got := generate(t, 7, shape).Totals()
			if got.Repositories != tc.repositories || got.TaggedImages != tc.tagged {
				t.Errorf("%+v: got %+v", shape, got)
			}
			if got.Images != got.TaggedImages+got.Untagged+got.Archived {
				t.Errorf("%+v: the parts do not add up: %+v", shape, got)
			}
		}
	}
}

// No repository grows beyond ECR's quota while the others have room.
func TestGenerateKeepsToQuota(t *testing.T) {
	t.Parallel()
	const tagged = 40_000
	reg := generate(t, 1, ecrtest.Shape{Repositories: 2, TaggedImages: tagged, Now: now})
	sizes := 0
	for _, repo := range reg.Repositories() {
		n := len(reg.Images(repo.Name))
		if sizes += n; n > 25_000 {
			t.Errorf("%s has %d images", repo.Name, n)
		}
	}
	if sizes != tagged {
		t.Errorf("%d images", sizes)
	}
	reg = generate(t, 1, ecrtest.RealisticShape(2, 26_000, now))
	for _, repo := range reg.Repositories() {
		if n := len(reg.Images(repo.Name)); n > 100_000 {
			t.Errorf("realistic %s has %d images", repo.Name, n)
		}
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	t.Parallel()
	shape := ecrtest.RealisticShape(15, 300, now)
	shape.Scans = 0.5
	first := contentsOf(generate(t, 3, shape))
	if diff := gocmp.Diff(first, contentsOf(generate(t, 3, shape))); diff != "" {
		t.Errorf("same seed, other content:\n%s", diff)
	}
	if gocmp.Equal(first, contentsOf(generate(t, 4, shape))) {
		t.Error("another seed, same content")
	}
}

// A plain registry stays what it was when figures were measured with it.
func TestGeneratePlain(t *testing.T) {
	t.Parallel()
	want := ecrtest.Totals{Repositories: 200, Images: 20_456, TaggedImages: 10_000, Tags: 13_185, Untagged: 9_915, Archived: 541}
	if diff := gocmp.Diff(want, generate(t, 1, ecrtest.PlainShape(200, 10_000, now)).Totals()); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// What is generated has to look like what ECR could hold: every rule here is one
// that a reader of the API may rely on.
func TestGenerateIsPlausible(t *testing.T) {
	t.Parallel()
	for name, shape := range map[string]ecrtest.Shape{
		"realistic": ecrtest.RealisticShape(120, 8_000, now),
		"plain":     ecrtest.PlainShape(120, 8_000, now),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shape.Scans = 0.5
			checkPlausible(t, shape)
		})
	}
}

func checkPlausible(t *testing.T, shape ecrtest.Shape) {
	t.Helper()
	reg := generate(t, 11, shape)
	all := contentsOf(reg)

	var sizes []int
	var shown seen
	referrers := map[string]int{}
	for _, repo := range all.Repositories {
		images := all.Images[repo.Name]
		checkImages(t, repo, images)
		tagged := 0
		for _, img := range images {
			shown.count(img)
			if len(img.Tags) > 0 && img.Status == "ACTIVE" {
				tagged++
			}
			checkIndex(t, reg, repo.Name, img)
			if img.SubjectDigest != "" {
				referrers[img.ArtifactMediaType]++
				if _, ok := reg.Image(repo.Name, img.SubjectDigest); !ok {
					t.Errorf("%s@%s: about %s, which is not there", repo.Name, img.Digest, img.SubjectDigest)
				}
			}
		}
		sizes = append(sizes, tagged)
	}
	slices.SortFunc(sizes, func(a, b int) int { return cmp.Compare(b, a) })
	if sizes[0] < 10*sizes[len(sizes)/2] || sizes[len(sizes)-1] != 0 {
		t.Errorf("not a few large and many small ones, and some empty: %v", sizes)
	}
	if len(referrers) != 1 && shape.Buildx == 0 || len(referrers) != 2 && shape.Buildx > 0 {
		t.Errorf("referrers %v, want signatures, and SBOMs in a realistic registry", referrers)
	}
	tagged := float64(shape.TaggedImages)
	for _, share := range []struct {
		name            string
		got, want, near float64
	}{
		{"more than one tag", shown.moreTags / tagged, shape.MoreTags, 0.02},
		{"indexes", shown.indexes / tagged, shape.Indexes, 0.15},
		{"archived", shown.archived / tagged, shape.Archived, 0.02},
		{"without size", shown.noSize / shown.all, shape.MissingSizes, 0.01},
		{"scanned", shown.scanned / shown.plain, shape.Scans, 0.03},
		{"clean", shown.clean / shown.scanned, 0.2, 0.03},
	} {
		if math.Abs(share.got-share.want) > share.near {
			t.Errorf("share of images %s is %.3f, want about %.3f", share.name, share.got, share.want)
		}
	}

	settings := make(map[string]int)
	for _, repo := range all.Repositories {
		settings[repo.TagMutability]++
		if repo.Encryption == nil {
			settings["no encryption"]++
		} else {
			settings[repo.Encryption.Type]++
		}
		switch {
		case repo.ScanOnPush == nil:
			settings["no scanning"]++
		case *repo.ScanOnPush:
			settings["scan"]++
		default:
			settings["no scan"]++
		}
	}
	for _, setting := range []string{
		"MUTABLE", "IMMUTABLE", "MUTABLE_WITH_EXCLUSION", "IMMUTABLE_WITH_EXCLUSION",
		"AES256", "KMS", "KMS_DSSE", "no encryption", "scan", "no scan", "no scanning",
	} {
		if settings[setting] == 0 {
			t.Errorf("no repository with %s", setting)
		}
	}
}

// seen counts images of a kind.
type seen struct{ all, plain, moreTags, indexes, archived, noSize, scanned, clean float64 }

func (s *seen) count(img ecrtest.Image) {
	s.all++
	switch {
	case isIndex(img):
		s.indexes++
	case img.Status == "ACTIVE" && img.SubjectDigest == "" && !img.Attestation:
		s.plain++
	}
	if img.Status != "ACTIVE" {
		s.archived++
	} else if len(img.Tags) > 1 {
		s.moreTags++
	}
	if img.SizeBytes == nil {
		s.noSize++
	}
	if img.Scan != nil {
		s.scanned++
		if len(img.Scan.Counts) == 0 {
			s.clean++
		}
	}
}

func isIndex(img ecrtest.Image) bool {
	return strings.Contains(img.ManifestMediaType, "index") || strings.Contains(img.ManifestMediaType, "list")
}

// checkImages checks the images of one repository against what always holds.
func checkImages(t *testing.T, repo ecrtest.Repository, images []ecrtest.Image) {
	t.Helper()
	tags := make(map[string]string)
	for i, img := range images {
		if i > 0 && images[i-1].Digest >= img.Digest {
			t.Fatalf("%s: not sorted by digest at %s", repo.Name, img.Digest)
		}
		if !slices.IsSorted(img.Tags) {
			t.Errorf("%s@%s: tags not sorted: %q", repo.Name, img.Digest, img.Tags)
		}
		for _, tag := range img.Tags {
			if other, taken := tags[tag]; taken {
				t.Errorf("%s:%s is on %s and %s", repo.Name, tag, other, img.Digest)
			}
			tags[tag] = img.Digest
		}
		if at := img.PushedAt; at.After(now) || at.Before(now.Add(-2*365*24*time.Hour-time.Minute)) {
			t.Errorf("%s@%s: pushed %v", repo.Name, img.Digest, at)
		}
		if img.PulledAt.After(now) || !img.PulledAt.IsZero() && img.PulledAt.Before(img.PushedAt) {
			t.Errorf("%s@%s: pulled %v, pushed %v", repo.Name, img.Digest, img.PulledAt, img.PushedAt)
		}
		if (img.Status == "ARCHIVED") && img.ArchivedAt.IsZero() {
			t.Errorf("%s@%s: archived, without a time", repo.Name, img.Digest)
		}
		if img.SizeBytes != nil && *img.SizeBytes <= 0 {
			t.Errorf("%s@%s: size %d", repo.Name, img.Digest, *img.SizeBytes)
		}
		if isIndex(img) && img.Scan != nil {
			t.Errorf("%s@%s: an index with a scan", repo.Name, img.Digest)
		}
	}
}

// An index has the size of its largest child.
func TestGenerateIndexSize(t *testing.T) {
	t.Parallel()
	reg := generate(t, 5, ecrtest.Shape{Repositories: 1, TaggedImages: 1, Indexes: 1, Now: now})
	repo := reg.Repositories()[0].Name
	var index, largest int64
	children := 0
	for _, img := range reg.Images(repo) {
		if isIndex(img) {
			index = *img.SizeBytes
			continue
		}
		children++
		largest = max(largest, *img.SizeBytes)
	}
	if children < 2 || index != largest {
		t.Errorf("index of %d children has size %d, the largest child %d", children, index, largest)
	}
}

func TestGenerateRefuses(t *testing.T) {
	t.Parallel()
	good := ecrtest.RealisticShape(2, 2, now)
	for name, change := range map[string]func(*ecrtest.Shape){
		"negative repositories": func(s *ecrtest.Shape) { s.Repositories = -1 },
		"negative images":       func(s *ecrtest.Shape) { s.TaggedImages = -1 },
		"no repository":         func(s *ecrtest.Shape) { s.Repositories = 0 },
		"no time":               func(s *ecrtest.Shape) { s.Now = time.Time{} },
		"share above 1":         func(s *ecrtest.Shape) { s.Indexes = 1.1 },
		"share below 0":         func(s *ecrtest.Shape) { s.Scans = -0.1 },
		"share not a number":    func(s *ecrtest.Shape) { s.Untagged = math.NaN() },
	} {
		shape := good
		change(&shape)
		if err := ecrtest.NewRegistry(account, region).Generate(1, shape); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	reg := generate(t, 1, good)
	before := contentsOf(reg)
	if err := reg.Generate(2, good); err == nil {
		t.Error("repositories that exist: no error")
	}
	if diff := gocmp.Diff(before, contentsOf(reg)); diff != "" {
		t.Errorf("a refused shape changed the registry:\n%s", diff)
	}
}

// A registry that ages stays plausible, and does not die out.
func TestMutate(t *testing.T) {
	t.Parallel()
	age := func() (*ecrtest.Registry, []string) {
		reg := generate(t, 9, ecrtest.RealisticShape(12, 100, now.Add(-time.Hour)))
		rng := rand.New(rand.NewPCG(1, 2))
		said := make([]string, 0, 1000)
		for i := range cap(said) {
			said = append(said, reg.Mutate(rng, now.Add(time.Duration(i-cap(said))*time.Second)))
		}
		return reg, said
	}
	reg, said := age()
	first := make(map[string]int)
	for _, sentence := range said {
		verb, _, _ := strings.Cut(sentence, " ")
		first[verb]++
	}
	for _, verb := range []string{"pushed", "deleted", "created", "pulled", "archived", "restored", "rescanned"} {
		if first[verb] == 0 {
			t.Errorf("in %d steps nothing was %s: %v", len(said), verb, first)
		}
		delete(first, verb)
	}
	if len(first) > 0 {
		t.Errorf("unknown events: %v", first)
	}
	all := contentsOf(reg)
	moved := 0
	for _, repo := range all.Repositories {
		checkImages(t, repo, all.Images[repo.Name])
		for _, img := range all.Images[repo.Name] {
			checkIndex(t, reg, repo.Name, img)
		}
		if img, ok := reg.Image(repo.Name, "latest"); ok {
			if len(img.Tags) < 2 {
				t.Errorf("%s: latest alone on %s", repo.Name, img.Digest)
			}
			moved++
		}
	}
	if moved == 0 {
		t.Error("no repository has latest")
	}
	again, saidAgain := age()
	if diff := gocmp.Diff(said, saidAgain); diff != "" {
		t.Errorf("the same random numbers, another story:\n%s", diff)
	}
	if diff := gocmp.Diff(all, contentsOf(again)); diff != "" {
		t.Errorf("the same random numbers, another registry:\n%s", diff)
	}
}

func TestMutateEmptyRegistry(t *testing.T) {
	t.Parallel()
	reg := ecrtest.NewRegistry(account, region)
	said := reg.Mutate(rand.New(rand.NewPCG(1, 1)), now)
	want := ecrtest.Totals{Repositories: 1, Images: 1, TaggedImages: 1, Tags: 2}
	if diff := gocmp.Diff(want, reg.Totals()); diff != "" || !strings.HasPrefix(said, "created ") {
		t.Errorf("%q made:\n%s", said, diff)
	}
}

// BenchmarkGenerate shows that a registry of a million tagged images, and twice as
// many images, is a matter of seconds and fits in memory.
func BenchmarkGenerate(b *testing.B) {
	for b.Loop() {
		reg := generate(b, 1, ecrtest.PlainShape(2_000, 1_000_000, now))
		var stats runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&stats)
		images := float64(reg.Totals().Images)
		b.ReportMetric(images, "images")
		b.ReportMetric(float64(stats.HeapAlloc)/images, "B/image")
	}
}
