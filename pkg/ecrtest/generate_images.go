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
)

// generator generates one repository. For registries of a million images it takes linear
// time, and the images of a repository share a few large allocations.
type generator struct {
	rng   *rand.Rand
	shape *Shape
	now   int64 // Unix milliseconds, as all times here

	records []record
	slots   []int // indexes in records of the next images
	digests digestRange
	tags    tagArena
	scheme  tagScheme

	manifest, artifact, index unique.Handle[string]
	baseSize                  float64
	signed                    bool
}

// kind is the present state of what was pushed.
type kind uint8

const (
	kindTagged kind = iota
	kindIndex
	kindSuperseded // it lost its tag
	kindArchived
)

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
	pushes, children := g.plan(tagged)
	signatures := 0
	if g.signed {
		signatures = tagged
	}
	total := len(pushes) + children.total + signatures
	g.records = make([]record, total)
	g.slots = g.rng.Perm(total)
	g.digests = newDigestRange(total)

	created := repo.CreatedAt.UnixMilli()
	moving := repo.TagMutability != "IMMUTABLE"
	for n, what := range pushes {
		age := (float64(n) + g.rng.Float64()) / float64(len(pushes))
		at := created + int64(age*float64(g.now-created))
		newest := n == len(pushes)-1
		switch what {
		case kindTagged, kindIndex:
			var rec *record
			if what == kindIndex {
				rec = g.pushIndex(at, children.next())
			} else {
				rec = g.push(at)
			}
			g.tag(rec, newest && moving)
			if g.signed {
				g.sign(at, rec.digest)
			}
		case kindSuperseded:
			g.push(at)
		case kindArchived:
			g.archive(g.push(at))
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
	if g.rng.IntN(25) == 0 {
		g.manifest, g.artifact = unique.Make(typeOCIManifest), unique.Make(typeHelmChart)
		g.baseSize = 30e3
	}
	g.signed = g.shape.Untagged > 0 && g.rng.IntN(10) == 0
	g.scheme = tagScheme{form: tagForm(g.rng.IntN(int(tagForms))), minor: 1}
}

// childCounts are the numbers of children of the indexes, in turn.
type childCounts struct {
	counts []uint8
	total  int
}

func (c *childCounts) next() int {
	n := c.counts[0]
	c.counts = c.counts[1:]
	return int(n)
}

// plan returns the pushes in the order of time. The last is a tagged one.
func (g *generator) plan(tagged int) (pushes []kind, children childCounts) {
	// At some point a repository becomes multi-architecture. These points are such that the
	// share is right over all repositories.
	share := g.shape.Indexes
	turn := 1 - share + (2*g.rng.Float64()-1)*min(share, 1-share)
	if g.artifact.Value() == typeHelmChart {
		turn = 1
	}
	pushes = make([]kind, 0, tagged+tagged/2)
	for n := range tagged {
		age := float64(n) / float64(tagged)
		if g.rng.Float64() < g.shape.Untagged {
			pushes = append(pushes, kindSuperseded)
		}
		// Old ones are archived: twice the share of the older half.
		if age < 0.5 && g.rng.Float64() < 2*g.shape.Archived {
			pushes = append(pushes, kindArchived)
		}
		if age < turn {
			pushes = append(pushes, kindTagged)
			continue
		}
		pushes = append(pushes, kindIndex)
		count := uint8(2)
		if g.rng.IntN(4) == 0 {
			count = 3
		}
		children.counts = append(children.counts, count)
		children.total += int(count)
	}
	return pushes, children
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
func (g *generator) pushIndex(at int64, children int) *record {
	size := int64(-1)
	entries := make([]child, 0, children)
	for i := range children {
		rec := g.push(at - 1 - g.rng.Int64N(20_000))
		rec.pulled = 0
		size = max(size, rec.size)
		entries = append(entries, child{digest: rec.digest, mediaType: rec.manifestType, platform: platforms[i]})
	}
	rec := g.next(at)
	rec.extra = &extra{children: entries}
	rec.manifestType, rec.artifactType, rec.size = g.index, unique.Make(""), size
	if g.rng.Float64() < g.shape.MissingSizes {
		rec.size = -1
	}
	if g.rng.IntN(5) < 3 {
		rec.pulled = at + g.rng.Int64N(g.now-at+1)
	}
	return rec
}

// sign generates the signature of an image.
func (g *generator) sign(at int64, subject digest) {
	rec := g.next(min(g.now, at+1+g.rng.Int64N(10_000)))
	rec.manifestType, rec.artifactType = unique.Make(typeOCIManifest), unique.Make(typeSignature)
	rec.size = 3_000 + g.rng.Int64N(5_000)
	rec.extra = &extra{subject: subject.String()}
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
