package targets

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Defaults hold for a target whose document says nothing else.
type Defaults struct {
	// Account, Partition (such as aws-cn) and Region are the function's own.
	Account, Partition, Region string
	// Role, a name or a pattern as RoleARN takes, is assumed in other accounts, with
	// ExternalID unless it is empty.
	Role, ExternalID string
	// Interval is how often a registry is pushed, in whole minutes.
	Interval time.Duration
}

// check adds a fault for each default that breaks its rule.
func (d *Defaults) check(faults *Faults) {
	if _, err := RoleARN(d.Role, "ACCOUNT", d.Partition); err != nil {
		faults.add(0, "TARGET_ROLE", "want %v", err)
	}
	if d.ExternalID != "" && !externalIDRule.ok(d.ExternalID) {
		faults.add(0, "TARGET_EXTERNAL_ID", "want %s", externalIDRule.want)
	}
	if !validInterval(d.Interval) {
		faults.add(0, "the interval by default", "want %s", intervalRule.want)
	}
}

// Document is a list of targets, of which some may be all Regions of an account.
type Document struct {
	// listed are sorted by account and Region, which may be AllRegions.
	listed []Target
}

// newDocument sorts the targets, which have different places.
func newDocument(listed []Target) *Document {
	slices.SortFunc(listed, compare)
	// All or none have the label: a series must not change because an account was added to
	// the list behind it. An account with all Regions counts as one with several, however
	// many are enabled today.
	several := false
	for i := range listed {
		several = several || listed[i].Region == AllRegions || i > 0 && listed[i].Account == listed[i-1].Account
	}
	for i := range listed {
		listed[i].RegionLabel = several
	}
	return &Document{listed}
}

func compare(a, b Target) int {
	return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Region, b.Region))
}

// Unexpanded returns the targets that stand for all Regions of their accounts: their Region
// is AllRegions. Each account is in it once.
func (d *Document) Unexpanded() []Target {
	return slices.DeleteFunc(slices.Clone(d.listed), func(t Target) bool { return t.Region != AllRegions })
}

// Expand returns all targets, sorted by account and Region. The enabled Regions are given by
// account, for those of Unexpanded. An account without any has no targets and is in unknown.
// The targets share their maps, which must not be changed.
func (d *Document) Expand(regions map[string][]string) (all []Target, unknown []string, err error) {
	for _, t := range d.listed {
		if t.Region != AllRegions {
			all = append(all, t)
			continue
		}
		enabled := slices.Compact(slices.Sorted(slices.Values(regions[t.Account])))
		if len(enabled) == 0 {
			unknown = append(unknown, t.Account)
		}
		for _, t.Region = range enabled {
			if !regionRule.ok(t.Region) {
				return nil, nil, fmt.Errorf("expanding the Regions of account %s: %.40q is not %s", t.Account, t.Region, regionRule.want)
			}
			all = append(all, t)
		}
	}
	if len(all) > maxTargets {
		return nil, nil, fmt.Errorf("expanding the Regions of all accounts: %d targets, at most %d are supported", len(all), maxTargets)
	}
	return all, unknown, nil
}

// Find returns the target of an account and Region, if it is listed.
func (d *Document) Find(account, region string) (Target, bool) {
	for _, place := range []string{region, AllRegions} {
		i, found := slices.BinarySearchFunc(d.listed, Target{Account: account, Region: place}, compare)
		if found && regionRule.ok(region) {
			t := d.listed[i]
			t.Region = region
			return t, true
		}
	}
	return Target{}, false
}

// ParseList reads targets of the form ACCOUNT:REGION,ACCOUNT:*, each with the defaults. The
// error is of the type Faults, with every fault.
func ParseList(text string, d Defaults) (*Document, error) {
	var c collector
	d.check(&c.faults)
	if len(text) > maxBytes {
		c.faults.add(0, "", "want at most %d bytes", maxBytes)
		return nil, c.faults
	}
	number := 0
	for pair := range strings.SplitSeq(text, ",") {
		number++
		field := fmt.Sprintf("target %d", number)
		account, region, found := strings.Cut(strings.TrimSpace(pair), ":")
		if !found || !accountRule.ok(account) || !regionsRule.ok(region) {
			c.faults.add(0, field, "want ACCOUNT:REGION or ACCOUNT:*, with an AWS account of twelve digits")
			continue
		}
		t := Target{Account: account, Region: region, Interval: d.Interval}
		if account != d.Account {
			t.ExternalID = d.ExternalID
			t.Role, _ = RoleARN(d.Role, account, d.Partition) // checked above
		}
		c.add(0, field, t)
	}
	return c.document()
}

// collector collects the targets of a list or document, and their faults.
type collector struct {
	faults  Faults
	targets []Target
	// regions are those of an account, each with the field that lists it.
	regions map[string]map[string]string
}

// add adds a target, unless it is listed already or one too many.
func (c *collector) add(line int, field string, t Target) {
	given := c.regions[t.Account]
	before, twice := given[t.Region]
	_, all := given[AllRegions]
	switch {
	case twice:
		c.faults.add(line, field, "%s is listed twice, first by %s", &t, before)
	case all || t.Region == AllRegions && len(given) > 0:
		c.faults.add(line, field, `account %s has other Regions besides "*", which has all`, t.Account)
	case len(given) == maxRegions:
		c.faults.add(line, field, "want at most %d Regions for an account", maxRegions)
	case given == nil && len(c.regions) == maxAccounts:
		c.faults.add(line, field, "want at most %d accounts", maxAccounts)
	case len(c.targets) == maxTargets:
		c.faults.add(line, field, "want at most %d targets", maxTargets)
	default:
		if given == nil {
			given = map[string]string{}
			if c.regions == nil {
				c.regions = map[string]map[string]string{}
			}
			c.regions[t.Account] = given
		}
		given[t.Region] = field
		c.targets = append(c.targets, t)
	}
}

func (c *collector) document() (*Document, error) {
	if len(c.faults) > 0 {
		slices.SortStableFunc(c.faults, func(a, b Fault) int { return cmp.Compare(a.Line, b.Line) })
		for i := range c.faults {
			if c.faults[i].Line == 1<<30 {
				c.faults[i].Line = 0
			}
		}
		return nil, c.faults
	}
	return newDocument(c.targets), nil
}

// merged returns the defaults' pairs and a target's own, which win.
func merged(defaults, own map[string]string) map[string]string {
	if len(own) == 0 {
		return defaults
	}
	all := map[string]string{}
	maps.Copy(all, defaults)
	maps.Copy(all, own)
	return all
}
