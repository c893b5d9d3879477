package targets

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Defaults are what a target has that does not say otherwise.
type Defaults struct {
	// Account and Partition are those of the function's own credentials, Region its Region.
	Account, Partition, Region string
	// Role is the name of the role in other accounts, or its ARN with ACCOUNT in place of the
	// account, and ExternalID what its trust policy demands.
	Role, ExternalID string
	// Interval is how often a registry is pushed, in whole minutes.
	Interval time.Duration
}

// Everywhere stands for all Regions that are enabled in an account.
const Everywhere = "*"

// Document is a list of targets. A target in all Regions has the Region Everywhere.
type Document struct{ entries []Target }

// Limits of a document.
const (
	maxBytes   = 4 << 20
	maxTargets = 20_000
)

// Fault is one thing that is wrong in a document.
type Fault struct {
	Line  int    // from 1; 0 if it is none of a line
	Field string // such as targets[3].regions[0]
	Rule  string
}

// String returns line, field and rule.
func (f Fault) String() string {
	text := f.Rule
	if f.Field != "" {
		text = f.Field + ": want " + f.Rule
	}
	if f.Line > 0 {
		text = fmt.Sprintf("line %d: %s", f.Line, text)
	}
	return text
}

// Faults are all that is wrong, in the order of their lines.
type Faults []Fault

// shownFaults is how many of them are in the text.
const shownFaults = 50

// Error lists the faults, one a line if there are several.
func (f Faults) Error() string {
	if len(f) == 1 {
		return "the list of targets has a fault: " + f[0].String()
	}
	text := fmt.Sprintf("the list of targets has %d faults:", len(f))
	for i, fault := range f {
		if i == shownFaults {
			return text + fmt.Sprintf("\n  and %d more", len(f)-i)
		}
		text += "\n  " + fault.String()
	}
	return text
}

// ParseList reads ACCOUNT:REGION pairs separated by commas, with * for all Regions. The error has
// the type Faults.
func ParseList(text string, d Defaults) (*Document, error) {
	p := parser{defaults: d}
	for i, pair := range strings.Split(text, ",") {
		account, region, _ := strings.Cut(strings.TrimSpace(pair), ":")
		field := fmt.Sprintf("pair %d", i+1)
		if !accountPattern.MatchString(account) || region != Everywhere && !regionPattern.MatchString(region) {
			p.fault(0, field, "ACCOUNT:REGION, with an account of twelve digits and an AWS Region or *, instead of %.100q", pair)
			continue
		}
		p.add(0, field, Target{Account: account, Region: region, Interval: d.Interval, ExternalID: d.ExternalID, Role: p.role(account, "")})
	}
	return p.done()
}

// add adds a target, each registry once.
func (p *parser) add(line int, field string, t Target) {
	if p.seen == nil {
		p.seen = map[string]bool{}
	}
	if p.seen[t.String()] {
		p.fault(line, field, "each registry once, and %s is there before", &t)
		return
	}
	p.seen[t.String()] = true
	if t.Role == "" {
		t.ExternalID = ""
	}
	p.document.entries = append(p.document.entries, t)
}

func (p *parser) fault(line int, field, format string, args ...any) {
	p.faults = append(p.faults, Fault{line, field, fmt.Sprintf(format, args...)})
}

func (p *parser) done() (*Document, error) {
	if len(p.faults) == 0 && len(p.document.entries) == 0 {
		p.fault(0, "targets", "at least one")
	}
	if len(p.document.entries) > maxTargets {
		p.fault(0, "targets", "at most %d", maxTargets)
	}
	if len(p.faults) > 0 {
		slices.SortStableFunc(p.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
		return nil, p.faults
	}
	return &p.document, nil
}

// role returns the ARN of the role to read an account's registries with: that of a name or
// pattern, else the default one; none for the function's own account without one of its own.
func (p *parser) role(account, role string) string {
	if role == "" && account == p.defaults.Account {
		return ""
	}
	role = cmp.Or(role, p.defaults.Role)
	if strings.HasPrefix(role, "arn:") {
		return strings.Replace(role, "ACCOUNT", account, 1)
	}
	return fmt.Sprintf("arn:%s:iam::%s:role/%s", p.defaults.Partition, account, strings.TrimPrefix(role, "/"))
}

// Everywhere returns one target, without a Region, for each account whose enabled Regions are
// needed to expand the document.
func (d *Document) Everywhere() (accounts []Target) {
	for _, t := range d.entries {
		if t.Region == Everywhere {
			accounts = append(accounts, t)
		}
	}
	return accounts
}

// Expand returns the targets by account and Region, given the Regions that are enabled in the
// accounts that Everywhere returns. An account whose Regions are not known has no target for
// these. A registry that is also listed by its Region is as it says there.
func (d *Document) Expand(regions map[string][]string) []Target {
	all := map[string]Target{}
	for _, t := range d.entries {
		if t.Region == Everywhere {
			for _, t.Region = range regions[t.Account] {
				all[t.String()] = t
			}
		}
	}
	for _, t := range d.entries {
		if t.Region != Everywhere {
			all[t.String()] = t
		}
	}
	list, several, last := make([]Target, 0, len(all)), false, ""
	for _, t := range all {
		list = append(list, t)
	}
	slices.SortFunc(list, func(a, b Target) int { return cmp.Compare(a.String(), b.String()) })
	for _, t := range list {
		several = several || t.Account == last
		last = t.Account
	}
	for i := range list {
		list[i].RegionLabel = several
	}
	return list
}
