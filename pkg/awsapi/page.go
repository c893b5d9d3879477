package awsapi

import "fmt"

// Bounds of one listing, of which the first is ten times ECR's quotas (100,000 images in a
// repository, 100,000 repositories in a registry), and the second is for Inspector's lists of
// a registry, with at least 100 rows a page. See docs/limits.md.
const (
	maxRecords = 1_000_000
	maxPages   = 100_000
)

// Pages follows the page tokens of one listing. The zero value is before the first page. A
// listing that cannot end is an error that matches ErrIncomplete.
type Pages struct {
	// Token is that of the next page; empty before the first page and after the last.
	Token string

	pages, records int
	// first is the first record of the listing. A page that begins with it again is a copy,
	// whatever its token.
	first string
	// mark is an earlier token, taken at every power of two, so that a cycle of any length
	// is found (Brent's algorithm).
	mark string
}

// Advance takes a page that was read: the token of the page after it, which is empty after
// the last, its number of records, and what tells the first of these from others, empty if
// unknown.
func (p *Pages) Advance(next string, records int, first string) error {
	p.pages++
	p.records += records
	switch {
	case first != "" && first == p.first:
		return fmt.Errorf("%w: page %d begins with the first record of the listing again", ErrIncomplete, p.pages)
	case next != "" && (next == p.Token || next == p.mark):
		return fmt.Errorf("%w: page %d has the token of an earlier page", ErrIncomplete, p.pages)
	case p.records > maxRecords:
		return fmt.Errorf("%w: more than %d records", ErrIncomplete, maxRecords)
	case next != "" && p.pages >= maxPages:
		return fmt.Errorf("%w: more than %d pages", ErrIncomplete, maxPages)
	}
	if p.first == "" {
		p.first = first
	}
	if p.pages&(p.pages-1) == 0 {
		p.mark = next
	}
	p.Token = next
	return nil
}

// PageToken is the token of a page for the SDK: nil for the first page, whose token is
// empty.
func PageToken(token string) *string {
	if token == "" {
		return nil
	}
	return &token
}
