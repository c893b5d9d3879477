package ecrtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unique"
)

// Mutate makes one random change to the registry at a time and describes it: usually a
// build is pushed and gets the tag "latest", sometimes an old image is deleted, archived,
// restored, pulled or scanned again, rarely a repository is created. In a generated
// registry the scans of pushed images begin and complete as time passes. The result
// depends only on the registry and the random numbers.
func (r *Registry) Mutate(rng *rand.Rand, now time.Time) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	m := mutation{reg: r, rng: rng, now: toMillis(now)}
	if len(r.names) == 0 {
		return m.create()
	}
	repo := r.repositories[r.names[rng.IntN(len(r.names))]]
	var did string
	switch p := rng.IntN(100); {
	case p < 5:
		did = m.create()
	case p < 20:
		did = m.deleteOldest(repo)
	case p < 30:
		did = m.pull(repo)
	case p < 35:
		did = m.archive(repo)
	case p < 38:
		did = m.restore(repo)
	case p < 45:
		did = m.rescan(repo)
	}
	if did == "" { // a push, or that change was not possible
		did = m.push(repo)
	}
	return did
}

// mutation is one change. Its methods return "" if the change is not possible. The caller
// holds the registry's lock.
type mutation struct {
	reg *Registry
	rng *rand.Rand
	now int64
}

// create creates a repository with its first image.
func (m *mutation) create() string {
	g := generator{rng: m.rng, now: m.now}
	i := len(m.reg.names)
	for m.reg.repositories[generatedName(i)] != nil {
		i++
	}
	repo := &repository{Repository: g.settings(m.reg, i)}
	repo.CreatedAt = fromMillis(m.now)
	if len(m.reg.names) > 0 {
		repo.scans = m.reg.repositories[m.reg.names[0]].scans
	}
	m.reg.insert(repo)
	return "created " + repo.Name + ", " + m.push(repo)
}

// push adds a build like the newest one, with the next tag.
func (m *mutation) push(repo *repository) string {
	newest := repo.images.pick(func(a, b *record) bool { return a.pushed > b.pushed }, (*record).live)
	like := record{
		tags: []string{"build-0"}, size: int64(120e6 * math.Exp(m.rng.NormFloat64()*0.9)),
		manifestType: unique.Make(typeOCIManifest), artifactType: unique.Make(typeOCIImage),
	}
	if newest != nil {
		like = *newest
	}
	rec := m.build(&like, m.now)
	if like.index() {
		m.pushChildren(repo, &rec, &like)
	}
	tag := m.nextTag(&repo.images, like.tags)
	rec.tags = []string{tag}
	did := "pushed " + repo.Name + ":" + tag
	if owner, ok := repo.images.tags()["latest"]; ok {
		rec.tags = []string{tag, "latest"}
		slices.Sort(rec.tags)
		did += ", which is latest now"
		if i, found := repo.images.find(owner); found && len(repo.images.records[i].tags) == 1 {
			did += " and leaves " + owner.String()[:len(digestPrefix)+8] + " untagged"
		}
	} else if repo.TagMutability != "IMMUTABLE" && len(repo.images.records) == 0 {
		rec.tags = []string{tag, "latest"}
		slices.Sort(rec.tags)
	}
	repo.images.put(rec)
	return did
}

// build makes an untagged image similar to another.
func (m *mutation) build(like *record, at int64) record {
	rec := record{
		digest: generatedDigest(m.rng, m.rng.Uint64()), size: like.size, pushed: at,
		manifestType: like.manifestType, artifactType: like.artifactType, status: statusActive,
	}
	if rec.size >= 0 {
		rec.size = int64(float64(rec.size) * (0.95 + 0.1*m.rng.Float64()))
	}
	if like.extra != nil && like.extra.scan != nil {
		rec.extra = &extra{}
		rec.extra.scan, rec.extra.scanStatus = generatedScan(m.rng, at)
	}
	return rec
}

// pushChildren makes the children of an index: those of the index that it is like. It gets
// the size of the largest.
func (m *mutation) pushChildren(repo *repository, index, like *record) {
	image := *index
	image.manifestType, image.artifactType = unique.Make(typeOCIManifest), unique.Make(typeOCIImage)
	if index.manifestType == unique.Make(typeDockerList) {
		image.manifestType, image.artifactType = unique.Make(typeDockerManifest), unique.Make(typeDockerImage)
	}
	x := index.copyExtra()
	if like.extra != nil {
		x.children = slices.Clone(like.extra.children)
	}
	index.extra, index.size = x, -1
	for i := range x.children {
		rec := m.build(&image, m.now)
		if x.children[i].platform.Value() == unknownPlatform {
			rec.size, rec.attestation = 20_000, true
		} else {
			index.size = max(index.size, rec.size)
		}
		x.children[i].digest = rec.digest
		repo.images.put(rec)
	}
}

// trailingNumber matches the number at the end of a tag.
var trailingNumber = regexp.MustCompile(`^(.*?)([0-9]{1,9})$`)

// nextTag returns an unused tag: the successor of one of the given tags, or a commit.
func (m *mutation) nextTag(images *imageSet, after []string) string {
	taken := images.tags()
	for _, tag := range after {
		parts := trailingNumber.FindStringSubmatch(tag)
		if parts == nil || strings.HasPrefix(tag, "sha-") {
			continue
		}
		n, err := strconv.Atoi(parts[2])
		if err != nil {
			continue // never: it is at most nine digits
		}
		for ; ; n++ {
			next := parts[1] + strconv.Itoa(n+1)
			if _, ok := taken[next]; !ok {
				return next
			}
		}
	}
	for {
		next := fmt.Sprintf("%08x", m.rng.Uint32())
		if _, ok := taken[next]; !ok {
			return next
		}
	}
}

// keptImages is the minimum number of live images of a repository.
const keptImages = 3

func (m *mutation) deleteOldest(repo *repository) string {
	if repo.images.count((*record).live) <= keptImages {
		return ""
	}
	oldest := repo.images.pick(func(a, b *record) bool { return a.pushed < b.pushed }, (*record).live)
	did := "deleted " + reference(repo.Name, oldest)
	if i, found := repo.images.find(oldest.digest); found {
		repo.images.delete(i)
	}
	return did
}

func (m *mutation) pull(repo *repository) string {
	rec := repo.images.pick(func(a, b *record) bool { return a.pulled < b.pulled }, (*record).live)
	if rec == nil {
		return ""
	}
	rec.pulled = m.now
	return "pulled " + reference(repo.Name, rec)
}

func (m *mutation) archive(repo *repository) string {
	if repo.images.count((*record).live) <= keptImages {
		return ""
	}
	rec := repo.images.pick(func(a, b *record) bool { return a.pushed < b.pushed }, (*record).live)
	x := rec.copyExtra()
	x.archived = m.now
	rec.status, rec.extra = statusArchived, x
	return "archived " + reference(repo.Name, rec)
}

func (m *mutation) restore(repo *repository) string {
	rec := repo.images.pick(func(a, b *record) bool { return a.pushed > b.pushed }, func(rec *record) bool { return !rec.status.active() })
	if rec == nil {
		return ""
	}
	x := rec.copyExtra()
	x.activated = m.now
	rec.status, rec.extra = statusActive, x
	return "restored " + reference(repo.Name, rec)
}

// reference names an image by a tag or the beginning of its digest.
func reference(repository string, rec *record) string {
	for _, tag := range rec.tags {
		if tag != "latest" || len(rec.tags) == 1 {
			return repository + ":" + tag
		}
	}
	return repository + "@" + rec.digest.String()[:len(digestPrefix)+8]
}

// live reports whether an image is tagged and active.
func (rec *record) live() bool { return len(rec.tags) > 0 && rec.status.active() }

// copyExtra returns a copy of a record's extra, which may be changed and replaces it.
func (rec *record) copyExtra() *extra {
	if rec.extra == nil {
		return &extra{}
	}
	return new(*rec.extra)
}

// pick returns the first of the matching records in the order of before, or nil.
func (s *imageSet) pick(before func(a, b *record) bool, match func(*record) bool) *record {
	var best *record
	for i := range s.records {
		if rec := &s.records[i]; match(rec) && (best == nil || before(rec, best)) {
			best = rec
		}
	}
	return best
}

func (s *imageSet) count(match func(*record) bool) int {
	n := 0
	for i := range s.records {
		if match(&s.records[i]) {
			n++
		}
	}
	return n
}
