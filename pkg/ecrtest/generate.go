package ecrtest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"
)

// Shape says what a generated registry is like. The two numbers are met exactly,
// the shares, 0 to 1, about. See [RealisticShape] for values that make sense.
type Shape struct {
	// Repositories is the number of repositories to add. Their sizes follow
	// Zipf's law: few have most of the images, many have a handful or none.
	Repositories int
	// TaggedImages is the number of active images with at least one tag.
	TaggedImages int
	// Now is the time at which the registry looks as it does. What happened to it
	// happened in the two years before.
	Now time.Time

	// MoreTags is the share of tagged images that have two or three tags.
	MoreTags float64
	// Indexes is the share of tagged images that are multi-architecture indexes.
	// Each comes with two or three untagged children on top.
	Indexes float64
	// Untagged is how many images that lost their tag there are to one tagged
	// image, children of indexes not counted.
	Untagged float64
	// Archived is how many images in the archive there are to one tagged image.
	Archived float64
	// MissingSizes is the share of images of which the API gives no size.
	MissingSizes float64
	// Scans is the share of images that carry a scan summary in DescribeImages, as
	// registries with Clair scanning had them; one in five is clean. Indexes never
	// do.
	Scans float64

	// Scanned is the share of images that have a scan, as DescribeImageScanFindings and
	// Inspector tell it; the others answer ScanNotFoundException. What is pushed to a
	// generated repository later is scanned likewise, within two minutes of its push.
	// Of what a scanner can look at, about one in five is clean, a few are unsupported or
	// failed; indexes are unsupported. See [Registry.Scan] for each.
	Scanned float64
	// Rescanned is the share of scanned images that are scanned again every day, each
	// time with another result; the others keep their first.
	Rescanned float64
}

// RealisticShape returns the shape of a registry of today: a third of the builds
// multi-architecture, many images whose tag moved on, some in the archive, most scanned,
// and no scan summaries, which DescribeImages has not sent since February 2026. No image is
// scanned a second time: results change only as a test, or Mutate, says.
func RealisticShape(repositories, taggedImages int, now time.Time) Shape {
	return Shape{
		Repositories: repositories,
		TaggedImages: taggedImages,
		Now:          now,
		MoreTags:     0.25,
		Indexes:      0.3,
		Untagged:     0.3,
		Archived:     0.05,
		MissingSizes: 0.01,
		Scanned:      0.95,
	}
}

func (s *Shape) check() error {
	if s.Repositories < 0 || s.TaggedImages < 0 {
		return errors.New("a number is negative")
	}
	if s.TaggedImages > 0 && s.Repositories == 0 {
		return errors.New("images need a repository")
	}
	if s.Now.IsZero() {
		return errors.New("the time Now is not set")
	}
	for _, share := range []float64{s.MoreTags, s.Indexes, s.Untagged, s.Archived, s.MissingSizes, s.Scans, s.Scanned, s.Rescanned} {
		if !(share >= 0 && share <= 1) { // so that NaN is refused
			return fmt.Errorf("share %v is not between 0 and 1", share)
		}
	}
	return nil
}

// Generate adds repositories and images of a shape to the registry. The same seed
// and shape give the same content. It fails on a shape that makes no sense, and if
// a repository of a name that it makes up is there already.
func (r *Registry) Generate(seed uint64, shape Shape) error {
	if err := shape.check(); err != nil {
		return fmt.Errorf("generate registry: %w", err)
	}
	rng := rand.New(rand.NewPCG(seed, math.MaxUint64))
	counts := spread(rng, shape.TaggedImages, shape.Repositories)
	made := make([]*repository, shape.Repositories)
	for i := range made {
		// Each repository has its own random numbers, so that it looks the same
		// whatever the others hold.
		g := generator{rng: rand.New(rand.NewPCG(seed, uint64(i))), shape: &shape, now: shape.Now.UnixMilli()}
		made[i] = g.repository(r, i, counts[i])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, repo := range made {
		if _, ok := r.repositories[repo.Name]; ok {
			return fmt.Errorf("generate registry: repository %q exists", repo.Name)
		}
	}
	for _, repo := range made {
		r.repositories[repo.Name] = repo
		r.names = append(r.names, repo.Name)
	}
	slices.Sort(r.names)
	return nil
}

// mostTagged bounds the tagged images of one repository, where the total allows
// it, so that with all that comes on top in a [RealisticShape] it stays below the
// quota of 100,000 images: https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
const mostTagged = 25_000

// spread divides a total over n repositories by Zipf's law, to the last image, in
// random order.
func spread(rng *rand.Rand, total, n int) []int {
	counts := make([]int, n)
	if n == 0 {
		return counts
	}
	inhabited := n
	if total >= n {
		inhabited -= n / 30 // some were created and never pushed to
	}
	limit := max(mostTagged, (total+inhabited-1)/inhabited)
	harmonic := 0.0
	for rank := range inhabited {
		harmonic += 1 / float64(rank+1)
	}
	left := total
	for rank := range inhabited {
		share := int(float64(total) / harmonic / float64(rank+1))
		counts[rank] = min(share, limit, left)
		left -= counts[rank]
	}
	// What rounding and the limit left over goes round, from the largest down.
	for left > 0 {
		before := left
		for rank := 0; rank < inhabited && left > 0; rank++ {
			more := min(left, limit-counts[rank], 1+before/inhabited)
			counts[rank] += more
			left -= more
		}
	}
	rng.Shuffle(n, func(i, j int) { counts[i], counts[j] = counts[j], counts[i] })
	return counts
}

// teams and services make up names: team/service, then team/service-2 and so on.
var (
	teams = [...]string{
		"payments", "platform", "checkout", "search", "data", "ml", "web", "mobile", "identity", "logistics", "base", "tools", "legacy",
	}
	services = [...]string{
		"api", "worker", "frontend", "gateway", "scheduler", "importer", "exporter", "cron", "proxy", "admin", "migrations", "consumer",
		"notifier", "indexer", "trainer", "inference", "sidecar", "operator", "webhook", "reports", "billing", "sessions", "catalog",
	}
)

// generatedName is the name of the i-th repository; all are different.
func generatedName(i int) string {
	team, rest := teams[i%len(teams)], i/len(teams)
	name := team + "/" + services[(rest+i)%len(services)]
	if round := rest / len(services); round > 0 {
		name = fmt.Sprintf("%s-%d", name, round+1)
	}
	return name
}

// Settings go round, so that a registry of a dozen repositories has all of them.
var (
	mutabilities = [...]string{
		"MUTABLE", "IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "MUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE", "IMMUTABLE",
	}
	encryptions = [...]string{"AES256", "AES256", "KMS", "AES256", "KMS_DSSE", "AES256", "AES256", "KMS", "AES256", "AES256", ""}
	scanOnPush  = [...]*bool{new(true), new(false), new(true), new(true), nil}
)

// settings makes up a repository without its images.
func (g *generator) settings(r *Registry, i int) Repository {
	repo := Repository{
		Name:          generatedName(i),
		CreatedAt:     fromMillis(g.now - g.rng.Int64N(twoYears.Milliseconds()-day.Milliseconds()) - day.Milliseconds()),
		TagMutability: mutabilities[i%len(mutabilities)],
		ScanOnPush:    scanOnPush[i%len(scanOnPush)],
	}
	switch repo.TagMutability {
	case "MUTABLE_WITH_EXCLUSION":
		repo.ExclusionFilters = []string{"release-*"}
	case "IMMUTABLE_WITH_EXCLUSION":
		repo.ExclusionFilters = []string{"latest", "main-*"}
	}
	if kind := encryptions[i%len(encryptions)]; kind != "" {
		repo.Encryption = &Encryption{Type: kind}
		if kind != "AES256" {
			repo.Encryption.KMSKey = fmt.Sprintf("arn:%s:kms:%s:%s:key/%08x-0000-4000-8000-%012x",
				r.partition(), r.region, r.id, g.rng.Uint32(), g.rng.Uint64()>>16)
		}
	}
	return repo
}
