package ecrtest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// wireStringFilter is StringFilter and CoverageStringFilter of the service model.
type wireStringFilter struct {
	Comparison string  `json:"comparison"`
	Value      *string `json:"value"`
}

// stringFilters are the filters on one member. A value passes if a positive filter matches,
// or there is none, and no NOT_EQUALS matches.
type stringFilters []wireStringFilter

func (l stringFilters) match(values ...string) bool {
	asked, met := false, false
	for _, f := range l {
		switch f.Comparison {
		case "EQUALS":
			asked = true
			met = met || slices.Contains(values, *f.Value)
		case "PREFIX":
			asked = true
			met = met || slices.ContainsFunc(values, func(v string) bool { return strings.HasPrefix(v, *f.Value) })
		case "NOT_EQUALS":
			if slices.Contains(values, *f.Value) {
				return false
			}
		}
	}
	return met || !asked
}

// wireRange is CoverageDateFilter, whose bounds are seconds since 1970, and
// CoverageNumberFilter of the service model.
type wireRange struct {
	Start *float64 `json:"startInclusive"`
	End   *float64 `json:"endInclusive"`
	Lower *float64 `json:"lowerInclusive"`
	Upper *float64 `json:"upperInclusive"`
}

// rangeFilters are the filters on one number or time. A number passes if it is in one of the
// ranges, or there are none; a missing number is in no range.
type rangeFilters []wireRange

func (l rangeFilters) match(v float64, known bool) bool {
	if len(l) == 0 {
		return true
	}
	above := func(bound *float64) bool { return bound == nil || v >= *bound }
	below := func(bound *float64) bool { return bound == nil || v <= *bound }
	return known && slices.ContainsFunc(l, func(f wireRange) bool {
		return above(f.Start) && above(f.Lower) && below(f.End) && below(f.Upper)
	})
}

// maxFilters is the maximum number of filters on one member.
const maxFilters = 10

// check returns an error for filters that the service model does not allow. Nil is no
// filter; an empty list is invalid.
func (l stringFilters) check(member string, comparisons ...string) error {
	if err := checkFilters(member, l == nil, len(l)); err != nil {
		return err
	}
	for _, f := range l {
		if !slices.Contains(comparisons, f.Comparison) {
			return invalidInspector(member, "Member must satisfy enum value set: ["+strings.Join(comparisons, ", ")+"]")
		}
		if f.Value == nil || *f.Value == "" || len(*f.Value) > 1024 {
			return invalidInspector(member, "Member must have length between 1 and 1024")
		}
	}
	return nil
}

func (l rangeFilters) check(member string) error { return checkFilters(member, l == nil, len(l)) }

func checkFilters(member string, absent bool, n int) error {
	if !absent && (n < 1 || n > maxFilters) {
		return invalidInspector(member, fmt.Sprintf("Member must have length between 1 and %d", maxFilters))
	}
	return nil
}

// refuse returns an error for members of a request that are not simulated.
func refuse(members map[string]json.RawMessage) error {
	for member, value := range members {
		if value != nil {
			return notSimulated(member)
		}
	}
	return nil
}
