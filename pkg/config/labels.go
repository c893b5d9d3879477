package config

import (
	"slices"
	"strings"

	"github.com/aws-exporters/ecr-remote-write/pkg/metrics"
)

// Labels are put on every series. They are written name=value,name=value. A value has no
// comma.
type Labels []metrics.Label

// UnmarshalText reads the pairs, without white space around names and values.
func (l *Labels) UnmarshalText(text []byte) error {
	*l = nil
	given := map[string]bool{}
	for pair := range strings.SplitSeq(string(text), ",") {
		name, value, _ := strings.Cut(pair, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		if given[name] || !metrics.ValidExternalLabel(name, value) {
			return errRule
		}
		given[name] = true
		*l = append(*l, metrics.Label{Name: name, Value: value})
	}
	return nil
}

// addRegionLabel adds what REGION_LABEL asks for to the external labels.
func (c *Config) addRegionLabel(vars map[string]string, faults *Faults) {
	if !c.RegionLabel {
		return
	}
	region := vars["AWS_REGION"]
	if slices.ContainsFunc(c.ExternalLabels, func(l metrics.Label) bool { return l.Name == "region" }) {
		faults.note(vars, "REGION_LABEL", "true only if EXTERNAL_LABELS has no region")
	} else if region == "" {
		faults.note(vars, "REGION_LABEL", "true only if AWS_REGION is set, as Lambda does")
	}
	c.ExternalLabels = append(c.ExternalLabels, metrics.Label{Name: "region", Value: region})
}
