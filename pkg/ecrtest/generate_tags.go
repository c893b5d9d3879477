package ecrtest

import (
	"fmt"
	"slices"
)

// tagForm is how a repository's builds are tagged.
type tagForm int

const (
	formVersion  tagForm = iota // 1.4.12
	formVVersion                // v1.4.12
	formCommit                  // 3f9c2e1a
	formBranch                  // main-1234
	tagForms
)

// tagScheme makes up the tags of one repository, all different.
type tagScheme struct {
	form                tagForm
	seq                 uint32
	major, minor, patch int
}

// tag gives an image one tag of the repository's form, perhaps more, and perhaps
// the one that always moves to the newest.
func (g *generator) tag(rec *record, latest bool) {
	s := &g.scheme
	s.seq++
	switch p := g.rng.IntN(50); {
	case p == 0:
		s.major, s.minor, s.patch = s.major+1, 0, 0
	case p < 10:
		s.minor, s.patch = s.minor+1, 0
	default:
		s.patch++
	}
	g.tags.open(rec)
	switch s.form {
	case formVersion:
		g.tags.add(fmt.Appendf(g.tags.text, "%d.%d.%d", s.major, s.minor, s.patch))
	case formVVersion:
		g.tags.add(fmt.Appendf(g.tags.text, "v%d.%d.%d", s.major, s.minor, s.patch))
	case formCommit:
		g.tags.add(fmt.Appendf(g.tags.text, "%08x", scatter(s.seq)))
	default:
		g.tags.add(fmt.Appendf(g.tags.text, "main-%d", s.seq))
	}
	if g.rng.Float64() < g.shape.MoreTags {
		g.tags.add(fmt.Appendf(g.tags.text, "sha-%08x", scatter(s.seq)))
		if g.rng.IntN(4) == 0 {
			g.tags.add(fmt.Appendf(g.tags.text, "build-%d", s.seq))
		}
	}
	if latest {
		g.tags.add(append(g.tags.text, "latest"...))
	}
}

// scatter maps numbers to numbers that look random, no two to the same: each step
// can be undone.
func scatter(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}

// tagArena collects the tags of a repository in one text and one list, in place
// of a string and a slice an image.
type tagArena struct {
	text  []byte
	ends  []int // of each tag in text
	image []tagged
}

// tagged is an image with the number of the tags before its own.
type tagged struct {
	rec   *record
	first int
}

// open begins the tags of an image.
func (a *tagArena) open(rec *record) { a.image = append(a.image, tagged{rec, len(a.ends)}) }

// add takes the text with one more tag at its end.
func (a *tagArena) add(text []byte) {
	a.text = text
	a.ends = append(a.ends, len(text))
}

// settle hands the images their tags, sorted.
func (a *tagArena) settle() {
	text := string(a.text)
	all := make([]string, len(a.ends))
	start := 0
	for i, end := range a.ends {
		all[i], start = text[start:end], end
	}
	for i, img := range a.image {
		end := len(all)
		if i+1 < len(a.image) {
			end = a.image[i+1].first
		}
		img.rec.tags = all[img.first:end:end]
		slices.Sort(img.rec.tags)
	}
}
