package main

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"
)

// page is a Markdown file. Blocks are its fenced code blocks, by language in the order of
// the file; in prose they are empty lines.
type page struct {
	prose  []string
	blocks []block
}

type block struct{ language, text string }

// pages returns all Markdown files of the repository, by path from its root.
func pages(t *testing.T) map[string]page {
	t.Helper()
	all := map[string]page{}
	err := filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(name, ".") && name != "..":
			return fs.SkipDir
		case filepath.Ext(name) == ".md":
			all[filepath.ToSlash(strings.TrimPrefix(path, "../"))] = parsePage(t, readFile(t, path))
		}
		return nil
	})
	if err != nil || len(all) < 15 {
		t.Fatalf("found %d Markdown files, error %v", len(all), err)
	}
	return all
}

func parsePage(t *testing.T, text string) page {
	t.Helper()
	var p page
	var code []string
	language, open := "", false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open:
			p.blocks = append(p.blocks, block{language, strings.Join(code, "\n") + "\n"})
			open, code = false, nil
		case isFence:
			open, language = true, fence
		case open:
			code = append(code, line)
		}
		if isFence || open {
			line = ""
		}
		p.prose = append(p.prose, line)
	}
	if open {
		t.Error("a code block has no end")
	}
	return p
}

var (
	linkPattern     = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	codePattern     = regexp.MustCompile("`[^`]*`")
	headingPattern  = regexp.MustCompile(`^#+ (.*)$`)
	unwantedInSlugs = regexp.MustCompile(`[^\p{L}\p{N} _-]`)
)

// anchors returns the fragments of a page's headings as GitHub makes them: lower case,
// without punctuation, with hyphens for spaces, and numbered if repeated.
func (p page) anchors() map[string]bool {
	found := map[string]bool{}
	for _, line := range p.prose {
		heading := headingPattern.FindStringSubmatch(line)
		if heading == nil {
			continue
		}
		text := linkPattern.ReplaceAllString(heading[1], "")
		slug := strings.ReplaceAll(unwantedInSlugs.ReplaceAllString(strings.ToLower(text), ""), " ", "-")
		unique := slug
		for n := 1; found[unique]; n++ {
			unique = slug + "-" + strconv.Itoa(n)
		}
		found[unique] = true
	}
	return found
}

// Every link within the repository leads to a file, and to a heading if it names one.
func TestMarkdownLinks(t *testing.T) {
	t.Parallel()
	all := pages(t)
	links := 0
	for name, p := range all {
		for n, line := range p.prose {
			for _, match := range linkPattern.FindAllStringSubmatch(codePattern.ReplaceAllString(line, ""), -1) {
				if strings.Contains(match[1], "://") {
					continue
				}
				links++
				path, fragment, _ := strings.Cut(match[1], "#")
				target := name
				if path != "" {
					target = filepath.ToSlash(filepath.Join(filepath.Dir(name), path))
				}
				if _, err := os.Stat(filepath.Join("..", target)); err != nil {
					t.Errorf("%s:%d: the link to %s leads nowhere", name, n+1, match[1])
				} else if fragment != "" && !all[target].anchors()[fragment] {
					t.Errorf("%s:%d: %s has no heading #%s, only %v", name, n+1, target, fragment, slices.Sorted(maps.Keys(all[target].anchors())))
				}
			}
		}
	}
	if links < 50 {
		t.Errorf("found %d links", links)
	}
}

// All pages of docs are in its index.
func TestMarkdownIndex(t *testing.T) {
	t.Parallel()
	all := pages(t)
	index := strings.Join(all["docs/README.md"].prose, "\n")
	for name := range all {
		page, isDocs := strings.CutPrefix(name, "docs/")
		if isDocs && page != "README.md" && !strings.Contains(index, "("+page+")") {
			t.Errorf("docs/README.md does not link to %s", page)
		}
	}
}

// Lines are short enough to read in a diff: tables, code blocks and the addresses of
// links aside. The README fits into one sitting, a guide on one screen.
func TestMarkdownLength(t *testing.T) {
	t.Parallel()
	const mostColumns = 120
	for name, p := range pages(t) {
		for n, line := range p.prose {
			text := linkPattern.ReplaceAllStringFunc(line, func(link string) string {
				if strings.Contains(link, "://") {
					return "]()"
				}
				return link
			})
			if columns := utf8.RuneCountInString(text); columns > mostColumns && !strings.HasPrefix(line, "|") {
				t.Errorf("%s:%d has %d columns, want at most %d", name, n+1, columns, mostColumns)
			}
		}
		most := map[string]int{"README.md": 150, "docs/adding-a-family.md": 15}[name]
		if most > 0 && len(p.prose) > most {
			t.Errorf("%s has %d lines, want at most %d", name, len(p.prose), most)
		}
	}
}

// A query or rule in the README is also in docs, where the end-to-end tests evaluate it.
func TestMarkdownQueries(t *testing.T) {
	t.Parallel()
	all := pages(t)
	copies := 0
	for _, b := range all["README.md"].blocks {
		if b.language != "promql" && b.language != "yaml" {
			continue
		}
		copies++
		found := false
		for name, p := range all {
			found = found || strings.HasPrefix(name, "docs/") && slices.Contains(p.blocks, b)
		}
		if !found {
			t.Errorf("README.md has a block that is not in docs:\n%s", b.text)
		}
	}
	if copies != 1 {
		t.Errorf("README.md has %d queries and rules, want one", copies)
	}
}
