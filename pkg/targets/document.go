package targets

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws-exporters/ecr-remote-write/pkg/awsapi"
)

// Defaults are the fields of a target that the document leaves out.
type Defaults struct {
	// Account, Partition (such as aws-cn) and Region are the function's own.
	Account, Partition, Region string
	// Role, as RoleARN takes it, is assumed in other accounts, with ExternalID unless empty.
	Role, ExternalID string
	// Interval is how often a registry is pushed, in whole minutes.
	Interval time.Duration
}

// Document is a list of targets, of which some may stand for all Regions of an account.
type Document struct {
	// listed are sorted by account and Region, which may be AllRegions.
	listed []Target
}

func compare(a, b Target) int {
	return cmp.Or(strings.Compare(a.Account, b.Account), strings.Compare(a.Region, b.Region))
}

// Unexpanded returns the targets that stand for all Regions of their accounts: their Region
// is AllRegions. Each account has one at most.
func (d *Document) Unexpanded() []Target {
	return slices.DeleteFunc(slices.Clone(d.listed), func(t Target) bool { return t.Region != AllRegions })
}

// Expand returns all targets, sorted by account and Region. regions has the enabled Regions of
// the accounts of Unexpanded. An account without any has no targets and is in unknown. If they are
// too many, the error says so, and the first of them are returned. Targets share their maps, which
// must not be changed.
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
			all = append(all, t)
		}
	}
	if len(all) > maxTargets {
		return all[:maxTargets], unknown, fmt.Errorf("expanding the Regions of all accounts: %d targets, at most %d are supported", len(all), maxTargets)
	}
	return all, unknown, nil
}

// Find returns the target of an account and Region, if it is listed.
func (d *Document) Find(account, region string) (Target, bool) {
	for _, place := range []string{region, AllRegions} {
		i, found := slices.BinarySearchFunc(d.listed, Target{Account: account, Region: place}, compare)
		if found && awsapi.ValidRegion(region) {
			t := d.listed[i]
			t.Region = region
			return t, true
		}
	}
	return Target{}, false
}

// readPair reads ACCOUNT:REGION or ACCOUNT:*.
func readPair(pair string) (account, region string, ok bool) {
	account, region, _ = strings.Cut(strings.TrimSpace(pair), ":")
	return account, region, awsapi.ValidAccount(account) && (region == AllRegions || awsapi.ValidRegion(region))
}

// IsList reports whether a text has the form that ParseList reads. No document has it.
func IsList(text string) bool {
	for pair := range strings.SplitSeq(text, ",") {
		if _, _, ok := readPair(pair); !ok {
			return false
		}
	}
	return true
}

// ParseList reads targets of the form ACCOUNT:REGION,ACCOUNT:*, each with the defaults. The
// error is of the type Faults, with every fault.
func ParseList(text string, d Defaults) (*Document, error) {
	r := newReader(d, nil)
	number := 0
	for pair := range strings.SplitSeq(text, ",") {
		number++
		s := r.base.under(0, fmt.Sprintf("target %d", number))
		account, region, ok := readPair(pair)
		if !ok {
			r.fault(s.at[""], "want ACCOUNT:REGION or ACCOUNT:*, with twelve digits and the name of an AWS Region")
			continue
		}
		s.Account, s.regions, s.at["regions"] = account, []string{region}, s.at[""]
		r.target(&s)
	}
	return r.document()
}

// add adds a target, unless it is listed already or one too many.
func (r *reader) add(at position, t Target) {
	given := r.regions[t.Account]
	switch {
	case slices.Contains(given, t.Region):
		r.fault(at, "%s is listed twice", &t)
	case slices.Contains(given, AllRegions) || t.Region == AllRegions && len(given) > 0:
		r.fault(at, `account %s has other Regions besides "*", which has all`, t.Account)
	case len(given) == maxRegions || given == nil && len(r.regions) == maxAccounts || len(r.listed) == maxTargets:
		r.fault(at, "want at most %d accounts, %d Regions for each, and %d targets in all", maxAccounts, maxRegions, maxTargets)
	default:
		r.regions[t.Account] = append(given, t.Region)
		r.listed = append(r.listed, t)
		// An account with all Regions counts as one with several, however many are enabled
		// today: labels must not change behind an unchanged document.
		r.several = r.several || len(given) > 0 || t.Region == AllRegions
	}
}

// document returns what was read, or all faults.
func (r *reader) document() (*Document, error) {
	if len(r.faults) > 0 {
		var all Faults
		for fault := range r.faults {
			all = append(all, fault)
		}
		slices.SortFunc(all, func(a, b Fault) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), strings.Compare(a.Field, b.Field), strings.Compare(a.Rule, b.Rule))
		})
		return nil, all
	}
	for i := range r.listed {
		t := &r.listed[i]
		t.RegionLabel = r.several
		// As a message has them, so that both are equal.
		if len(t.Labels) == 0 {
			t.Labels = nil
		}
		if len(t.Settings) == 0 {
			t.Settings = nil
		}
	}
	slices.SortFunc(r.listed, compare)
	return &Document{r.listed}, nil
}
