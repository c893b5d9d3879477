package ecrtest

import (
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Shape describes a generated registry. The numbers are exact, the shares, 0 to 1,
// approximate. See [RealisticShape] for realistic values.
type Shape struct {
	// Repositories is the number of repositories to add. Their sizes follow Zipf's law: few
	// have most of the images, many have very few or none.
	Repositories int
	// TaggedImages is the number of active images with at least one tag.
	TaggedImages int
	// Now is the end of the registry's history, which takes two years.
	Now time.Time

	// MoreTags is the share of tagged images that have two or three tags.
	MoreTags float64
	// Indexes is the share of tagged images that are indexes. Their children are untagged
	// and not counted.
	Indexes float64
	// Buildx is the share of repositories to which `docker buildx` pushes with its defaults:
	// OCI media types, indexes of one to three platforms with an attestation of each, and
	// indexes also among the images that lost their tag. In the other repositories only tagged
	// images are indexes; they have two or three platforms and no attestations.
	Buildx float64
	// Referrers is the share of repositories whose tagged images have a signature and an
	// SBOM. Of the others one in ten has signatures, if Untagged is set.
	Referrers float64
	// Untagged is the ratio of images that lost their tag to tagged images, without the
	// children of indexes.
	Untagged float64
	// Archived is the ratio of archived images to tagged images.
	Archived float64
	// MissingSizes is the share of images without a size.
	MissingSizes float64
	// Scans is the share of images with a scan summary in DescribeImages, as in registries
	// with Clair scanning; one in five is clean. Indexes have none.
	Scans float64

	// Scanned is the share of images with a scan in DescribeImageScanFindings and
	// Inspector. This includes images that are pushed later, within two minutes of their
	// push. About one in five is clean, a few are unsupported or failed; indexes are
	// unsupported.
	Scanned float64
	// Rescanned is the share of scanned images that get another result every day; the
	// others keep their first.
	Rescanned float64
}

// RealisticShape returns the shape of a registry of 2026: most builds are indexes, with
// attestations, many images have lost their tag, some have signatures and SBOMs, some are
// archived, and most are scanned.
func RealisticShape(repositories, taggedImages int, now time.Time) Shape {
	shape := PlainShape(repositories, taggedImages, now)
	shape.Indexes = 0.7
	shape.Buildx = 0.8
	shape.Referrers = 0.2
	return shape
}

// PlainShape returns the shape that figures up to November 2026 are about: a third of the
// builds are multi-architecture, there are no attestations and few signatures. There are no
// scan summaries, which DescribeImages does not send since February 2026. No image is
// scanned again, except by a test or Mutate.
func PlainShape(repositories, taggedImages int, now time.Time) Shape {
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
	for _, share := range []float64{s.MoreTags, s.Indexes, s.Buildx, s.Referrers, s.Untagged, s.Archived, s.MissingSizes, s.Scans, s.Scanned, s.Rescanned} {
		if !(share >= 0 && share <= 1) { // so that NaN is refused
			return fmt.Errorf("share %v is not between 0 and 1", share)
		}
	}
	return nil
}

// Generate adds repositories and images of a shape to the registry. The same seed and shape
// give the same content. An invalid shape is an error, and so is a generated repository
// that exists already.
func (r *Registry) Generate(seed uint64, shape Shape) error {
	if err := shape.check(); err != nil {
		return fmt.Errorf("generate registry: %w", err)
	}
	rng := rand.New(rand.NewPCG(seed, math.MaxUint64))
	counts := spread(rng, shape.TaggedImages, shape.Repositories, shape.mostTagged())
	made := make([]*repository, shape.Repositories)
	for i := range made {
		// Each repository has its own random numbers, so that its content does not depend
		// on the others.
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

// mostTagged bounds the tagged images of a repository, if the total allows it, so that with
// all other images it stays below the quota of 100,000:
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
func (s *Shape) mostTagged() int {
	const most = 25_000
	builds, children, referrers := 1.0, meanPlatforms, 1.0
	if s.Buildx > 0 {
		builds, children = 1+s.Untagged, 2*meanBuildxPlatforms
	}
	if s.Referrers > 0 {
		referrers = 2
	}
	if s.Indexes == 0 {
		children = 0
	}
	return min(most, int(95_000/(1+s.Untagged+s.Archived+builds*children+referrers)))
}

// spread divides a total exactly among n repositories by Zipf's law, in random order, with
// at most so many in one if possible.
func spread(rng *rand.Rand, total, n, most int) []int {
	counts := make([]int, n)
	if n == 0 {
		return counts
	}
	inhabited := n
	if total >= n {
		inhabited -= n / 30 // some were created and never pushed to
	}
	limit := max(most, (total+inhabited-1)/inhabited)
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
	// The remainder of rounding and of the limit, distributed from the largest on.
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

// teams and services are the parts of names: team/service, then team/service-2 and so on.
var (
	teams = [...]string{
		"payments", "platform", "checkout", "search", "data", "ml", "web", "mobile", "identity", "logistics", "base", "tools", "legacy",
	}
	services = [...]string{
		"api", "worker", "frontend", "gateway", "scheduler", "importer", "exporter", "cron", "proxy", "admin", "migrations", "consumer",
		"notifier", "indexer", "trainer", "inference", "sidecar", "operator", "webhook", "reports", "billing", "sessions", "catalog",
	}
)

// generatedName is the unique name of the i-th repository.
func generatedName(i int) string {
	team, rest := teams[i%len(teams)], i/len(teams)
	name := team + "/" + services[(rest+i)%len(services)]
	if round := rest / len(services); round > 0 {
		name = fmt.Sprintf("%s-%d", name, round+1)
	}
	return name
}

// Settings rotate, so that a registry of a dozen repositories has all of them.
var (
	mutabilities = [...]string{
		"MUTABLE", "IMMUTABLE", "MUTABLE", "MUTABLE_WITH_EXCLUSION", "MUTABLE", "IMMUTABLE_WITH_EXCLUSION", "MUTABLE", "IMMUTABLE",
	}
	encryptions = [...]string{"AES256", "AES256", "KMS", "AES256", "KMS_DSSE", "AES256", "AES256", "KMS", "AES256", "AES256", ""}
	scanOnPush  = [...]*bool{new(true), new(false), new(true), new(true), nil}
)

// settings generates a repository without images.
func (g *generator) settings(r *Registry, i int) Repository {
	repo := Repository{
		Name:          generatedName(i),
		CreatedAt:     fromMillis(g.now - g.rng.Int64N(twoYears.Milliseconds()-day.Milliseconds()) - day.Milliseconds()),
		TagMutability: mutabilities[i%len(mutabilities)],
		ScanOnPush:    scanOnPush[i%len(scanOnPush)],
	}
	if i%3 < 2 {
		repo.LifecyclePolicy = `{"rules":[{"rulePriority":1,"selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":30},"action":{"type":"expire"}}]}`
	}
	if i%5 < 4 { // the others have no owner
		team, _, _ := strings.Cut(repo.Name, "/")
		repo.Tags = map[string]string{"team": team, "cost-center": fmt.Sprint(1000 + i%4), "aws:cloudformation:stack-name": "registry"}
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
