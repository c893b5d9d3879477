package metrics

import "iter"

// Fleet is what one deployment knows of the registries that it reads, for the families of
// FleetFamilies.
type Fleet struct {
	// Registries are those that are read, Starting is the number of those that are not yet.
	Registries []FleetRegistry
	Starting   int
	// Unknown is the number of accounts that are listed with all Regions, of which none is known.
	Unknown int
	// Valid is set unless the list of registries is faulty, and the last good one is used.
	Valid bool
	// Waiting is the number of messages that no worker had taken when the registries of the
	// next slot were due; negative if it is unknown.
	Waiting int
}

// FleetRegistry is a registry that is read: its account, Region and the account's name, empty
// if it has none.
type FleetRegistry struct{ ID, Region, AccountName string }

func (s *subject) target() *FleetRegistry { return &s.fleet.Registries[s.i] }

// targetStates are the values of the label state.
var targetStates = []string{"active", "starting", "unknown"}

// fleetTable are the families that the planner sends. Their Region is the planner's.
var fleetTable = []Family{
	{
		Name: "aws_ecr_exporter_targets", Help: "Registries that one deployment reads, by state", Type: gauge,
		Unit: "registries: `active`, or `starting` if a later plan reads them for the first time; `unknown` counts accounts with `*` whose Regions are not known", Setting: "TARGETS",
		many:   func(*subject) int { return len(targetStates) },
		labels: with(regionLabels, label{"state", func(s *subject) string { return targetStates[s.i] }}),
		value: func(s *subject) (float64, bool) {
			return float64([]int{len(s.fleet.Registries), s.fleet.Starting, s.fleet.Unknown}[s.i]), true
		},
	},
	{
		Name: "aws_ecr_exporter_target_info", Help: "A registry that one deployment reads", Type: gauge,
		Unit: "always 1; `region` is the registry's", Setting: "TARGETS",
		many: func(s *subject) int { return len(s.fleet.Registries) },
		labels: []label{
			{"account_name", func(s *subject) string { return s.target().AccountName }},
			{"region", func(s *subject) string { return s.target().Region }},
			{registryID, func(s *subject) string { return s.target().ID }},
		},
		value: always,
	},
	{
		Name: "aws_ecr_exporter_targets_valid", Help: "Whether the list of registries could be read and has no fault", Type: gauge,
		Unit: "1, or 0 while the last good list is used", Setting: "TARGETS",
		labels: regionLabels,
		value: func(s *subject) (float64, bool) {
			if s.fleet.Valid {
				return 1, true
			}
			return 0, true
		},
	},
	{
		Name: "aws_ecr_exporter_targets_waiting", Help: "Registries of earlier minutes that no worker had taken yet when the next were due", Type: gauge,
		Unit: "messages, about; above 0 for long if there are too few workers", Setting: "TARGETS",
		labels: regionLabels,
		value:  func(s *subject) (float64, bool) { return float64(s.fleet.Waiting), s.fleet.Waiting >= 0 },
	},
}

// FleetFamilies returns the families about the registries of one deployment, in their order.
func FleetFamilies() []*Family { return pointers(fleetTable) }

// OfFleet yields the series of a fleet, family by family, and within a family in the order of
// the registries. Like those of All, they are valid for one step of the iterator.
func (t *Table) OfFleet(fleet Fleet) iter.Seq[Series] {
	return func(yield func(Series) bool) {
		w := &walker{subject: subject{fleet: &fleet, shape: &t.shape}, yield: yield}
		for _, family := range t.fleet {
			if !w.emit([]form{t.form(family)}) {
				return
			}
		}
	}
}
