package ecrtest

import (
	"fmt"
	"slices"
)

// tagForm is the form of the tags of a repository.
type tagForm int

const (
	formVersion  tagForm = iota // 1.4.12
	formVVersion                // v1.4.12
	formCommit                  // 3f9c2e1a
	formBranch                  // main-1234
	tagForms
)

// tagScheme generates the tags of one repository, all different.
type tagScheme struct {
	form                tagForm
	seq                 uint32
	major, minor, patch int
}

// tag gives an image one tag of the repository's form, sometimes more, and "latest" if
// latest is set.
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

// scatter is a bijection to numbers that look random: each step is invertible.
func scatter(x uint32) uint32 {
	x ^= x >> 16
	x *= 0x7feb352d
	x ^= x >> 15
	x *= 0x846ca68b
	return x ^ x>>16
}

// tagArena collects the tags of a repository in one text and one list, instead of strings
// and a slice for each image.
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

// open starts the tags of an image.
func (a *tagArena) open(rec *record) { a.image = append(a.image, tagged{rec, len(a.ends)}) }

// add adds the tag that was appended to the text.
func (a *tagArena) add(text []byte) {
	a.text = text
	a.ends = append(a.ends, len(text))
}

// assign gives the images their sorted tags.
func (a *tagArena) assign() {
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
