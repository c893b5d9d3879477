package ecrtest

import (
	"encoding/binary"
	"math"
	"math/bits"
	"math/rand/v2"
	"time"
	"unique"
)

const (
	day      = 24 * time.Hour
	twoYears = 2 * 365 * day
)

// Media types of generated manifests and their artifacts.
const (
	typeDockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	typeDockerImage    = "application/vnd.docker.container.image.v1+json"
	typeDockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	typeOCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	typeOCIImage       = "application/vnd.oci.image.config.v1+json"
	typeOCIIndex       = "application/vnd.oci.image.index.v1+json"
	typeHelmChart      = "application/vnd.cncf.helm.config.v1+json"
	typeSignature      = "application/vnd.dev.cosign.artifact.sig.v1+json"
	typeSBOM           = "application/spdx+json"
)

// chartsIn is the number of repositories of which one has Helm charts.
const chartsIn = 25

// generator generates one repository. For registries of a million images it takes linear
// time, and the images of a repository share a few large allocations.
type generator struct {
	rng   *rand.Rand
	shape *Shape
	now   int64 // Unix milliseconds, as all times here

	records  []record
	slots    []int   // indexes in records of the next images
	children []child // a part for each index
	digests  digestRange
	tags     tagArena
	scheme   tagScheme

	manifest, artifact, index unique.Handle[string]
	baseSize                  float64
	buildx                    bool
	referrers                 []unique.Handle[string] // the artifact types of those of a tagged image
}

// kind is the present state of what was pushed.
type kind uint8

const (
	kindTagged     kind = iota
	kindSuperseded      // it lost its tag
	kindArchived
)

// build is what was pushed.
type build struct {
	kind kind
	// platforms is the number of an index; 0 for another image.
	platforms uint8
}

// repository generates the i-th repository, with a number of tagged images.
func (g *generator) repository(r *Registry, i, tagged int) *repository {
	repo := &repository{Repository: g.settings(r, i)}
	if g.shape.Scanned > 0 {
		repo.scans = &scanShares{scanned: g.shape.Scanned, rescanned: g.shape.Rescanned}
	}
	if tagged == 0 {
		return repo
	}
	g.chooseStyle()
	builds, children := g.plan(tagged)
	total := len(builds) + children + tagged*len(g.referrers)
	g.records = make([]record, total)
	g.slots = g.rng.Perm(total)
	g.digests = newDigestRange(total)
	g.children = make([]child, children)

	created := repo.CreatedAt.UnixMilli()
	moving := repo.TagMutability != "IMMUTABLE"
	for n, what := range builds {
		age := (float64(n) + g.rng.Float64()) / float64(len(builds))
		at := created + int64(age*float64(g.now-created))
		var rec *record
		if what.platforms > 0 {
			rec = g.pushIndex(at, int(what.platforms))
		} else {
			rec = g.push(at)
		}
		switch what.kind {
		case kindTagged:
			g.tag(rec, n == len(builds)-1 && moving)
			g.refer(at, rec.digest)
		case kindArchived:
			g.archive(rec)
		}
	}
	g.tags.assign()
	repo.images.records = g.records
	return repo
}

// chooseStyle chooses the common properties of a repository's images.
func (g *generator) chooseStyle() {
	oci := g.rng.IntN(2) == 0
	g.manifest, g.artifact, g.index = unique.Make(typeDockerManifest), unique.Make(typeDockerImage), unique.Make(typeDockerList)
	if oci {
		g.manifest, g.artifact, g.index = unique.Make(typeOCIManifest), unique.Make(typeOCIImage), unique.Make(typeOCIIndex)
	}
	// Log-normal about 120 MB: most between 20 MB and 700 MB.
	g.baseSize = 120e6 * math.Exp(g.rng.NormFloat64()*0.9)
	if g.rng.IntN(chartsIn) == 0 {
		g.manifest, g.artifact = unique.Make(typeOCIManifest), unique.Make(typeHelmChart)
		g.baseSize = 30e3
	}
	if g.shape.Untagged > 0 && g.rng.IntN(10) == 0 {
		g.referrers = []unique.Handle[string]{unique.Make(typeSignature)}
	}
	g.scheme = tagScheme{form: tagForm(g.rng.IntN(int(tagForms))), minor: 1}
	// Other shapes need no random numbers for this, so that they are what they always were.
	if g.shape.Buildx > 0 && g.rng.Float64() < g.shape.Buildx && g.artifact.Value() != typeHelmChart {
		g.buildx = true
		g.manifest, g.artifact, g.index = unique.Make(typeOCIManifest), unique.Make(typeOCIImage), unique.Make(typeOCIIndex)
	}
	if g.shape.Referrers > 0 && g.rng.Float64() < g.shape.Referrers {
		g.referrers = []unique.Handle[string]{unique.Make(typeSignature), unique.Make(typeSBOM)}
	}
}

// The mean numbers of platforms of an index.
const (
	meanPlatforms       = 2.25
	meanBuildxPlatforms = 1.6
)

// platforms is the number of platforms of an index.
func (g *generator) platforms() uint8 {
	if g.buildx {
		return [...]uint8{1, 1, 1, 1, 1, 2, 2, 2, 2, 3}[g.rng.IntN(10)]
	}
	if g.rng.IntN(4) == 0 {
		return 3
	}
	return 2
}

// plan returns the builds in the order of time, and the number of children of the indexes.
// The last build is a tagged one.
func (g *generator) plan(tagged int) (builds []build, children int) {
	// At some point a repository's builds become indexes. These points are such that the
	// share is right over all repositories.
	share, middle := g.shape.Indexes, 0.0
	if g.shape.Buildx > 0 {
		// Charts are no indexes, and a single image is at the middle of its time. Other shapes
		// have somewhat fewer indexes, as they always had.
		share, middle = min(1, share*chartsIn/(chartsIn-1)), 0.5
	}
	turn := 1 - share + (2*g.rng.Float64()-1)*min(share, 1-share)
	if g.artifact.Value() == typeHelmChart {
		turn = 1
	}
	builds = make([]build, 0, tagged+tagged/2)
	add := func(b build, index bool) {
		if index {
			b.platforms = g.platforms()
			children += int(b.platforms)
			if g.buildx {
				children += int(b.platforms) // attestations
			}
		}
		builds = append(builds, b)
	}
	for n := range tagged {
		age := float64(n) / float64(tagged)
		index := (float64(n)+middle)/float64(tagged) >= turn
		if g.rng.Float64() < g.shape.Untagged {
			add(build{kind: kindSuperseded}, g.buildx && index)
		}
		// Old ones are archived: twice the share of the older half.
		if age < 0.5 && g.rng.Float64() < 2*g.shape.Archived {
			add(build{kind: kindArchived}, false)
		}
		add(build{kind: kindTagged}, index)
	}
	return builds, children
}

// next returns the record of the next image, at its position by digest.
func (g *generator) next(at int64) *record {
	slot := g.slots[0]
	g.slots = g.slots[1:]
	rec := &g.records[slot]
	*rec = record{digest: g.digests.at(g.rng, slot), size: -1, pushed: at, manifestType: g.manifest, artifactType: g.artifact, status: statusActive}
	return rec
}

// push generates an image.
func (g *generator) push(at int64) *record {
	rec := g.next(at)
	if g.rng.Float64() >= g.shape.MissingSizes {
		rec.size = int64(g.baseSize * (0.9 + 0.2*g.rng.Float64()))
	}
	if g.rng.IntN(5) < 3 {
		rec.pulled = at + g.rng.Int64N(g.now-at+1)
	}
	if g.shape.Scans > 0 && g.rng.Float64() < g.shape.Scans {
		rec.extra = &extra{}
		rec.extra.scan, rec.extra.scanStatus = generatedScan(g.rng, at)
	}
	return rec
}

// platforms are those of the children of an index.
var platforms = [...]unique.Handle[string]{
	unique.Make("linux/amd64"), unique.Make("linux/arm64"), unique.Make("linux/arm/v7"),
}

// pushIndex generates an index and its children, which were pushed seconds before. The index
// has the size of the largest child.
func (g *generator) pushIndex(at int64, count int) *record {
	size := int64(-1)
	children := g.children[:0]
	add := func(c child) { children = append(children, c) }
	for i := range count {
		rec := g.push(at - 1 - g.rng.Int64N(20_000))
		rec.pulled = 0
		size = max(size, rec.size)
		add(child{digest: rec.digest, mediaType: rec.manifestType, platform: platforms[i]})
	}
	if g.buildx {
		for i := range count {
			rec := g.attest(at)
			add(child{digest: rec.digest, mediaType: rec.manifestType, platform: unique.Make(unknownPlatform), attests: uint8(i + 1)})
		}
	}
	g.children = g.children[len(children):]
	rec := g.next(at)
	rec.manifestType, rec.artifactType, rec.size = g.index, unique.Make(""), size
	rec.extra = &extra{children: children[:len(children):len(children)]}
	if g.rng.Float64() < g.shape.MissingSizes {
		rec.size = -1
	}
	if g.rng.IntN(5) < 3 {
		rec.pulled = at + g.rng.Int64N(g.now-at+1)
	}
	return rec
}

// attest generates the attestation of a child. In DescribeImages it looks like an image.
func (g *generator) attest(at int64) *record {
	rec := g.next(at - 1 - g.rng.Int64N(1_000))
	rec.size, rec.attestation = 2_000+g.rng.Int64N(40_000), true
	return rec
}

// refer generates the signature and the SBOM of an image.
func (g *generator) refer(at int64, subject digest) {
	for _, artifact := range g.referrers {
		rec := g.next(min(g.now, at+1+g.rng.Int64N(10_000)))
		rec.manifestType, rec.artifactType = unique.Make(typeOCIManifest), artifact
		rec.size = 3_000 + g.rng.Int64N(5_000)
		rec.extra = &extra{subject: subject.String()}
	}
}

// archive moves an image to the archive; one in two keeps a tag, and one in twenty is being
// restored.
func (g *generator) archive(rec *record) {
	rec.status = statusArchived
	rec.extra = &extra{archived: min(g.now, rec.pushed+(90*day).Milliseconds()+g.rng.Int64N((90*day).Milliseconds()))}
	if g.rng.IntN(20) == 0 {
		rec.status = statusActivating
	}
	if g.rng.IntN(2) == 0 {
		g.tag(rec, false)
	}
}

// severities of generated findings, with the maximum of each for an image.
var severities = [...]struct {
	name string
	most int
}{{"CRITICAL", 3}, {"HIGH", 15}, {"MEDIUM", 40}, {"LOW", 60}, {"INFORMATIONAL", 20}, {"UNDEFINED", 4}}

// generatedScan generates the scan of an image at its push: one in fifty failed, one in five
// is clean.
func generatedScan(rng *rand.Rand, pushed int64) (*ScanSummary, *ScanStatus) {
	if rng.IntN(50) == 0 {
		return nil, &ScanStatus{
			Status:      "FAILED",
			Description: "UnsupportedImageError: The operating system and/or package manager are not supported.",
		}
	}
	done := pushed + 3_000 + rng.Int64N(60_000)
	scan := &ScanSummary{
		CompletedAt:     fromMillis(done),
		SourceUpdatedAt: fromMillis(done - rng.Int64N(day.Milliseconds())),
		Counts:          map[string]int32{},
	}
	if rng.IntN(5) > 0 {
		for _, severity := range severities {
			if n := rng.IntN(severity.most + 1); n > 0 {
				scan.Counts[severity.name] = int32(n)
			}
		}
	}
	return scan, &ScanStatus{Status: "COMPLETE", Description: "The scan was completed successfully."}
}

// digestRange generates digests in ascending order, so that they need not be sorted: the
// i-th of n is random within the i-th of n equal ranges.
type digestRange struct{ part uint64 }

func newDigestRange(n int) digestRange {
	part, _ := bits.Div64(1, 0, uint64(max(n, 2)))
	return digestRange{part}
}

func (d digestRange) at(rng *rand.Rand, i int) digest {
	return generatedDigest(rng, uint64(i)*d.part+rng.Uint64N(d.part))
}

// generatedDigest is random except for its first eight bytes.
func generatedDigest(rng *rand.Rand, first uint64) (d digest) {
	binary.BigEndian.PutUint64(d[0:], first)
	binary.BigEndian.PutUint64(d[8:], rng.Uint64())
	binary.BigEndian.PutUint64(d[16:], rng.Uint64())
	binary.BigEndian.PutUint64(d[24:], rng.Uint64())
	return d
}
