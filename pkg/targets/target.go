// Package targets knows the registries that one deployment reads: where they are listed, with
// which role and settings each is read, and when it is due. It plans, and calls nothing.
package targets

import "time"

// Target is one registry: an account's in a Region.
type Target struct {
	// Account is the AWS account, twelve digits; Region the name of an AWS Region.
	Account string `json:"account"`
	Region  string `json:"region"`
	// Name is the account's name, for people; empty if none is given.
	Name string `json:"name,omitempty"`
	// Role is the ARN of the role to read the registry with; empty to read it with the
	// function's own. ExternalID is what the role's trust policy may demand.
	Role       string `json:"role,omitempty"`
	ExternalID string `json:"external_id,omitempty"`
	// Interval is how often the registry is pushed, in whole minutes.
	Interval time.Duration `json:"interval"`
	// Labels are put on every series of the registry, besides those of EXTERNAL_LABELS.
	Labels map[string]string `json:"labels,omitempty"`
	// Settings replace those of the function by name, such as REPOSITORIES_INCLUDE.
	Settings map[string]string `json:"settings,omitempty"`
	// RegionLabel is set if every series has the Region as a label, since some account has
	// targets in more than one.
	RegionLabel bool `json:"region_label,omitempty"`
}

// String is ACCOUNT/REGION: the message group of the registry's queue, and the folder of its
// state.
func (t *Target) String() string { return t.Account + "/" + t.Region }

// Work is the message that has a registry pushed.
type Work struct {
	Target Target `json:"target"`
	// Slot is the minute for which it was planned.
	Slot time.Time `json:"slot"`
	// Rate is how fast the push may send, in samples per second; 0 means no limit.
	Rate float64 `json:"rate,omitempty"`
}

// Expired reports whether the next slot has begun: then the work is skipped, not made up for.
func (w *Work) Expired(now time.Time) bool { return !now.Before(w.Slot.Add(w.Target.Interval)) }
